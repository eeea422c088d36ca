//! A text as a sound, by espeak-ng: small, in a hundred languages, and fast enough on a Pi 3.

use std::{io, process::Stdio, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

use crate::display::supervisor::{Answer, AskError, AskId, Input};

const WITHIN: Duration = Duration::from_secs(15);
/// Two minutes of speech.
const SOUND_MAX: u64 = 6 * 1024 * 1024;

/// Makes a text a `data:` URL with a sound in it.
pub async fn speak(ask: AskId, text: String, voice: String) -> Input {
    let answer = match timeout(WITHIN, espeak(&text, &voice)).await {
        Ok(Ok(mut wav)) => {
            put_lengths(&mut wav);
            let url = format!("data:audio/wav;base64,{}", BASE64_STANDARD.encode(wav));
            Ok(Answer::Result(Value::String(url)))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(AskError::Refused(format!("espeak-ng was not done within {} s", WITHIN.as_secs()))),
    };
    Input::Answered { ask, answer }
}

async fn espeak(text: &str, voice: &str) -> Result<Vec<u8>, AskError> {
    let mut command = Command::new("espeak-ng");
    // The text comes on stdin: whatever it begins with is no option.
    command.args(["--stdin", "--stdout", "-v", voice]).kill_on_drop(true);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            AskError::Lacking("this display has no espeak-ng: install it to have it speak".into())
        }
        _ => AskError::Refused(format!("espeak-ng could not be started: {error}")),
    })?;
    let broken = |error: io::Error| AskError::Refused(format!("espeak-ng broke off: {error}"));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // It may have ended for want of the voice: its own words say so.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
    };
    let (mut wav, mut complaint) = (Vec::new(), String::new());
    let read = async {
        if let Some(stdout) = stdout {
            stdout.take(SOUND_MAX).read_to_end(&mut wav).await?;
        }
        if let Some(stderr) = stderr {
            stderr.take(4096).read_to_string(&mut complaint).await?;
        }
        Ok(())
    };
    let ((), read) = tokio::join!(write, read);
    read.map_err(broken)?;
    let status = child.wait().await.map_err(broken)?;
    let why = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
    match status.success() && wav.len() > HEADER {
        true => Ok(wav),
        false if why.contains("voice does not exist") => {
            Err(AskError::Lacking(format!("espeak-ng has no voice called {voice}")))
        }
        false => Err(AskError::Refused(format!("espeak-ng: {why}"))),
    }
}

/// RIFF, the format, and the head of the data.
const HEADER: usize = 44;

/// Into a pipe espeak-ng writes lengths of 2 GB: it did not know them yet. A player would wait for the rest.
fn put_lengths(wav: &mut [u8]) {
    let Ok(length) = u32::try_from(wav.len()) else { return };
    if wav.len() >= HEADER && wav.starts_with(b"RIFF") && &wav[36..40] == b"data" {
        wav[4..8].copy_from_slice(&(length - 8).to_le_bytes());
        wav[40..44].copy_from_slice(&(length - 44).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_says_how_long_it_is() {
        let mut wav = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0\x44\xac\0\0\x02\0\x10\0data\xff\xff\xff\x7f".to_vec();
        wav.extend([1, 2, 3, 4]);
        put_lengths(&mut wav);
        assert_eq!((&wav[4..8], &wav[40..44]), (&40u32.to_le_bytes()[..], &4u32.to_le_bytes()[..]));
        put_lengths(&mut b"no sound".to_vec());
    }

    /// Real where there is one; without it the receipt says so.
    #[tokio::test]
    async fn a_text_is_spoken_or_the_reason_is_told() {
        let Input::Answered { ask: 7, answer } = speak(7, "--help is no option".into(), "en".into()).await else {
            panic!()
        };
        match answer {
            Ok(Answer::Result(Value::String(url))) => {
                assert!(url.starts_with("data:audio/wav;base64,UklGR") && url.len() > 20_000)
            }
            Err(AskError::Lacking(why)) => assert!(why.contains("no espeak-ng"), "{why}"),
            other => panic!("{other:?}"),
        }
        let Input::Answered { answer, .. } = speak(7, "a".into(), "klingonese".into()).await else { panic!() };
        assert!(matches!(&answer, Err(AskError::Lacking(why)) if why.contains("espeak-ng")), "{answer:?}");
    }
}
