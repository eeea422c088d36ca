//! A task as Celery's workers read it: message protocol 2, as Celery 5 sends it. Pure.
//!
//! Sources: Celery's manual, "Message Protocol, Version 2", and `celery/app/amqp.py` (`as_task_v2`); for Redis
//! `kombu/transport/virtual/base.py` (`prepare_message`).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::event::{frame::Call, time::UtcMillis};

/// What tells the task who called, besides what Celery says: `self.request.pikiosk_caller`.
const CALLER: &str = "pikiosk_caller";
/// Who sent the task, for those who look at a worker.
const ORIGIN: &str = "pikiosk";
/// The longest text of arguments in a worker's log, in characters; the arguments themselves are in the body.
const REPR_MAX: usize = 1024;

/// A task, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// A UUID: Celery's name for this call.
    pub id: String,
    pub headers: Value,
    /// JSON: arguments, named arguments, and what is embedded (nothing).
    pub body: String,
}

/// The message of a call. Workers that have not begun it within `life` of `now_ms` leave it.
pub fn task(id: String, caller: &str, call: &Call, now_ms: u64, life: Duration) -> Task {
    let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    let ends = UtcMillis(now_ms.saturating_add(life_ms)).to_string();
    let repr = |value: Value| value.to_string().chars().take(REPR_MAX).collect::<String>();
    let headers = json!({
        "lang": "py",
        "task": call.task,
        "id": id,
        "shadow": null,
        "eta": null,
        // Python reads `Z` only in its newer versions.
        "expires": ends.replace('Z', "+00:00"),
        "group": null,
        "group_index": null,
        "retries": 0,
        "timelimit": [null, null],
        "root_id": id,
        "parent_id": null,
        "argsrepr": repr(json!(call.args)),
        "kwargsrepr": repr(json!(call.kwargs)),
        "origin": ORIGIN,
        "ignore_result": false,
        "replaced_task_nesting": 0,
        "stamped_headers": null,
        "stamps": {},
        CALLER: caller,
    });
    let embedded = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
    let body = json!([call.args, call.kwargs, embedded]).to_string();
    Task { id, headers, body }
}

impl Task {
    /// The entry of a queue in Redis.
    pub fn for_redis(&self, queue: &str) -> String {
        json!({
            "body": BASE64_STANDARD.encode(&self.body),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": self.headers,
            "properties": {
                "correlation_id": self.id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": self.id,
            },
        })
        .to_string()
    }
}

/// 16 random bytes as a UUID (version 4).
pub fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        serde_json::from_value(json!({"task": "shop.add", "args": [1, "é"], "kwargs": {"x": null}})).unwrap()
    }

    #[test]
    fn a_call_is_a_message_of_protocol_2() {
        let task = task("the-id".into(), "user/anna", &call(), 1_777_896_000_000, Duration::from_secs(300));
        let says = |name: &str| task.headers[name].clone();
        assert_eq!((says("task"), says("id"), says("root_id")), ("shop.add".into(), "the-id".into(), "the-id".into()));
        assert_eq!(says("expires"), "2026-05-04T12:05:00.000+00:00");
        assert_eq!(says("timelimit"), json!([null, null]));
        assert_eq!(says("pikiosk_caller"), "user/anna");
        assert_eq!(
            serde_json::from_str::<Value>(&task.body).unwrap(),
            json!([[1, "é"], {"x": null}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])
        );
        let entry: Value = serde_json::from_str(&task.for_redis("celery")).unwrap();
        assert_eq!(entry["properties"]["delivery_info"]["routing_key"], "celery");
        let body = BASE64_STANDARD.decode(entry["body"].as_str().unwrap()).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), task.body);
    }

    #[test]
    fn an_id_has_the_form_of_a_uuid() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
