//! The name in a screen's own description of itself (EDID, VESA E-EDID A2). Pure.

const HEADER: [u8; 8] = [0, 255, 255, 255, 255, 255, 255, 0];
/// The four descriptors of the base block, 18 bytes each.
const DESCRIPTORS: std::ops::Range<usize> = 54..126;
const NAME: u8 = 0xfc;

/// What the screen calls itself, such as `DELL U2720Q`; else its maker and model, such as `DEL 41232`.
pub fn name(edid: &[u8]) -> Option<String> {
    if edid.len() < 128 || !edid.starts_with(&HEADER) {
        return None;
    }
    let named = edid[DESCRIPTORS].chunks_exact(18).find(|it| it[..3] == [0, 0, 0] && it[3] == NAME);
    let text = named.map(|it| it[5..18].split(|byte| *byte == b'\n').next().unwrap_or_default());
    let text = text.map(|text| text.iter().map(|byte| printable(*byte)).collect::<String>().trim().to_owned());
    text.filter(|text| !text.is_empty()).or_else(|| Some(format!("{} {}", maker(edid), model(edid))))
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' }
}

/// Three letters of five bits each.
fn maker(edid: &[u8]) -> String {
    let packed = u16::from_be_bytes([edid[8], edid[9]]);
    let letter = |shift: u16| char::from(b'@' + u8::try_from(packed >> shift & 31).unwrap_or(0));
    [letter(10), letter(5), letter(0)].iter().collect()
}

fn model(edid: &[u8]) -> u16 {
    u16::from_le_bytes([edid[10], edid[11]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edid() -> Vec<u8> {
        let mut edid = vec![0; 128];
        edid[..8].copy_from_slice(&HEADER);
        edid[8..12].copy_from_slice(&[0x10, 0xac, 0x10, 0xa1]);
        edid
    }

    #[test]
    fn a_screen_is_called_what_it_calls_itself() {
        let mut named = edid();
        named[72..90].copy_from_slice(b"\0\0\0\xfc\0DELL U2720Q\n ");
        assert_eq!(name(&named).as_deref(), Some("DELL U2720Q"));
        assert_eq!(name(&edid()).as_deref(), Some("DEL 41232"), "without a name: maker and model");
        named[77..90].copy_from_slice(b"             ");
        assert_eq!(name(&named).as_deref(), Some("DEL 41232"), "an empty name is none");
    }

    #[test]
    fn what_is_no_description_of_a_screen_has_no_name_and_harms_nobody() {
        assert_eq!(name(&[]), None);
        assert_eq!(name(&HEADER), None);
        assert_eq!(name(&[0; 256]), None);
        let mut hostile = edid();
        hostile[72..90].copy_from_slice(b"\0\0\0\xfc\0\x1b[2J\0\xff\xff\xff\xff\xff\xff\xff\xff");
        assert_eq!(name(&hostile).as_deref(), Some("?[2J?????????"));
    }
}
