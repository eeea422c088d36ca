//! RFC 9457 problem details: the body of every error.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    auth::REFUSED,
    server::{
        hub::Gone,
        publishing::PublishError,
        rate::TooOften,
        store::{EnrollError, StoreError},
        tickets::MintError,
    },
};

/// An error as the client gets it. `detail` says what to do about it where something can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
    retry_after_s: Option<u64>,
    /// Place in a batch, counted from 0.
    index: Option<usize>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem { status, detail: detail.into(), retry_after_s: None, index: None }
    }

    /// The same words for every reason; the log has it.
    pub fn unauthorized() -> Self {
        Problem::new(StatusCode::UNAUTHORIZED, REFUSED)
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(index) = self.index {
            body["index"] = index.into();
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (status, retry_s) = match &error {
            StoreError::NotEnrolled(_) | StoreError::UnknownEvent(_) => (StatusCode::NOT_FOUND, None),
            StoreError::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, Some(10)),
            StoreError::Full { .. } | StoreError::DiskFull | StoreError::LowSpace | StoreError::Memory => {
                (StatusCode::INSUFFICIENT_STORAGE, Some(60))
            }
            StoreError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, None),
            StoreError::Busy
            | StoreError::Timeout
            | StoreError::Loading
            | StoreError::Io(_)
            | StoreError::Unreachable(_)
            | StoreError::Closed => (StatusCode::SERVICE_UNAVAILABLE, Some(1)),
            StoreError::Damaged(_)
            | StoreError::Locked(_)
            | StoreError::NewerSchema { .. }
            | StoreError::Forbidden(_)
            | StoreError::TooOld { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        if status.is_server_error() {
            tracing::warn!(%error, "the store did not do it");
        }
        Problem { retry_after_s: retry_s, ..Problem::new(status, error.to_string()) }
    }
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Store(error) => error.into(),
            MintError::Down(why) => {
                tracing::warn!(why, "no ticket: Redis is down");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the ticket store is down").retry_after(5)
            }
        }
    }
}

impl From<EnrollError> for Problem {
    fn from(error: EnrollError) -> Self {
        match error {
            EnrollError::Code(why) => {
                tracing::info!(why, "an enrollment code is refused");
                Problem::unauthorized()
            }
            EnrollError::Taken(_) | EnrollError::ForAnother(_) => Problem::new(StatusCode::CONFLICT, error.to_string()),
            EnrollError::Store(error) => error.into(),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let status = match &error {
            PublishError::NotAllowed { .. } => StatusCode::FORBIDDEN,
            PublishError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            PublishError::NoSubject
            | PublishError::Command(_)
            | PublishError::CommandToUser(_)
            | PublishError::ExpiryTooFar => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Problem::new(status, error.to_string())
    }
}

impl From<TooOften> for Problem {
    fn from(error: TooOften) -> Self {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).retry_after(error.retry_s)
    }
}

impl From<Gone> for Problem {
    fn from(gone: Gone) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, gone.to_string()).retry_after(5)
    }
}
