//! Frames of a server (RFC 6455 §5.2): not masked, in one piece. Pure.

use crate::event::frame::CloseCode;

/// The longest reason of a close frame, in bytes (§5.5: 125 with the code).
const REASON_MAX: usize = 123;

/// A ping without a body.
pub const PING: [u8; 2] = [0x89, 0];

/// Appends a text frame.
pub fn text(out: &mut Vec<u8>, text: &str) {
    head(out, 0x81, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Bytes of a text frame of this many bytes.
pub const fn text_len(bytes: usize) -> usize {
    bytes
        + match bytes {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        }
}

/// A close frame; a reason that is too long is cut.
pub fn close(code: CloseCode, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = Vec::with_capacity(4 + end);
    head(&mut out, 0x88, 2 + end);
    out.extend_from_slice(&code.code().to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..end]);
    out
}

fn head(out: &mut Vec<u8>, first: u8, bytes: usize) {
    out.push(first);
    match bytes {
        0..=125 => out.push(bytes as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(bytes as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(bytes as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{Role, WebSocketContext},
    };

    use super::*;

    fn read(bytes: Vec<u8>) -> Vec<Message> {
        let mut client = WebSocketContext::new(Role::Client, None);
        let mut stream = Cursor::new(bytes);
        std::iter::from_fn(|| client.read(&mut stream).ok()).collect()
    }

    #[test]
    fn a_client_reads_frames_of_every_length_and_their_length_is_foretold() {
        for bytes in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let said = "x".repeat(bytes);
            let mut out = Vec::new();
            text(&mut out, &said);
            assert_eq!(out.len(), text_len(bytes));
            out.extend_from_slice(&PING);
            assert_eq!(read(out), [Message::text(said), Message::Ping(bytes::Bytes::new())]);
        }
    }

    #[test]
    fn a_client_reads_the_close_code_and_as_much_of_the_reason_as_there_is_room_for() {
        let Message::Close(Some(frame)) = &read(close(CloseCode::Slow, &"ä".repeat(100)))[0] else { panic!() };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, &*"ä".repeat(61)));
    }
}
