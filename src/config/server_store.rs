//! `[store]` of `server.toml`: what keeps the events.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RedisAddress, origin::Refusals};

#[derive(Debug, Clone, PartialEq)]
pub struct StoreSettings {
    pub kind: StoreKind,
    /// Where the Redis is; set with `kind = "redis"` and with nothing else.
    pub redis: Option<RedisSettings>,
}

/// What keeps the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    Embedded,
    Memory,
    Redis,
}

/// A Redis that several nodes share.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisSettings {
    pub address: RedisAddress,
    pub prefix: String,
    pub authority_file: Option<PathBuf>,
    /// Our own certificate and its key.
    pub certificate_files: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct StoreFile {
    /// "embedded": a file in the data folder, safe against a power cut; also where nothing is said. "memory": forgotten
    /// at the end. "redis": any number of servers on one Redis, 6.2 or newer, which keeps what it accepts if it has
    /// appendonly yes and appendfsync always.
    #[schemars(extend("examples" = ["redis"]))]
    kind: Option<StoreKind>,
    /// For "redis", where it is. Also rediss:// (TLS), redis+sentinel://host:26379/0?master=NAME&addr=host:port and
    /// redis+cluster://host:port?addr=host:port.
    #[schemars(extend("examples" = ["rediss://pikiosk:secret@redis.example.org:6379/0"]))]
    url: Option<String>,
    /// For "redis": stands before every key, so that several stores can share one. At most 64 of a-z, 0-9, - and _.
    prefix: String,
    /// For rediss://: the PEM file of the authority that signed the certificate of Redis. Without it, the public ones.
    #[schemars(extend("format" = "path", "examples" = ["/etc/pikiosk/redis-ca.pem"]))]
    authority_file: Option<String>,
    /// For a Redis that asks for a certificate of its clients: ours, and in key_file its key, in PEM.
    #[schemars(extend("format" = "path", "examples" = ["/etc/pikiosk/redis.pem"]))]
    certificate_file: Option<String>,
    /// The key of certificate_file.
    #[schemars(extend("format" = "path", "examples" = ["/etc/pikiosk/redis.key"]))]
    key_file: Option<String>,
}

impl Default for StoreFile {
    fn default() -> Self {
        Self {
            kind: None,
            url: None,
            prefix: "pikiosk".to_owned(),
            authority_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

impl StoreFile {
    pub(super) fn settings(self, refusals: &mut Refusals<'_>) -> Option<StoreSettings> {
        let StoreFile { kind, url, prefix, authority_file, certificate_file, key_file } = self;
        let kind = kind.unwrap_or(StoreKind::Embedded);
        if kind != StoreKind::Redis {
            if url.is_some() {
                refusals.refuse("store.url", "only a store in Redis has an address", "write kind = \"redis\" as well");
                return None;
            }
            return Some(StoreSettings { kind, redis: None });
        }
        let Some(url) = url else {
            let cure = "write url = \"redis://127.0.0.1:6379/0\" as well";
            refusals.refuse("store.kind", "it is not said where the Redis is", cure);
            return None;
        };
        let address = address("store.url", &url, refusals)?;
        let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if !(1..=64).contains(&prefix.len()) || !prefix.bytes().all(plain) {
            refusals.refuse("store.prefix", format!("{prefix:?} cannot be one"), "use 1 to 64 of a-z, 0-9, - and _");
            return None;
        }
        let certificate_files = match (certificate_file, key_file) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => {
                let says = "certificate_file and key_file go together";
                refusals.refuse("store.certificate_file", says, "write both, or none");
                return None;
            }
        };
        let authority_file = authority_file.map(PathBuf::from);
        if !address.tls && (authority_file.is_some() || certificate_files.is_some()) {
            refusals.refuse(
                "store.url",
                "certificates go with TLS",
                "write rediss:// (or rediss+sentinel://, rediss+cluster://)",
            );
            return None;
        }
        Some(StoreSettings { kind, redis: Some(RedisSettings { address, prefix, authority_file, certificate_files }) })
    }
}

/// Reads the address of a Redis. The text is never repeated: it may hold a password.
pub(super) fn address(key: &str, text: &str, refusals: &mut Refusals<'_>) -> Option<RedisAddress> {
    match RedisAddress::parse(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            let cure = "write it such as redis://127.0.0.1:6379/0 (rediss:// for TLS)";
            refusals.refuse(key, problem.to_string(), cure);
            None
        }
    }
}
