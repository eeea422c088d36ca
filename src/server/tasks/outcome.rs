//! What became of a call, as a back end tells it and as the caller is told. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::event::frame::{CallResult, FRAME_MAX};

/// The largest result, in bytes of its JSON: with what is around it, it fits one frame. Results of a back end that are
/// larger than this with all they say are not even read.
pub const RESULT_MAX: usize = FRAME_MAX - 1024;
/// The largest entry of a back end that is read: besides the result, it may hold a traceback.
pub const ENTRY_MAX: usize = 4 * RESULT_MAX;

/// How a call ended. The first three are Celery's, and are told in its words.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Success(Value),
    /// `{exc_type, exc_message, exc_module}`; the traceback stays at home.
    Failure(Value),
    /// Taken back before it began, or too late to begin.
    Revoked(Value),
    /// The caller may not call this task, or too much is open.
    Refused(Option<String>),
    /// No result in time: whether the task is still at it is not known.
    Timeout,
    /// The task could not be handed over, or the broker lost what it had: whether a worker got it is not known.
    Unavailable(String),
    /// It ended, with more than fits one frame.
    TooLarge(usize),
}

impl Outcome {
    /// The answer to the event that called.
    pub fn answer(self, call: String) -> CallResult {
        let (state, result) = match self {
            Outcome::Success(result) => ("SUCCESS", result),
            Outcome::Failure(result) => ("FAILURE", result),
            Outcome::Revoked(result) => ("REVOKED", result),
            Outcome::Refused(why) => ("refused", why.map_or(Value::Null, Value::from)),
            Outcome::Timeout => ("timeout", Value::Null),
            Outcome::Unavailable(why) => ("unavailable", why.into()),
            Outcome::TooLarge(bytes) => ("too_large", json!({"bytes": bytes, "limit": RESULT_MAX})),
        };
        CallResult { call, state: state.to_owned(), result }
    }
}

#[derive(Deserialize)]
struct Entry {
    status: String,
    #[serde(default)]
    result: Value,
}

/// Reads what a back end keeps of a task, or sends. None while the task is at it, and for what is no such entry.
pub fn read(bytes: &[u8]) -> Option<Outcome> {
    if bytes.len() > ENTRY_MAX {
        return Some(Outcome::TooLarge(bytes.len()));
    }
    let entry: Entry = serde_json::from_slice(bytes).ok()?;
    let made: fn(Value) -> Outcome = match entry.status.as_str() {
        "SUCCESS" => Outcome::Success,
        "FAILURE" => Outcome::Failure,
        "REVOKED" => Outcome::Revoked,
        _ => return None,
    };
    let length = entry.result.to_string().len();
    Some(if length > RESULT_MAX { Outcome::TooLarge(length) } else { made(entry.result) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(entry: &Value) -> Option<(String, Value)> {
        read(entry.to_string().as_bytes()).map(|outcome| {
            let answer = outcome.answer("c1".into());
            assert_eq!(answer.call, "c1");
            (answer.state, answer.result)
        })
    }

    #[test]
    fn the_end_of_a_task_is_told_in_celerys_words_without_its_traceback() {
        let failed = json!({"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"});
        for (status, result) in
            [("SUCCESS", json!([1, null])), ("FAILURE", failed), ("REVOKED", json!({"exc_type": "x"}))]
        {
            let entry = json!({"status": status, "result": result, "traceback": "File /srv/secret.py", "task_id": "t"});
            assert_eq!(told(&entry), Some((status.to_owned(), result)));
        }
        for status in ["PENDING", "STARTED", "RETRY", "PROGRESS"] {
            assert_eq!(told(&json!({"status": status, "result": null})), None, "{status} is no end");
        }
        assert_eq!(read(b"\x80\x04pickle"), None);
    }

    #[test]
    fn what_does_not_fit_a_frame_is_said_to_be_too_large() {
        let large = json!({"status": "SUCCESS", "result": "x".repeat(RESULT_MAX)});
        let (state, result) = told(&large).unwrap();
        assert_eq!((state.as_str(), &result["limit"]), ("too_large", &json!(RESULT_MAX)));
        assert!(matches!(read(&vec![b' '; ENTRY_MAX + 1]), Some(Outcome::TooLarge(_))));
        let fits = json!({"status": "SUCCESS", "result": "x".repeat(RESULT_MAX - 2)});
        assert_eq!(told(&fits).unwrap().0, "SUCCESS");
    }
}
