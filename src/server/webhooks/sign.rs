//! The signature of a batch, as Standard Webhooks has it. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::hmac;

/// How Standard Webhooks writes a secret: the rest is Base64.
const PREFIX: &str = "whsec_";

/// The bytes of a secret's text: those behind `whsec_`, or the text as it is. None where it is empty or no Base64.
pub fn secret(text: &str) -> Option<Vec<u8>> {
    let bytes = match text.strip_prefix(PREFIX) {
        Some(rest) => BASE64_STANDARD.decode(rest).ok()?,
        None => text.as_bytes().to_vec(),
    };
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

/// The value of `webhook-signature`.
pub fn signature(secret: &[u8], id: &str, timestamp_s: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{id}.{timestamp_s}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_signature_that_the_standard_gives_as_its_example() {
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_is_base64_behind_its_prefix_and_any_text_without() {
        assert_eq!(secret("plain text").unwrap(), b"plain text");
        assert_eq!(secret("whsec_AAEC").unwrap(), [0, 1, 2]);
        assert_eq!((secret(""), secret("whsec_"), secret("whsec_!")), (None, None, None));
    }
}
