//! The tour: which pushes, what each must bring, and what its picture must look like.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::DemoError;
use super::show::Show;
use super::stage::{DISPLAY, Stage};
use crate::commands::client::{Client, DisplayReceipt};
use crate::commands::failure::{Exit, Failure};
use crate::commands::push::result::Sent;
use crate::event::receipt::Status;
use crate::event::{Address, Event};

/// How long each step stays where a person looks on.
pub(super) const PACE: Duration = Duration::from_millis(1800);
/// A display on a busy machine gets this long for its receipt.
const WAIT: Duration = Duration::from_secs(30);
/// The hash of the frame follows its receipt within 1 s (the contract); a busy machine gets more.
const FRAME: Duration = Duration::from_secs(5);

/// One push.
#[derive(Debug)]
struct Step {
    command: &'static str,
    data: Value,
    /// What a person sees of it.
    words: &'static str,
    must: Status,
    looks: Looks,
    /// What it lays over the glass goes by itself after this long, and would lie over the next step.
    rest: Duration,
}

/// What the picture after a step must be, beside the pictures before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// Another than the one before.
    New,
    /// To the last pixel the one after this many steps before.
    AsBefore(usize),
    /// The step changes nothing on the glass, or what it changes is its own affair.
    Any,
}

/// What a step brought.
#[derive(Debug)]
pub(super) struct Told {
    pub number: usize,
    pub command: &'static str,
    pub words: String,
    pub status: &'static str,
    pub took_ms: Option<u64>,
    pub frame: Option<String>,
    pub trouble: Option<String>,
}

/// The tour as it went.
#[derive(Debug)]
pub(super) struct Taken {
    pub all: usize,
    pub bad: usize,
}

impl Taken {
    pub fn verdict(&self) -> Result<Exit, Failure> {
        match self.bad {
            0 => Ok(Exit::Done),
            bad => Err(DemoError::Tour { bad, all: self.all }.into()),
        }
    }
}

fn steps(page: impl Fn(&str) -> String) -> Vec<Step> {
    use Looks::{Any, AsBefore, New};
    use Status::{Done, Shown};
    let step = |command, data, words, must, looks| Step { command, data, words, must, looks, rest: Duration::ZERO };
    let message = |text: &str, level: &str, position: &str| json!({"text": text, "level": level, "position": position, "seconds": 600});
    vec![
        step("navigate", json!({"url": page("menu")}), "the menu of a café", Shown, New),
        step("message", message("Fish soup is ready", "success", "bottom"), "over it: Fish soup is ready", Shown, New),
        step("clear_message", json!({}), "and away, to the last pixel", Shown, AsBefore(2)),
        step("navigate", json!({"url": page("departures")}), "a page that forbids all but itself", Shown, New),
        step(
            "message",
            message("Ferry to the seal banks: 20 minutes late", "alert", "center"),
            "over it, all the same",
            Shown,
            New,
        ),
        step("clear_message", json!({}), "and away, to the last pixel", Shown, AsBefore(2)),
        step("zoom", json!({"percent": 150}), "half as large again", Shown, New),
        step("zoom", json!({"percent": 100}), "and back", Shown, AsBefore(2)),
        Step {
            rest: Duration::from_millis(1200),
            ..step("identify", json!({"seconds": 1}), "which of all the displays is it?", Shown, New)
        },
        step("navigate", json!({"url": page("orders")}), "a page that listens", Shown, New),
        step(
            "event",
            json!({"name": "order-ready", "data": {"number": 41}}),
            "order 41, as a DOM event for it",
            Done,
            New,
        ),
        step("event", json!({"name": "order-ready", "data": {"number": 42}}), "order 42", Done, New),
        step(
            "playlist",
            json!({"items": [{"image": page("lighthouse.svg"), "seconds": 3600}, {"url": page("menu"), "seconds": 30}]}),
            "a picture, then a page, in turn",
            Shown,
            New,
        ),
        step("navigate", json!({"url": page("visits")}), "a page that counts its visits", Shown, New),
        step("reload", json!({"ignore_cache": true}), "once more", Shown, New),
        step("screenshot", json!({"width": 320}), "a picture of the glass", Done, AsBefore(1)),
        step("health", json!({}), "", Done, Any),
        step("navigate", json!({"url": page("menu")}), "home again", Shown, New),
    ]
}

/// Takes the tour. With a folder, a picture of each step goes there, taken by the `screenshot` command.
pub(super) async fn take(
    stage: &mut Stage,
    folder: Option<&Path>,
    pace: Duration,
    show: &Show,
) -> Result<Taken, Failure> {
    let steps = steps(|page| stage.site.url(page));
    show.tour_begins(steps.len())?;
    let mut taken = Taken { all: steps.len(), bad: 0 };
    let mut pictures: Vec<Vec<u8>> = Vec::new();
    let mut receipts = folder.map(Receipts::open).transpose()?;
    for (step, number) in steps.iter().zip(1..) {
        show.step_begins(number, &format!("{:<13} {}", step.command, step.words));
        let receipt = push(&stage.client, step.command, &step.data, step.must).await?;
        let mut told = told(step, number, receipt.as_ref());
        let mut picture = None;
        if let Some(folder) = folder {
            let bytes = screenshot(&stage.client).await?;
            let path = folder.join(format!("{number:02}-{}.png", step.command));
            fs::write(&path, &bytes).map_err(|source| DemoError::Folder { path: path.clone(), source })?;
            told.trouble = told.trouble.or_else(|| wrong_looks(step.looks, &bytes, &pictures).map(str::to_owned));
            pictures.push(bytes);
            picture = path.file_name().map(|name| name.to_string_lossy().into_owned());
        }
        if let Some(receipts) = &mut receipts {
            receipts.add(step, number, receipt.as_ref(), picture.as_deref(), told.trouble.as_deref())?;
        }
        taken.bad += usize::from(told.trouble.is_some());
        show.step(&told)?;
        tokio::time::sleep(pace.max(step.rest)).await;
    }
    if let Some(folder) = folder {
        let path = folder.join("final.png");
        let bytes = screenshot(&stage.client).await?;
        fs::write(&path, bytes).map_err(|source| DemoError::Folder { path, source })?;
    }
    Ok(taken)
}

fn told(step: &Step, number: usize, receipt: Option<&DisplayReceipt>) -> Told {
    let receipt = receipt.map(|of| &of.receipt);
    let trouble = match receipt {
        None => Some(format!("no receipt within {} s", WAIT.as_secs())),
        Some(receipt) if receipt.status != step.must => {
            let why = receipt.error.as_deref().unwrap_or("without a word why");
            Some(format!("should be {}: {why}", step.must.as_str()))
        }
        Some(receipt) if step.must == Status::Shown && receipt.frame_sha256.is_none() => {
            Some("the hash of its frame did not follow".to_owned())
        }
        Some(_) => None,
    };
    let facts = receipt.and_then(|receipt| receipt.result.as_ref()).filter(|_| step.command == "health");
    Told {
        number,
        command: step.command,
        words: facts.map_or_else(|| step.words.to_owned(), health),
        status: receipt.map_or("none", |receipt| receipt.status.as_str()),
        took_ms: receipt.map(|receipt| receipt.took_ms),
        frame: receipt.and_then(|receipt| receipt.frame_sha256.clone()),
        trouble,
    }
}

/// A health in one line.
fn health(facts: &Value) -> String {
    let firefox = facts["firefox"].as_str().unwrap_or("none");
    let free = facts["memory_available_kb"].as_u64().unwrap_or_default() / 1024;
    format!("Firefox {firefox}, {free} MiB free")
}

fn wrong_looks(looks: Looks, picture: &[u8], before: &[Vec<u8>]) -> Option<&'static str> {
    let earlier = |steps: usize| before.len().checked_sub(steps).and_then(|at| before.get(at));
    match looks {
        Looks::New if earlier(1).is_some_and(|before| before == picture) => Some("the glass looks as it did before"),
        Looks::AsBefore(steps) if earlier(steps).is_some_and(|before| before != picture) => {
            Some("the glass does not look as it did before")
        }
        _ => None,
    }
}

/// Publishes, and waits for the display's receipt, and with `shown` for the hash of its frame.
async fn push(client: &Client, command: &str, data: &Value, must: Status) -> Result<Option<DisplayReceipt>, DemoError> {
    let refused = |source| DemoError::Server { source };
    let id = format!("tour-{:016x}", fastrand::u64(..));
    let display = DISPLAY.parse().map(Address::Display).unwrap_or(Address::All);
    let event = Event::new(id, "urn:pikiosk:demo", format!("kiosk.{command}")).to(display).with_data(data);
    let mut outcome = client.publish_and_wait(&event, WAIT).await.map_err(refused)?;
    let end = Instant::now() + FRAME;
    let lacks =
        |of: &DisplayReceipt| must == Status::Shown && of.receipt.status == must && of.receipt.frame_sha256.is_none();
    while outcome.receipts.iter().any(lacks) && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(40)).await;
        outcome = client.outcome(&event.id).await.map_err(refused)?;
    }
    Ok(outcome.receipts.into_iter().next())
}

async fn screenshot(client: &Client) -> Result<Vec<u8>, DemoError> {
    let receipt = push(client, "screenshot", &json!({}), Status::Done).await?;
    let Some(of) = receipt else { return Ok(Vec::new()) };
    let content = Sent::read(of.receipt.result.as_ref()).content(client, &of.display, &of.receipt.event).await;
    content.map(Option::unwrap_or_default).map_err(|source| DemoError::Server { source })
}

/// `receipts.jsonl`: a line for each step, for other programs.
struct Receipts {
    path: PathBuf,
    file: fs::File,
}

impl Receipts {
    fn open(folder: &Path) -> Result<Self, DemoError> {
        let path = folder.join("receipts.jsonl");
        match fs::File::create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(DemoError::Folder { path, source }),
        }
    }

    fn add(
        &mut self,
        step: &Step,
        number: usize,
        receipt: Option<&DisplayReceipt>,
        picture: Option<&str>,
        trouble: Option<&str>,
    ) -> Result<(), DemoError> {
        let line = json!({
            "step": number, "command": step.command, "data": step.data, "expected": step.must, "ok": trouble.is_none(),
            "trouble": trouble, "picture": picture, "receipt": receipt,
        });
        let path = self.path.clone();
        writeln!(self.file, "{line}").map_err(|source| DemoError::Folder { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::command::{self, Meaning, REGISTRY};

    #[test]
    fn every_step_is_a_command_that_works_and_the_tour_shows_nearly_all_of_them() {
        let steps = steps(|page| format!("http://127.0.0.1:8000/{page}"));
        for step in &steps {
            let event = Event::new("1", "s", format!("kiosk.{}", step.command)).with_data(&step.data);
            assert!(matches!(command::meaning(&event), Ok(Meaning::Command(..))), "{step:?}");
            assert!(step.words.chars().count() <= 36, "the line is too long: {}", step.words);
        }
        let left_out: Vec<_> = REGISTRY
            .iter()
            .map(|spec| spec.name)
            .filter(|name| steps.iter().all(|step| step.command != *name))
            .collect();
        let of_the_hardware = ["power", "schedule", "rotate", "brightness", "volume", "sound", "say"];
        let of_the_machine =
            ["clear_data", "restart_browser", "restart", "reboot", "shutdown", "configure", "logs", "drill"];
        assert_eq!(left_out, [&of_the_hardware[..], &of_the_machine[..]].concat(), "they show nothing, or end things");
    }

    #[test]
    fn a_picture_that_does_not_change_or_does_not_come_back_is_seen() {
        let before = [vec![1], vec![2]];
        assert!(wrong_looks(Looks::New, &[2], &before).is_some());
        assert!(wrong_looks(Looks::New, &[3], &before).is_none());
        assert!(wrong_looks(Looks::AsBefore(2), &[1], &before).is_none());
        assert!(wrong_looks(Looks::AsBefore(2), &[2], &before).is_some());
        assert!(wrong_looks(Looks::Any, &[2], &before).is_none());
    }
}
