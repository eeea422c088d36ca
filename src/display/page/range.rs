//! Which part of a file a request asks for (RFC 9110, section 14). Pure.

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// From the first byte to the last, both counted from 0 and both sent.
    Bytes {
        first: u64,
        last: u64,
    },
    /// There is nothing there.
    Beyond,
}

/// The part that the value of a `Range` header asks for, of a file with so many bytes. A header that is not understood, or
/// asks for several parts, is as none.
pub fn part(range: Option<&str>, length: u64) -> Part {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Part::Whole;
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let end = length.saturating_sub(1);
    match (first, number(first), last, number(last)) {
        ("", _, _, Some(0)) => Part::Beyond,
        ("", _, _, Some(_)) if length == 0 => Part::Beyond,
        ("", _, _, Some(count)) => Part::Bytes { first: length.saturating_sub(count), last: end },
        (_, Some(first), "", _) if first < length => Part::Bytes { first, last: end },
        (_, Some(first), _, Some(last)) if first <= last && first < length => {
            Part::Bytes { first, last: last.min(end) }
        }
        (_, Some(_), "", _) => Part::Beyond,
        (_, Some(first), _, Some(last)) if first <= last => Part::Beyond,
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_what_was_asked_for_as_far_as_it_is_there() {
        let bytes = |first, last| Part::Bytes { first, last };
        for (range, expected) in [
            ("bytes=0-", bytes(0, 99)),
            ("bytes=0-0", bytes(0, 0)),
            ("bytes=10-19", bytes(10, 19)),
            ("bytes=90-500", bytes(90, 99)),
            ("bytes=99-", bytes(99, 99)),
            ("bytes=-1", bytes(99, 99)),
            ("bytes=-500", bytes(0, 99)),
            ("bytes=100-", Part::Beyond),
            ("bytes=100-200", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=20-10", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
            ("items=0-5", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(Some(range), 100), expected, "{range}");
        }
        assert_eq!(part(None, 100), Part::Whole);
        assert_eq!((part(Some("bytes=0-"), 0), part(Some("bytes=-5"), 0)), (Part::Beyond, Part::Beyond));
    }
}
