//! Sounds and speech, one after the other, in a tab behind the glass. Pure.
//!
//! The page on the glass may go at any moment (a playlist, a navigation) and its rules say what it may load; a tab of our
//! own plays to the end whatever is shown. It has no address and no script of anybody else in it, and is closed after.
//!
//! Rejected: a program that plays. It would have to be fed with files from the network by the user who holds the
//! browser's session, and would decode them outside Firefox's sandbox.

use std::{collections::VecDeque, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    out::{Out, Outcome},
    port::{Answer, Ask, AskError, AskId},
};
use crate::{display::journal::EventKey, event::Status};

/// Half a minute of speech is made in a second on a Pi 3.
const SPEAK_WITHIN: Duration = Duration::from_secs(20);
const OPEN_WITHIN: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Five minutes of sound (assets/browser/play.js), and what a slow network needs to begin.
const PLAY_WITHIN: Duration = Duration::from_secs(330);
/// Sounds that wait for the one that plays; more are a publisher's loop.
const WAITING_MAX: usize = 8;

#[derive(Debug)]
struct Sound {
    key: EventKey,
    what: What,
}

#[derive(Debug)]
enum What {
    Url(String),
    Text { text: String, voice: String },
}

/// How far the sound is whose turn it is. An answer that stays away is taken for one that says so.
#[derive(Debug)]
struct Playing {
    key: EventKey,
    ask: AskId,
    give_up: Instant,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Speaking,
    Opening { url: String },
    Playing { context: String },
}

/// The machine.
#[derive(Debug, Default)]
pub struct Sounds {
    /// Where a text names none.
    voice: Option<String>,
    playing: Option<Playing>,
    waiting: VecDeque<Sound>,
    /// Tabs that opened while ours was asked for: one of them may be ours.
    opened: Vec<String>,
}

impl Sounds {
    pub fn new(voice: Option<String>) -> Self {
        Sounds { voice, ..Sounds::default() }
    }

    pub fn play(&mut self, key: EventKey, url: String, out: &mut Out) {
        self.wait(Sound { key, what: What::Url(url) }, out);
    }

    pub fn say(&mut self, key: EventKey, text: String, voice: Option<String>, out: &mut Out) {
        let voice = voice.or_else(|| self.voice.clone()).unwrap_or_else(|| "en".to_owned());
        self.wait(Sound { key, what: What::Text { text, voice } }, out);
    }

    /// True if a tab that opened may be the one that was asked for: then it is not to be closed.
    pub fn expects(&mut self, context: &str) -> bool {
        let step = self.playing.as_ref().map(|playing| &playing.step);
        match step {
            Some(Step::Opening { .. }) => {
                self.opened.push(context.to_owned());
                true
            }
            Some(Step::Playing { context: ours }) => ours == context,
            Some(Step::Speaking) | None => false,
        }
    }

    /// True if the question was this machine's.
    pub fn answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        let Some(playing) = self.playing.take_if(|playing| playing.ask == ask) else { return false };
        let Playing { key, step, .. } = playing;
        match (step, answer) {
            (Step::Speaking, Ok(Answer::Result(Value::String(url)))) => self.open(key, url.clone(), out),
            (Step::Opening { url }, Ok(Answer::Opened { context })) => {
                self.close_strangers(Some(context), out);
                let ask = out.ask(Ask::Play { context: context.clone(), url }, PLAY_WITHIN);
                self.go_on(key, ask, Step::Playing { context: context.clone() }, PLAY_WITHIN, out);
            }
            (Step::Playing { context }, answer) => {
                out.ask(Ask::CloseContext { context }, CLOSE_WITHIN);
                let outcome = match answer {
                    Ok(Answer::Result(result)) => Outcome { result: Some(result.clone()), ..Outcome::of(Status::Done) },
                    Ok(_) => Outcome::of(Status::Done),
                    Err(error) => Outcome::failed(error.to_string()),
                };
                self.end(key, outcome, out);
            }
            (Step::Speaking | Step::Opening { .. }, answer) => {
                self.close_strangers(None, out);
                let outcome = match answer {
                    Err(AskError::Lacking(why)) => Outcome::refused(why),
                    Err(error) => Outcome::failed(error.to_string()),
                    Ok(_) => Outcome::failed("the browser gave no tab for it"),
                };
                self.end(key, outcome, out);
            }
        }
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.playing.as_ref().map(|playing| playing.give_up)
    }

    pub fn due(&mut self, out: &mut Out) {
        if let Some(ask) = self.playing.as_ref().filter(|playing| playing.give_up <= out.now).map(|playing| playing.ask)
        {
            self.answered(ask, &Err(AskError::TimedOut), out);
        }
    }

    fn wait(&mut self, sound: Sound, out: &mut Out) {
        if self.waiting.len() >= WAITING_MAX {
            return out.end(sound.key, Outcome::failed(format!("{WAITING_MAX} sounds wait already")));
        }
        self.waiting.push_back(sound);
        self.next(out);
    }

    fn next(&mut self, out: &mut Out) {
        if self.playing.is_some() {
            return;
        }
        let Some(Sound { key, what }) = self.waiting.pop_front() else { return };
        match what {
            What::Url(url) => self.open(key, url, out),
            What::Text { text, voice } => {
                let ask = out.speak(text, voice);
                self.go_on(key, ask, Step::Speaking, SPEAK_WITHIN, out);
            }
        }
    }

    fn open(&mut self, key: EventKey, url: String, out: &mut Out) {
        let ask = out.ask(Ask::OpenAside, OPEN_WITHIN);
        self.go_on(key, ask, Step::Opening { url }, OPEN_WITHIN, out);
    }

    fn go_on(&mut self, key: EventKey, ask: AskId, step: Step, within: Duration, out: &mut Out) {
        // One second after the question's own deadline: the answer "too late" is the better one.
        let give_up = out.now + within + Duration::from_secs(1);
        self.playing = Some(Playing { key, ask, give_up, step });
    }

    fn close_strangers(&mut self, ours: Option<&String>, out: &mut Out) {
        for context in self.opened.drain(..).filter(|context| Some(context) != ours) {
            out.ask(Ask::CloseContext { context }, CLOSE_WITHIN);
        }
    }

    fn end(&mut self, key: EventKey, outcome: Outcome, out: &mut Out) {
        out.end(key, outcome);
        self.next(out);
    }
}
