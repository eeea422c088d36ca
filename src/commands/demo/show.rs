//! What the demo says: a spinner for each wait on a terminal, plain lines anywhere else.

use std::io::{IsTerminal, stderr, stdout};
use std::path::Path;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::stage::{DISPLAY, Missing, Stage};
use super::tour::{Taken, Told};
use crate::commands::failure::Failure;
use crate::commands::output;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const SOFT: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();
/// Digits of a frame's hash: enough to see equal frames by eye, and a line still fits 80 columns.
const HASH: usize = 6;

/// The demo's voice.
#[derive(Debug)]
pub(super) struct Show {
    bar: ProgressBar,
    colour: bool,
}

/// Something that takes a moment. Dropped without `done`: it failed, and the failure says how.
#[derive(Debug)]
pub(super) struct Wait<'s> {
    show: &'s Show,
    what: &'static str,
}

impl Show {
    pub fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let target = if stdout().is_terminal() && stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let looks = ProgressStyle::with_template("  {spinner:.cyan} {msg} {elapsed:.dim}");
        bar.set_style(looks.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar, colour: stdout().is_terminal() && !plain }
    }

    /// Starts to wait. Only a terminal sees it before it is done.
    pub fn wait(&self, what: &'static str) -> Wait<'_> {
        self.spin(format!("{what:<13}"));
        Wait { show: self, what }
    }

    fn spin(&self, message: String) {
        // It was finished when the line before was written.
        self.bar.reset();
        self.bar.set_message(message);
        self.bar.enable_steady_tick(Duration::from_millis(90));
    }

    /// Takes the spinner away.
    pub fn clear(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        self.clear();
        output::line(text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub fn opening(&self) -> Result<(), Failure> {
        let title = self.paint(STRONG, "pikiosk demo");
        self.say(&format!("{title}  an event server and a display, both real, both on this machine\n"))
    }

    pub fn tour_begins(&self, steps: usize) -> Result<(), Failure> {
        let title = self.paint(STRONG, "The tour");
        self.say(&format!("\n{title}  {steps} pushes; each line is a receipt, with the hash of its frame\n"))
    }

    pub fn step_begins(&self, number: usize, step: &str) {
        self.spin(format!("{number:>2} {step}"));
    }

    /// One step, with its receipt.
    pub fn step(&self, told: &Told) -> Result<(), Failure> {
        let mark = if told.trouble.is_none() { self.paint(GOOD, "✓") } else { self.paint(BAD, "✗") };
        let frame = told.frame.as_deref().map(|frame| format!("  {}", frame.get(..HASH).unwrap_or(frame)));
        let status = format!("{:<5}", told.status);
        let status = if told.trouble.is_none() { status } else { self.paint(BAD, &status) };
        let took = told.took_ms.map(|ms| format!("{ms:>4} ms")).unwrap_or_else(|| " ".repeat(7));
        self.say(&format!(
            "  {mark} {number:>2} {command:<13} {words:<36} {status} {took}{frame}",
            number = told.number,
            command = told.command,
            words = told.words,
            frame = self.paint(SOFT, &frame.unwrap_or_default()),
        ))?;
        match &told.trouble {
            Some(trouble) => self.say(&format!("        {}", self.paint(BAD, trouble))),
            None => Ok(()),
        }
    }

    pub fn tour_ended(&self, taken: &Taken, folder: Option<&Path>) -> Result<(), Failure> {
        if taken.bad == 0 {
            let words = format!("{} pushes, {} receipts, each as it should be.", taken.all, taken.all);
            self.say(&format!("\n{}", self.paint(GOOD, &words)))?;
        }
        match folder {
            Some(folder) => self.say(&format!("Pictures and receipts.jsonl are in {}", folder.display())),
            None => Ok(()),
        }
    }

    pub fn no_glass(&self, missing: &Missing) -> Result<(), Failure> {
        let what = self.paint(STRONG, &format!("{} is not on this machine, so there is no glass.", missing.what));
        self.say(&format!(
            "\n{what} To get it:\n\n  sudo apt install {}\n\nWhat does not need it runs, and its pages open in any browser.",
            missing.packages
        ))
    }

    /// Where everything is, and what to paste into another terminal.
    pub fn yours(&self, stage: &Stage) -> Result<(), Failure> {
        let server = stage.server_url.as_str().trim_end_matches('/');
        let binary = quoted(&Stage::binary());
        // Without a glass only that which needs none is answered.
        let pushes = if stage.has_glass() {
            format!(
                "  pikiosk push {DISPLAY} message text='Back in five minutes' level=warning\n  \
                 pikiosk push {DISPLAY} navigate url={orders}\n  \
                 pikiosk push {DISPLAY} event name=order-ready data='{{\"number\":43}}'\n  \
                 pikiosk push {DISPLAY} screenshot --save glass.png\n",
                orders = stage.site.url("orders"),
            )
        } else {
            format!("  pikiosk push {DISPLAY} health\n")
        };
        let title = self.paint(STRONG, "Now you");
        let end = self.paint(STRONG, "Ctrl-C ends all of it.");
        self.say(&format!(
            "\n{title}  paste into another terminal\n\n  \
             export PIKIOSK_SERVER={server}\n  \
             export PIKIOSK_KEY_FILE={key}\n  \
             alias pikiosk={binary}\n\
             {pushes}  pikiosk displays\n\n  \
             event server        {server}\n  \
             the display's page  http://{page}\n  \
             the demo's site     {menu}\n\n{end}",
            key = quoted(&stage.key_file.display().to_string()),
            menu = stage.site.url("menu"),
            page = stage.page,
        ))
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

impl Wait<'_> {
    pub fn done(self, says: &str) {
        let mark = self.show.paint(GOOD, "✓");
        // A reader that is gone is found out at the next line that is a result.
        let _ = self.show.say(&format!("  {mark} {:<13} {says}", self.what));
    }
}
