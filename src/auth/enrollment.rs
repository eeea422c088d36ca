//! The one-time code that gives a new card its place: made by an operator, typed or written to a card by a person.
//!
//! `XXXX-XXXX-XXXX-X`: 13 characters of Crockford's base32, 65 bits. Read with any case, with or without hyphens and
//! spaces, O for 0 and I or L for 1. Only its SHA-256 is kept: 65 random bits are not found again from it.

use serde::{Deserialize, Serialize};

use crate::event::DisplayId;

/// Characters of a code, hyphens not counted. 13 x 5 bits = 65.
const CODE_LEN: usize = 13;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How often a code may be presented in vain.
pub const TRIES_MAX: u8 = 5;
/// How long a code is good if nobody says, in ms: a day to build in the display.
pub const LIFE_MS: u64 = 24 * 3_600_000;
/// How long a spent code is remembered after its end, in ms, so that an answer that got lost can be asked for again.
pub const REMEMBERED_MS: u64 = 24 * 3_600_000;

/// SHA-256 of a code.
pub type CodeHash = [u8; 32];

/// Makes a code's text from 9 bytes of secure randomness.
pub fn code_text(random: [u8; 9]) -> String {
    let mut text = String::with_capacity(16);
    for (index, character) in base32(&random).take(CODE_LEN).enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push('-');
        }
        text.push(character);
    }
    text
}

/// An id for a display that asked for none, from 5 bytes of randomness: `display-` and 8 characters.
pub fn made_up_id(random: [u8; 5]) -> DisplayId {
    let name: String = base32(&random).map(|c| c.to_ascii_lowercase()).collect();
    format!("display-{name}").parse().expect("base32 in lower case makes a display id")
}

/// The hash of a code as a person typed it; None if it cannot be one.
pub fn code_hash(typed: &str) -> Option<CodeHash> {
    let mut text = String::from("pikiosk-enrollment-v1\n");
    let mut count = 0;
    for character in typed.trim().chars().filter(|c| !matches!(c, '-' | ' ')) {
        let plain = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        count += 1;
        if count > CODE_LEN || !plain.is_ascii() || !ALPHABET.contains(&(plain as u8)) {
            return None;
        }
        text.push(plain);
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    (count == CODE_LEN).then(|| digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

/// What is kept of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The display it was issued for; None: whichever the card asks for.
    pub display: Option<DisplayId>,
    pub expires_ms: u64,
    /// Presented in vain so often.
    pub tries: u8,
    pub spent: Option<Spent>,
}

/// Whom a code has enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub display: DisplayId,
    pub public_key: [u8; 32],
}

/// What is to be done with a code that was presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enroll the key as this display; None: make up an id.
    Enroll(Option<DisplayId>),
    /// The first answer got lost: say it again, change nothing.
    Repeat(DisplayId),
    /// Count a try, then refuse.
    Refuse(Refusal),
}

/// Why a code enrolls nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Expired,
    Spent,
    TooManyTries,
    /// The display exists, and the code was not issued for it.
    Taken(DisplayId),
    /// The code was issued for this one, and another was asked for.
    ForAnother(DisplayId),
}

impl Offer {
    /// Judges a request: `wanted` is the id the card asks for, `key_of` tells the key of an enrolled display.
    pub fn judge(
        &self,
        public_key: &[u8; 32],
        wanted: Option<&DisplayId>,
        key_of: impl Fn(&DisplayId) -> Option<[u8; 32]>,
        now_ms: u64,
    ) -> Verdict {
        if let Some(spent) = &self.spent {
            let same = spent.public_key == *public_key
                && key_of(&spent.display) == Some(*public_key)
                && wanted.is_none_or(|wanted| *wanted == spent.display);
            return if same { Verdict::Repeat(spent.display.clone()) } else { Verdict::Refuse(Refusal::Spent) };
        }
        if now_ms >= self.expires_ms {
            return Verdict::Refuse(Refusal::Expired);
        }
        if self.tries >= TRIES_MAX {
            return Verdict::Refuse(Refusal::TooManyTries);
        }
        match (&self.display, wanted) {
            (Some(issued), Some(wanted)) if issued != wanted => Verdict::Refuse(Refusal::ForAnother(issued.clone())),
            (Some(issued), _) => Verdict::Enroll(Some(issued.clone())),
            (None, Some(wanted)) if key_of(wanted).is_some() => Verdict::Refuse(Refusal::Taken(wanted.clone())),
            (None, wanted) => Verdict::Enroll(wanted.cloned()),
        }
    }

    /// True if nobody will ask for it again.
    pub fn is_forgettable(&self, now_ms: u64) -> bool {
        let kept = if self.spent.is_some() { REMEMBERED_MS } else { 0 };
        now_ms >= self.expires_ms.saturating_add(kept)
    }
}

fn base32(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    let bit = |index: usize| bytes[index / 8] >> (7 - index % 8) & 1;
    (0..bytes.len() * 8 / 5).map(move |place| {
        let value = (0..5).fold(0u8, |value, index| value << 1 | bit(place * 5 + index));
        ALPHABET[usize::from(value)] as char
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [1; 32];
    const OTHER: [u8; 32] = [2; 32];

    fn id(text: &str) -> DisplayId {
        text.parse().unwrap()
    }

    fn offer(display: Option<&str>) -> Offer {
        Offer { display: display.map(id), expires_ms: 1000, tries: 0, spent: None }
    }

    fn enrolled(display: &DisplayId) -> Option<[u8; 32]> {
        (display.as_str() == "lobby").then_some(KEY)
    }

    #[test]
    fn a_code_is_easy_to_type_and_reads_back_however_it_was_typed() {
        let code = code_text([0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35]);
        assert_eq!(code, "0123-4567-89AB-C");
        let hash = code_hash(&code).unwrap();
        for typed in ["0123456789abc", " o1 23-4567 89AB c\n", "OI23-4567-89AB-C", "oL23-4567-89ab-c"] {
            assert_eq!(code_hash(typed), Some(hash), "{typed}");
        }
        for bad in ["", "0123-4567-89AB", "0123-4567-89AB-CD", "0123-4567-89AB-U", "0123-4567-89AB-é"] {
            assert_eq!(code_hash(bad), None, "{bad}");
        }
        assert_ne!(code_hash("0123-4567-89AB-D"), Some(hash));
    }

    #[test]
    fn a_code_enrolls_the_display_it_was_issued_for_or_the_one_asked_for() {
        for (issued, wanted, verdict) in [
            (None, None, Verdict::Enroll(None)),
            (None, Some("foyer"), Verdict::Enroll(Some(id("foyer")))),
            (None, Some("lobby"), Verdict::Refuse(Refusal::Taken(id("lobby")))),
            (Some("lobby"), Some("lobby"), Verdict::Enroll(Some(id("lobby")))),
            (Some("lobby"), None, Verdict::Enroll(Some(id("lobby")))),
            (Some("foyer"), Some("lobby"), Verdict::Refuse(Refusal::ForAnother(id("foyer")))),
        ] {
            let wanted = wanted.map(id);
            assert_eq!(offer(issued).judge(&OTHER, wanted.as_ref(), enrolled, 999), verdict, "{issued:?} {wanted:?}");
        }
    }

    #[test]
    fn a_spent_code_repeats_its_answer_to_the_same_key_and_to_nobody_else() {
        let spent = Some(Spent { display: id("lobby"), public_key: KEY });
        let spent = Offer { spent, ..offer(None) };
        assert_eq!(spent.judge(&KEY, None, enrolled, 999), Verdict::Repeat(id("lobby")));
        assert_eq!(spent.judge(&KEY, Some(&id("lobby")), enrolled, 5000), Verdict::Repeat(id("lobby")));
        let refused = Verdict::Refuse(Refusal::Spent);
        assert_eq!(spent.judge(&OTHER, None, enrolled, 999), refused);
        assert_eq!(spent.judge(&KEY, Some(&id("foyer")), enrolled, 999), refused);
        assert_eq!(spent.judge(&KEY, None, |_| None, 999), refused, "the display was removed since");
        assert_eq!(spent.judge(&KEY, None, |_| Some(OTHER), 999), refused, "the display has another key since");
    }

    #[test]
    fn a_code_ends_by_time_and_by_five_tries() {
        assert_eq!(offer(None).judge(&KEY, None, enrolled, 1000), Verdict::Refuse(Refusal::Expired));
        let tried = Offer { tries: TRIES_MAX, ..offer(None) };
        assert_eq!(tried.judge(&KEY, None, enrolled, 999), Verdict::Refuse(Refusal::TooManyTries));
        assert!(offer(None).is_forgettable(1000) && !offer(None).is_forgettable(999));
    }

    #[test]
    fn a_made_up_id_is_a_display_id() {
        assert_eq!(made_up_id([0xff; 5]).as_str(), "display-zzzzzzzz");
    }
}
