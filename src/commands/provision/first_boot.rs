//! `--first-boot`: what could not be done on the card, and a result that any PC can read on its FAT partition.

use std::path::Path;

use serde::Serialize;

use super::bring::Teller;
use super::{Args, ProvisionError, bring, target, target::Target};
use crate::commands::cli::Json;
use crate::commands::{Exit, Failure, output};
use crate::io::system::Owner;
use crate::provision::{apply, item::Desired, observe::observe, plan::Plan, report::Summary};

/// Where the Pi's FAT partition is, since Debian bookworm and before.
const FAT: [&str; 2] = ["/boot/firmware", "/boot"];

#[derive(Serialize)]
struct Told<'a> {
    ok: bool,
    did: Summary,
    error: Option<&'a str>,
    pikiosk: &'static str,
}

pub(super) fn run() -> Result<Exit, Failure> {
    let mut target = target::this_pi(false)?;
    let observed = observe(target.observe(), &Desired::default(), None);
    let observed = observed.map_err(|source| target.failed(ProvisionError::Observe { source }))?;
    let Some(left) = observed.first_boot else {
        output::line("this Pi: nothing was left for the first boot")?;
        return Ok(Exit::Done);
    };
    let did = Summary::of(&left);
    let result = finish(&mut target, left);
    leave_result(&mut target, &did, result.as_ref().err());
    result
}

fn finish(target: &mut Target, left: Plan) -> Result<Exit, Failure> {
    let mut progress = Teller::default();
    apply::install(&mut *target.system, &left, &mut |it| progress.tell(it))
        .map_err(|source| target.failed(source.into()))?;
    // Packages bring accounts and files: what was laid down on the card may not fit any more. What is planned now also
    // has the commands that were left, and drops the plan once they were run.
    let args = Args {
        root: None,
        #[cfg(feature = "tools")]
        image: None,
        #[cfg(feature = "tools")]
        host: None,
        config: None,
        binary: None,
        check: false,
        undo: false,
        packages: false,
        repair: false,
        first_boot: true,
        yes: true,
        json: Json { json: false },
    };
    let settings = target.settings(&args)?;
    bring::bring(target, &settings, &args)
}

/// The result is for people with the card in a PC; that it cannot be written must not undo anything.
fn leave_result(target: &mut Target, did: &Summary, failure: Option<&Failure>) {
    let fat = FAT.into_iter().find(|path| matches!(target.system.stat(Path::new(path)), Ok(Some(_))));
    let Some(fat) = fat else { return };
    let error = failure.map(Failure::rendered);
    let text = match &error {
        None => format!("This display finished its first start: {}.\n", did.words()),
        Some(error) => format!(
            "This display could not finish its first start ({}).\n\n{error}\n\nIt tries again by itself.\n",
            did.words()
        ),
    };
    let result = Told { ok: error.is_none(), did: *did, error: error.as_deref(), pikiosk: env!("CARGO_PKG_VERSION") };
    let json = serde_json::to_string_pretty(&result).unwrap_or_default();
    for (name, content) in [("pikiosk-result.txt", text.replace('\n', "\r\n")), ("pikiosk-result.json", json)] {
        let path = Path::new(fat).join(name);
        if let Err(error) = target.system.write(&path, content.as_bytes(), 0o644, Owner::ROOT) {
            output::remark(&format!("note: {} was not written: {error}", path.display()));
        }
    }
}
