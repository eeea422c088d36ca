//! What the browser loop and the link tell, as the machine is to hear it.

use tokio::time::Instant;

use super::{Shell, glass};
use crate::display::{
    link::{self, Order},
    supervisor::Input,
};

impl Shell {
    pub(super) fn glass_told(&mut self, told: glass::Told) -> Option<Input> {
        Some(match told {
            glass::Told::LoopCame => Input::LoopCame,
            glass::Told::LoopGone => Input::LoopGone,
            glass::Told::Overgrown(what) => Input::Overgrown(what),
            glass::Told::NoProfile { why } => Input::NoProfile { why },
            glass::Told::ContentEnded => Input::ContentEnded,
            glass::Told::Attached => Input::Attached,
            glass::Told::Detached { why } => Input::Detached { why },
            glass::Told::Seen(seen) => Input::Seen(seen),
            glass::Told::Screen(facts) => Input::ScreenSeen(facts),
            glass::Told::Answered { ask, answer } => Input::Answered { ask, answer },
            glass::Told::Firefox { version } => {
                self.firefox = Some(version);
                return None;
            }
            glass::Told::Picture { ask, what, base64 } => {
                self.picture_came(ask, what, base64);
                return None;
            }
        })
    }

    pub(super) fn link_told(&mut self, told: Option<link::Told>) -> Option<Input> {
        match told {
            Some(link::Told::State { state, display }) => {
                let is_live = matches!(state, link::State::Live { .. });
                if display.is_some() && display != self.display {
                    self.supervisor.is_called(display.as_ref().map_or_else(String::new, ToString::to_string));
                    self.display = display;
                }
                self.link_state = Some(state);
                (!is_live).then_some(Input::Unlinked)
            }
            Some(link::Told::Hello(hello)) => {
                let positions = self.supervisor.journal().positions();
                let known = positions.iter().filter(|(address, _)| hello.addresses.contains(address));
                let known = known.map(|(address, position)| (address.clone(), position.clone())).collect();
                self.hear_the_time(hello.server_time.0);
                let sent = self.link.as_ref().is_some_and(|link| link.try_send(Order::Resume(known)).is_ok());
                self.health_at = Instant::now();
                sent.then_some(Input::Linked { server_ms: hello.server_time.0, heads: hello.positions })
            }
            Some(link::Told::Event(event)) => Some(Input::Delivered(event)),
            None => {
                tracing::error!("the link broke off");
                self.link = None;
                Some(Input::Unlinked)
            }
        }
    }
}
