//! What the supervisor orders, done.

use nix::sys::signal::Signal;

use super::{Fact, Input, Loop, Told};
use crate::display::{
    browser::{
        harm, volume,
        wire::{FromLoop, ToLoop},
    },
    screen::Order,
};

impl Loop {
    pub(super) fn obey(&mut self, order: ToLoop) -> Option<Input> {
        match order {
            ToLoop::Open { url } => {
                self.url = Some(url);
                Some(Input::UrlKnown)
            }
            ToLoop::Attach {} => Some(Input::SupervisorCame),
            ToLoop::Bidi(raw) => {
                // Without a session the supervisor's own deadline answers; a full queue is a Firefox that hangs.
                let dropped = self.session.as_ref().is_none_or(|session| session.try_send(raw).is_err());
                if dropped {
                    tracing::debug!("a command was dropped: no session takes it");
                }
                None
            }
            ToLoop::Restart { reason, plain } => {
                tracing::info!(reason, plain, "Firefox is to be restarted");
                self.plain = plain;
                Some(Input::RestartWanted { reason })
            }
            ToLoop::KillContent { reason } => {
                let killed = harm::to_content(Signal::SIGKILL);
                tracing::info!(reason, killed, "content processes killed");
                None
            }
            ToLoop::Look { ask } => {
                let (eyes, facts) = (self.eyes.clone(), self.facts.clone());
                tokio::spawn(async move {
                    let result = eyes.look().await.map_err(|error| error.to_string());
                    let _ = facts.send(Fact::Looked(ask, result)).await;
                });
                None
            }
            ToLoop::Harm { ask, harm } => {
                self.tell(&FromLoop::Harmed { ask, result: harm::do_harm(harm, self.pid) });
                None
            }
            ToLoop::Screen { ask, order: Order::Volume { percent, muted } } => {
                let facts = self.facts.clone();
                tokio::task::spawn_blocking(move || {
                    let told = Told::Answered { ask, result: volume::set(percent, muted) };
                    let _ = facts.blocking_send(Fact::Screen(told));
                });
                None
            }
            ToLoop::Screen { ask, order } => {
                if let Err(refusal) = self.screen.order(ask, order) {
                    self.tell(&FromLoop::Screen { ask, result: Err(refusal) });
                }
                None
            }
        }
    }
}
