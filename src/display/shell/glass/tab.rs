//! Which tab has the page, and another one in the place of one that is gone.
//!
//! A tab whose process was killed before it had a document takes no order ever again (Firefox: "no such frame"). Another
//! one takes them all, if it is opened behind the first; one that is to be seen at once is refused as well.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Glass, Purpose, SET_UP_WITHIN, Told};
use crate::display::{
    shell::bidi::{self, Call},
    supervisor::{Ask, AskError, Seen},
};

/// Firefox has one window, and what a page opened before it was closed.
const CONTEXTS_MAX: usize = 16;

impl Glass {
    /// Opens another tab for the page: the session is as good as a new one then, and told as such.
    pub fn replace_tab(&mut self, why: &str) {
        tracing::warn!(why, "opening another tab");
        let zoomed = self.zoom_preload.take();
        self.detach("its page gets another tab");
        for call in zoomed.iter().map(|script| bidi::remove_preload(script)).chain([bidi::bypass_cache(false)]) {
            self.call(call, Purpose::Aside, Instant::now() + SET_UP_WITHIN);
        }
        let open = bidi::to_call(&Ask::OpenAside, "", false);
        self.call(open, Purpose::NewTab, Instant::now() + SET_UP_WITHIN);
    }

    pub(super) fn new_tab(&mut self, opened: Result<Value, AskError>) {
        let context = opened.map(|opened| opened["context"].as_str().map(str::to_owned));
        let Ok(Some(context)) = context else { return self.restart("it opens no other tab", false) };
        let activate = Call { method: "browsingContext.activate", params: json!({ "context": context }) };
        self.call(activate, Purpose::Aside, Instant::now() + SET_UP_WITHIN);
        self.context = Some(context);
        self.set_up(bidi::TREE);
    }

    /// Of all tabs and windows that there are, one is the page's: the one that was opened for it, or the first.
    pub(super) fn take_tabs(&mut self, tree: &Value) {
        let mut all: Vec<_> = bidi::contexts(tree).into_iter().take(CONTEXTS_MAX).collect();
        if all.is_empty() {
            return;
        }
        let own = all.iter().position(|(context, _)| Some(context) == self.context.as_ref()).unwrap_or(0);
        let (own, window) = all.remove(own);
        self.context = Some(own);
        for (context, other) in all {
            let seen = if other == window { Seen::Opened { context } } else { Seen::Left { context } };
            self.ready.push_back(Told::Seen(seen));
        }
    }
}
