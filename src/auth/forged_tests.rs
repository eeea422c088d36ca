//! Two hundred and more ways to a token that must not be believed (RFC 8725, and what was found in the field), against a
//! server that has a key of every algorithm. Each is named; none is accepted, and none panics.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Value, json};

use super::super::revocation::{Of, Revocation, Revocations};
use super::tests::{EC, ED, NOW, NOW_S, RSA, SECRET, signer};
use super::*;

const ALL: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn keys() -> JwtKeys {
    let key = |algorithm: Algorithm| {
        let material = match algorithm {
            Algorithm::HS256 => Material::SecretFile(SECRET),
            Algorithm::RS256 => Material::PublicKeyFile(RSA.1),
            Algorithm::ES256 => Material::PublicKeyFile(EC.1),
            Algorithm::EdDSA => Material::PublicKeyFile(ED.1),
        };
        let (audience, issuer) = (vec!["wall".to_owned()], vec!["https://id.example".to_owned()]);
        JwtKey::new(algorithm.as_str().to_owned(), algorithm, material, audience, issuer).unwrap()
    };
    JwtKeys::new(ALL.map(key).into()).unwrap()
}

fn claims() -> Value {
    json!({
        "sub": "anna", "iss": "https://id.example", "aud": "wall", "exp": NOW_S + 300, "iat": NOW_S - 5, "jti": "j1",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(message: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    crypto::sign(message.as_bytes(), key, algorithm.implementation()).unwrap()
}

/// A token of any two texts, well signed.
fn signed(header: &str, payload: &str, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    format!("{message}.{}", sign(&message, &signer(algorithm), algorithm))
}

fn header(algorithm: Algorithm) -> String {
    json!({"alg": algorithm.as_str(), "typ": "JWT"}).to_string()
}

fn good(algorithm: Algorithm) -> String {
    signed(&header(algorithm), &claims().to_string(), algorithm)
}

/// Every forged token by its kind.
#[derive(Default)]
struct Forged(BTreeMap<String, String>);

impl Forged {
    fn add(&mut self, kind: impl Into<String>, token: String) {
        let kind = kind.into();
        assert!(self.0.insert(kind.clone(), token).is_none(), "{kind} is there twice");
    }
}

fn no_signature(forged: &mut Forged) {
    for none in ["none", "None", "NONE", "nOnE", "", " none", "none ", "null", "\0none"] {
        let message = format!("{}.{}", encode(json!({"alg": none}).to_string()), encode(claims().to_string()));
        forged.add(format!("alg {none:?}, no signature"), format!("{message}."));
        forged.add(format!("alg {none:?}, some signature"), format!("{message}.{}", encode([7; 64])));
        let own = sign(&message, &signer(Algorithm::HS256), Algorithm::HS256);
        forged.add(format!("alg {none:?}, a good HMAC"), format!("{message}.{own}"));
    }
}

fn other_algorithms(forged: &mut Forged) {
    // The classic: what everybody may read, as the secret of an HMAC. As it stands in the file, and trimmed.
    for (name, public) in [("RSA", RSA.1), ("EC", EC.1), ("Ed25519", ED.1)] {
        let trimmed = public.trim_ascii_end();
        let der = pem_body(public);
        for (form, secret) in
            [("PEM", public), ("trimmed PEM", trimmed), ("DER", &der[..]), ("raw", &der[der.len() - 32..])]
        {
            for kid in [None, Some("HS256"), Some("RS256"), Some("ES256"), Some("EdDSA")] {
                let header = kid.map_or(json!({"alg": "HS256"}), |kid| json!({"alg": "HS256", "kid": kid}));
                let message = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
                let own = sign(&message, &EncodingKey::from_secret(secret), Algorithm::HS256);
                forged.add(format!("{name} {form} as HMAC secret, kid {kid:?}"), format!("{message}.{own}"));
            }
        }
    }
    // A good signature under the name of every other algorithm.
    for is in ALL {
        for says in
            ["HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "ES256K", "EdDSA", "Ed25519"]
        {
            if says != is.as_str() {
                let header = json!({"alg": says}).to_string();
                forged.add(format!("{} signed, {says} said", is.as_str()), signed(&header, &claims().to_string(), is));
            }
        }
        let lower = json!({"alg": is.as_str().to_lowercase()}).to_string();
        forged.add(format!("{} in lower case", is.as_str()), signed(&lower, &claims().to_string(), is));
        for (what, alg) in [("a number", json!(256)), ("null", json!(null)), ("a list", json!([is.as_str()]))] {
            let header = json!({"alg": alg}).to_string();
            forged.add(format!("{}: alg is {what}", is.as_str()), signed(&header, &claims().to_string(), is));
        }
        let missing = signed(r#"{"typ":"JWT"}"#, &claims().to_string(), is);
        forged.add(format!("{}: no alg", is.as_str()), missing);
        let twice = format!(r#"{{"alg":"none","alg":"{}"}}"#, is.as_str());
        forged.add(format!("{}: alg twice", is.as_str()), signed(&twice, &claims().to_string(), is));
    }
}

fn pem_body(pem: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(pem).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(body).unwrap()
}

fn headers(forged: &mut Forged) {
    // Keys that the token brings along: signed by the attacker's own key, which it names.
    let attacker = EncodingKey::from_secret(b"the attacker's own secret, 32 bytes long");
    let own_jwk = json!({"kty": "oct", "k": encode(b"the attacker's own secret, 32 bytes long")});
    for (name, value) in [
        ("jwk", own_jwk.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!([BASE64_STANDARD.encode(b"a certificate")])),
        ("x5t#S256", json!(encode([1; 32]))),
        ("jwks", json!({"keys": [own_jwk]})),
        ("key_ops", json!(["verify"])),
    ] {
        let header = json!({"alg": "HS256", name: value}).to_string();
        let message = format!("{}.{}", encode(header), encode(claims().to_string()));
        let own = sign(&message, &attacker, Algorithm::HS256);
        forged.add(format!("its own key in {name}"), format!("{message}.{own}"));
    }
    for (what, kid) in [
        ("unknown", json!("nobody")),
        ("empty", json!("")),
        ("a path", json!("../../../../dev/null")),
        ("SQL", json!("x' UNION SELECT 'secret' --")),
        ("a command", json!("key;sleep 5")),
        ("a URL", json!("https://evil.example/key")),
        ("a NUL", json!("HS256\0")),
        ("a blank behind", json!("HS256 ")),
        ("another case", json!("hs256")),
        ("a number", json!(0)),
        ("a list", json!(["HS256"])),
        ("an object", json!({"HS256": 1})),
        ("true", json!(true)),
        ("long", json!("x".repeat(5_000))),
        ("of another algorithm", json!("RS256")),
    ] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        forged.add(format!("kid is {what}"), signed(&header, &claims().to_string(), Algorithm::HS256));
    }
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("exp"), json!(["http://example.com/UNDEFINED"])] {
        let header = json!({"alg": "HS256", "crit": crit, "b64": false}).to_string();
        forged.add(format!("crit {crit}"), signed(&header, &claims().to_string(), Algorithm::HS256));
    }
    for (what, header) in [
        ("no object", "[]"),
        ("a text", "\"HS256\""),
        ("null", "null"),
        ("empty", ""),
        ("half", r#"{"alg":"HS256""#),
        ("with a tail", r#"{"alg":"HS256"}{}"#),
        ("with a comment", r#"{"alg":"HS256"/**/}"#),
        ("with single quotes", "{'alg':'HS256'}"),
        ("with a byte order mark", "\u{feff}{\"alg\":\"HS256\"}"),
    ] {
        forged.add(format!("a header that is {what}"), signed(header, &claims().to_string(), Algorithm::HS256));
    }
}

fn signatures(forged: &mut Forged) {
    for algorithm in ALL {
        let name = algorithm.as_str();
        let token = good(algorithm);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let raw = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let mut add = |kind: &str, token: String| forged.add(format!("{name}: {kind}"), token);
        for (place, kind) in [(0, "first"), (raw.len() / 2, "middle"), (raw.len() - 1, "last")] {
            let mut flipped = raw.clone();
            flipped[place] ^= 1;
            add(&format!("{kind} byte of the signature flipped"), format!("{message}.{}", encode(flipped)));
        }
        add("zeros as signature", format!("{message}.{}", encode(vec![0; raw.len()])));
        add("ones as signature", format!("{message}.{}", encode(vec![0xff; raw.len()])));
        add("no signature", format!("{message}."));
        add("signature cut", format!("{message}.{}", encode(&raw[..raw.len() - 1])));
        add("signature longer", format!("{message}.{}", encode([&raw[..], &[0]].concat())));
        add("signature twice", format!("{message}.{}", encode([&raw[..], &raw[..]].concat())));
        add("signature in plain base64 with padding", format!("{message}.{}", BASE64_URL_SAFE.encode(&raw) + "="));
        add("signature with a blank", format!("{message}. {signature}"));
        add("signature with a newline", format!("{token}\n"));
        add("four parts", format!("{token}.{signature}"));
        add("two parts", message.to_owned());
        add("its parts in another order", {
            let (header, payload) = message.split_once('.').unwrap();
            format!("{payload}.{header}.{signature}")
        });
        let other = with("sub", json!("eve")).to_string();
        add("other claims under its signature", format!("{}.{}.{signature}", encode(header(algorithm)), encode(other)));
        let operator = with("operator", json!(true)).to_string();
        add(
            "more rights under its signature",
            format!("{}.{}.{signature}", encode(header(algorithm)), encode(operator)),
        );
        add("another header under its signature", {
            let header = format!(r#"{{"typ": "JWT", "alg": "{name}"}}"#);
            format!("{}.{}.{signature}", encode(header), encode(claims().to_string()))
        });
    }
    // ECDSA's own: r and s as DER, both zero ("psychic signatures", CVE-2022-21449), both the order of the curve.
    let message = format!("{}.{}", encode(header(Algorithm::ES256)), encode(claims().to_string()));
    let order = b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    forged.add("ES256: r and s are the order", format!("{message}.{}", encode([&order[..], order].concat())));
    forged.add("ES256: r is 1, s is 0", format!("{message}.{}", encode([&[0; 31][..], &[1], &[0; 32]].concat())));
    forged.add("ES256: DER", format!("{message}.{}", encode(b"\x30\x06\x02\x01\x01\x02\x01\x01")));
    // Ed25519's own: the neutral element as R, S = 0.
    let message = format!("{}.{}", encode(header(Algorithm::EdDSA)), encode(claims().to_string()));
    forged.add("EdDSA: the neutral element", format!("{message}.{}", encode([&[1][..], &[0; 63]].concat())));
    // By somebody else's secret, also near ours.
    for (what, secret) in [
        ("another", b"another secret of at least 32 bytes".to_vec()),
        ("empty", Vec::new()),
        ("ours and a newline", [SECRET, b"\n"].concat()),
        ("ours without its end", SECRET[..SECRET.len() - 1].to_vec()),
        ("ours in base64", BASE64_STANDARD.encode(SECRET).into_bytes()),
        ("zeros", vec![0; 32]),
    ] {
        let message = format!("{}.{}", encode(header(Algorithm::HS256)), encode(claims().to_string()));
        let own = sign(&message, &EncodingKey::from_secret(&secret), Algorithm::HS256);
        forged.add(format!("signed with a secret that is {what}"), format!("{message}.{own}"));
    }
}

fn stale(forged: &mut Forged) {
    let mut add = |kind: &str, claims: &Value| {
        forged.add(kind, signed(&header(Algorithm::HS256), &claims.to_string(), Algorithm::HS256));
    };
    for (name, value) in [
        ("exp", json!(NOW_S - 31)),
        ("exp", json!(NOW_S - 86_400)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!(NOW_S as f64 - 31.5)),
        ("exp", json!((NOW_S + 300).to_string())),
        ("exp", json!([NOW_S + 300])),
        ("exp", json!(true)),
        ("exp", Value::Null),
        ("nbf", json!(NOW_S + 31)),
        ("nbf", json!(NOW_S + 86_400)),
        ("nbf", json!("0")),
        ("nbf", json!(-5)),
        ("iat", json!(NOW_S + 31)),
        ("iat", json!(NOW_S + 86_400)),
        ("iat", json!("now")),
        ("iat", json!(-1)),
        ("aud", json!("other")),
        ("aud", json!("Wall")),
        ("aud", json!("wall ")),
        ("aud", json!(["other", "third"])),
        ("aud", json!([])),
        ("aud", json!({"wall": true})),
        ("aud", json!(true)),
        ("aud", Value::Null),
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://id.example/")),
        ("iss", json!("https://id.example.evil.example")),
        ("iss", json!(["https://id.example"])),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\u{0}b")),
        ("sub", json!("a\nb")),
        ("sub", json!("x".repeat(300))),
        ("sub", json!(["anna"])),
        ("jti", json!("")),
        ("jti", json!("x".repeat(257))),
        ("jti", json!(1)),
        ("jti", json!("revoked")),
        ("addr", json!("all")),
        ("addr", json!(["*"])),
        ("addr", json!(["user/*/x", 7])),
        ("addr", json!({"all": true})),
        ("pub", json!("all")),
        ("pub", json!(["display/Not An Id"])),
        ("pub", json!(vec!["all"; 257])),
        ("cmd", json!("restart")),
        ("cmd", json!([1])),
        ("operator", json!("true")),
        ("operator", json!(1)),
        ("operator", json!([true])),
        ("display", json!("../lobby")),
        ("display", json!(true)),
        ("display", json!("Lobby")),
    ] {
        let shown: String = value.to_string().chars().take(40).collect();
        add(&format!("{name} = {shown}"), &with(name, value));
    }
    add("a user that was revoked", &with("sub", json!("mallory")));
    for (what, payload) in [
        ("no object", "[]".to_owned()),
        ("null", "null".to_owned()),
        ("empty", String::new()),
        ("half", "{\"sub\":\"anna\"".to_owned()),
        ("a number", "1".to_owned()),
        ("with exp twice", claims().to_string().replacen('{', "{\"exp\":1,", 1)),
        ("with sub twice", claims().to_string().replacen('{', "{\"sub\":\"eve\",", 1)),
        ("deep", "[".repeat(5_000)),
        ("NaN", claims().to_string().replace(&(NOW_S + 300).to_string(), "NaN")),
    ] {
        forged.add(format!("claims that are {what}"), signed(&header(Algorithm::HS256), &payload, Algorithm::HS256));
    }
    let binary = format!("{}.{}", encode(header(Algorithm::HS256)), encode([0xff, 0xfe, 0x00]));
    forged.add(
        "claims that are no text",
        format!("{binary}.{}", sign(&binary, &signer(Algorithm::HS256), Algorithm::HS256)),
    );
}

fn texts(forged: &mut Forged) {
    let token = good(Algorithm::HS256);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (head, payload) = message.split_once('.').unwrap();
    for (kind, text) in [
        ("nothing", String::new()),
        ("one dot", ".".into()),
        ("two dots", "..".into()),
        ("three dots", "...".into()),
        ("letters", "a.b.c".into()),
        ("empty objects", "e30.e30.".into()),
        ("not ASCII", "é.é.é".into()),
        ("NULs", "\0.\0.\0".into()),
        ("a blank before", format!(" {token}")),
        ("a blank behind", format!("{token} ")),
        ("Bearer before", format!("Bearer {token}")),
        ("quotes", format!("\"{token}\"")),
        ("URL-encoded dots", token.replace('.', "%2E")),
        ("standard base64", format!("{}+/.{payload}.{signature}", &head[..head.len() - 2])),
        ("padding in the header", format!("{head}=.{payload}.{signature}")),
        ("a newline in the claims", format!("{head}.{}\n{}.{signature}", &payload[..8], &payload[8..])),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{head}..{signature}")),
        ("JSON serialisation", json!({"protected": head, "payload": payload, "signature": signature}).to_string()),
        ("encrypted (JWE, five parts)", "eyJhbGciOiJkaXIifQ..a.b.c".into()),
        ("too long", format!("{head}.{}.{signature}", "A".repeat(TOKEN_MAX))),
        ("a ticket", format!("wstoken{}", "0f".repeat(16))),
        ("an operator's key", format!("pko_{}", "A".repeat(43))),
        ("detached claims", format!("{head}..{signature}")[..].replace("..", ". .")),
    ] {
        forged.add(kind, text);
    }
}

#[test]
fn none_of_two_hundred_forged_and_stale_tokens_is_believed() {
    let keys = keys();
    let revoked = Revocations::new([
        Revocation { of: Of::Token("revoked".into()), at_ms: NOW, until_ms: None, by: "test".into() },
        Revocation { of: Of::User("mallory".parse().unwrap()), at_ms: NOW, until_ms: None, by: "test".into() },
    ]);
    let believed = |token: &str| {
        let claims = keys.verify(token, NOW)?;
        revoked.judge(claims.holder(), NOW).map_err(JwtError::Revoked)
    };
    for algorithm in ALL {
        assert_eq!(believed(&good(algorithm)), Ok(()), "what is forged below is good before: {algorithm:?}");
    }
    let mut forged = Forged::default();
    no_signature(&mut forged);
    other_algorithms(&mut forged);
    headers(&mut forged);
    signatures(&mut forged);
    stale(&mut forged);
    texts(&mut forged);
    let kinds = forged.0.len();
    assert!(kinds >= 200, "{kinds} kinds");
    let accepted: Vec<&String> =
        forged.0.iter().filter(|(_, token)| believed(token).is_ok()).map(|(kind, _)| kind).collect();
    assert!(accepted.is_empty(), "{} of {kinds}: {accepted:#?}", accepted.len());
}
