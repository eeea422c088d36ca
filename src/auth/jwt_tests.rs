use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::*;

pub(super) const NOW_S: u64 = 1_777_896_000;
pub(super) const NOW: u64 = NOW_S * 1000;
pub(super) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

// Made for these tests, used nowhere else.
pub(super) const RSA: (&[u8], &[u8]) =
    (include_bytes!("test_keys/rsa.key.pem"), include_bytes!("test_keys/rsa.pub.pem"));
pub(super) const EC: (&[u8], &[u8]) = (include_bytes!("test_keys/ec.key.pem"), include_bytes!("test_keys/ec.pub.pem"));
pub(super) const ED: (&[u8], &[u8]) = (include_bytes!("test_keys/ed.key.pem"), include_bytes!("test_keys/ed.pub.pem"));

fn key(id: &str, algorithm: Algorithm) -> JwtKey {
    let material = match algorithm {
        Algorithm::HS256 => Material::SecretFile(SECRET),
        Algorithm::RS256 => Material::PublicKeyFile(RSA.1),
        Algorithm::ES256 => Material::PublicKeyFile(EC.1),
        Algorithm::EdDSA => Material::PublicKeyFile(ED.1),
    };
    JwtKey::new(id.into(), algorithm, material, Vec::new(), Vec::new()).unwrap()
}

fn all_keys() -> JwtKeys {
    let keys = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    JwtKeys::new(keys.map(|algorithm| key(algorithm.as_str(), algorithm)).into()).unwrap()
}

pub(super) fn signer(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(SECRET),
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA.0).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC.0).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED.0).unwrap(),
    }
}

/// A token with any header and claims, signed with the key of `algorithm`.
fn token_with(header: &Value, claims: &Value, algorithm: Algorithm) -> String {
    signed(header, claims.to_string().as_bytes(), &signer(algorithm), algorithm)
}

fn signed(header: &Value, claims: &[u8], key: &EncodingKey, algorithm: Algorithm) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm.implementation()).unwrap();
    format!("{message}.{signature}")
}

fn token(algorithm: Algorithm, claims: &Value) -> String {
    token_with(&json!({"alg": algorithm.as_str(), "typ": "JWT"}), claims, algorithm)
}

fn good_claims() -> Value {
    json!({"sub": "anna", "exp": NOW_S + 300})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[name] = value;
    claims
}

#[test]
fn a_token_of_each_algorithm_is_accepted_with_and_without_kid() {
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let plain = token(algorithm, &good_claims());
        let claims = all_keys().verify(&plain, NOW).unwrap();
        assert_eq!((claims.sub.as_str(), claims.expires_ms, claims.operator), ("anna", NOW + 300_000, false));
        let header = json!({"alg": algorithm.as_str(), "kid": algorithm.as_str()});
        assert!(all_keys().verify(&token_with(&header, &good_claims(), algorithm), NOW).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn the_claims_of_the_contract_are_read() {
    let claims = json!({
        "sub": "shop 4", "exp": NOW_S as f64 + 0.5, "nbf": NOW_S - 10, "iat": NOW_S, "extra": {"a": 1},
        "addr": ["user/shop 4", "group/shops"], "pub": ["group/shops"], "cmd": ["message", "navigate"],
        "operator": true, "display": "lobby",
    });
    let claims = all_keys().verify(&token(Algorithm::ES256, &claims), NOW).unwrap();
    assert_eq!(claims.expires_ms, NOW + 500);
    assert_eq!(claims.receives.unwrap().len(), 2);
    assert!(claims.publishes.contains(&"group/shops".parse().unwrap()) && claims.commands.contains("navigate"));
    assert!(claims.operator);
    assert_eq!(claims.display.unwrap().as_str(), "lobby");
}

#[test]
fn time_is_judged_with_thirty_seconds_of_leeway_and_no_more() {
    for (claims, good) in [
        (with("exp", json!(NOW_S)), true),
        (with("exp", json!(NOW_S - 30)), true),
        (with("exp", json!(NOW_S - 31)), false),
        (with("exp", json!(0)), false),
        (with("exp", json!(-5)), false),
        (with("exp", json!("1777896300")), false),
        (with("exp", json!(1e300)), true),
        (with("exp", json!(u64::MAX)), true),
        (with("exp", Value::Null), false),
        (with("exp", json!([NOW_S])), false),
        (with("nbf", json!(NOW_S + 30)), true),
        (with("nbf", json!(NOW_S + 31)), false),
        (with("nbf", json!(-1)), false),
        (with("nbf", json!("soon")), false),
        (with("sub", Value::Null), false),
        (with("sub", json!("")), false),
        (with("sub", json!(7)), false),
        (json!({"sub": "anna"}), false),
        (json!({"exp": NOW_S + 300}), false),
        (json!([]), false),
        (json!("anna"), false),
    ] {
        let verdict = all_keys().verify(&token(Algorithm::HS256, &claims), NOW);
        assert_eq!(verdict.is_ok(), good, "{claims}: {verdict:?}");
    }
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let claims = good_claims();
    let parts = |token: &str| token.rsplit_once('.').map(|(message, _)| message.to_owned()).unwrap();

    // `none`, in every spelling, with and without a signature.
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": none});
        let message = parts(&token_with(&header, &claims, Algorithm::HS256));
        for unsigned in [format!("{message}."), format!("{message}.AAAA")] {
            let refused = all_keys().verify(&unsigned, NOW);
            assert!(matches!(refused, Err(JwtError::Algorithm { .. })), "{none}: {refused:?}");
        }
    }

    // The classic: a public key, which everybody has, used as the secret of an HMAC.
    for public in [RSA.1, EC.1, ED.1] {
        for kid in [None, Some("RS256"), Some("ES256"), Some("EdDSA"), Some("HS256")] {
            let header = kid.map_or(json!({"alg": "HS256"}), |kid| json!({"alg": "HS256", "kid": kid}));
            let text = claims.to_string();
            let forged = signed(&header, text.as_bytes(), &EncodingKey::from_secret(public), Algorithm::HS256);
            assert!(all_keys().verify(&forged, NOW).is_err(), "{kid:?}");
        }
    }

    // A good signature under another algorithm's name.
    for (says, is) in [("RS256", Algorithm::HS256), ("ES256", Algorithm::EdDSA), ("HS512", Algorithm::HS256)] {
        assert!(all_keys().verify(&token_with(&json!({"alg": says}), &claims, is), NOW).is_err(), "{says}");
    }
    let only_rsa = JwtKeys::new(vec![key("rsa", Algorithm::RS256)]).unwrap();
    let refused = only_rsa.verify(&token(Algorithm::HS256, &claims), NOW);
    assert_eq!(refused, Err(JwtError::Algorithm { token: "HS256".into() }));
}

#[test]
fn a_kid_names_its_key_and_there_is_no_fallback() {
    let signed_by = |kid: Value| token_with(&json!({"alg": "HS256", "kid": kid}), &good_claims(), Algorithm::HS256);
    assert!(all_keys().verify(&signed_by(json!("HS256")), NOW).is_ok());
    assert_eq!(all_keys().verify(&signed_by(json!("old")), NOW), Err(JwtError::UnknownKid("old".into())));
    assert_eq!(all_keys().verify(&signed_by(json!("")), NOW), Err(JwtError::UnknownKid(String::new())));
    assert!(matches!(all_keys().verify(&signed_by(json!("RS256")), NOW), Err(JwtError::Algorithm { .. })));
    assert!(matches!(all_keys().verify(&signed_by(json!(["HS256"])), NOW), Err(JwtError::Header(_))));
    let twice = JwtKeys::new(vec![key("a", Algorithm::HS256), key("a", Algorithm::RS256)]);
    assert_eq!(twice.unwrap_err(), KeyError::TwiceTheId("a".into()));
}

#[test]
fn audience_and_issuer_are_judged_as_configured() {
    let key = |audience: &[&str], issuer: &[&str]| {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let material = Material::SecretFile(SECRET);
        let key = JwtKey::new("k".into(), Algorithm::HS256, material, list(audience), list(issuer)).unwrap();
        JwtKeys::new(vec![key]).unwrap()
    };
    for (audience, claim, good) in [
        (&["wall"][..], json!("wall"), true),
        (&["wall"], json!(["x", "wall"]), true),
        (&["a", "wall"], json!("wall"), true),
        (&["wall"], json!("other"), false),
        (&["wall"], json!([]), false),
        (&["wall"], Value::Null, false),
        (&["wall"], json!({"wall": 1}), false),
        (&[], json!("wall"), false), // RFC 7519 §4.1.3: a token for somebody, and we are nobody.
        (&[], Value::Null, true),
    ] {
        let verdict = key(audience, &[]).verify(&token(Algorithm::HS256, &with("aud", claim.clone())), NOW);
        assert_eq!(verdict.is_ok(), good, "{audience:?} {claim}: {verdict:?}");
    }
    for (issuer, claim, good) in [
        (&["https://id"][..], json!("https://id"), true),
        (&["https://id"], json!("https://evil"), false),
        (&["https://id"], Value::Null, false),
        (&[], json!("https://anybody"), true),
    ] {
        let verdict = key(&[], issuer).verify(&token(Algorithm::HS256, &with("iss", claim.clone())), NOW);
        assert_eq!(verdict.is_ok(), good, "{issuer:?} {claim}: {verdict:?}");
    }
}

#[test]
fn one_key_for_two_audiences_takes_the_tokens_of_both() {
    let key = |id: &str, audience: &str| {
        let material = Material::SecretFile(SECRET);
        JwtKey::new(id.into(), Algorithm::HS256, material, vec![audience.into()], Vec::new()).unwrap()
    };
    let keys = JwtKeys::new(vec![key("1", "a"), key("2", "b")]).unwrap();
    assert!(keys.verify(&token(Algorithm::HS256, &with("aud", json!("b"))), NOW).is_ok());
    assert_eq!(keys.verify(&token(Algorithm::HS256, &with("aud", json!("c"))), NOW), Err(JwtError::Audience));
}

#[test]
fn claims_of_a_wrong_type_are_refused_and_not_taken_for_absent() {
    for (name, value) in [
        ("operator", json!("true")),
        ("operator", json!(1)),
        ("addr", json!("all")),
        ("addr", json!(["everyone"])),
        ("pub", json!(["group/Shops"])),
        ("cmd", json!("message")),
        ("display", json!("No Such")),
        ("sub", json!("a\nb")),
        ("iss", json!(["a"])),
        ("addr", json!(vec!["all"; 300])),
    ] {
        let verdict = all_keys().verify(&token(Algorithm::HS256, &with(name, value.clone())), NOW);
        assert!(matches!(verdict, Err(JwtError::Claims(_))), "{name} {value}: {verdict:?}");
    }
    let twice = format!(r#"{{"sub":"anna","exp":{},"exp":{}}}"#, NOW_S - 900, NOW_S + 900);
    let twice = signed(&json!({"alg": "HS256"}), twice.as_bytes(), &EncodingKey::from_secret(SECRET), Algorithm::HS256);
    assert!(all_keys().verify(&twice, NOW).is_err(), "a claim that stands twice");
}

#[test]
fn a_token_that_was_touched_or_is_garbage_is_refused_without_a_panic() {
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let good = token(algorithm, &good_claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let mut flipped = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[5] ^= 1;
        for bad in [
            format!("{message}."),
            message.to_owned(),
            format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(&flipped)),
            format!("{message}.{}", &signature[..signature.len() - 4]),
            format!("{message}.{signature}A"),
            format!("{message}.{signature}="),
            format!("{good}.{signature}"),
            format!(" {good}"),
            good.replacen('.', "", 1),
            good.replacen("eyJ", "eyI", 1),
        ] {
            assert!(all_keys().verify(&bad, NOW).is_err(), "{algorithm:?} {bad}");
        }
    }
    for garbage in ["", ".", "..", "...", "a.b.c", "e30.e30.", "é.é.é", "\0.\0.\0"] {
        assert!(all_keys().verify(garbage, NOW).is_err(), "{garbage:?}");
    }
    assert_eq!(all_keys().verify(&"a".repeat(TOKEN_MAX + 1), NOW), Err(JwtError::Form));
    let critical = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    let critical = token_with(&critical, &good_claims(), Algorithm::HS256);
    assert_eq!(all_keys().verify(&critical, NOW), Err(JwtError::Critical));
    assert_eq!(JwtKeys::default().verify(&token(Algorithm::HS256, &good_claims()), NOW), Err(JwtError::NoKeys));
}

#[test]
fn a_key_that_cannot_be_meant_is_refused_when_it_is_configured() {
    let new = |algorithm, material| JwtKey::new("k".into(), algorithm, material, vec![], vec![]).map(|_| ());
    assert_eq!(new(Algorithm::HS256, Material::SecretFile(&SECRET[..31])), Err(KeyError::ShortSecret(31)));
    let newline = [&SECRET[..31], b"\n"].concat();
    assert_eq!(new(Algorithm::HS256, Material::SecretFile(&newline)), Err(KeyError::ShortSecret(31)));
    assert_eq!(new(Algorithm::HS256, Material::SecretFile(RSA.1)), Err(KeyError::PemAsSecret));
    assert_eq!(new(Algorithm::HS256, Material::PublicKeyFile(RSA.1)), Err(KeyError::WrongFile));
    assert_eq!(new(Algorithm::RS256, Material::SecretFile(RSA.1)), Err(KeyError::WrongFile));
    let short: &[u8] = include_bytes!("test_keys/rsa1024.pub.pem");
    assert_eq!(new(Algorithm::RS256, Material::PublicKeyFile(short)), Err(KeyError::ShortRsa));
    let curve: &[u8] = include_bytes!("test_keys/ec384.pub.pem");
    for (algorithm, pem) in [
        (Algorithm::ES256, curve),
        (Algorithm::ES256, RSA.1),
        (Algorithm::ES256, ED.1),
        (Algorithm::RS256, EC.1),
        (Algorithm::EdDSA, EC.1),
        (Algorithm::EdDSA, b"no pem"),
        (Algorithm::EdDSA, b""),
    ] {
        assert!(matches!(new(algorithm, Material::PublicKeyFile(pem)), Err(KeyError::Pem { .. })), "{algorithm:?}");
    }
    assert!("HS512".parse::<Algorithm>().unwrap_err().to_string().contains("EdDSA"));
    assert_eq!("EdDSA".parse(), Ok(Algorithm::EdDSA));
}

#[test]
fn a_secret_file_loses_one_trailing_newline() {
    let key = JwtKey::new(
        "k".into(),
        Algorithm::HS256,
        Material::SecretFile(&[SECRET, b"\n"].concat()),
        Vec::new(),
        Vec::new(),
    );
    let keys = JwtKeys::new(vec![key.unwrap()]).unwrap();
    assert!(keys.verify(&token(Algorithm::HS256, &good_claims()), NOW).is_ok());
}
