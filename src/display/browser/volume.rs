//! How loud the display is: the sound cards' own controls, by ALSA's `amixer`, which is there wherever ALSA is.
//!
//! Set is what is read back: a control that takes steps answers with the step.
//!
//! Rejected: the ioctls of `/dev/snd/control*`. Volumes in decibels, joined switches and the controls that a
//! configuration adds (`softvol`, a sound server) are all in alsa-lib, and amixer speaks with it.

use std::{
    fs,
    io::{self, Read},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{display::screen::Refusal, io::process};

/// A sound server that hangs is not waited for.
const WITHIN: Duration = Duration::from_secs(5);
/// A card with hundreds of controls has some 50 KB of them.
const WORDS_MAX: u64 = 1024 * 1024;
/// Which of a card's controls is what people call the volume.
const FIRST: [&str; 8] = ["Master", "PCM", "HDMI", "Headphone", "Speaker", "Digital", "Softmaster", "Line Out"];

/// One of a card's controls.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Control {
    /// With its number: `Master,0`.
    name: String,
    /// It can be muted.
    switch: bool,
    percent: u32,
    muted: bool,
}

#[derive(Debug, Serialize)]
struct Set {
    card: String,
    control: String,
    percent: u32,
    muted: bool,
}

/// Sets every card that has a volume. Blocks for as long as ALSA needs, some seconds at most.
pub fn set(percent: u32, muted: bool) -> Result<Value, Refusal> {
    let cards = cards(&fs::read_to_string("/proc/asound/cards").unwrap_or_default());
    let (mut done, mut failed) = (Vec::new(), None);
    for card in &cards {
        match set_card(card.as_deref(), percent, muted) {
            Ok(Some(set)) => done.push(set),
            Ok(None) => {}
            Err(why) => failed = Some(why),
        }
    }
    match (done.first(), failed) {
        (Some(first), _) => Ok(json!({ "percent": first.percent, "muted": first.muted, "controls": done })),
        (None, Some(why)) => Err(why),
        (None, None) => Err(Refusal::Lacking("no sound card of this display has a volume that can be set".into())),
    }
}

fn set_card(card: Option<&str>, percent: u32, muted: bool) -> Result<Option<Set>, Refusal> {
    let on = |rest: &[&str]| {
        let card = card.into_iter().flat_map(|card| ["-c", card]);
        amixer(&card.chain(rest.iter().copied()).collect::<Vec<_>>())
    };
    let Some(control) = volume_of(controls(&on(&["-M", "scontents"])?)) else { return Ok(None) };
    // What has no switch is silent at nothing.
    let level = format!("{}%", if muted && !control.switch { 0 } else { percent });
    let switch = if muted { "mute" } else { "unmute" };
    let words = ["-M", "sset", &control.name, &level, switch];
    let told = on(if control.switch { &words } else { &words[..4] })?;
    let Some(now) = controls(&told).into_iter().next() else {
        return Err(Refusal::Failed(format!("{} was set and tells nothing", control.name)));
    };
    let is_muted = now.muted || (muted && now.percent == 0);
    let card = card.unwrap_or("default").to_owned();
    Ok(Some(Set { card, control: now.name, percent: now.percent, muted: is_muted }))
}

/// The numbers of the kernel's cards; without any, what ALSA's configuration makes of "default".
fn cards(proc: &str) -> Vec<Option<String>> {
    let number = |line: &str| {
        let word = line.split_whitespace().next()?;
        (line.contains('[') && word.bytes().all(|byte| byte.is_ascii_digit())).then(|| Some(word.to_owned()))
    };
    let found: Vec<_> = proc.lines().filter_map(number).collect();
    if found.is_empty() { vec![None] } else { found }
}

/// Of what `amixer scontents` or `sset` prints, the controls that set how loud it is.
fn controls(words: &str) -> Vec<Control> {
    let mut found = Vec::new();
    for block in words.split("Simple mixer control ").skip(1) {
        let mut lines = block.lines();
        // `'Master',0`
        let name = lines.next().unwrap_or_default().trim().replace('\'', "");
        let (mut plays, mut switch) = (false, false);
        let (mut percent, mut muted) = (None, false);
        for line in lines {
            if let Some(able) = line.trim().strip_prefix("Capabilities:") {
                let has = |what: &[&str]| able.split_whitespace().any(|word| what.contains(&word));
                plays = has(&["pvolume", "pvolume-joined", "volume", "volume-joined"]);
                switch = has(&["pswitch", "pswitch-joined", "switch", "switch-joined"]);
            } else if let Some((_, level)) = line.split_once(": ").filter(|(_, rest)| rest.contains("%]")) {
                let marks = || level.split(['[', ']']);
                let shown = marks().find_map(|mark| mark.strip_suffix('%')?.parse::<u32>().ok());
                // The loudest of its channels.
                percent = percent.max(shown);
                muted |= marks().any(|mark| mark == "off");
            }
        }
        if let Some(percent) = percent.filter(|_| plays) {
            found.push(Control { name, switch, percent, muted: switch && muted });
        }
    }
    found
}

fn volume_of(mut controls: Vec<Control>) -> Option<Control> {
    let rank = |control: &Control| {
        let plain = control.name.split(',').next().unwrap_or_default();
        FIRST.iter().position(|first| *first == plain).unwrap_or(FIRST.len())
    };
    controls.sort_by_key(rank);
    controls.into_iter().next()
}

/// What it prints. Its exit status may be gone: the loop reaps whatever ends.
fn amixer(arguments: &[&str]) -> Result<String, Refusal> {
    let mut command = Command::new("amixer");
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refusal::Lacking("this display has no amixer: install alsa-utils".into()),
        _ => Refusal::Failed(format!("amixer could not be started: {error}")),
    })?;
    let running = i32::try_from(child.id()).ok().and_then(process::Identity::of);
    let (finished, ended) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let late = ended.recv_timeout(WITHIN) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = running.map(|process| process.signal(Signal::SIGKILL));
        }
        late
    });
    let (mut words, mut complaint) = (String::new(), String::new());
    let read = child.stdout.take().map(|out| out.take(WORDS_MAX).read_to_string(&mut words));
    let _ = child.stderr.take().map(|out| out.take(WORDS_MAX).read_to_string(&mut complaint));
    drop(finished);
    let was_late = guard.join().unwrap_or(false);
    let _ = child.wait();
    match read {
        _ if was_late => Err(Refusal::Failed(format!("amixer did not answer within {} s", WITHIN.as_secs()))),
        Some(Ok(_)) if !words.is_empty() => Ok(words),
        // alsa-lib says a dozen lines; amixer's own is the last.
        _ => {
            let why = complaint.lines().rev().find(|line| line.contains("amixer") || line.contains("Invalid card"));
            let why = why.unwrap_or("amixer said nothing").trim();
            let lacks = ["No such", "Invalid card", "No such device"].iter().any(|says| why.contains(says));
            let told = format!("this display has no sound card that can be used ({why})");
            Err(if lacks { Refusal::Lacking(told) } else { Refusal::Failed(why.to_owned()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADPHONES: &str = "\
Simple mixer control 'PCM',0
  Capabilities: pvolume pvolume-joined pswitch pswitch-joined
  Playback channels: Mono
  Limits: Playback -10239 - 400
  Mono: Playback -725 [84%] [-7.25dB] [off]
Simple mixer control 'Mic',0
  Capabilities: cvolume cswitch
  Capture channels: Mono
  Limits: Capture 0 - 100
  Mono: Capture 40 [40%] [on]
";
    const SERVER: &str = "\
Simple mixer control 'Auto-Mute Mode',0
  Capabilities: enum
  Items: 'Disabled' 'Enabled'
  Item0: 'Disabled'
Simple mixer control 'Master',0
  Capabilities: pvolume pswitch pswitch-joined
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 65536
  Mono:
  Front Left: Playback 19661 [30%] [on]
  Front Right: Playback 13107 [20%] [on]
";

    #[test]
    fn the_volume_is_found_among_a_cards_controls_and_a_microphone_is_none() {
        let control = |name: &str, percent, muted| Control { name: name.into(), switch: true, percent, muted };
        assert_eq!(controls(HEADPHONES), [control("PCM,0", 84, true)]);
        assert_eq!(controls(SERVER), [control("Master,0", 30, false)]);
        let both = controls(&format!("{HEADPHONES}{SERVER}"));
        assert_eq!(volume_of(both).unwrap().name, "Master,0");
        let softvol = "Simple mixer control 'Softmaster',0\n  Capabilities: volume\n  Mono: 255 [100%] [0.00dB]\n";
        assert_eq!(controls(softvol)[0], Control { switch: false, ..control("Softmaster,0", 100, false) });
        assert_eq!(volume_of(controls("amixer: Mixer attach default error")), None);
    }

    #[test]
    fn every_card_of_the_kernel_is_set_and_without_one_whatever_is_the_default() {
        let proc = " 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones\n                      bcm2835 Headphones\n \
                    1 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi\n                      vc4-hdmi\n";
        assert_eq!(cards(proc), [Some("0".to_owned()), Some("1".to_owned())]);
        assert_eq!(cards("--- no soundcards ---\n"), [None]);
    }
}
