//! How far each card is: bars for a person, one line per phase for a log, JSON lines for a program.

use std::io::IsTerminal;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::output;
use crate::flash::events::{Doing, Event, Events, Limit, Phase};
use crate::flash::stream::SlowPart;

/// A progress bar has a thousand steps.
const STEPS: u64 = 1000;

/// Tells events as they come.
#[derive(Debug)]
pub struct Progress {
    /// As typed, in the order of the cards.
    names: Vec<String>,
    front: Front,
}

#[derive(Debug)]
enum Front {
    Bars {
        all: MultiProgress,
        bars: Vec<ProgressBar>,
    },
    /// The tenth of each card's phase that was told last.
    Lines {
        told: Mutex<Vec<Option<(Phase, u64)>>>,
    },
    Json,
}

impl Progress {
    pub fn new(names: Vec<String>, json: bool) -> Self {
        let front = if json {
            Front::Json
        } else if std::io::stderr().is_terminal() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            let width = names.iter().map(String::len).max().unwrap_or(0);
            let style = ProgressStyle::with_template("{prefix} {bar:24} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = |name: &String| {
                let bar = all.add(ProgressBar::new(STEPS).with_style(style.clone()));
                bar.set_prefix(format!("{name:width$}"));
                bar
            };
            Front::Bars { bars: names.iter().map(bar).collect(), all }
        } else {
            Front::Lines { told: Mutex::new(vec![None; names.len()]) }
        };
        Self { names, front }
    }

    fn name(&self, card: usize) -> &str {
        self.names.get(card).map_or("?", String::as_str)
    }

    fn remark(&self, card: usize, text: &str) {
        let line = format!("{}: {text}", self.name(card));
        match &self.front {
            Front::Bars { all, .. } => all.suspend(|| output::remark(&line)),
            Front::Lines { .. } => output::remark(&line),
            Front::Json => {}
        }
    }

    fn limit(&self, card: usize, limit: Limit) -> String {
        match limit {
            Limit::Source(SlowPart::Network) => "as fast as the network".to_owned(),
            Limit::Source(SlowPart::Disk) => "as fast as this disk reads".to_owned(),
            Limit::Source(SlowPart::Decoding) => "as fast as this machine unpacks".to_owned(),
            Limit::Card(limits) if limits == card => "as fast as the card".to_owned(),
            Limit::Card(limits) => format!("waits for {}", self.name(limits)),
        }
    }
}

impl Events for Progress {
    fn tell(&self, event: Event) {
        if matches!(self.front, Front::Json) {
            // The result says how it ended; a reader that went away hears no more.
            let _ = serde_json::to_string(&event).map(|line| output::line(&line));
            return;
        }
        match event {
            Event::Phase { card, phase } => match &self.front {
                Front::Bars { bars, .. } => {
                    if let Some(bar) = bars.get(card) {
                        bar.set_position(0);
                        bar.set_message(phase.words());
                    }
                }
                Front::Lines { told } => {
                    let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if let Some(told) = told.get_mut(card) {
                        *told = Some((phase, 0));
                    }
                    drop(told);
                    self.remark(card, phase.words());
                }
                Front::Json => {}
            },
            Event::Progress { card, phase, done, total, bytes_per_second, left_s, limit } => {
                let thousandths = total.filter(|total| *total > 0).map(|total| done.saturating_mul(STEPS) / total);
                let text = format!(
                    "{:12} {} {}, {}{}",
                    phase.words(),
                    thousandths.map_or_else(String::new, |steps| format!("{:3} %", steps / 10)),
                    speed(bytes_per_second),
                    left_s.map_or_else(String::new, |left| format!("{} left, ", time(left))),
                    self.limit(card, limit)
                );
                match &self.front {
                    Front::Bars { bars, .. } => {
                        if let Some(bar) = bars.get(card) {
                            bar.set_position(thousandths.unwrap_or(0));
                            bar.set_message(text);
                        }
                    }
                    Front::Lines { told } => {
                        let tenth = thousandths.unwrap_or(0) / 250;
                        let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        let fresh = told.get_mut(card).is_some_and(|told| {
                            let fresh = told.is_none_or(|(before, quarter)| before != phase || quarter < tenth);
                            *told = Some((phase, tenth));
                            fresh
                        });
                        drop(told);
                        if fresh {
                            self.remark(card, &text);
                        }
                    }
                    Front::Json => {}
                }
            }
            Event::Retried { card, doing, offset, attempt, why } => {
                let doing = match doing {
                    Doing::Write => "writing",
                    Doing::Read => "reading",
                };
                self.remark(card, &format!("{doing} at byte {offset} failed ({why}); try {attempt}"));
            }
            Event::Slow { card, offset, seconds } => {
                self.remark(card, &format!("has not answered for {seconds} s, at byte {offset}; waiting"));
            }
            Event::Warning { card, text } => self.remark(card, &text),
            Event::Finished { card, ok, text } => match &self.front {
                Front::Bars { bars, .. } => {
                    if let Some(bar) = bars.get(card) {
                        if ok {
                            bar.set_position(STEPS);
                        }
                        bar.abandon_with_message(text);
                    }
                }
                Front::Lines { .. } => self.remark(card, &text),
                Front::Json => {}
            },
        }
    }
}

fn speed(bytes_per_second: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let megabytes = bytes_per_second as f64 / 1e6;
    format!("{megabytes:5.1} MB/s")
}

fn time(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}
