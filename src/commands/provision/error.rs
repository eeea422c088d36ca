//! Why a system was not provisioned: each with its exit code and its cure.

use std::io;
use std::path::PathBuf;

use crate::commands::failure::{Exit, io_hint};
#[cfg(feature = "tools")]
use crate::io::system::image::ImageError;
use crate::provision::{
    apply::ApplyError,
    desired::DesiredError,
    facts::FactsError,
    observe::ObserveError,
    plan::PlanError,
    receipt::{BLOBS, HOME, RECEIPT, ReceiptError},
    step::StepError,
    undo::UndoError,
};

/// `Display` fits after `failed to provision this Pi: `.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error("only root may change it")]
    NotRoot,
    #[error("another pikiosk provision is at work on it")]
    Busy,
    #[error("open it")]
    Open { source: io::Error },
    #[cfg(feature = "tools")]
    #[error("open the image")]
    Image { source: ImageError },
    #[error("find out what it is")]
    Facts { source: FactsError },
    #[error("use these settings on it")]
    Desired { source: DesiredError },
    #[error("look at it")]
    Observe { source: ObserveError },
    #[error("plan")]
    Plan { source: PlanError },
    #[error("show what would change")]
    Show { source: io::Error },
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("undo")]
    Undo { source: UndoError },
    #[error("write the changes into it")]
    Write { source: io::Error },
    #[error("its processor is {wanted}, and there is no pikiosk for it here")]
    NoProgram { wanted: String },
    #[error("{} is built for {found}, and its processor is {wanted}", path.display())]
    WrongProgram { path: PathBuf, found: String, wanted: String },
    #[error("read {}", path.display())]
    Program { path: PathBuf, source: io::Error },
    #[error("there are no settings in it, and none were given")]
    NoSettings,
    #[cfg(feature = "tools")]
    #[error("run {program}")]
    Ssh { program: &'static str, source: io::Error },
    #[cfg(feature = "tools")]
    #[error("reach it by ssh")]
    SshFailed,
    #[cfg(feature = "tools")]
    #[error("{doing} there")]
    There { doing: &'static str },
}

impl ProvisionError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotRoot | Self::NoSettings | Self::NoProgram { .. } | Self::WrongProgram { .. } => Exit::Usage,
            Self::Open { source } if source.kind() == io::ErrorKind::NotFound => Exit::Usage,
            #[cfg(feature = "tools")]
            Self::Image { .. } => Exit::Usage,
            Self::Facts { source: FactsError::Unknown { .. } | FactsError::NoSystem(_) } => Exit::Usage,
            Self::Desired { .. } => Exit::ConfigRefused,
            Self::Busy | Self::Plan { .. } => Exit::Undone,
            Self::Apply(error) if error.not_undone.is_empty() => Exit::Undone,
            Self::Apply(_) | Self::Undo { .. } => Exit::UndoIncomplete,
            Self::Write { .. } => Exit::UndoIncomplete,
            Self::Open { .. }
            | Self::Facts { .. }
            | Self::Observe { .. }
            | Self::Show { .. }
            | Self::Program { .. } => Exit::Bug,
            #[cfg(feature = "tools")]
            Self::Ssh { .. } => Exit::Bug,
            #[cfg(feature = "tools")]
            Self::SshFailed | Self::There { .. } => Exit::Unreachable,
        }
    }

    pub fn hint(&self) -> String {
        match self {
            Self::NotRoot => "try again with sudo".to_owned(),
            Self::Busy => {
                "nothing was changed; wait until it is done. On a Pi that starts for the first time, journalctl -fu \
                 pikiosk-first-boot shows how far it is"
                    .to_owned()
            }
            Self::Write { source } => {
                format!("it may hold a part of them: take a fresh copy of it; {}", io_hint(source))
            }
            Self::Open { source } | Self::Program { source, .. } | Self::Show { source } => io_hint(source),
            #[cfg(feature = "tools")]
            Self::Image { .. } => {
                "is it an unpacked image of Raspberry Pi OS or Debian (.img)? Nothing in it was changed".to_owned()
            }
            Self::Facts { source } => match source {
                FactsError::Unknown { .. } => "use an image of one of these".to_owned(),
                FactsError::NoSystem(_) => "is it the directory that holds etc, usr and var?".to_owned(),
                FactsError::NotText(_) => "look at the file: somebody wrote something else into it".to_owned(),
                FactsError::Read { source, .. } => io_hint(source),
            },
            Self::Desired { .. } => "nothing was changed; change kiosk.toml, or the system, as said above".to_owned(),
            Self::Observe { source } => match source {
                ObserveError::Path { source, .. } => io_hint(source),
                ObserveError::Receipt(source) => receipt_hint(source),
            },
            Self::Plan { .. } => {
                "nothing was changed; move away what is in the way, if nobody needs it, then try again".to_owned()
            }
            Self::Apply(error) => apply_hint(error),
            Self::Undo { source } => match source {
                UndoError::Receipt(source) | UndoError::Observe(ObserveError::Receipt(source)) => receipt_hint(source),
                UndoError::Observe(ObserveError::Path { source, .. }) | UndoError::Home { source } => io_hint(source),
                UndoError::Unprepared { source } => step_hint(source),
                UndoError::Packages { .. } => {
                    "the files were put back; remove the packages by hand, or try again with the network up".to_owned()
                }
            },
            Self::NoProgram { .. } => {
                "make aarch64 builds it for a Pi (target/aarch64/pikiosk); --binary FILE takes any other build"
                    .to_owned()
            }
            Self::WrongProgram { .. } => "give --binary a build for that processor; make aarch64 makes one".to_owned(),
            Self::NoSettings => "give --config FILE; pikiosk config init kiosk writes an example".to_owned(),
            #[cfg(feature = "tools")]
            Self::Ssh { program, .. } => format!("sudo apt install openssh-client brings {program}"),
            #[cfg(feature = "tools")]
            Self::SshFailed => "see what ssh said above; does ssh to it work by hand?".to_owned(),
            #[cfg(feature = "tools")]
            Self::There { .. } => {
                "see what it said above; is its disk full, or its user not in the group sudo?".to_owned()
            }
        }
    }
}

fn apply_hint(error: &ApplyError) -> String {
    let mut hint = if error.not_undone.is_empty() {
        format!("everything is as it was before; {}", step_hint(&error.source))
    } else {
        let paths: Vec<String> = error.not_undone.iter().map(|path| path.display().to_string()).collect();
        format!(
            "these could not be put back: {}; pikiosk provision --undo tries again, and {BLOBS} holds their contents",
            paths.join(" ")
        )
    };
    if !error.installed.is_empty() {
        hint.push_str(&format!(
            "\nnote: {} packages were installed and stay; pikiosk provision --undo --packages removes them",
            error.installed.len()
        ));
    }
    hint
}

fn step_hint(error: &StepError) -> String {
    match error {
        StepError::Io(source) => io_hint(source),
        StepError::Moved => "wait until other programs are done with it, then try again".to_owned(),
        StepError::NoContent => "make a new plan: this one was made to be shown".to_owned(),
        StepError::Program(_) => "see what it said above; packages need a network and some time".to_owned(),
        StepError::Receipt(source) => receipt_hint(source),
    }
}

fn receipt_hint(error: &ReceiptError) -> String {
    match error {
        ReceiptError::Unreadable { source, .. } => io_hint(source),
        ReceiptError::Damaged { .. } => {
            format!("the file was changed by hand or its disk is dying; {BLOBS} holds what was there before")
        }
        ReceiptError::Newer(_) => "use the pikiosk that provisioned it, or a newer one".to_owned(),
        ReceiptError::NotOurs { .. } => {
            format!("find out who made it; if it is harmless: sudo chown -R root:root {HOME}, and read {RECEIPT} first")
        }
    }
}
