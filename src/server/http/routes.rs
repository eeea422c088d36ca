//! THE table of what can be asked: the router and `/openapi.json` are both made of it, so neither can know a request
//! that the other does not.

use std::sync::Arc;

use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    answers::{
        Answered, AuditAnswer, CodesAnswer, DisplayAnswer, EnrolledAnswer, KeyAnswer, NewKeyAnswer, NonceAnswer,
        Outcome, Placed, PresenceAnswer, RevocationAnswer, StatusAnswer, TicketAnswer,
    },
    audit, displays, enroll, events, keys, openapi, rename, revocations, status,
};
use crate::server::{App, socket};

/// One request.
pub struct Route {
    pub method: Verb,
    pub path: &'static str,
    pub who: Who,
    pub summary: &'static str,
    /// Names of the query and what they mean.
    pub query: &'static [(&'static str, &'static str)],
    pub body: Content,
    /// The good answers; every other one is a problem.
    pub answers: &'static [(u16, Content)],
    pub handler: fn(MethodFilter) -> MethodRouter<Arc<App>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    fn filter(self) -> MethodFilter {
        match self {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Put => MethodFilter::PUT,
            Verb::Patch => MethodFilter::PATCH,
            Verb::Delete => MethodFilter::DELETE,
        }
    }

    /// As OpenAPI writes it.
    pub fn lower(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Anybody,
    /// With a key, a token or a ticket; the summary says which.
    Bearer,
}

/// What a body or an answer holds.
#[derive(Clone, Copy)]
pub enum Content {
    Nothing,
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// One CloudEvent, or a batch of them.
    Events,
    /// Bytes with a media type of their own.
    Bytes,
    Text,
}

const fn json<T: JsonSchema>() -> Content {
    Content::Json(SchemaGenerator::subschema_for::<T>)
}

/// What most requests are: nothing in the query, no body.
const GET: Route = Route {
    method: Verb::Get,
    path: "",
    who: Who::Bearer,
    summary: "",
    query: &[],
    body: Content::Nothing,
    answers: &[],
    handler: |_| MethodRouter::new(),
};

pub const ROUTES: &[Route] = &[
    Route {
        method: Verb::Post,
        path: "/v1/events",
        summary: "Publishes an event, or all or none of a batch of them: for an operator, or a JWT within its `pub` and \
                  `cmd`. With `wait`, the answer has the receipts so far. A batch is answered by an array, in order.",
        query: &[("wait", "10s, 500ms or 2m: at most 2 minutes")],
        body: Content::Events,
        answers: &[(202, json::<Answered<Placed>>()), (200, json::<Answered<Outcome>>())],
        handler: |this| on(this, events::post),
        ..GET
    },
    Route {
        path: "/v1/events/{id}",
        summary: "An event with its receipts so far.",
        query: &[("source", "else the newest of that id")],
        answers: &[(200, json::<Outcome>())],
        handler: |this| on(this, events::get),
        ..GET
    },
    Route {
        path: "/v1/displays",
        summary: "Every enrolled display, by id.",
        answers: &[(200, json::<Vec<DisplayAnswer>>())],
        handler: |this| on(this, displays::list),
        ..GET
    },
    Route {
        path: "/v1/displays/{id}",
        summary: "One display.",
        answers: &[(200, json::<DisplayAnswer>())],
        handler: |this| on(this, displays::get),
        ..GET
    },
    Route {
        method: Verb::Patch,
        path: "/v1/displays/{id}",
        summary: "Changes its label, or its whole set of groups; or says that it was not copied after all.",
        body: json::<displays::Patch>(),
        answers: &[(200, json::<DisplayAnswer>())],
        handler: |this| on(this, displays::patch),
        ..GET
    },
    Route {
        method: Verb::Delete,
        path: "/v1/displays/{id}",
        summary: "Forgets a display; its socket is closed with 4502.",
        answers: &[(204, Content::Nothing)],
        handler: |this| on(this, displays::delete),
        ..GET
    },
    Route {
        method: Verb::Post,
        path: "/v1/displays/{id}/rename",
        summary: "Gives a display another id: it keeps its key, label, groups and state, and is told. What waits for the \
                  old id ends as failed.",
        body: json::<rename::Wanted>(),
        answers: &[(200, json::<DisplayAnswer>())],
        handler: |this| on(this, rename::post),
        ..GET
    },
    Route {
        path: "/v1/displays/{id}/screenshot",
        summary: "The newest picture that the display has put; the header Pikiosk-Event names its command.",
        answers: &[(200, Content::Bytes)],
        handler: |this| on(this, displays::screenshot),
        ..GET
    },
    Route {
        method: Verb::Put,
        path: "/v1/displays/{id}/results/{event}",
        summary: "By the display itself, with a fresh ticket or its JWT: a result of at most 8 MiB.",
        body: Content::Bytes,
        answers: &[(204, Content::Nothing)],
        handler: |this| on(this, displays::put_result),
        ..GET
    },
    Route {
        path: "/v1/displays/{id}/results/{event}",
        summary: "A result that the display has put.",
        answers: &[(200, Content::Bytes)],
        handler: |this| on(this, displays::get_result),
        ..GET
    },
    Route {
        method: Verb::Post,
        path: "/v1/enrollments",
        summary: "Makes a one-time code for a new display, or `count` of them.",
        body: json::<enroll::Offer>(),
        answers: &[(201, json::<CodesAnswer>())],
        handler: |this| on(this, enroll::offer),
        ..GET
    },
    Route {
        method: Verb::Post,
        path: "/v1/enroll",
        who: Who::Anybody,
        summary: "A new display redeems its code for its own key.",
        body: json::<enroll::Enroll>(),
        answers: &[(200, json::<EnrolledAnswer>())],
        handler: |this| on(this, enroll::enroll),
        ..GET
    },
    Route {
        path: "/v1/nonce",
        who: Who::Anybody,
        summary: "For one ticket request of a display, within 60 s.",
        answers: &[(200, json::<NonceAnswer>())],
        handler: |this| on(this, enroll::nonce),
        ..GET
    },
    Route {
        method: Verb::Post,
        path: "/v1/tickets",
        summary: "A ticket that opens one WebSocket within 20 s: for a user, by an operator; or for a display, by its \
                  signature.",
        body: json::<enroll::TicketRequest>(),
        answers: &[(200, json::<TicketAnswer>())],
        handler: |this| on(this, enroll::ticket),
        ..GET
    },
    Route {
        method: Verb::Post,
        path: "/v1/keys",
        summary: "Makes an operator's key: for everything, or for some addresses and commands. Its text is told once.",
        body: json::<keys::Wanted>(),
        answers: &[(201, json::<NewKeyAnswer>())],
        handler: |this| on(this, keys::create),
        ..GET
    },
    Route {
        path: "/v1/keys",
        summary: "Every operator's key, without its text.",
        answers: &[(200, json::<Vec<KeyAnswer>>())],
        handler: |this| on(this, keys::list),
        ..GET
    },
    Route {
        method: Verb::Delete,
        path: "/v1/keys/{id}",
        summary: "Revokes an operator's key; the last one for everything stays.",
        answers: &[(204, Content::Nothing)],
        handler: |this| on(this, keys::delete),
        ..GET
    },
    Route {
        method: Verb::Post,
        path: "/v1/revocations",
        summary: "Revokes what a user was given until now, one token by its jti, or a display: live sockets end with \
                  4501, on every node.",
        body: json::<revocations::Wanted>(),
        answers: &[(201, json::<RevocationAnswer>())],
        handler: |this| on(this, revocations::create),
        ..GET
    },
    Route {
        path: "/v1/revocations",
        summary: "The revocations that stand.",
        answers: &[(200, json::<Vec<RevocationAnswer>>())],
        handler: |this| on(this, revocations::list),
        ..GET
    },
    Route {
        method: Verb::Delete,
        path: "/v1/revocations/{id}",
        summary: "Lifts a revocation.",
        answers: &[(204, Content::Nothing)],
        handler: |this| on(this, revocations::delete),
        ..GET
    },
    Route {
        path: "/v1/audit",
        summary: "Who did what, the oldest first. Publishing is not in it.",
        query: &[
            ("after", "the id of the last entry that is known"),
            ("limit", "at most so many entries: 1 to 1000, else 200"),
        ],
        answers: &[(200, json::<Vec<AuditAnswer>>())],
        handler: |this| on(this, audit::list),
        ..GET
    },
    Route {
        path: "/v1/presence",
        summary: "Who is connected, to any node.",
        answers: &[(200, json::<PresenceAnswer>())],
        handler: |this| on(this, status::presence),
        ..GET
    },
    Route {
        path: "/v1/ws",
        summary: "The WebSocket (subprotocol cloudevents.json): a ticket or JWT as bearer, as ws_token or token, or as \
                  subprotocol bearer.<...>.",
        query: &[("ws_token", "a ticket"), ("token", "a JWT")],
        answers: &[(101, Content::Nothing)],
        handler: |this| on(this, socket::open),
        ..GET
    },
    Route {
        path: "/wsb",
        summary: "The same as /v1/ws.",
        query: &[("ws_token", "a ticket"), ("token", "a JWT")],
        answers: &[(101, Content::Nothing)],
        handler: |this| on(this, socket::open),
        ..GET
    },
    Route {
        path: "/healthz",
        who: Who::Anybody,
        summary: "The process answers.",
        answers: &[(200, json::<StatusAnswer>())],
        handler: |this| on(this, status::alive),
        ..GET
    },
    Route {
        path: "/readyz",
        who: Who::Anybody,
        summary: "The store answers, and the server is not about to end.",
        answers: &[(200, json::<StatusAnswer>())],
        handler: |this| on(this, status::ready),
        ..GET
    },
    Route {
        path: "/metrics",
        who: Who::Anybody,
        summary: "Prometheus text.",
        answers: &[(200, Content::Text)],
        handler: |this| on(this, status::metrics),
        ..GET
    },
    Route {
        path: "/openapi.json",
        who: Who::Anybody,
        summary: "This document.",
        answers: &[(200, json::<serde_json::Value>())],
        handler: |this| on(this, openapi::get),
        ..GET
    },
];

impl Route {
    /// What answers it.
    pub fn handler(&self) -> MethodRouter<Arc<App>> {
        (self.handler)(self.method.filter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::Router;

    use super::*;

    #[test]
    fn every_line_of_the_table_is_whole_and_there_once() {
        let mut seen = BTreeSet::new();
        for route in ROUTES {
            assert!(route.path.starts_with('/') && !route.summary.is_empty(), "{}", route.path);
            assert!(!route.answers.is_empty(), "{}", route.path);
            assert!(seen.insert((route.path, route.method.lower())), "{} {}", route.method.lower(), route.path);
        }
        // axum panics on a path or method that is there twice, or a handler of another method.
        let _ =
            ROUTES.iter().fold(Router::<Arc<App>>::new(), |router, route| router.route(route.path, route.handler()));
    }
}
