//! `pikiosk image inspect`.

use std::fmt::Write;

use super::super::failure::{Exit, Failure};
use super::super::output;
use super::{ImageFault, InspectArgs, opened};
use crate::image::inspect::{Inspection, inspect};

pub fn run(args: &InspectArgs) -> Result<Exit, Failure> {
    let failed = |source: ImageFault| Failure::Image { doing: "tell what the image is", source };
    let device = opened::open(&args.image).map_err(failed)?;
    let (inspection, _) =
        inspect(device).map_err(|source| failed(ImageFault::Inspect { path: args.image.clone(), source }))?;
    if args.json.json {
        output::json(&inspection)?;
    } else {
        output::text(&told(&inspection))?;
    }
    Ok(if inspection.boots_pi3 { Exit::Done } else { Exit::ImageRefused })
}

fn told(inspection: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    let system = &inspection.system;
    line("size", &mib(inspection.bytes));
    for part in &inspection.partitions {
        let label = part.label.as_deref().unwrap_or("no label");
        line(&format!("partition {}", part.number), &format!("{:<8}{:<10}{label}", part.content, mib(part.bytes)));
    }
    line("system", &system.name);
    let architecture = system.architecture.as_deref().unwrap_or("unknown");
    line("for", &format!("{architecture}, {} packages", system.packages));

    let kiosk = &inspection.kiosk;
    if let Some(made) = &kiosk.made {
        let said = |key: &str| made.get(key).and_then(|value| value.as_str()).unwrap_or("unknown").to_owned();
        line("made", &format!("by pikiosk {} on {}", said("version"), said("date")));
    }
    let state = match (kiosk.provisioned, kiosk.program) {
        (true, _) if kiosk.first_boot_pending => "laid down; the rest is done at the first start",
        (true, _) => "laid down",
        (false, true) => "the program is there, but nothing is laid down",
        (false, false) => "none yet: pikiosk flash --config kiosk.toml lays it down on the card",
    };
    line("kiosk", state);
    line("display", kiosk.display.as_deref().unwrap_or("no id: the server gives one"));
    line("server", kiosk.server.as_deref().unwrap_or("none"));
    line("Pi 3", if inspection.boots_pi3 { "would start from it" } else { "would NOT start from it" });
    for check in &inspection.checks {
        line("", &format!("{} {}", if check.ok { "yes:" } else { "NO: " }, check.says));
    }
    text
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
