use serde_json::{Value, json};

use super::*;
use crate::auth::jwt::JwtKeys;

const NOW: u64 = 1_777_896_000_000;

// RFC 7517 §A.1 (RSA, EC) and RFC 8037 §A.2 (Ed25519).
const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn source(algorithm: Algorithm) -> Source {
    Source { id: "main".into(), algorithm, audience: Vec::new(), issuer: Vec::new() }
}

fn ids(set: &Value, algorithm: Algorithm) -> Result<Vec<String>, JwksError> {
    let keys = read(set.to_string().as_bytes(), &source(algorithm))?;
    Ok(keys.into_iter().map(|key| key.id).collect())
}

fn rsa(more: &Value) -> Value {
    merged(json!({"kty": "RSA", "kid": "r", "n": N, "e": "AQAB"}), more)
}

fn merged(mut key: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

#[test]
fn of_a_set_the_keys_for_the_algorithm_are_taken() {
    let set = json!({"keys": [
        rsa(&json!({"alg": "RS256", "use": "sig", "x5c": ["..."]})),
        {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "e", "key_ops": ["verify"]},
        {"kty": "OKP", "crv": "Ed25519", "x": ED},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "o"},
        {"kty": "future", "kid": "f"}, {"kid": "no kty"}, 7, null,
    ]});
    assert_eq!(ids(&set, Algorithm::RS256).unwrap(), ["r"]);
    assert_eq!(ids(&set, Algorithm::ES256).unwrap(), ["e"]);
    assert_eq!(ids(&set, Algorithm::EdDSA).unwrap(), ["main"], "without a kid it is called as its source");
    assert!(
        matches!(ids(&set, Algorithm::HS256), Err(JwksError::None { others: 8, .. })),
        "a published secret is none"
    );
}

#[test]
fn a_key_for_something_else_or_a_bad_one_is_left_out() {
    let point = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y});
    let off_curve = json!({"y": X});
    let other_curve = json!({"crv": "P-384"});
    for (key, algorithm) in [
        (rsa(&json!({"alg": "RS512"})), Algorithm::RS256),
        (rsa(&json!({"alg": "HS256"})), Algorithm::RS256),
        (rsa(&json!({"use": "enc"})), Algorithm::RS256),
        (rsa(&json!({"key_ops": ["encrypt"]})), Algorithm::RS256),
        (rsa(&json!({"kid": ""})), Algorithm::RS256),
        (rsa(&json!({"kid": "x".repeat(257)})), Algorithm::RS256),
        (rsa(&json!({"kid": 7})), Algorithm::RS256),
        (rsa(&json!({"n": &N[..170]})), Algorithm::RS256),
        (rsa(&json!({"n": format!("{}{}", "A".repeat(172), &N[172..])})), Algorithm::RS256),
        (rsa(&json!({"n": "not base64!"})), Algorithm::RS256),
        (rsa(&json!({"n": null})), Algorithm::RS256),
        (rsa(&json!({"e": "AA"})), Algorithm::RS256),
        (rsa(&json!({"e": "AQ"})), Algorithm::RS256),
        (rsa(&json!({"e": "AQAA"})), Algorithm::RS256),
        (rsa(&json!({"kty": "EC"})), Algorithm::RS256),
        (merged(point.clone(), &off_curve), Algorithm::ES256),
        (merged(point.clone(), &other_curve), Algorithm::ES256),
        (merged(point, &json!({"x": &X[..20]})), Algorithm::ES256),
        (json!({"kty": "OKP", "crv": "X25519", "x": ED}), Algorithm::EdDSA),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": &ED[..40]}), Algorithm::EdDSA),
    ] {
        let refused = ids(&json!({"keys": [key]}), algorithm);
        assert!(matches!(refused, Err(JwksError::None { others: 1, .. })), "{key}: {refused:?}");
    }
}

#[test]
fn what_is_no_set_or_too_much_is_refused_whole() {
    let many = json!({"keys": vec![rsa(&json!({})); 65]});
    assert_eq!(ids(&many, Algorithm::RS256), Err(JwksError::Many(65)));
    let twice = json!({"keys": [rsa(&json!({})), rsa(&json!({}))]});
    assert_eq!(ids(&twice, Algorithm::RS256).unwrap(), ["r"], "one name, one key");
    for bad in ["", "{}", "[]", "null", r#"{"keys": {}}"#, "<html>"] {
        assert!(matches!(read(bad.as_bytes(), &source(Algorithm::RS256)), Err(JwksError::Form(_))), "{bad}");
    }
    let large = vec![b' '; SET_MAX + 1];
    assert!(matches!(read(&large, &source(Algorithm::RS256)), Err(JwksError::Large(_))));
}

#[test]
fn a_token_of_an_rfc_is_verified_by_the_key_of_that_rfc() {
    // RFC 8037 §A.4: signed with that key; its payload is no JSON, which is what refuses it, after its signature.
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": ED}]});
    let keys = read(set.to_string().as_bytes(), &source(Algorithm::EdDSA)).unwrap();
    let keys = JwtKeys::default().with_fetched(keys);
    let good = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(matches!(keys.verify(good, NOW), Err(crate::auth::jwt::JwtError::Claims(_))));
    let bad = good.replace("RXhh", "SXhh");
    assert_eq!(keys.verify(&bad, NOW).unwrap_err(), crate::auth::jwt::JwtError::Signature);
}
