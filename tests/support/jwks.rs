//! An identity provider, as far as it publishes keys.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

const EC_X: &str = "uL9oRZTrE_Qr61BZWzglKGnK3btsZOsXMLoDxRxUMks";
const EC_Y: &str = "QwyfRhiDhW-yXCBvBE7RNyQjJot7sEpIWJqvSD6zLAk";
const ED_X: &str = "1qykg6mIHvfVvJg46BFl5IzFia0GjtiO2spPu8ljdMc";

/// Answers every request with one set, for as long as the test runs.
#[derive(Debug)]
pub struct Jwks {
    address: SocketAddr,
    set: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Jwks {
    pub fn start(set: &Value) -> Jwks {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (set, asked) = (Arc::new(Mutex::new(Some(set.to_string()))), Arc::new(AtomicUsize::new(0)));
        let (answers, counts) = (set.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counts.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let set = answers.lock().expect("no panic holds it").clone();
                let (status, body) = set.map_or(("503 Down", String::new()), |set| ("200 OK", set));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes());
            }
        });
        Jwks { address, set, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub fn publish(&self, set: &Value) {
        *self.set.lock().expect("no panic holds it") = Some(set.to_string());
    }

    /// From now on it answers 503.
    pub fn fail(&self) {
        *self.set.lock().expect("no panic holds it") = None;
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The public key of `src/auth/test_keys/ec.key.pem`.
pub fn ec(kid: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y, "kid": kid, "use": "sig", "alg": "ES256"})
}

/// The public key of `src/auth/test_keys/ed.key.pem`.
pub fn ed(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": ED_X, "kid": kid})
}
