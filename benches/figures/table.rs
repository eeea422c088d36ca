//! What was measured, the promise beside it, and what it is measured against.

use std::{fmt, time::Duration};

#[derive(Debug, Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// `promise` as the issue says it, or nothing.
    pub fn row(
        &mut self,
        what: impl Into<String>,
        value: impl Into<String>,
        promise: impl Into<String>,
        note: impl Into<String>,
    ) {
        let row = [what.into(), value.into(), promise.into(), note.into()];
        println!("{} = {} {}", row[0], row[1], row[3]);
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "measured", "promise", "beside it"].map(str::to_owned);
        let all: Vec<&[String; 4]> = [&head].into_iter().chain(&self.0).collect();
        let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        for (index, [what, value, promise, note]) in all.iter().enumerate() {
            let [a, b, c] = widths;
            writeln!(f, "| {what:a$} | {value:>b$} | {promise:>c$} | {note} |")?;
            if index == 0 {
                writeln!(f, "|{:-<1$}|{2:->3$}|{4:->5$}|---|", "", a + 2, ":", b + 2, ":", c + 2)?;
            }
        }
        Ok(())
    }
}

/// Durations, to take percentiles of.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Nearest rank: p(50) of three is the second.
    pub fn p(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    pub fn max(&self) -> Duration {
        self.p(100)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Extend<Duration> for Times {
    fn extend<I: IntoIterator<Item = Duration>>(&mut self, times: I) {
        self.0.extend(times);
    }
}

/// In ms below 10 s, with as many digits as mean something.
pub fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        0.0..10.0 => format!("{ms:.2} ms"),
        10.0..10_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1000.0),
    }
}
