//! One start of Firefox: the program is found, its profile made, and its words are listened to.

use std::{io, os::fd::OwnedFd, path::Path, process::ChildStderr};

use tokio::net::unix::pipe;

use super::{Fact, Loop};
use crate::display::browser::{
    firefox, memory,
    profile::{Profile, ProfileError},
};

impl Loop {
    /// Starts Firefox; the error says in one line why it was not.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let url = self.url.clone().unwrap_or_else(|| "about:blank".to_owned());
        if let Err(error) = self.make_profile() {
            self.no_profile = Some(error.place());
            return Err(in_full(&error));
        }
        // Each time anew: one that is being installed, or updated, is there a moment later.
        let configured = self.settings.browser.command.as_deref().map(Path::new);
        let child = firefox::find(configured).and_then(|program| firefox::start(&program, &self.folder, &url));
        let mut child = child.map_err(|error| in_full(&error))?;
        self.pid = i32::try_from(child.id()).ok();
        self.memory = memory::Watch::default();
        if let Some(stderr) = child.stderr.take() {
            let (generation, facts) = (self.generation, self.facts.clone());
            let listening = move |url| {
                // Room is made by the loop at once; a full queue means that it is ending anyway.
                let _ = facts.try_send(Fact::Listening(generation, url));
            };
            match readable(stderr) {
                Ok(stderr) => drop(tokio::spawn(firefox::watch_stderr(stderr, listening))),
                Err(error) => return Err(format!("its stderr cannot be read: {error}")),
            }
        }
        Ok(())
    }

    fn make_profile(&mut self) -> Result<(), ProfileError> {
        let own = (!std::mem::take(&mut self.plain)).then_some(&self.settings.browser.prefs);
        let profile = match self.profile.take() {
            Some(profile) => profile,
            None => Profile::claim_now(&self.folder)?,
        };
        self.profile.insert(profile).rebuild(own.into_iter().flatten())
    }

    /// Firefox ended: whether that is because it could not write its profile. One that has come up had what it needs.
    pub(super) fn why_no_profile(&mut self) -> Option<String> {
        let made = self.no_profile.take();
        let starting = self.profile.as_ref().filter(|_| self.listening.is_none());
        made.or_else(|| starting?.check().err().map(|error| error.place()))
    }
}

fn readable(stderr: ChildStderr) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))
}

/// An error with its causes, in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
