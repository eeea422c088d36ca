//! What became of the cards: told, kept as receipts and labels, and summed up in one exit code.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Args, cards::counted};
use crate::commands::{
    failure::{Exit, Failure},
    output,
};
use crate::flash::fault::CardFault;
use crate::flash::job::{CardOutcome, Mode, Options};
use crate::flash::label::Label;
use crate::flash::receipt::Receipt;
use crate::io::store;

/// How the cards are written.
pub fn options(args: &Args) -> Options {
    let by = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = by("SUDO_USER").or_else(|| by("USER")).unwrap_or_else(|| "somebody".to_owned());
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let customised = if args.mode() == Mode::VerifyOnly { customised(&args.receipts) } else { Vec::new() };
    Options { mode: args.mode(), customised, by: format!("{user}@{host}"), ..Options::default() }
}

/// Keeps the receipts, tells the end, and gives the exit code of the worst card.
pub fn tell(args: &Args, outcomes: &[CardOutcome], cancelled: bool) -> Result<Exit, Failure> {
    let mut told = Vec::new();
    for outcome in outcomes {
        let kept = match &outcome.result {
            Ok(receipt) if args.mode() != Mode::VerifyOnly => Some(keep(args, receipt)?),
            Ok(_) | Err(_) => None,
        };
        told.push(as_json(outcome, kept.as_deref()));
        if !args.json.json {
            output::line(&in_words(args, outcome, kept.as_deref()))?;
        }
    }
    if args.json.json {
        // One line, as the events before it.
        let result = json!({ "event": "result", "cards": told });
        output::line(&result.to_string())?;
    }
    let bad: Vec<&CardFault> = outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err()).collect();
    let Some(first) = bad.first() else { return Ok(Exit::Done) };
    if cancelled {
        return Err(Failure::Interrupted);
    }
    let image = bad.iter().find(|fault| matches!(fault, CardFault::Image { .. }));
    let fault = (*image.unwrap_or(first)).clone();
    Err(Failure::Cards { bad: bad.len(), of: outcomes.len(), fault: Box::new(fault) })
}

fn in_words(args: &Args, outcome: &CardOutcome, kept: Option<&Path>) -> String {
    let name = &outcome.name;
    match &outcome.result {
        Ok(receipt) => {
            let who =
                receipt.identity.as_ref().map_or_else(String::new, |identity| format!(" is {}:", identity.display));
            let what = match args.mode() {
                Mode::VerifyOnly if !outcome.differs.allowed.is_empty() => {
                    format!("as written, with {} of its own", counted(outcome.differs.allowed.len(), "place"))
                }
                Mode::VerifyOnly => "as written".to_owned(),
                Mode::Write | Mode::Again => format!(
                    "{}; {} MB written at {:.1} MB/s, read back at {:.1} MB/s",
                    outcome.holds.words(),
                    receipt.written.bytes / 1_000_000,
                    receipt.written.speed(),
                    receipt.read_back.speed(),
                ),
            };
            let record = kept.map_or_else(String::new, |path| format!("; receipt {}", path.display()));
            format!("{name}{who} {what}{record}")
        }
        Err(fault) => {
            let mut text = format!("{name}: {fault}");
            let mut cause = std::error::Error::source(fault);
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            format!("{text}\n  {}; {}", outcome.holds.words(), fault.hint())
        }
    }
}

fn as_json(outcome: &CardOutcome, kept: Option<&Path>) -> serde_json::Value {
    let error = outcome.result.as_ref().err().map(|fault| json!({ "says": fault.to_string(), "hint": fault.hint() }));
    json!({
        "card": outcome.name,
        "ok": outcome.result.is_ok(),
        "holds": outcome.holds,
        "error": error,
        "receipt_file": kept,
        "receipt": outcome.result.as_ref().ok(),
        "differs": outcome.differs,
    })
}

fn keep(args: &Args, receipt: &Receipt) -> Result<PathBuf, Failure> {
    let failed = |source| Failure::File { path: args.receipts.clone(), source };
    let path = receipt.keep(&args.receipts).map_err(failed)?;
    if args.label {
        let svg = path.with_extension("svg");
        let label = Label::of(receipt, None).svg();
        store::write_durably(&svg, label.as_bytes(), 0o644).map_err(|source| Failure::File { path: svg, source })?;
    }
    Ok(path)
}

/// The places that any receipt here says were a card's own: `--verify-only` lets them differ as they were written.
fn customised(directory: &Path) -> Vec<crate::flash::receipt::Customised> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let receipts = entries
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "json"))
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .filter_map(|bytes| serde_json::from_slice::<Receipt>(&bytes).ok());
    receipts.flat_map(|receipt| receipt.customised).collect()
}
