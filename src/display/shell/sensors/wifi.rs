//! Which Wi-Fi this machine is in, and how strong it is: asked of the kernel by generic netlink (nl80211), as `iw` does.
//! No program is started, and nothing of it is privileged.
//!
//! ```text
//!  family of "nl80211"? -> interfaces: name, index, SSID -> stations of each: signal
//! ```
//!
//! Rejected: `/proc/net/wireless`. It has no SSID, and newer kernels leave it out.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
        sockopt::ReceiveTimeout,
    },
    time::{TimeVal, TimeValLike},
};

use crate::event::health::Wifi;

/// The kernel answers at once; this is for one that does not.
const PATIENCE_MS: i64 = 200;
/// A dump comes in pieces of at most this.
const PIECE: usize = 32 * 1024;

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CMD_GET_INTERFACE: u8 = 5;
const CMD_GET_STATION: u8 = 17;
const ATTR_IFINDEX: u16 = 3;
const ATTR_IFNAME: u16 = 4;
const ATTR_STA_INFO: u16 = 21;
const ATTR_SSID: u16 = 52;
const STA_INFO_SIGNAL: u16 = 7;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Headers: netlink's, and generic netlink's behind it.
const HEADER: usize = 16;
const GENERIC: usize = 4;
/// Flags in an attribute's type (nested, byte order).
const TYPE_MASK: u16 = 0x3fff;

/// The first wireless interface that is in a network, else the first there is. None without Wi-Fi.
pub fn read() -> Option<Wifi> {
    let kernel = Kernel::open()?;
    let name = [b"nl80211".as_slice(), &[0]].concat();
    let found = kernel.ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0, &attribute(CTRL_ATTR_FAMILY_NAME, &name))?;
    let family = number(attributes(found.first()?).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?.1)?;
    let family = u16::try_from(family).ok()?;
    let interfaces = kernel.ask(family, CMD_GET_INTERFACE, NLM_F_DUMP, &[])?;
    let mut all: Vec<(u32, Wifi)> = interfaces.iter().filter_map(|message| interface(message)).collect();
    let place = all.iter().position(|(_, wifi)| wifi.ssid.is_some()).unwrap_or(0);
    if all.is_empty() {
        return None;
    }
    let (index, mut wifi) = all.swap_remove(place);
    let about = attribute(ATTR_IFINDEX, &index.to_ne_bytes());
    let stations = kernel.ask(family, CMD_GET_STATION, NLM_F_DUMP, &about).unwrap_or_default();
    wifi.signal_dbm = stations.iter().find_map(|message| signal(message));
    Some(wifi)
}

struct Kernel(OwnedFd);

impl Kernel {
    fn open() -> Option<Kernel> {
        let kind = SockType::Raw;
        let socket = socket(AddressFamily::Netlink, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkGeneric).ok()?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(PATIENCE_MS)).ok()?;
        Some(Kernel(socket))
    }

    /// The attributes of each message of the answer. None where the kernel refuses.
    fn ask(&self, family: u16, command: u8, flags: u16, attributes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let request = message(family, flags, command, attributes);
        sendto(self.0.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty()).ok()?;
        let mut answers = Vec::new();
        let mut piece = vec![0; PIECE];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut piece, MsgFlags::empty()).ok()?;
            match pieces(&piece[..length], &mut answers)? {
                true => {}
                false => return Some(answers),
            }
            if flags & NLM_F_DUMP == 0 {
                return Some(answers);
            }
        }
    }
}

fn message(family: u16, flags: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + GENERIC + attributes.len()).unwrap_or_default();
    let mut message = Vec::with_capacity(HEADER + GENERIC + attributes.len());
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&family.to_ne_bytes());
    message.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
    // Sequence number and port: there is one question at a time.
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[command, 1, 0, 0]);
    message.extend_from_slice(attributes);
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or_default();
    let mut attribute = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    attribute.extend_from_slice(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// Takes the messages out of what was received. True while more is to come; None for a refusal.
fn pieces(mut bytes: &[u8], answers: &mut Vec<Vec<u8>>) -> Option<bool> {
    while bytes.len() >= HEADER {
        let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let message = bytes.get(..length.max(HEADER))?;
        match kind {
            NLMSG_DONE => return Some(false),
            NLMSG_ERROR => return None,
            _ => answers.push(message.get(HEADER + GENERIC..)?.to_vec()),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(true)
}

/// The attributes of a message: type and value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A number of two or four bytes.
fn number(value: &[u8]) -> Option<u32> {
    match value.len() {
        2 => value.try_into().ok().map(u16::from_ne_bytes).map(u32::from),
        _ => value.try_into().ok().map(u32::from_ne_bytes),
    }
}

fn interface(message: &[u8]) -> Option<(u32, Wifi)> {
    let (mut index, mut wifi) = (None, Wifi::default());
    for (kind, value) in attributes(message) {
        match kind {
            ATTR_IFINDEX => index = number(value),
            ATTR_IFNAME => wifi.interface = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
            ATTR_SSID => wifi.ssid = Some(String::from_utf8_lossy(value).into_owned()),
            _ => {}
        }
    }
    index.map(|index| (index, wifi))
}

fn signal(message: &[u8]) -> Option<i32> {
    let info = attributes(message).find(|(kind, _)| *kind == ATTR_STA_INFO)?.1;
    let signal = attributes(info).find(|(kind, _)| *kind == STA_INFO_SIGNAL)?.1;
    Some(i32::from(i8::from_ne_bytes([*signal.first()?])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u16, attributes: &[u8]) -> Vec<u8> {
        message(kind, 0, 1, attributes)
    }

    #[test]
    fn what_the_kernel_answers_is_read() {
        let lan = [attribute(ATTR_IFINDEX, &3u32.to_ne_bytes()), attribute(ATTR_IFNAME, b"wlan0\0")].concat();
        let with_ssid = [lan.clone(), attribute(ATTR_SSID, "Café".as_bytes())].concat();
        let dump = [answer(28, &with_ssid), answer(28, &lan), answer(NLMSG_DONE, &[])].concat();
        let mut messages = Vec::new();
        assert_eq!(pieces(&dump, &mut messages), Some(false), "that is all");
        let (index, wifi) = interface(&messages[0]).unwrap();
        assert_eq!((index, wifi.interface.as_str(), wifi.ssid.as_deref()), (3, "wlan0", Some("Café")));
        assert_eq!(interface(&messages[1]).unwrap().1.ssid, None, "it is in no network");
        let info = attribute(STA_INFO_SIGNAL, &[(-61i8).to_ne_bytes()[0]]);
        assert_eq!(signal(&attribute(ATTR_STA_INFO | 0x8000, &info)), Some(-61));
    }

    #[test]
    fn a_refusal_and_nonsense_are_no_wifi() {
        assert_eq!(pieces(&answer(NLMSG_ERROR, &[0; 8]), &mut Vec::new()), None);
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..rng.usize(0..80)).map(|_| rng.u8(0..40)).collect();
            let mut messages = Vec::new();
            let _ = pieces(&bytes, &mut messages);
            for message in messages.iter().chain([&bytes]) {
                let _ = (interface(message), signal(message));
            }
        }
        // Whatever this machine has.
        let _ = read();
    }
}
