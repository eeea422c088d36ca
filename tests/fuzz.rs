//! Every parser of what strangers send, over random mutations of what it is made for: no panic, and what must hold holds.
//! `make fuzz` does the same guided by coverage.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]
#![allow(clippy::print_stdout, reason = "seeds and figures are for whoever runs this with --nocapture")]

use std::time::{Duration, Instant};

use fastrand::Rng;

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// For each target; `PIKIOSK_FUZZ_SECONDS` makes it longer.
const TIME: Duration = Duration::from_millis(400);

#[test]
fn no_bytes_of_a_stranger_break_a_parser() {
    let seconds = std::env::var("PIKIOSK_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = seconds.map_or(TIME, Duration::from_secs);
    let seed =
        std::env::var("PIKIOSK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    for target in targets::TARGETS {
        let end = Instant::now() + time;
        let mut tries = 0_u64;
        for bytes in target.seeds {
            (target.run)(bytes);
        }
        while Instant::now() < end {
            let mut bytes = target.seeds[rng.usize(..target.seeds.len())].to_vec();
            for _ in 0..rng.usize(1..8) {
                mutate(&mut bytes, target.seeds, &mut rng);
            }
            let outcome = std::panic::catch_unwind(|| (target.run)(&bytes));
            assert!(outcome.is_ok(), "{}: seed {seed}, {:?}", target.name, String::from_utf8_lossy(&bytes));
            tries += 1;
        }
        println!("{}: {tries} tries", target.name);
    }
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[&[u8]], rng: &mut Rng) {
    const WORDS: [&[u8]; 12] = [
        b"null",
        b"-1",
        b"18446744073709551616",
        b"\"",
        b"\\u0000",
        b"{",
        b"[",
        b"\r\n",
        b"\0",
        b"\xff",
        b"kiosk.",
        b"\xf0\x9f",
    ];
    let place = rng.usize(..=bytes.len());
    match rng.usize(..7) {
        0 if place < bytes.len() => bytes[place] ^= 1 << rng.u8(..8),
        1 if place < bytes.len() => bytes[place] = rng.u8(..),
        2 => {
            bytes.truncate(place);
        }
        3 => {
            let word = WORDS[rng.usize(..WORDS.len())];
            bytes.splice(place..place, word.iter().copied());
        }
        4 => {
            let end = rng.usize(place..=bytes.len());
            bytes.drain(place..end);
        }
        5 => {
            let other = seeds[rng.usize(..seeds.len())];
            let from = rng.usize(..=other.len());
            bytes.splice(place..place, other[from..].iter().copied());
        }
        _ => {
            let end = rng.usize(place..=bytes.len());
            let piece = bytes[place..end].to_vec();
            bytes.extend(piece);
        }
    }
    bytes.truncate(64 * 1024);
}
