//! The secret between the supervisor and its own pages.

use std::fmt;

use ring::hmac;

/// 128 bits that only the supervisor and the pages it opened know. It travels in the URL's fragment, which a
/// browser sends to no server and shows to no other origin, and comes back in a request header.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// From 16 random bytes. The same bytes for as long as the machine is up let a page that is already on the
    /// glass go on after a restart of the supervisor.
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// 32 lower-case hex digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From 32 hex digits, as [`to_hex`](Self::to_hex) wrote them.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }

    /// What opens this path to an `<img>` or `<video>`, which can send no header: 64 hex digits. The secret cannot be made
    /// from it.
    pub fn permit(&self, path: &str) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), path.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `offered` is the permit of this path.
    pub fn permits(&self, path: &str, offered: &str) -> bool {
        is_same(self.permit(path).as_bytes(), offered.as_bytes())
    }

    /// Whether `offered` is this secret, in a time that does not tell how much of it was right.
    pub fn matches(&self, offered: &[u8]) -> bool {
        is_same(self.to_hex().as_bytes(), offered)
    }
}

/// In a time that tells only of the length.
fn is_same(own: &[u8], offered: &[u8]) -> bool {
    own.len() == offered.len() && own.iter().zip(offered).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_hex_and_is_never_printed() {
        let secret = Secret::new([0xa5; 16]);
        assert_eq!(Secret::from_hex(&format!("{}\n", secret.to_hex())), Some(secret.clone()));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        for bad in ["", "a5", "zz5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", "+15a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"] {
            assert_eq!(Secret::from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_permit_opens_one_path_and_does_not_tell_the_secret() {
        let secret = Secret::new([7; 16]);
        let permit = secret.permit("/kept/picture/a");
        assert!(secret.permits("/kept/picture/a", &permit));
        for (path, offered) in [("/kept/picture/b", permit.as_str()), ("/kept/picture/a", ""), ("", &permit[1..])] {
            assert!(!secret.permits(path, offered), "{path}");
        }
        assert!(!Secret::new([8; 16]).permits("/kept/picture/a", &permit));
        assert!(!permit.contains(&secret.to_hex()));
    }

    #[test]
    fn only_the_whole_secret_matches() {
        let secret = Secret::new([7; 16]);
        let hex = secret.to_hex();
        assert!(secret.matches(hex.as_bytes()));
        assert!(!secret.matches(b""));
        assert!(!secret.matches(&hex.as_bytes()[..31]));
        assert!(!secret.matches(format!("{}8", &hex[..31]).as_bytes()));
    }
}
