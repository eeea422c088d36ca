//! `pikiosk helper`: what only root may do, one request of the supervisor's; and the two halves of
//! pikiosk-unplug.service, which one of them starts.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
};

use super::failure::{Exit, Failure};
use crate::display::helper::{
    self,
    plugs::{self, AWAY},
};

/// Does one thing that only root may, for the supervisor; started by pikiosk-helper.socket.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What pikiosk-unplug.service does; without it, one request is read from standard input.
    deed: Option<Deed>,
    /// Who may ask, beside root: a user's name or number.
    #[arg(long, value_name = "USER", default_value = "pikiosk")]
    user: String,
    /// Where the kernel has the plugs of the screens.
    #[arg(long, value_name = "DIR", default_value = plugs::DRM)]
    drm: PathBuf,
    /// Where the plugs that were taken away are written down.
    #[arg(long, value_name = "FILE", default_value = plugs::LIST)]
    list: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Deed {
    /// Takes the screens away at their plugs, waits five seconds, and ends.
    Unplug,
    /// Gives back what was taken away.
    PlugIn,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match args.deed {
        None => answer(args)?,
        Some(Deed::Unplug) => {
            plugs::take_away(&args.drm, &args.list).map_err(|source| Failure::Plugs { source })?;
            // However this ends, systemd has the other half done.
            std::thread::sleep(AWAY);
        }
        Some(Deed::PlugIn) => {
            plugs::give_back(&args.drm, &args.list).map_err(|source| Failure::Plugs { source })?;
        }
    }
    Ok(Exit::Done)
}

/// The connection is standard input.
fn answer(args: &Args) -> Result<(), Failure> {
    let unread = |source: io::Error| Failure::Unread { path: "/etc/passwd".into(), source };
    let named = || nix::unistd::User::from_name(&args.user).map_err(|error| unread(error.into()));
    let user = match args.user.parse::<u32>() {
        Ok(number) => Some(number),
        Err(_) => named()?.map(|user| user.uid.as_raw()),
    };
    let users: Vec<u32> = user.into_iter().chain([0]).collect();
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(|source| Failure::Runtime { source })?;
    helper::serve(&UnixStream::from(input), &users).map_err(|source| Failure::Helper { source })
}
