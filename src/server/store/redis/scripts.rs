//! The scripts, as Redis knows them: by the SHA-1 of their text.

use std::sync::LazyLock;

use super::words;

/// A script with the shared part before it.
#[derive(Debug)]
pub struct Script {
    pub name: &'static str,
    pub text: String,
    pub sha: String,
}

macro_rules! scripts {
    ($($(#[doc = $doc:literal])? $constant:ident = $file:literal;)+) => {
        $($(#[doc = $doc])? pub static $constant: LazyLock<Script> = LazyLock::new(|| {
            Script::new($file, include_str!(concat!("lua/", $file, ".lua")))
        });)+

        /// Those that may be called once a Redis was looked at; `attach` is what looks, and `mend` what mends.
        pub fn all() -> Vec<&'static Script> {
            vec![$(&$constant),+]
        }
    };
}

scripts! {
    BACKLOG = "backlog";
    CLOCK = "clock";
    EXPIRE = "expire";
    FEED = "feed";
    PRUNE = "prune";
    PUBLISH = "publish";
    READ = "read";
    RECEIPT = "receipt";
    REMOVE = "remove";
    RESULT = "result";
    RESULTS = "results";
    SMALL = "small";
    SWAP = "swap";
}

/// Sent with its whole text, so that it runs on a Redis that knows none of the others.
pub static ATTACH: LazyLock<Script> = LazyLock::new(|| Script::new("attach", include_str!("lua/attach.lua")));
/// So is this: it runs before the others may.
pub static MEND: LazyLock<Script> = LazyLock::new(|| Script::new("mend", include_str!("lua/mend.lua")));

impl Script {
    fn new(name: &'static str, text: &str) -> Script {
        let text = format!(
            "local WORDS = {{ superseded = '{}', expired = '{}', removed = '{}', queue_full = '{}', left = '{}' }}\n{}\n{text}",
            words::SUPERSEDED,
            words::EXPIRED,
            words::REMOVED,
            words::QUEUE_FULL,
            words::LEFT,
            include_str!("lua/common.lua")
        );
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let sha = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Script { name, text, sha }
    }
}
