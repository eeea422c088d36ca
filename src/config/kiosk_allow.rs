//! `[browser] allow`: which sites may come onto the glass, as patterns of addresses.
//!
//! A pattern is `scheme://host`, with a port where it is not the scheme's own, and a path where not every page of the
//! site is meant: `https://example.org`, `https://*.example.org` (the site and all below it),
//! `http://192.168.1.20:8123/lovelace/*` (a path that ends in `*` is a beginning), `*://example.org` (http and https).

use url::{Host, Url};

use super::origin::Refusals;

/// As many as a technician can keep in mind; each is compared with every address that comes.
const PATTERNS_MAX: usize = 100;

/// The sites that may be shown. Without a pattern: every http and https address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// `None`: http and https.
    scheme: Option<Scheme>,
    /// As the URL standard writes it: lower case, in Punycode.
    host: String,
    /// What lies below the host as well.
    below: bool,
    /// `None`: the scheme's own.
    port: Option<u16>,
    path: Path,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Path {
    Any,
    /// Without the `*`.
    Beginning(String),
    Exactly(String),
}

impl Allowed {
    /// Whether this address may come onto the glass. Anything but http and https never may.
    pub fn permits(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        matches!(url.scheme(), "http" | "https")
            && (self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(&url)))
    }

    /// True where every site may be shown.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }
}

impl Pattern {
    fn matches(&self, url: &Url) -> bool {
        let scheme = match self.scheme {
            None => true,
            Some(Scheme::Http) => url.scheme() == "http",
            Some(Scheme::Https) => url.scheme() == "https",
        };
        // `example.org.` is the same site for the network.
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let below = || host.strip_suffix(&self.host).is_some_and(|rest| rest.ends_with('.'));
        let path = match &self.path {
            Path::Any => true,
            Path::Beginning(start) => url.path().starts_with(start.as_str()),
            Path::Exactly(path) => url.path() == path,
        };
        // `port` is none for the scheme's own, also where it was written.
        scheme && (host == self.host || (self.below && below())) && url.port() == self.port && path
    }
}

/// `key` is where they stand: browser.allow or browser.login.
pub(super) fn settings(key: &'static str, patterns: &[String], refusals: &mut Refusals<'_>) -> Allowed {
    if patterns.len() > PATTERNS_MAX {
        let cure = format!("at most {PATTERNS_MAX}: write https://*.example.org for a site and all below it");
        refusals.refuse(key, format!("{} patterns", patterns.len()), cure);
    }
    let mut allowed = Vec::new();
    for text in patterns {
        match pattern(text) {
            Some(pattern) => allowed.push(pattern),
            None => {
                let cure = "write scheme://host, such as https://example.org, https://*.example.org or \
                            http://192.168.1.20:8123/screen/*";
                refusals.refuse(key, format!("{text:?} is no pattern of an address"), cure);
            }
        }
    }
    Allowed(allowed)
}

fn pattern(text: &str) -> Option<Pattern> {
    let (scheme, rest) = text.split_once("://")?;
    let (scheme, default) = match scheme {
        "*" => (None, None),
        "http" => (Some(Scheme::Http), Some(80)),
        "https" => (Some(Scheme::Https), Some(443)),
        _ => return None,
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (below, authority) = authority.strip_prefix("*.").map_or((false, authority), |host| (true, host));
    // What the URL standard takes for a host and a port, and nothing besides.
    let url = Url::parse(&format!("http://{authority}/")).ok()?;
    let is_name = matches!(url.host()?, Host::Domain(_));
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    if !plain || authority.contains('*') || (below && !is_name) || url.fragment().is_some() {
        return None;
    }
    // Port 80 is http's own and is taken out by the parser.
    let written = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port = written.filter(|port| Some(*port) != default);
    let path = match path {
        "" | "/*" => Path::Any,
        path => match path.strip_suffix('*') {
            Some(start) if !start.contains('*') => Path::Beginning(start.to_owned()),
            None if !path.contains(['?', '#']) => Path::Exactly(path.to_owned()),
            _ => return None,
        },
    };
    Some(Pattern { scheme, host: url.host_str()?.trim_end_matches('.').to_owned(), below, port, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str]) -> Allowed {
        Allowed(patterns.iter().map(|text| pattern(text).unwrap_or_else(|| panic!("{text}"))).collect())
    }

    #[test]
    fn without_a_list_every_site_may_be_shown_and_nothing_that_is_no_site() {
        let open = Allowed::default();
        assert!(open.permits("https://example.org/") && open.permits("http://10.0.0.1:8123/x"));
        for closed in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "about:config",
            "view-source:http://a/",
            "",
        ] {
            assert!(!open.permits(closed), "{closed}");
        }
    }

    #[test]
    fn a_site_on_the_list_may_be_shown_and_its_look_alikes_may_not() {
        let list = allowed(&["https://*.example.org", "http://192.168.1.20:8123/screen/*", "*://shop.test/menu"]);
        for yes in [
            "https://example.org/",
            "https://a.b.example.org/x?y#z",
            "https://EXAMPLE.org:443/",
            "https://example.org./",
            "http://192.168.1.20:8123/screen/1",
            "http://shop.test/menu?today",
            "https://shop.test/menu",
        ] {
            assert!(list.permits(yes), "{yes}");
        }
        for no in [
            "http://example.org/",
            "https://badexample.org/",
            "https://example.org.evil.test/",
            "https://example.org@evil.test/",
            "https://evil.test/https://example.org/",
            "https://example.org:8443/",
            "http://192.168.1.20:8123/config",
            "http://192.168.1.20:8123/screen/../config",
            "http://192.168.1.20/screen/1",
            "http://3232235796:8123/admin",
            "https://shop.test/menu/secret",
            "ftp://example.org/",
        ] {
            assert!(!list.permits(no), "{no}");
        }
    }

    #[test]
    fn other_ways_to_write_the_same_host_are_the_same_host() {
        let list = allowed(&["http://192.168.1.20", "https://bücher.test", "http://[::1]:8080"]);
        for yes in
            ["http://3232235796/", "http://0xc0.0xa8.1.20/", "https://xn--bcher-kva.test/", "http://[0:0::1]:8080/"]
        {
            assert!(list.permits(yes), "{yes}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "example.org",
            "https://",
            "https://*",
            "ftp://example.org",
            "https://a*b.org",
            "https://*.10.0.0.1",
            "https://user@example.org",
            "https://example.org?x",
            "https://example.org/a*b*",
            "https://example.org/a?b",
            "javascript://example.org",
        ] {
            assert_eq!(pattern(text), None, "{text}");
        }
    }
}
