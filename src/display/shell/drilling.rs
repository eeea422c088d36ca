//! The command `drill`: this very program as a process of its own, which asks for the glass as anybody else would.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{
    display::supervisor::{AskId, Input},
    event::command::Fault,
};

/// Besides the fault itself: a calm display before it, and the page that it should show after it.
const AROUND: Duration = Duration::from_secs(150);

/// How long the whole of it may take.
pub fn within(fault: Fault) -> Duration {
    fault.gives_up() + AROUND
}

/// Makes the fault and gathers what was measured.
pub async fn drill(ask: AskId, fault: Fault, runtime: PathBuf) -> Input {
    Input::Gathered { ask, result: run(fault, runtime).await }
}

async fn run(fault: Fault, runtime: PathBuf) -> Result<Value, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.args(["drill", fault.name(), "--json", "--runtime"]).arg(runtime);
    // It is no service of systemd, whatever its parent is.
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(within(fault), command.output()).await;
    let output = output.map_err(|_| "the drill did not end in time".to_owned())?;
    let output = output.map_err(|error| format!("the drill could not be started: {error}"))?;
    let told: Value = match serde_json::from_slice(&output.stdout) {
        Ok(told) => told,
        Err(_) => return Err(first_line(&output.stderr)),
    };
    judged(fault, told)
}

/// What is not right in time is no success, whatever was measured.
fn judged(fault: Fault, told: Value) -> Result<Value, String> {
    if let Some(why) = told["not_here"][0]["why"].as_str() {
        return Err(format!("{} cannot be made here: {why}", fault.name()));
    }
    let entry = &told["faults"][0];
    if entry["ok"] == true {
        return Ok(told);
    }
    let limit = fault.limit().as_secs();
    Err(match (entry["recovered_ms"].as_u64(), entry["why"].as_str()) {
        (Some(millis), _) => format!("right again only after {millis} ms, and at most {limit} s are allowed"),
        (None, Some(why)) => format!("not right again: {why}"),
        (None, None) => "not right again".to_owned(),
    })
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or("the drill said nothing").trim_start_matches("error: ");
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_says_done_only_of_a_display_that_was_right_in_time() {
        let told = |entry: Value| json!({ "faults": [entry], "not_here": [] });
        let good = told(json!({"fault": "content-killed", "recovered_ms": 210, "ok": true}));
        assert_eq!(judged(Fault::ContentKilled, good.clone()), Ok(good));
        let late = told(json!({"fault": "content-killed", "recovered_ms": 2100, "ok": false}));
        assert!(judged(Fault::ContentKilled, late).unwrap_err().contains("2100 ms"));
        let never = told(json!({"fault": "page-white", "recovered_ms": null, "ok": false, "why": "Showing a"}));
        assert_eq!(judged(Fault::PageWhite, never), Err("not right again: Showing a".into()));
        let elsewhere = json!({"faults": [], "not_here": [{"fault": "no-network", "why": "no root"}]});
        assert!(judged(Fault::NoNetwork, elsewhere).unwrap_err().contains("no root"));
    }
}
