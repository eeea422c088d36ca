//! When a page that people were at is loaded anew, for those who come next (`[browser] home_after`). Pure.
//!
//! X knows since when nobody has touched anything, and the loop tells it every few seconds; so nothing is remembered here.
//! What people did to a page (a link, a form half filled in, a place scrolled to) cannot be seen from outside: whoever
//! touched anything is taken to have changed it.

use std::time::Duration;

use super::{Show, Supervisor, out::Out};

/// True if somebody touched what has been on the glass for `shown`, and nobody has for as long as `after`.
fn is_due(after: Duration, idle: Duration, shown: Duration) -> bool {
    after <= idle && idle < shown
}

impl Supervisor {
    pub(super) fn go_home(&mut self, out: &mut Out) {
        let idle = self.screen.idle_ms.map(Duration::from_millis);
        let (Some(after), Some(idle), Some(shown)) = (self.setting.home_after, idle, self.content.shown_for(out.now))
        else {
            return;
        };
        // A playlist goes on by itself, and a drill has its own plans.
        let is_page = matches!(self.content.show(), Show::Url(_)) && self.is_showing() && !self.is_held();
        if is_page && is_due(after, idle, shown) {
            let url = self.content.url();
            tracing::info!(
                idle_s = idle.as_secs(),
                url,
                "those who touched the screen have gone: its page is loaded anew"
            );
            self.content.go_home(out);
        }
    }
}
