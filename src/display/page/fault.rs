//! Why a site is not on the glass: from what Firefox says to one typed reason.
//!
//! Firefox tells a failed load in four ways: the message of the failed `browsingContext.navigate`, the error document
//! that it shows in the site's place (`about:neterror?e=…`), the HTTP status of an answer, and silence. The names are
//! those of `nsDocShell::DisplayLoadError` and `xpc.msg` in Firefox 140 to 153; an unknown one is kept as it is.

/// One reason for which the site is not on the glass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SiteFault {
    /// DNS does not know the name, or no DNS server answered.
    NameNotFound,
    /// The machine is there and nothing listens. Firefox says the same where there is no route to it: see
    /// [`given_network`](SiteFault::given_network).
    Refused,
    /// Nothing answered in time, by our own deadline or Firefox's.
    TimedOut,
    /// The connection broke while the page was loading.
    Interrupted,
    /// This display has no network at all.
    NoNetwork,
    /// TLS works; the certificate is not one for this site, or nobody we know signed it.
    Certificate,
    /// The certificate is not valid today: it has expired, or this display's clock is wrong.
    CertificateDates,
    /// No common TLS at all.
    Tls,
    /// An answer with status 400 or above.
    Status(u16),
    /// An answer without a page in it.
    EmptyAnswer,
    /// An answer that Firefox cannot read.
    BrokenAnswer,
    RedirectLoop,
    Proxy,
    /// This display's own list of allowed sites says no.
    NotAllowed,
    /// No browser can open this address: its form, its scheme or its port.
    BadAddress,
    /// The page's process died.
    Crashed,
    /// The page stopped answering.
    Hung,
    /// The site sent this display to its sign-in.
    Login,
    /// The page took more memory than it may.
    TooLarge,
    /// The page answers, and the picture on the glass stands still.
    GlassFrozen,
    /// A picture or film of a playlist that the browser could not show, and why, in words.
    Media(String),
    /// Something Firefox has a name for, and we do not.
    Other(String),
}

/// Where the reason lies, and so what can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Waiting and trying again is all there is.
    Site,
    /// Between here and there; may well be the cable.
    Network,
    /// Somebody must change what this display is told to show.
    Setting,
    /// The page itself is too much for this display.
    Page,
}

impl SiteFault {
    /// From the message of a failed BiDi `browsingContext.navigate`; none for a navigation that a newer one replaced
    /// (a 204 answer or a download looks the same: the page before stays), and none for Firefox's "Address rejected":
    /// it says so of a page that came and at once led elsewhere; an error page among them tells by its own address.
    pub fn from_navigation_error(message: &str) -> Option<Self> {
        if message.contains("NS_BINDING_ABORTED") || message.contains("Address rejected") {
            return None;
        }
        if message.contains("is not allowed in this context") {
            return Some(Self::BadAddress);
        }
        let code = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).find(|word| {
            ["NS_ERROR_", "SEC_ERROR_", "SSL_ERROR_", "MOZILLA_PKIX_"].iter().any(|prefix| word.starts_with(prefix))
                || known_page(word).is_some()
        });
        let Some(code) = code else { return Some(Self::other(message)) };
        Some(match code {
            "NS_ERROR_UNKNOWN_HOST" => Self::NameNotFound,
            "NS_ERROR_CONNECTION_REFUSED" => Self::Refused,
            "NS_ERROR_NET_TIMEOUT" | "NS_ERROR_NET_TIMEOUT_EXTERNAL" => Self::TimedOut,
            "NS_ERROR_NET_INTERRUPT" | "NS_ERROR_NET_RESET" | "NS_ERROR_NET_PARTIAL_TRANSFER" => Self::Interrupted,
            "NS_ERROR_OFFLINE" => Self::NoNetwork,
            // The first for an empty 5xx, the second for an empty 4xx: with a body, both are pages.
            "NS_ERROR_NET_ERROR_RESPONSE" | "NS_ERROR_NET_EMPTY_RESPONSE" => Self::EmptyAnswer,
            "NS_ERROR_REDIRECT_LOOP" => Self::RedirectLoop,
            "NS_ERROR_BLOCKED_BY_POLICY" => Self::NotAllowed,
            "NS_ERROR_MALFORMED_URI" | "NS_ERROR_UNKNOWN_PROTOCOL" | "NS_ERROR_PORT_ACCESS_NOT_ALLOWED" => {
                Self::BadAddress
            }
            "NS_ERROR_CORRUPTED_CONTENT" | "NS_ERROR_INVALID_CONTENT_ENCODING" | "NS_ERROR_UNSAFE_CONTENT_TYPE" => {
                Self::BrokenAnswer
            }
            "NS_ERROR_NET_INADEQUATE_SECURITY" => Self::Tls,
            "NS_ERROR_GENERATE_FAILURE" | "NS_ERROR_MODULE_SECURITY" => security(message),
            _ if code.contains("PROXY") => Self::Proxy,
            _ if !code.starts_with("NS_ERROR_") && known_page(code).is_none() => security(message),
            _ => known_page(code).unwrap_or_else(|| Self::other(code)),
        })
    }

    /// From the URI of the document on the glass (`document.documentURI`); none if it is a page and no error.
    pub fn from_error_document(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("about:")?;
        let (page, query) = rest.split_once('?').unwrap_or((rest, ""));
        let code = query.split(['&', '#']).find_map(|pair| pair.strip_prefix("e="));
        match page {
            "certerror" => Some(Self::Certificate),
            "tabcrashed" | "framecrashed" => Some(Self::Crashed),
            "neterror" | "httpsonlyerror" => {
                let code = code.unwrap_or("neterror");
                Some(known_page(code).unwrap_or_else(|| Self::other(code)))
            }
            "blocked" | "restricted" => Some(Self::NotAllowed),
            _ => None,
        }
    }

    /// From the HTTP status of the page's own answer; none below 400.
    pub fn from_status(status: u16) -> Option<Self> {
        (status >= 400).then_some(Self::Status(status))
    }

    /// The same fault, seen with what is known of this display's own network: without an address of its own, every
    /// failure to connect is that.
    pub fn given_network(self, has_address: bool) -> Self {
        match self {
            Self::NameNotFound | Self::Refused | Self::TimedOut | Self::Interrupted | Self::Proxy if !has_address => {
                Self::NoNetwork
            }
            other => other,
        }
    }

    /// The site is not there. One that says no, or that may not be shown, is: what it showed before is no longer meant.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Status(status) => *status >= 500 || matches!(status, 408 | 429),
            _ => matches!(self.blame(), Blame::Site | Blame::Network),
        }
    }

    /// The short name that a technician can search for.
    pub fn code(&self) -> String {
        let name = match self {
            Self::NameNotFound => "name-not-found",
            Self::Refused => "connection-refused",
            Self::TimedOut => "timed-out",
            Self::Interrupted => "connection-interrupted",
            Self::NoNetwork => "no-network",
            Self::Certificate => "tls-certificate",
            Self::CertificateDates => "tls-certificate-dates",
            Self::Tls => "tls",
            Self::Status(status) => return format!("http-{status}"),
            Self::EmptyAnswer => "empty-answer",
            Self::BrokenAnswer => "broken-answer",
            Self::RedirectLoop => "redirect-loop",
            Self::Proxy => "proxy",
            Self::NotAllowed => "not-allowed",
            Self::BadAddress => "bad-address",
            Self::Crashed => "page-crashed",
            Self::Hung => "page-hung",
            Self::Login => "login",
            Self::TooLarge => "page-memory",
            Self::GlassFrozen => "glass-frozen",
            Self::Media(words) | Self::Other(words) => words,
        };
        name.to_owned()
    }

    /// Where the reason lies.
    pub fn blame(&self) -> Blame {
        match self {
            Self::NameNotFound | Self::TimedOut | Self::NoNetwork | Self::Proxy => Blame::Network,
            // Nobody signs in by being asked every few seconds.
            Self::NotAllowed | Self::BadAddress | Self::Login => Blame::Setting,
            Self::Crashed | Self::Hung | Self::TooLarge | Self::GlassFrozen => Blame::Page,
            Self::Refused
            | Self::Interrupted
            | Self::Certificate
            | Self::CertificateDates
            | Self::Tls
            | Self::Status(_)
            | Self::EmptyAnswer
            | Self::BrokenAnswer
            | Self::RedirectLoop
            | Self::Media(_)
            | Self::Other(_) => Blame::Site,
        }
    }

    /// Keeps an unknown name short and plain: it goes on the glass.
    fn other(text: &str) -> Self {
        let plain: String = text.trim_start_matches("Error: ").chars().filter(|c| !c.is_control()).take(80).collect();
        Self::Other(plain)
    }
}

/// The `e=` of `about:neterror`, which some navigation errors carry as well (`deniedPortAccess`).
fn known_page(code: &str) -> Option<SiteFault> {
    Some(match code {
        "dnsNotFound" | "dnsNotFound2" => SiteFault::NameNotFound,
        "connectionFailure" => SiteFault::Refused,
        "netTimeout" => SiteFault::TimedOut,
        "netInterrupt" | "netReset" => SiteFault::Interrupted,
        "netOffline" | "notCached" => SiteFault::NoNetwork,
        "nssBadCert" => SiteFault::Certificate,
        "nssFailure2" | "sslv3Used" | "inadequateSecurityError" => SiteFault::Tls,
        "serverError" | "httpErrorPage" => SiteFault::EmptyAnswer,
        "redirectLoop" => SiteFault::RedirectLoop,
        "proxyConnectFailure" | "proxyResolveFailure" => SiteFault::Proxy,
        "blockedByPolicy" | "malwareBlocked" | "phishingBlocked" | "unwantedBlocked" | "harmfulBlocked" => {
            SiteFault::NotAllowed
        }
        "deniedPortAccess"
        | "malformedURI"
        | "unknownProtocolFound"
        | "unknownSocketType"
        | "fileNotFound"
        | "fileAccessDenied" => SiteFault::BadAddress,
        "contentEncodingError"
        | "corruptedContentError"
        | "corruptedContentErrorv2"
        | "unsafeContentType"
        | "networkProtocolError"
        | "invalidHeaderValue" => SiteFault::BrokenAnswer,
        _ => return None,
    })
}

/// Errors of Firefox's security library (NSS), which have their name in the message.
fn security(message: &str) -> SiteFault {
    let named = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if named(&["EXPIRED_CERTIFICATE", "EXPIRED_ISSUER_CERTIFICATE", "NOT_YET_VALID"]) {
        SiteFault::CertificateDates
    } else if named(&["SEC_ERROR_", "MOZILLA_PKIX_", "CERT"]) {
        SiteFault::Certificate
    } else {
        SiteFault::Tls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of Firefox 153, as it sent them.
    #[test]
    fn what_firefox_says_of_a_failed_navigation_becomes_one_reason() {
        let tls = |name: &str| format!("Error: NS_ERROR_GENERATE_FAILURE(NS_ERROR_MODULE_SECURITY, {name})");
        for (message, fault) in [
            ("Error: NS_ERROR_UNKNOWN_HOST".to_owned(), SiteFault::NameNotFound),
            ("Error: NS_ERROR_CONNECTION_REFUSED".to_owned(), SiteFault::Refused),
            ("Error: NS_ERROR_NET_TIMEOUT".to_owned(), SiteFault::TimedOut),
            ("Error: NS_ERROR_NET_RESET".to_owned(), SiteFault::Interrupted),
            ("Error: NS_ERROR_OFFLINE".to_owned(), SiteFault::NoNetwork),
            ("Error: NS_ERROR_NET_ERROR_RESPONSE".to_owned(), SiteFault::EmptyAnswer),
            ("Error: NS_ERROR_NET_EMPTY_RESPONSE".to_owned(), SiteFault::EmptyAnswer),
            ("Error: NS_ERROR_REDIRECT_LOOP".to_owned(), SiteFault::RedirectLoop),
            ("Error: NS_ERROR_BLOCKED_BY_POLICY".to_owned(), SiteFault::NotAllowed),
            ("Error: NS_ERROR_PROXY_CONNECTION_REFUSED".to_owned(), SiteFault::Proxy),
            ("Error: NS_ERROR_UNKNOWN_PROXY_HOST".to_owned(), SiteFault::Proxy),
            ("Error: deniedPortAccess".to_owned(), SiteFault::BadAddress),
            (
                "Expected \"url\" to be a valid URL (Component returned failure code: 0x804b000a (NS_ERROR_MALFORMED_URI) \
                 [nsIIOService.newURI])"
                    .to_owned(),
                SiteFault::BadAddress,
            ),
            ("Navigation to \"foo://bar/\" is not allowed in this context".to_owned(), SiteFault::BadAddress),
            (tls("MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"), SiteFault::Certificate),
            (tls("SSL_ERROR_BAD_CERT_DOMAIN"), SiteFault::Certificate),
            (tls("SEC_ERROR_UNKNOWN_ISSUER"), SiteFault::Certificate),
            (tls("SEC_ERROR_EXPIRED_CERTIFICATE"), SiteFault::CertificateDates),
            (tls("MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"), SiteFault::CertificateDates),
            (tls("SSL_ERROR_RX_RECORD_TOO_LONG"), SiteFault::Tls),
            (tls("SSL_ERROR_NO_CYPHER_OVERLAP"), SiteFault::Tls),
            ("Error: SSL_ERROR_UNSUPPORTED_VERSION".to_owned(), SiteFault::Tls),
            ("Error: NS_ERROR_DOM_SOMETHING_NEW".to_owned(), SiteFault::Other("NS_ERROR_DOM_SOMETHING_NEW".into())),
            ("Error: it rained\n".to_owned(), SiteFault::Other("it rained".into())),
        ] {
            assert_eq!(SiteFault::from_navigation_error(&message), Some(fault), "{message}");
        }
        assert_eq!(SiteFault::from_navigation_error("Error: NS_BINDING_ABORTED"), None);
        assert_eq!(SiteFault::from_navigation_error("unknown error: Error: Address rejected"), None);
    }

    #[test]
    fn the_error_document_on_the_glass_becomes_one_reason() {
        for (uri, fault) in [
            ("about:neterror?e=dnsNotFound&u=http%3A//a.invalid/&c=UTF-8&d=x", Some(SiteFault::NameNotFound)),
            ("about:neterror?e=connectionFailure&u=x", Some(SiteFault::Refused)),
            ("about:neterror?e=netReset&u=x", Some(SiteFault::Interrupted)),
            ("about:neterror?e=netTimeout&u=x", Some(SiteFault::TimedOut)),
            ("about:neterror?e=nssFailure2&u=x", Some(SiteFault::Tls)),
            ("about:neterror?e=serverError&u=x", Some(SiteFault::EmptyAnswer)),
            ("about:neterror?e=httpErrorPage&u=x", Some(SiteFault::EmptyAnswer)),
            ("about:neterror?e=contentEncodingError&u=x", Some(SiteFault::BrokenAnswer)),
            ("about:neterror?e=redirectLoop&u=x", Some(SiteFault::RedirectLoop)),
            ("about:neterror?e=blockedByPolicy&u=x", Some(SiteFault::NotAllowed)),
            ("about:neterror?e=deniedPortAccess&u=x", Some(SiteFault::BadAddress)),
            ("about:neterror?u=x&e=brandNew", Some(SiteFault::Other("brandNew".into()))),
            ("about:neterror", Some(SiteFault::Other("neterror".into()))),
            ("about:certerror?e=nssBadCert&u=x", Some(SiteFault::Certificate)),
            ("about:tabcrashed?e=tabcrashed", Some(SiteFault::Crashed)),
            ("about:blank", None),
            ("https://example.org/?e=dnsNotFound", None),
            ("http://about:neterror@example.org/", None),
        ] {
            assert_eq!(SiteFault::from_error_document(uri), fault, "{uri}");
        }
    }

    #[test]
    fn a_status_of_400_or_more_is_a_fault() {
        assert_eq!(SiteFault::from_status(200), None);
        assert_eq!(SiteFault::from_status(304), None);
        assert_eq!(SiteFault::from_status(0), None, "nothing was said");
        assert_eq!(SiteFault::from_status(503), Some(SiteFault::Status(503)));
    }

    #[test]
    fn without_an_address_every_failure_to_connect_is_the_network() {
        assert_eq!(SiteFault::Refused.given_network(false), SiteFault::NoNetwork);
        assert_eq!(SiteFault::Refused.given_network(true), SiteFault::Refused);
        assert_eq!(SiteFault::Status(500).given_network(false), SiteFault::Status(500));
    }

    /// It goes on the glass and into receipts.
    #[test]
    fn an_unknown_reason_stays_short_and_plain() {
        let fault = SiteFault::from_navigation_error(&"\u{7}x".repeat(500)).unwrap();
        assert_eq!(fault, SiteFault::Other("x".repeat(80)));
    }
}
