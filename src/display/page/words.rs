//! What the pages say, in plain words. Pure: a reason in, sentences out.
//!
//! Written for a person in front of the screen who did not install it: what is wrong, whether it is theirs to mend,
//! and what to try first. The technician's name for it stands small beside it.

use super::{fault::SiteFault, state::Phase};

/// How a sentence is meant: the colour of its bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Wait,
    Good,
    Bad,
}

/// Why the site is not there, and what a person on site can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultWords {
    pub title: String,
    pub text: String,
    /// In the order in which to try; two or three.
    pub advice: Vec<&'static str>,
}

/// What the display is doing before there is anything to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseWords {
    pub tone: Tone,
    pub title: String,
    pub text: String,
    /// What to type on an operator's computer; empty if nothing.
    pub command: String,
    /// What to do after it.
    pub then: String,
}

// U+2011 is a hyphen at which no line ends.
const CABLE: &str = "Check that the network cable is plugged in, or that the Wi\u{2011}Fi is on.";
const OTHERS: &str = "See whether other devices here can reach the internet.";
const CALL_SITE: &str = "If it stays so, tell the people who run this site.";
const CALL_OPERATOR: &str = "Tell the person who looks after this display, and name the detail below.";
const NOTHING: &str = "Nothing needs to be done here: the page comes back by itself.";

/// The words for a site that is not there. `site` is its host name.
pub fn of_fault(fault: &SiteFault, site: &str) -> FaultWords {
    let (title, text, advice): (&str, String, &[&'static str]) = match fault {
        SiteFault::NameNotFound => (
            "The name of this site was not found",
            format!("The network could not say where {site} is. Either the name is wrong, or the network's name service (DNS) does not answer."),
            &[CABLE, OTHERS, CALL_OPERATOR],
        ),
        SiteFault::Refused => (
            "The site refused the connection",
            format!("The computer behind {site} can be reached, but its web server is not running, or a firewall stands between."),
            &[NOTHING, CALL_SITE],
        ),
        SiteFault::TimedOut => (
            "The site does not answer",
            format!("This display asked {site} and waited, and no answer came. The site may be overloaded, or the way to it interrupted."),
            &[CABLE, OTHERS, CALL_SITE],
        ),
        SiteFault::Interrupted => (
            "The connection broke off",
            format!("{site} began to answer, and the connection was cut before the page was complete."),
            &[NOTHING, CABLE, CALL_SITE],
        ),
        SiteFault::NoNetwork => (
            "This display has no network",
            "It has no network address, so it can reach nothing at all. The page comes back by itself as soon as the network does.".to_owned(),
            &[CABLE, "Look at the router or switch: is it on, and does the light of this port blink? If not, switch it off and on.", OTHERS],
        ),
        SiteFault::Certificate => (
            "The site could not prove who it is",
            format!("The TLS certificate that {site} showed is not one that this display may trust. To be safe, the page stays closed."),
            &["Does this network want a sign-in first (hotel, guest Wi\u{2011}Fi)? Then it answers in the site's place.", CALL_SITE],
        ),
        SiteFault::CertificateDates => (
            "The site's certificate is not valid today",
            format!("The TLS certificate of {site} has expired, or the clock of this display is wrong."),
            &["Compare the clock on this screen with yours. It sets itself once the network lets it (NTP).", CALL_SITE],
        ),
        SiteFault::Tls => (
            "No secure connection could be made",
            format!("{site} and this display found no common way to encrypt (TLS)."),
            &["Check the address: it may have to begin with http:// instead of https://.", CALL_SITE],
        ),
        SiteFault::Status(status) => return of_status(*status, site),
        SiteFault::EmptyAnswer => (
            "The site reported an error",
            format!("{site} answered with an error, and without a page. The network is in order."),
            &[NOTHING, CALL_SITE],
        ),
        SiteFault::BrokenAnswer => (
            "The answer of the site cannot be read",
            format!("{site} answered with something that is damaged, or no web page."),
            &[NOTHING, CALL_SITE],
        ),
        SiteFault::RedirectLoop => (
            "The site sends this display in circles",
            format!("Each page of {site} only points to another one. Often a sign-in has run out."),
            &[CALL_OPERATOR, CALL_SITE],
        ),
        SiteFault::Proxy => (
            "The proxy does not answer",
            format!("This network reaches {site} through a proxy, and the proxy did not answer."),
            &[CABLE, CALL_OPERATOR],
        ),
        SiteFault::NotAllowed => (
            "This site is not allowed here",
            format!("{site} is not on the list of sites that this display may show."),
            &["Ask the person who looks after this display to allow it, or to choose another."],
        ),
        SiteFault::BadAddress => (
            "This address cannot be opened",
            "The address has a mistake, or a port that browsers keep closed.".to_owned(),
            &["Ask the person who looks after this display to correct the address."],
        ),
        SiteFault::Crashed => (
            "The page crashed",
            format!("The page of {site} used more than this display could give, or hit a fault in the browser. It is being loaded again."),
            &[NOTHING, CALL_OPERATOR],
        ),
        SiteFault::Hung => (
            "The page stopped answering",
            format!("The page of {site} was busy with itself for too long. It is being loaded again."),
            &[NOTHING, CALL_OPERATOR],
        ),
        SiteFault::Login => (
            "The site wants a sign-in",
            format!("{site} sent this display to its sign-in page: its own sign-in has run out, or was never made."),
            &[CALL_OPERATOR],
        ),
        SiteFault::TooLarge => (
            "The page takes too much memory",
            format!("The page of {site} took more memory than this display has to give, and was ended. It is tried again now and then."),
            &[NOTHING, CALL_SITE],
        ),
        SiteFault::GlassFrozen => (
            "The picture stood still",
            format!("The page of {site} was there, and the picture on the screen no longer changed. The display is mending itself."),
            &[NOTHING, CALL_OPERATOR],
        ),
        SiteFault::Media(why) => (
            "The picture or film could not be shown",
            format!("The browser could not show a file from {site}: {why}."),
            &[CABLE, CALL_OPERATOR],
        ),
        SiteFault::Other(_) => (
            "The site could not be shown",
            format!("The browser could not open {site}, for a reason that has only a technical name. It stands below."),
            &[CABLE, CALL_OPERATOR],
        ),
    };
    FaultWords { title: title.to_owned(), text, advice: advice.to_vec() }
}

/// The words for a certificate that this display's own clock makes invalid; `date` is what the clock says.
pub fn of_clock(date: &str, site: &str) -> FaultWords {
    FaultWords {
        title: "The clock of this display is wrong".to_owned(),
        text: format!(
            "It says {date}, and nobody has set it yet. By that date the certificate of {site} is not valid, so the page stays closed."
        ),
        advice: vec![CABLE, "Let this network pass the time service (NTP, UDP port 123).", CALL_OPERATOR],
    }
}

fn of_status(status: u16, site: &str) -> FaultWords {
    let (meaning, advice): (&str, &[&'static str]) = match status {
        401 | 407 => ("It wants somebody to sign in first.", &[CALL_OPERATOR, CALL_SITE]),
        403 => ("It does not let this display see the page.", &[CALL_OPERATOR, CALL_SITE]),
        404 | 410 => (
            "There is no page at this address, or no longer.",
            &["Ask the person who looks after this display to check the address."],
        ),
        408 | 429 => ("It is asked too often, and wants a pause.", &[NOTHING, CALL_SITE]),
        500..=599 => {
            ("It has a problem of its own, or is being worked on. The network is in order.", &[NOTHING, CALL_SITE])
        }
        _ => ("It did not accept the question.", &[CALL_OPERATOR, CALL_SITE]),
    };
    FaultWords {
        title: format!("The site answered {status}"),
        text: format!("{site} was reached, and answered with an error. {meaning}"),
        advice: advice.to_vec(),
    }
}

/// The words for the splash. `display` and `server` as configured; empty if not.
pub fn of_phase(phase: &Phase, display: &str, server: &str) -> PhaseWords {
    let words = |tone, title: &str, text: &str| PhaseWords {
        tone,
        title: title.to_owned(),
        text: text.to_owned(),
        command: String::new(),
        then: String::new(),
    };
    let enroll = |tone, title: &str, text: &str| PhaseWords {
        command: match display {
            "" => "pikiosk enroll".to_owned(),
            display => format!("pikiosk enroll --display {display}"),
        },
        then: "Then write the code into kiosk.toml, as server.enrollment, and restart the display.".to_owned(),
        ..words(tone, title, text)
    };
    match phase {
        Phase::Starting => words(Tone::Wait, "Starting…", "The browser and the connection are being made ready."),
        Phase::NotConfigured => words(
            Tone::Bad,
            "This display does not know its server yet",
            "Write the server's address into /etc/pikiosk/kiosk.toml, as server.url, and restart the display.",
        ),
        Phase::NoNetwork => words(Tone::Bad, "Waiting for the network…", CABLE),
        Phase::WaitingForEnrollment => enroll(
            Tone::Wait,
            "Waiting for enrollment",
            "The server does not know this display yet. On a computer with an operator's key, type:",
        ),
        Phase::Connecting => {
            words(Tone::Wait, "Connecting to server…", "The page appears as soon as the server answers.")
        }
        Phase::ServerUnreachable { why } => words(
            Tone::Bad,
            "The server does not answer",
            &format!("{}. This display tries again by itself.", sentence(why, server)),
        ),
        Phase::Refused { why } => enroll(
            Tone::Bad,
            "The server refused this display",
            &format!("{}. To enroll it again, on a computer with an operator's key, type:", sentence(why, server)),
        ),
        Phase::Removed => enroll(
            Tone::Bad,
            "This display was removed from the server",
            "It no longer connects. To bring it back, on a computer with an operator's key, type:",
        ),
        Phase::Ready => words(Tone::Good, "Connected", "Nothing to show yet."),
    }
}

/// An error's words as a sentence without its full stop: errors are lower-case fragments.
fn sentence(fragment: &str, otherwise: &str) -> String {
    let plain: String = fragment.trim().trim_end_matches('.').chars().filter(|c| !c.is_control()).take(200).collect();
    let mut letters = plain.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => format!("{otherwise} could not be reached"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_fault() -> Vec<SiteFault> {
        let mut faults = vec![
            SiteFault::NameNotFound,
            SiteFault::Refused,
            SiteFault::TimedOut,
            SiteFault::Interrupted,
            SiteFault::NoNetwork,
            SiteFault::Certificate,
            SiteFault::CertificateDates,
            SiteFault::Tls,
            SiteFault::EmptyAnswer,
            SiteFault::BrokenAnswer,
            SiteFault::RedirectLoop,
            SiteFault::Proxy,
            SiteFault::NotAllowed,
            SiteFault::BadAddress,
            SiteFault::Crashed,
            SiteFault::Hung,
            SiteFault::Login,
            SiteFault::TooLarge,
            SiteFault::GlassFrozen,
            SiteFault::Media("it is damaged".into()),
            SiteFault::Other("NS_ERROR_NEW".into()),
        ];
        faults.extend([400, 401, 403, 404, 418, 429, 500, 502, 503, 599].map(SiteFault::Status));
        faults
    }

    /// From 5 m, on one screen: short title, a text of two or three lines, at most three steps.
    #[test]
    fn every_fault_has_short_words_without_jargon_and_something_to_do() {
        for fault in every_fault() {
            let words = of_fault(&fault, "menu.example.org");
            assert!((10..=45).contains(&words.title.chars().count()), "{fault:?}: {}", words.title);
            assert!((40..=170).contains(&words.text.chars().count()), "{fault:?}: {}", words.text.chars().count());
            assert!((1..=3).contains(&words.advice.len()), "{fault:?}");
            for text in words.advice.iter().copied().chain([words.text.as_str()]) {
                assert!(text.ends_with('.') || text.contains("? "), "{text}");
                assert!(text.chars().count() <= 170, "{text}");
                assert!(!text.contains("NS_ERROR") && !text.contains("exception") && !text.contains("null"), "{text}");
            }
        }
    }

    #[test]
    fn a_wrong_clock_is_told_with_its_date_and_not_as_the_sites_fault() {
        let words = of_clock("1970-01-01", "menu.example.org");
        assert!(words.title.contains("clock") && words.text.starts_with("It says 1970-01-01"));
        assert!(words.text.chars().count() <= 170 && !words.advice.contains(&CALL_SITE));
    }

    #[test]
    fn a_503_says_that_it_is_the_site_and_not_the_cable() {
        let words = of_fault(&SiteFault::Status(503), "menu.example.org");
        assert_eq!(words.title, "The site answered 503");
        assert!(words.text.contains("network is in order"));
        assert!(!words.advice.contains(&CABLE));
    }

    #[test]
    fn a_display_that_waits_for_enrollment_says_what_to_type() {
        let refused = Phase::Refused { why: "the code was used already".into() };
        for phase in [Phase::WaitingForEnrollment, refused, Phase::Removed] {
            let words = of_phase(&phase, "lobby-1", "https://push.example.org");
            assert_eq!(words.command, "pikiosk enroll --display lobby-1");
            assert!(words.text.ends_with("type:") && words.then.ends_with("restart the display."), "{phase:?}");
        }
        assert_eq!(of_phase(&Phase::WaitingForEnrollment, "", "").command, "pikiosk enroll");
    }

    #[test]
    fn an_error_fragment_becomes_a_sentence() {
        let phase = Phase::ServerUnreachable { why: "name `push.example.org` not found\n".into() };
        let words = of_phase(&phase, "lobby-1", "https://push.example.org");
        assert_eq!(words.text, "Name `push.example.org` not found. This display tries again by itself.");
        let words = of_phase(&Phase::ServerUnreachable { why: String::new() }, "lobby-1", "https://push.example.org");
        assert_eq!(words.text, "https://push.example.org could not be reached. This display tries again by itself.");
    }
}
