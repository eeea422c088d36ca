//! JWTs that a server of a test believes.

use std::{path::Path, time::SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const SECRET: &[u8] = b"only for tests and benches: 32 bytes and more";

/// Lines for a `server.toml`, whose secret is kept in this folder.
pub fn trusted(folder: &Path) -> String {
    let path = folder.join("jwt.secret");
    std::fs::write(&path, SECRET).expect("the folder is ours");
    format!("[[auth.jwt]]\nid = \"tests\"\nalgorithm = \"HS256\"\nsecret_file = \"{}\"\n", path.display())
}

/// An HS256 token of a user that may hear these addresses, for an hour.
pub fn token(user: &str, addresses: &[&str]) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = json!({"sub": user, "exp": now + 3600, "addr": addresses});
    let text = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT", "kid": "tests"})), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, text.as_bytes())))
}
