//! A drill's page in the place of what should be there. In memory alone: a supervisor that is started again shows what it
//! should, and so does one to which something is pushed meanwhile.

use super::{Out, Show, Supervisor, allow, to_show};
use crate::event::command::Slot;

impl Supervisor {
    /// Why no drill may take the glass now, if none may.
    pub fn may_not_be_held(&self) -> Option<&'static str> {
        self.content.is_owed().then_some("a page that was pushed is on its way to the glass")
    }

    /// True while the glass is a drill's.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Root's own drill, so no list of sites is asked about it.
    pub(super) fn is_of_the_drill(&self, url: &str) -> bool {
        let origin = |url: &str| url::Url::parse(url).map(|url| url.origin()).ok();
        self.held.as_ref().is_some_and(|held| origin(held).is_some_and(|held| Some(held) == origin(url)))
    }

    pub(super) fn hold(&mut self, url: String, out: &mut Out) {
        self.held = Some(url.clone());
        self.content.want(Show::Url(url), None, out);
    }

    pub(super) fn release(&mut self, out: &mut Out) {
        if self.held.take().is_some() {
            let show = self.wanted();
            self.content.want(show, None, out);
        }
    }

    /// What a server or the configuration wants on the glass. A list of sites that has become shorter since holds for
    /// what was shown before it.
    fn wanted(&self) -> Show {
        let kept = self.journal.state(Slot::Content).and_then(to_show);
        let kept = kept.filter(|show| allow::permits(&self.setting.allow, show));
        kept.unwrap_or_else(|| self.setting.url.clone().map_or(Show::Splash, Show::Url))
    }
}
