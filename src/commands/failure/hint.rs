//! What to do about a failure, in one exhaustive match: a person reads it below the error.

use super::*;

impl Failure {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Config { source: ConfigError::Refused { .. } } => {
                "change the lines above, then try again; pikiosk config check tells whether all is well".to_owned()
            }
            Self::Config { source: ConfigError::Unreadable { source, .. } } => match source.kind() {
                std::io::ErrorKind::NotFound => "is the name right? pikiosk config init writes an example".to_owned(),
                _ => io_hint(source),
            },
            Self::Config { source: ConfigError::Unfit { .. } } => {
                "this is a bug of pikiosk: please report it".to_owned()
            }
            Self::Usage { hint, .. } => hint.clone(),
            Self::File { source, .. } | Self::Unwritable { source } => io_hint(source),
            Self::FileThere { .. } => "give another name, or remove the file first".to_owned(),
            Self::ReaderGone => "nothing is wrong".to_owned(),
            Self::Missing { .. } => "do what is said above, then run pikiosk doctor again".to_owned(),
            Self::NotShown { bad: 0, .. } => {
                "a display that is away gets it when it comes back; pikiosk displays tells which are connected"
                    .to_owned()
            }
            Self::NotShown { .. } => "each line above says why; pikiosk push DISPLAY logs tells more".to_owned(),
            #[cfg(feature = "tools")]
            Self::Server { doing, source } => server_hint(doing, source),
            Self::Unread { source, .. } => io_hint(source),
            Self::Interrupted => "start over when you are ready".to_owned(),
            #[cfg(feature = "tools")]
            Self::Disks { .. } => "this needs Linux with /sys and /proc".to_owned(),
            #[cfg(feature = "tools")]
            Self::UnsafeDisk { cure, .. } => cure.clone(),
            #[cfg(feature = "tools")]
            Self::CardUnopened { source, .. } => io_hint(source),
            #[cfg(feature = "tools")]
            Self::Source { source } => source::hint(source),
            #[cfg(feature = "tools")]
            Self::Cards { fault, .. } => fault.hint().to_owned(),
            #[cfg(feature = "tools")]
            Self::Image { source, .. } => source.hint(),
            Self::Listen { source, .. } => match source.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another process has this port, perhaps another server: end it, or give --listen another one"
                        .to_owned()
                }
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 are for root: give --listen a higher one".to_owned()
                }
                _ => "is it an address of this machine? 127.0.0.1:8400 and 0.0.0.0:8400 always are".to_owned(),
            },
            #[cfg(feature = "server")]
            Self::Inherit { .. } => "look at it with: systemctl cat pikiosk-server.socket".to_owned(),
            #[cfg(feature = "server")]
            Self::ServerStart { source } => start_hint(source),
            #[cfg(feature = "display")]
            Self::Status { source } => match source {
                StatusError::Absent => {
                    "start it with: sudo systemctl start pikiosk (or pikiosk run; --runtime must be the same)"
                        .to_owned()
                }
                StatusError::Unreadable { source } => io_hint(source),
                StatusError::Strange { .. } => "restart the supervisor after an update of pikiosk".to_owned(),
            },
            #[cfg(feature = "display")]
            Self::Helper { .. } => "nobody starts this by hand: the supervisor asks for it".to_owned(),
            #[cfg(feature = "display")]
            Self::Plugs { .. } => {
                "nobody starts this by hand: sudo pikiosk drill screen-unplugged asks for it".to_owned()
            }
            #[cfg(feature = "display")]
            Self::Run { source } => run_hint(source),
            #[cfg(feature = "display")]
            Self::Drill { source } => source.hint(),
            #[cfg(feature = "display")]
            Self::Browser { source } => match source {
                LoopError::Profile(ProfileError::InUse(_)) => "end the other one first".to_owned(),
                LoopError::Profile(_) => {
                    "give --profile an empty folder of this user's own, or make room on its disk".to_owned()
                }
                LoopError::Signals(_) | LoopError::Screen(_) => {
                    "is the machine out of memory or of processes?".to_owned()
                }
            },
            #[cfg(all(feature = "display", feature = "server", feature = "tools"))]
            Self::Demo { source } => source.hint(),
            #[cfg(any(feature = "display", feature = "tools"))]
            Self::Provision { source, .. } => source.hint(),
            Self::Runtime { .. } => "is the machine out of memory or of processes?".to_owned(),
        }
    }
}

#[cfg(feature = "server")]
fn start_hint(error: &OpenError) -> String {
    match error {
        OpenError::KeyFile { source, .. }
        | OpenError::Data { source, .. }
        | OpenError::StoreFile { source, .. }
        | OpenError::WebhookSecret { source, .. } => io_hint(source),
        OpenError::Key { .. } | OpenError::Keys { .. } => {
            "change this [[auth.jwt]] of server.toml; pikiosk config show server tells where it is from".to_owned()
        }
        OpenError::KeyVariable { name, .. } => {
            format!("set {name} in the environment of the server (systemd: EnvironmentFile=), or use secret_file")
        }
        OpenError::Redis { .. } => {
            "write tickets.redis such as redis://127.0.0.1:6379/0 (rediss:// for TLS)".to_owned()
        }
        OpenError::Rabbit { key, .. } => format!("change [{key}] of server.toml; the broker itself may be down"),
        OpenError::Celery { .. } => "change [celery] of server.toml; broker and back end may be down".to_owned(),
        OpenError::Store { source } => match source {
            StoreError::Locked(_) => "end the other server, or give --data another folder".to_owned(),
            StoreError::NewerSchema { .. } => "the folder belongs to a newer pikiosk".to_owned(),
            StoreError::Damaged(_) => {
                "move the folder away to start with an empty one; displays enroll again, operator keys are new"
                    .to_owned()
            }
            StoreError::DiskFull => "the disk is full: make room, then try again".to_owned(),
            StoreError::Unreachable(_) => {
                "is that Redis running, and are address, user and password in store.url right?".to_owned()
            }
            StoreError::Forbidden(_) => {
                "assets/redis.acl of the source holds the user it needs; are user and password in store.url right?"
                    .to_owned()
            }
            StoreError::TooOld { .. } => "use Redis 6.2 or newer, or Valkey".to_owned(),
            _ => "look at the disk and at the rights of the data folder, then try again".to_owned(),
        },
    }
}

#[cfg(feature = "display")]
fn run_hint(error: &RunError) -> String {
    match error {
        RunError::Directory(_, source) | RunError::Glass(_, source) => io_hint(source),
        RunError::Journal(_) => "is the disk full, or does --state belong to another user?".to_owned(),
        RunError::Page(_) => {
            "is another supervisor running? A port below 1024 needs CAP_NET_BIND_SERVICE, or give --listen 127.0.0.1:8080"
                .to_owned()
        }
        RunError::Signals(_) => "is the machine out of memory or of processes?".to_owned(),
    }
}

#[cfg(feature = "tools")]
fn server_hint(doing: &str, error: &ClientError) -> String {
    match error {
        ClientError::NoKey => "a new server writes its key into its data folder: export \
                               PIKIOSK_KEY_FILE=/var/lib/pikiosk-server/operator.key, or set PIKIOSK_KEY to the key"
            .to_owned(),
        ClientError::KeyFile { source, .. } => io_hint(source),
        ClientError::Credentials { .. } => {
            "is it this server's key? It is in operator.key, in the server's data folder".to_owned()
        }
        ClientError::Unreachable { .. } => {
            "is the server running, and is this its address? PIKIOSK_SERVER or --server names it".to_owned()
        }
        ClientError::Unable { .. } => "wait a little and try again; the server's log tells more".to_owned(),
        ClientError::Refused { .. } if doing.contains("key") => {
            "pikiosk keys lists the keys, pikiosk push --help the commands that one can be for".to_owned()
        }
        ClientError::Refused { .. } => "pikiosk displays lists the displays that the server knows".to_owned(),
        ClientError::Strange { .. } => "is this the address of a pikiosk server, and is it of this version?".to_owned(),
    }
}

pub fn io_hint(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is the name right, and is the folder there?".to_owned(),
        std::io::ErrorKind::PermissionDenied => "try again with sudo, or as the user that owns it".to_owned(),
        std::io::ErrorKind::StorageFull => "the disk is full: make room, then try again".to_owned(),
        _ => "look at the disk and at the rights of the folder, then try again".to_owned(),
    }
}
