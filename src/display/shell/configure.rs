//! Settings that came by command: checked, written down for the next start, kept or taken back.

use serde_json::Value;

use super::Shell;
use crate::display::{
    configured::{self, Configured},
    journal::EventKey,
};

impl Shell {
    /// Null once they are on disk; a text: why they cannot be used.
    pub(super) fn try_settings(&self, key: EventKey, text: String) -> Result<Value, String> {
        if let Err(why) = configured::check(&self.sources, &text) {
            return Ok(Value::String(why));
        }
        let mut configured = Configured::read(&self.state);
        configured.try_next(key, text);
        configured.write(&self.state).map(|()| Value::Null).map_err(|error| format!("they cannot be kept: {error}"))
    }

    pub(super) fn settle_trial(&self, undo: Option<String>) {
        let mut configured = Configured::read(&self.state);
        match undo {
            None => configured.keep(),
            Some(why) => configured.take_back(why),
        }
        if let Err(error) = configured.write(&self.state) {
            tracing::error!(%error, "what became of the settings is not written down");
        }
    }
}
