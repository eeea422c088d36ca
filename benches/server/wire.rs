//! What comes from a server, cut into messages: counted by their headers, their payload never looked at.
//!
//! Pure, and as cheap as it can be: the client shares two cores with the server that is measured.

/// One thing that a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Message,
    /// Wants an answer ([`Wire::pong`]), or it takes us for dead.
    Ping,
    /// It closes, with this code (WebSocket; others give none).
    Close(u16),
}

/// Which protocol, and where in it we are.
#[derive(Debug)]
pub struct Wire {
    kind: Kind,
    /// Bytes of a payload still to come, uncounted.
    skip: usize,
    /// The beginning of a header that was cut by the end of a read.
    rest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    WebSocket,
    Nats,
}

/// A header: how long it is, how much payload follows, what it means.
type Header = (usize, usize, Option<Said>);

impl Wire {
    pub fn new(kind: Kind) -> Wire {
        Wire { kind, skip: 0, rest: Vec::new() }
    }

    /// What is said back to a ping.
    pub fn pong(&self) -> &'static [u8] {
        match self.kind {
            Kind::WebSocket => &[0x8a, 0x80, 0, 0, 0, 0],
            Kind::Nats => b"PONG\r\n",
        }
    }

    /// Takes what was read.
    pub fn cut(&mut self, read: &[u8], mut said: impl FnMut(Said)) {
        let mut joined = std::mem::take(&mut self.rest);
        let mut bytes = if joined.is_empty() {
            read
        } else {
            joined.extend_from_slice(read);
            &joined
        };
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let header = match self.kind {
                Kind::WebSocket => web_socket(bytes),
                Kind::Nats => nats(bytes),
            };
            let Some((length, payload, what)) = header else {
                self.rest = bytes.to_vec();
                return;
            };
            bytes = &bytes[length..];
            self.skip = payload;
            if let Some(what) = what {
                said(what);
            }
        }
    }
}

/// RFC 6455 §5.2, as servers send: unmasked.
fn web_socket(bytes: &[u8]) -> Option<Header> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, payload) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let what = match first & 0x0f {
        1 | 2 => Some(Said::Message),
        9 => Some(Said::Ping),
        8 => {
            let code = if payload < 2 { 1005 } else { u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) };
            Some(Said::Close(code))
        }
        _ => None,
    };
    Some((length, payload, what))
}

/// `MSG <subject> <sid> [reply] <bytes>`, a payload and its end of line; `PING`, `PONG`, `+OK`, `INFO`, `-ERR`.
fn nats(bytes: &[u8]) -> Option<Header> {
    let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let line = &bytes[..end];
    if line.starts_with(b"MSG ") {
        let digits = line[..end - 2].rsplit(|byte| *byte == b' ').next()?;
        let payload = digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        return Some((end, payload + 2, Some(Said::Message)));
    }
    let what = match line {
        b"PING\r\n" => Some(Said::Ping),
        _ if line.starts_with(b"-ERR") => Some(Said::Close(0)),
        _ => None,
    };
    Some((end, 0, what))
}

/// A client's frame, masked with zeros, which leaves its payload as it is.
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u16::try_from(payload.len()).expect("frames of a bench are short") {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap_or_default()),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&long.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
