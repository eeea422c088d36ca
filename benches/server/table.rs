//! What was measured: medians of the rounds, and ratios to the peers of the same run.

use std::{collections::BTreeMap, fmt};

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    More,
    Less,
}

#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    better: Better,
    /// As the issue says it.
    promise: &'static str,
    by_peer: BTreeMap<&'static str, Vec<f64>>,
}

/// In the order in which rows and peers were first seen.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    peers: Vec<&'static str>,
}

impl Table {
    /// One figure of one round.
    pub fn add(
        &mut self,
        peer: &'static str,
        name: &str,
        value: f64,
        (unit, better, promise): (&'static str, Better, &'static str),
    ) {
        println!("  {peer}: {name} = {} {unit}", short(value));
        if !self.peers.contains(&peer) {
            self.peers.push(peer);
        }
        let row = match self.rows.iter().position(|row| row.name == name) {
            Some(at) => &mut self.rows[at],
            None => {
                self.rows.push(Row { name: name.to_owned(), unit, better, promise, by_peer: BTreeMap::new() });
                self.rows.last_mut().expect("it was just pushed")
            }
        };
        row.by_peer.entry(peer).or_default().push(value);
    }
}

impl Row {
    fn median(&self, peer: &str) -> Option<f64> {
        let mut values = self.by_peer.get(peer)?.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// How much better ours is than theirs: above 1 is better, whichever way is good.
    fn ratio(&self, ours: &str, theirs: &str) -> Option<f64> {
        let (ours, theirs) = (self.median(ours)?, self.median(theirs)?);
        let ratio = if self.better == Better::More { ours / theirs } else { theirs / ours };
        ratio.is_finite().then_some(ratio)
    }
}

/// Peers whose name begins so are this project's.
fn is_ours(peer: &str) -> bool {
    peer.starts_with("pikiosk")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, theirs): (Vec<_>, Vec<_>) = self.peers.iter().copied().partition(|peer| is_ours(peer));
        let mut lines: Vec<Vec<String>> = Vec::new();
        let mut head = vec!["what".to_owned(), "unit".to_owned()];
        head.extend(ours.iter().chain(&theirs).map(|peer| (*peer).to_owned()));
        for peer in &ours {
            head.push(format!("{peer} / best"));
            head.push(format!("{peer} / nats"));
        }
        head.push("promise".to_owned());
        lines.push(head);
        for row in &self.rows {
            let value = |peer: &&str| row.median(peer).map_or("-".to_owned(), short);
            let mut line = vec![row.name.clone(), row.unit.to_owned()];
            line.extend(ours.iter().chain(&theirs).map(value));
            for peer in &ours {
                let best = theirs
                    .iter()
                    .filter_map(|theirs| Some((row.ratio(peer, theirs)?, *theirs)))
                    .min_by(|one, other| one.0.total_cmp(&other.0));
                line.push(best.map_or("-".to_owned(), |(ratio, peer)| format!("{ratio:.2} ({peer})")));
                let nats = row.ratio(peer, "nats");
                line.push(nats.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
            }
            line.push(row.promise.to_owned());
            lines.push(line);
        }
        let columns = lines[0].len();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, line) in lines.iter().enumerate() {
            for (column, (text, width)) in line.iter().zip(&widths).enumerate() {
                if matches!(column, 0 | 1) || column + 1 == columns {
                    write!(f, "| {text:width$} ")?;
                } else {
                    write!(f, "| {text:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if index == 0 {
                for width in &widths {
                    write!(f, "|{:-<1$}", "", width + 2)?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
