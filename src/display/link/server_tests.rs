//! Against a server over a real socket that answers what each test wants.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::IntoResponse,
};

use super::*;
use crate::auth::display_key::verify_ticket_request;

/// What the server was asked: method, path with query, headers, body.
type Asked = (Method, Uri, HeaderMap, Bytes);

#[derive(Clone)]
struct Fake {
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: fn(&str) -> axum::response::Response,
}

async fn serve(answer: fn(&str) -> axum::response::Response) -> (Server, Fake) {
    let fake = Fake { asked: Arc::default(), answer };
    let handle = async |State(fake): State<Fake>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let answer = (fake.answer)(uri.path());
        fake.asked.lock().unwrap().push((method, uri, headers, body));
        answer
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(handle).with_state(fake.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Server::new(url.parse().unwrap(), DisplayKey::from_seed([7; 32])), fake)
}

fn good(path: &str) -> axum::response::Response {
    match path {
        "/v1/nonce" => Json(json!({ "nonce": "n1" })).into_response(),
        "/v1/tickets" => Json(json!({ "ticket": "wstoken0123" })).into_response(),
        "/v1/enroll" => Json(json!({ "display": "lobby" })).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

fn lobby() -> DisplayId {
    "lobby".parse().unwrap()
}

#[tokio::test]
async fn a_ticket_is_asked_for_with_a_signature_over_this_origin_display_and_nonce() {
    let (server, fake) = serve(good).await;
    assert_eq!(server.ticket(&lobby()).await.map(|given| given.ticket), Ok("wstoken0123".to_owned()));
    let asked = fake.asked.lock().unwrap();
    let body: Value = serde_json::from_slice(&asked[1].3).unwrap();
    let signature = body["signature"].as_str().unwrap();
    let key = DisplayKey::from_seed([7; 32]).public_key();
    assert_eq!(verify_ticket_request(&key, &server.origin, &lobby(), "n1", signature), Ok(()));
    assert_eq!((&body["display"], &body["nonce"]), (&json!("lobby"), &json!("n1")));
}

#[tokio::test]
async fn the_ticket_travels_in_a_header_and_never_in_the_url() {
    let (server, fake) = serve(good).await;
    assert!(matches!(server.open(&lobby()).await, Err(LinkError::Protocol(_))), "204 opens nothing");
    let asked = fake.asked.lock().unwrap();
    let (_, uri, headers, _) = asked.last().unwrap();
    assert_eq!((uri.path(), uri.query()), ("/v1/ws", None));
    assert_eq!(headers["authorization"], "Bearer wstoken0123");
    assert_eq!(headers["sec-websocket-protocol"], "cloudevents.json");
}

#[tokio::test]
async fn a_result_is_put_under_its_event_whatever_the_events_id_holds() {
    let (server, fake) = serve(good).await;
    let path = server.put_result(&lobby(), "a/b ?c%", "image/png", vec![1, 2, 3]).await.unwrap();
    assert_eq!(path, "/v1/displays/lobby/results/a%2Fb%20%3Fc%25");
    let asked = fake.asked.lock().unwrap();
    let (method, uri, headers, body) = asked.last().unwrap();
    assert_eq!((method, uri.path(), &body[..]), (&Method::PUT, path.as_str(), &[1u8, 2, 3][..]));
    assert_eq!(headers["content-type"], "image/png");
}

#[tokio::test]
async fn each_kind_of_no_is_told_apart() {
    let refuse = |_: &str| (StatusCode::UNAUTHORIZED, Json(json!({ "title": "Unauthorized" }))).into_response();
    let (server, _) = serve(refuse).await;
    assert_eq!(
        server.ticket(&lobby()).await.map(|given| given.ticket),
        Err(LinkError::Refused("Unauthorized (401)".into()))
    );
    assert!(matches!(server.enroll("code", None).await, Err(LinkError::Refused(_))));

    let busy = |_: &str| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "later").into_response();
    let (server, _) = serve(busy).await;
    let seven = Some(Duration::from_secs(7));
    assert_eq!(server.ticket(&lobby()).await.map(|given| given.ticket), Err(LinkError::Busy { retry_after: seven }));

    let broken = |_: &str| StatusCode::BAD_GATEWAY.into_response();
    let (server, _) = serve(broken).await;
    assert!(matches!(server.ticket(&lobby()).await, Err(LinkError::Unreachable(_))));

    let strange = |_: &str| "<html>a hotel's sign-in page</html>".into_response();
    let (server, _) = serve(strange).await;
    assert!(matches!(server.ticket(&lobby()).await, Err(LinkError::Protocol(_))));

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::new(format!("http://{closed}").parse().unwrap(), DisplayKey::from_seed([7; 32]));
    assert!(matches!(server.ticket(&lobby()).await, Err(LinkError::Unreachable(_))));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_ticket() {
    let elsewhere = |path: &str| match path {
        "/v1/ws" => (StatusCode::TEMPORARY_REDIRECT, [("location", "/v1/elsewhere")]).into_response(),
        path => good(path),
    };
    let (server, fake) = serve(elsewhere).await;
    assert!(server.open(&lobby()).await.is_err());
    assert!(fake.asked.lock().unwrap().iter().all(|(_, uri, _, _)| uri.path() != "/v1/elsewhere"));
}

#[tokio::test]
async fn enrolling_sends_the_public_key_and_no_other() {
    let (server, fake) = serve(good).await;
    assert_eq!(server.enroll("ABCD", Some(&lobby())).await, Ok(lobby()));
    let asked = fake.asked.lock().unwrap();
    let body: Value = serde_json::from_slice(&asked[0].3).unwrap();
    let key = DisplayKey::from_seed([7; 32]);
    assert_eq!(body, json!({ "code": "ABCD", "public_key": key.public_text(), "display": "lobby" }));
    assert!(!body.to_string().contains(&key.secret_text()));
}
