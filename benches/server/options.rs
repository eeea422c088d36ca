//! What is asked for on the command line.

use std::path::PathBuf;

pub const USAGE: &str =
    "make bench-server ARGS=\"[ROW ...] [--peers memory,disk,nats,...] [--rounds 3] [--sockets 1000] [--quick] \
[--server BINARY] [--config TOML]\"
  ROW       connect memory flood unicast paced scale ticket durable slow half-open; without one, all of them
  --quick   one round, fewer messages: to try the bench itself
  --server  another build of pikiosk than the one built with the bench
  --config  lines for its server.toml
  --python  one that has Tornado, pika and redis";

#[derive(Debug, Clone)]
pub struct Options {
    rows: Vec<String>,
    pub peers: Vec<String>,
    pub rounds: usize,
    pub sockets: usize,
    pub quick: bool,
    pub binary: PathBuf,
    pub config: Option<String>,
    pub python: Option<PathBuf>,
}

pub const PEERS: [&str; 7] = ["memory", "disk", "redis", "nats", "mosquitto", "nchan", "tornado"];

impl Options {
    /// # Errors
    /// A word that means nothing, in words.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            rows: Vec::new(),
            peers: PEERS.map(str::to_owned).to_vec(),
            rounds: 3,
            sockets: 1000,
            quick: false,
            binary: PathBuf::from(env!("CARGO_BIN_EXE_pikiosk")),
            config: None,
            python: None,
        };
        let mut words = words.filter(|word| word != "--bench"); // Cargo's own.
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            let number = |text: String| text.parse::<usize>().map_err(|_| format!("{text} is no number"));
            match word.as_str() {
                "--peers" => options.peers = value()?.split(',').map(str::to_owned).collect(),
                "--rounds" => options.rounds = number(value()?)?.max(1),
                "--sockets" => options.sockets = number(value()?)?.max(1),
                "--quick" => (options.quick, options.rounds) = (true, 1),
                "--server" => options.binary = PathBuf::from(value()?),
                "--python" => options.python = Some(PathBuf::from(value()?)),
                "--config" => options.config = Some(value()?),
                flag if flag.starts_with('-') => return Err(format!("{flag} is not known")),
                _ => options.rows.push(word),
            }
        }
        if let Some(unknown) = options.peers.iter().find(|peer| !PEERS.contains(&peer.as_str())) {
            return Err(format!("{unknown} is none of the peers {}", PEERS.join(", ")));
        }
        Ok(options)
    }

    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|part| row.contains(part.as_str()))
    }

    pub fn wants_any(&self, rows: &[&str]) -> bool {
        rows.iter().any(|row| self.wants(row))
    }

    /// `full`, or a tenth of it where somebody only tries the bench.
    pub fn count(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(10) } else { full }
    }
}
