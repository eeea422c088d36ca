use std::io::{Error as IoError, ErrorKind};

use super::*;
use crate::config::{KioskSettings, Sources};
#[cfg(any(feature = "display", feature = "tools"))]
use crate::provision::{apply::ApplyError, step::StepError};
#[cfg(feature = "tools")]
use crate::{
    image::{inspect::InspectError, recipe::RecipeError},
    io::partitions::PartitionsError,
};

fn refused() -> Failure {
    Failure::Config { source: KioskSettings::from_text("[display]\nulr = \"x\"\nid = 1\n").unwrap_err() }
}

/// One of every failure; a new variant without a line here is missing from the snapshot, and the exhaustive matches of
/// `exit` and `hint` have made its author look here.
fn every_failure() -> Vec<Failure> {
    let path = PathBuf::from("/etc/pikiosk/kiosk.toml");
    let io = |kind| IoError::from(kind);
    vec![
        refused(),
        Failure::Config { source: KioskSettings::load(&Sources::only("/nowhere.toml")).unwrap_err() },
        Failure::Usage { doing: "push", says: "message needs text".into(), hint: "write text='…'".into() },
        Failure::File { path: path.clone(), source: io(ErrorKind::PermissionDenied) },
        Failure::File { path: path.clone(), source: io(ErrorKind::StorageFull) },
        Failure::FileThere { path: path.clone() },
        Failure::Unwritable { source: io(ErrorKind::InvalidInput) },
        Failure::Missing { count: 2 },
        Failure::Unread { path: path.clone(), source: io(ErrorKind::NotFound) },
        Failure::Interrupted,
        #[cfg(feature = "tools")]
        Failure::Disks { source: io(ErrorKind::NotFound) },
        #[cfg(feature = "tools")]
        Failure::UnsafeDisk {
            path: "/dev/sda".into(),
            says: "this machine runs from it (/)".into(),
            cure: "see which cards there are: pikiosk flash --list".into(),
        },
        #[cfg(feature = "tools")]
        Failure::CardUnopened { path: "/dev/sdb".into(), source: io(ErrorKind::PermissionDenied) },
        #[cfg(feature = "tools")]
        Failure::Source { source: SourceError::Missing { path: "pikiosk.img".into() } },
        #[cfg(feature = "tools")]
        cards(CardFault::KeepsNothing),
        #[cfg(feature = "tools")]
        cards(CardFault::Customise { source: std::sync::Arc::new(io(ErrorKind::StorageFull)) }),
        #[cfg(any(feature = "display", feature = "tools"))]
        provision(ProvisionError::NotRoot),
        #[cfg(any(feature = "display", feature = "tools"))]
        provision(apply_failed(Vec::new())),
        #[cfg(any(feature = "display", feature = "tools"))]
        provision(apply_failed(vec!["/etc/hostname".into()])),
        Failure::NotShown { bad: 2, pending: vec![] },
        Failure::NotShown { bad: 0, pending: (1..=7).map(|n| format!("shop-{n}")).collect() },
        Failure::NotShown { bad: 1, pending: vec!["lobby".into()] },
        Failure::Listen { address: ([127, 0, 0, 1], 8400).into(), source: io(ErrorKind::AddrInUse) },
        Failure::Listen { address: ([127, 0, 0, 1], 80).into(), source: io(ErrorKind::PermissionDenied) },
        #[cfg(feature = "server")]
        Failure::Inherit { source: crate::io::notify::InheritError::Several(2) },
        #[cfg(feature = "server")]
        Failure::ServerStart {
            source: OpenError::Data { path: path.clone(), source: io(ErrorKind::PermissionDenied) },
        },
        #[cfg(feature = "server")]
        Failure::ServerStart { source: OpenError::Store { source: StoreError::Locked("/data/pikiosk.redb".into()) } },
        #[cfg(feature = "server")]
        Failure::ServerStart { source: OpenError::Store { source: StoreError::DiskFull } },
        #[cfg(feature = "display")]
        Failure::Status { source: StatusError::Absent },
        #[cfg(feature = "display")]
        Failure::Status { source: StatusError::Unreadable { source: io(ErrorKind::PermissionDenied) } },
        Failure::Runtime { source: io(ErrorKind::OutOfMemory) },
        #[cfg(feature = "tools")]
        image(RecipeError::NotFound { from: "/home/ada".into() }.into()),
        #[cfg(feature = "tools")]
        image(RecipeError::Failed { status: std::os::unix::process::ExitStatusExt::from_raw(256) }.into()),
        #[cfg(feature = "tools")]
        image(ImageFault::Inspect {
            path: "card.img".into(),
            source: InspectError::Partitions { source: PartitionsError::None },
        }),
        #[cfg(feature = "tools")]
        image(ImageFault::Packed { path: "card.img.xz".into() }),
        #[cfg(feature = "tools")]
        server(ClientError::NoKey),
        #[cfg(feature = "tools")]
        server(ClientError::KeyFile { path, source: io(ErrorKind::PermissionDenied) }),
        #[cfg(feature = "tools")]
        server(ClientError::Unreachable { server: "http://server".into(), says: "nothing listens there".into() }),
        #[cfg(feature = "tools")]
        server(ClientError::Credentials { server: "http://server".into() }),
        #[cfg(feature = "tools")]
        server(ClientError::Refused { says: "display `x` is not enrolled".into() }),
        #[cfg(feature = "tools")]
        server(ClientError::Unable { says: "the store is busy".into() }),
        #[cfg(feature = "tools")]
        server(ClientError::Strange { server: "http://server".into(), says: "HTTP 404 Not Found".into() }),
    ]
}

#[cfg(feature = "tools")]
fn image(source: ImageFault) -> Failure {
    Failure::Image { doing: "build the image", source }
}

#[cfg(feature = "tools")]
fn cards(fault: CardFault) -> Failure {
    Failure::Cards { bad: 1, of: 4, fault: Box::new(fault) }
}

#[cfg(any(feature = "display", feature = "tools"))]
fn provision(source: ProvisionError) -> Failure {
    Failure::Provision { target: "this Pi".into(), source }
}

#[cfg(any(feature = "display", feature = "tools"))]
fn apply_failed(not_undone: Vec<PathBuf>) -> ProvisionError {
    let source = StepError::Io(IoError::from(ErrorKind::StorageFull));
    let doing = "write /etc/hostname".to_owned();
    ProvisionError::Apply(ApplyError { doing, source, not_undone, installed: Vec::new() })
}

#[cfg(feature = "tools")]
fn server(source: ClientError) -> Failure {
    Failure::Server { doing: "push", source }
}

#[test]
fn every_failure_says_what_failed_why_and_what_to_do() {
    let told: Vec<_> = every_failure()
        .iter()
        .map(|failure| {
            let text = failure.rendered();
            assert!(text.starts_with("error: failed to ") && text.contains("\nhint: "), "{text}");
            assert!(!failure.hint().ends_with('.'), "{text}");
            format!("{text}\nexit {}\n", failure.exit() as u8)
        })
        .collect();
    if cfg!(all(feature = "tools", feature = "display", feature = "server")) {
        insta::assert_snapshot!(told.join("\n"));
    }
}

#[test]
fn every_exit_code_of_the_table_is_one_that_something_ends_with() {
    let used: Vec<_> = every_failure().iter().map(Failure::exit).collect();
    for exit in Exit::ALL {
        let of_tools = [
            Exit::CredentialsRefused,
            Exit::Unreachable,
            Exit::DiskUnsafe,
            Exit::ImageRefused,
            Exit::WriteFailed,
            Exit::Undone,
            Exit::UndoIncomplete,
        ];
        let server_only = of_tools.contains(&exit) && cfg!(not(feature = "tools"));
        assert!(exit == Exit::Done || used.contains(&exit) || server_only, "{exit:?}");
        assert!(Exit::table().contains(exit.meaning()));
    }
}
