//! Why the server cannot be reached, in words for people.

/// A certificate that is not valid *now* says as much about this display's clock as about the certificate: a Pi has no
/// battery, and may think that it is 1970. `cause` is rustls' own sentence.
pub fn in_words(cause: String, wall_ms: u64) -> String {
    let is_of_dates = ["certificate not valid yet", "certificate expired"].iter().any(|words| cause.contains(words));
    let shown = i64::try_from(wall_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    match shown.filter(|_| is_of_dates) {
        Some(shown) => format!(
            "its certificate is not valid on {}, which is what the clock of this display shows",
            shown.strftime("%Y-%m-%d")
        ),
        None => cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_no_certificate_is_valid_for_is_named() {
        let cause = "invalid peer certificate: certificate not valid yet: verification time 30 (UNIX), but certificate is \
                     not valid before 1790000000 (1789999970 seconds in future)";
        assert_eq!(
            in_words(cause.to_owned(), 30_000),
            "its certificate is not valid on 1970-01-01, which is what the clock of this display shows"
        );
        assert!(in_words("certificate expired: verification time".to_owned(), 1_790_000_000_000).contains("2026-09-"));
        assert_eq!(in_words("Connection refused".to_owned(), 30_000), "Connection refused");
    }
}
