//! Runs named scenarios in order on one [`Kiosk`]: a start of Firefox costs seconds, so they share it.
//!
//! The binary speaks as `cargo test`'s own harness does, as far as people use it: words to filter by, `--exact`,
//! `--skip`, `--list`.

#![expect(clippy::print_stdout, reason = "a test harness reports on stdout, as cargo's own does")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use super::kiosk::Kiosk;

/// A name as a user would say it, and what is to be seen.
pub type Scenario = (&'static str, fn(&mut Kiosk));

/// The list of scenarios of one file, named by their functions.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::support::scenarios::run(&[$((stringify!($name), $name)),+])
        }
    };
}

pub fn run(all: &[Scenario]) -> ExitCode {
    let mut words = Vec::new();
    let mut skipped = Vec::new();
    let (mut exact, mut list) = (false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--exact" => exact = true,
            "--list" => list = true,
            "--skip" => skipped.extend(arguments.next()),
            "--test-threads" | "--format" | "--color" | "--logfile" => drop(arguments.next()),
            flag if flag.starts_with('-') => {}
            word => words.push(word.to_owned()),
        }
    }
    let fits = |name: &str, word: &String| if exact { name == word } else { name.contains(word.as_str()) };
    let chosen: Vec<&Scenario> = all
        .iter()
        .filter(|(name, _)| words.is_empty() || words.iter().any(|word| fits(name, word)))
        .filter(|(name, _)| !skipped.iter().any(|word| fits(name, word)))
        .collect();
    if list {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let all_began = Instant::now();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = Vec::new();
    let mut kiosk: Option<Kiosk> = None;
    for (name, scenario) in &chosen {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let kiosk = match &mut kiosk {
                Some(kiosk) => {
                    kiosk.home();
                    kiosk
                }
                none => none.insert(Kiosk::start()),
            };
            scenario(kiosk);
            let panics = kiosk.panics();
            assert!(panics.is_empty(), "a process of ours panicked: {panics:#?}");
        }));
        let took = began.elapsed().as_secs_f64();
        if outcome.is_ok() {
            println!("test {name} ... ok ({took:.1} s)");
        } else {
            println!("test {name} ... FAILED ({took:.1} s)");
            failed.push(*name);
            // The next scenario must not suffer from this one: it gets a display of its own.
            if let Some(kiosk) = kiosk.take() {
                let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
                kiosk.frame().save(&picture);
                println!("{}--- the glass: {}", kiosk.logs(), picture.display());
            }
        }
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s",
        chosen.len() - failed.len(),
        failed.len(),
        all.len() - chosen.len(),
        all_began.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
