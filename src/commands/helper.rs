//! `pikiosk helper`: what only root may do, one request of the supervisor's.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
};

use super::failure::{Exit, Failure};
use crate::display::helper;

/// Does one thing that only root may, for the supervisor; started by pikiosk-helper.socket.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who may ask, beside root: a user's name or number.
    #[arg(long, value_name = "USER", default_value = "pikiosk")]
    user: String,
}

/// The connection is standard input.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let unread = |source: io::Error| Failure::Unread { path: "/etc/passwd".into(), source };
    let named = || nix::unistd::User::from_name(&args.user).map_err(|error| unread(error.into()));
    let user = match args.user.parse::<u32>() {
        Ok(number) => Some(number),
        Err(_) => named()?.map(|user| user.uid.as_raw()),
    };
    let users: Vec<u32> = user.into_iter().chain([0]).collect();
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(|source| Failure::Runtime { source })?;
    helper::serve(&UnixStream::from(input), &users).map_err(|source| Failure::Helper { source })?;
    Ok(Exit::Done)
}
