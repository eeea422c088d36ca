//! A drill's page in the place of what should be there. In memory alone: a supervisor that is started again shows what it
//! should, and so does one to which something is pushed meanwhile.

use super::{Out, Show, Supervisor, to_show};
use crate::event::command::Slot;

impl Supervisor {
    /// Why no drill may take the glass now, if none may.
    pub fn may_not_be_held(&self) -> Option<&'static str> {
        self.content.is_owed().then_some("a page that was pushed is on its way to the glass")
    }

    /// True while the glass is a drill's.
    pub fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn hold(&mut self, url: String, out: &mut Out) {
        self.held = true;
        self.content.want(Show::Url(url), None, out);
    }

    pub(super) fn release(&mut self, out: &mut Out) {
        if std::mem::take(&mut self.held) {
            let show = self.intended();
            self.content.want(show, None, out);
        }
    }

    /// What a server or the configuration wants on the glass.
    pub(super) fn intended(&self) -> Show {
        match self.journal.state(Slot::Content).and_then(to_show) {
            Some(show) => show,
            None => self.setting.url.clone().map_or(Show::Splash, Show::Url),
        }
    }
}
