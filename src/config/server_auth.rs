//! `[auth]` of `server.toml`: whom the server believes.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these texts are for people, in server.toml"
)]

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::origin::Refusals;

#[derive(Debug, Clone, PartialEq)]
pub struct AuthSettings {
    /// Every frame of a client carries a token of its own.
    pub per_message: bool,
    /// Web origins (`https://host[:port]`) whose pages may open a WebSocket; empty: only those of the server's own host.
    pub origins: Vec<String>,
    /// The one origin that displays sign for; `None`: whatever they call the server by.
    pub name: Option<String>,
    /// How long a socket stays after the end of its token.
    pub grace_seconds: u32,
    /// In the order of the file; ids are unique.
    pub jwt: Vec<JwtKey>,
}

/// A key whose tokens are believed.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtKey {
    /// What a token's `kid` names.
    pub id: String,
    pub algorithm: Algorithm,
    pub source: JwtKeySource,
    pub audience: Option<String>,
    pub issuer: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    HS256,
    RS256,
    ES256,
    EdDSA,
}

/// Where a key is. A secret goes with HS256 and with nothing else.
#[derive(Debug, Clone, PartialEq)]
pub enum JwtKeySource {
    SecretFile(PathBuf),
    /// The name of an environment variable.
    SecretEnv(String),
    PublicKeyFile(PathBuf),
    /// https, or http on this machine: whoever can change the answer can sign tokens.
    JwksUrl(Url),
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct AuthFile {
    /// true: every frame of a client must carry a token.
    per_message: bool,
    /// Web sites whose pages may open a WebSocket here, with a ticket or a token. Empty: only pages of this server's
    /// own host. Programs that are no browsers are not asked.
    #[schemars(extend("examples" = [["https://app.example.org"]]))]
    origins: Vec<String>,
    /// What displays call this server: the url of their [server]. With it, a display's request for a ticket counts
    /// only if it was signed for this name. Without it, the host that the request itself names is taken.
    #[schemars(extend("examples" = ["https://push.example.org"]))]
    name: Option<String>,
    /// Seconds that a socket stays after the end of its token, for a new one to arrive.
    #[schemars(range(min = 0, max = 300))]
    grace_seconds: u32,
    /// Keys whose JWTs are believed, one [[auth.jwt]] for each.
    jwt: Vec<JwtFile>,
}

impl Default for AuthFile {
    fn default() -> Self {
        Self { per_message: false, origins: Vec::new(), name: None, grace_seconds: 10, jwt: Vec::new() }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct JwtFile {
    /// What a token's "kid" names. Required.
    #[schemars(extend("examples" = ["main"]))]
    id: Option<String>,
    /// "HS256", "RS256", "ES256" or "EdDSA"; a token of another one is refused. Required.
    #[schemars(extend("examples" = ["HS256"]))]
    algorithm: Option<Algorithm>,
    /// For HS256: the file of the shared secret; one newline at its end does not count.
    #[schemars(extend("format" = "path", "examples" = ["/etc/pikiosk/jwt.secret"]))]
    secret_file: Option<String>,
    /// For HS256, in place of a file: the environment variable that holds the secret.
    #[schemars(extend("examples" = ["APP_JWT_SECRET"]))]
    secret_env: Option<String>,
    /// For the others: the file of the public key, in PEM.
    #[schemars(extend("format" = "path", "examples" = ["/etc/pikiosk/jwt.pem"]))]
    public_key_file: Option<String>,
    /// For the others, in place of a file: where the issuer publishes its keys (JWKS). Those for this algorithm are
    /// taken, fetched again every five minutes and when a token names a key that is not known yet.
    #[schemars(extend("examples" = ["https://login.example.org/.well-known/jwks.json"]))]
    jwks_url: Option<String>,
    /// The "aud" that a token must have. Without it, a token that names an audience is refused.
    #[schemars(extend("examples" = ["pikiosk"]))]
    audience: Option<String>,
    /// The "iss" that a token must have.
    #[schemars(extend("examples" = ["https://login.example.org"]))]
    issuer: Option<String>,
}

impl AuthFile {
    pub(super) fn every_key() -> Self {
        Self { jwt: vec![JwtFile::default()], ..Self::default() }
    }

    pub(super) fn settings(self, refusals: &mut Refusals<'_>) -> AuthSettings {
        let numbered = self.origins.iter().enumerate();
        let origins = numbered.filter_map(|(n, text)| origin(&format!("auth.origins[{n}]"), text, refusals)).collect();
        let name = self.name.and_then(|text| origin("auth.name", &text, refusals));
        let mut jwt: Vec<JwtKey> = Vec::new();
        for (n, key) in self.jwt.into_iter().enumerate() {
            let Some(key) = jwt_key(n, key, refusals) else { continue };
            if jwt.iter().any(|other| other.id == key.id) {
                let says = format!("two keys have the id {:?}", key.id);
                refusals.refuse(&format!("auth.jwt[{n}].id"), says, "give each its own");
            }
            jwt.push(key);
        }
        AuthSettings { per_message: self.per_message, origins, name, grace_seconds: self.grace_seconds, jwt }
    }
}

fn origin(key: &str, text: &str, refusals: &mut Refusals<'_>) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| {
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        matches!(url.scheme(), "http" | "https") && url.has_host() && bare
    });
    if url.is_none() {
        let says = format!("{text:?} is no web origin");
        refusals.refuse(key, says, "write it such as https://app.example.org, no path");
    }
    url.map(|url| url.origin().ascii_serialization())
}

fn jwt_key(n: usize, file: JwtFile, refusals: &mut Refusals<'_>) -> Option<JwtKey> {
    let at = |name: &str| format!("auth.jwt[{n}].{name}");
    let Some(id) = file.id.filter(|id| !id.is_empty()) else {
        refusals.refuse(&at("id"), "the key has no id", "write id = \"…\", the \"kid\" of its tokens");
        return None;
    };
    let Some(algorithm) = file.algorithm else {
        let cure = "write algorithm = \"HS256\", \"RS256\", \"ES256\" or \"EdDSA\"";
        refusals.refuse(&at("algorithm"), "the key has no algorithm", cure);
        return None;
    };
    let shared = algorithm == Algorithm::HS256;
    let wanted = if shared { "secret_file or secret_env" } else { "public_key_file or jwks_url" };
    let source = match (file.secret_file, file.secret_env, file.public_key_file, file.jwks_url) {
        (Some(path), None, None, None) if shared => JwtKeySource::SecretFile(path.into()),
        (None, Some(name), None, None) if shared => JwtKeySource::SecretEnv(name),
        (None, None, Some(path), None) if !shared => JwtKeySource::PublicKeyFile(path.into()),
        (None, None, None, Some(text)) if !shared => JwtKeySource::JwksUrl(jwks_url(&at("jwks_url"), &text, refusals)?),
        (None, None, None, None) => {
            refusals.refuse(&at("algorithm"), "the key itself is missing", format!("write {wanted} as well"));
            return None;
        }
        _ => {
            let says = format!("{algorithm:?} takes one of {wanted} and nothing else");
            refusals.refuse(&at("algorithm"), says, "keep that one and take the others out");
            return None;
        }
    };
    Some(JwtKey { id, algorithm, source, audience: file.audience, issuer: file.issuer })
}

fn jwks_url(key: &str, text: &str, refusals: &mut Refusals<'_>) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        },
        _ => false,
    });
    if url.is_none() {
        // The text is not repeated: it may hold a password.
        let cure = "write https://…; http only to this machine, since whoever changes the answer can sign tokens";
        refusals.refuse(key, "keys are not fetched from there", cure);
    }
    url
}
