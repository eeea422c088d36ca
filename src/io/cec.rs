//! HDMI-CEC by the kernel's own interface (linux/cec.h): the wire between this machine and the screen on which either
//! may wake the other or send it to sleep.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd,
    path::Path,
    time::Duration,
};

/// A message is a header of one byte, a word of one, and up to 14 more.
const MESSAGE_MAX: usize = 16;
const CAN_SET_ADDRESSES: u32 = 1 << 1;
const CAN_TRANSMIT: u32 = 1 << 2;
const SENT: u8 = 1 << 0;
const ANSWERED: u8 = 1 << 0;
/// "No physical address": there is no screen at the plug, or it gives none while it sleeps.
const NOWHERE: u16 = 0xffff;
/// What calls itself unregistered has no logical address.
const UNREGISTERED: u8 = 15;

const VERSION_1_4: u8 = 5;
const NO_VENDOR: u32 = 0xffff_ffff;
const PRIMARY_PLAYBACK: u8 = 4;
const LOGICAL_PLAYBACK: u8 = 3;
const ALL_PLAYBACK: u8 = 0x10;

/// struct cec_caps.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Capabilities {
    driver: [u8; 32],
    name: [u8; 32],
    addresses: u32,
    capabilities: u32,
    version: u32,
}

/// struct cec_log_addrs.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Addresses {
    logical: [u8; 4],
    mask: u16,
    version: u8,
    count: u8,
    vendor: u32,
    flags: u32,
    name: [u8; 15],
    primary: [u8; 4],
    kind: [u8; 4],
    all: [u8; 4],
    features: [[u8; 12]; 4],
}

/// struct cec_msg.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Message {
    sent_at: u64,
    received_at: u64,
    len: u32,
    timeout_ms: u32,
    sequence: u32,
    flags: u32,
    bytes: [u8; MESSAGE_MAX],
    reply: u8,
    received: u8,
    sent: u8,
    lost: u8,
    refused: u8,
    low: u8,
    errors: u8,
}

mod ioctl {
    use super::{Addresses, Capabilities, Message};
    nix::ioctl_readwrite!(
        /// CEC_ADAP_G_CAPS.
        capabilities,
        b'a',
        0,
        Capabilities
    );
    nix::ioctl_read!(
        /// CEC_ADAP_G_PHYS_ADDR.
        physical_address,
        b'a',
        1,
        u16
    );
    nix::ioctl_read!(
        /// CEC_ADAP_G_LOG_ADDRS.
        addresses,
        b'a',
        3,
        Addresses
    );
    nix::ioctl_readwrite!(
        /// CEC_ADAP_S_LOG_ADDRS.
        set_addresses,
        b'a',
        4,
        Addresses
    );
    nix::ioctl_readwrite!(
        /// CEC_TRANSMIT.
        transmit,
        b'a',
        5,
        Message
    );
}

/// One plug's CEC.
#[derive(Debug)]
pub struct Cec {
    device: File,
}

impl Cec {
    /// Opens `/dev/cecN`. An adapter that cannot transmit is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let cec = Cec { device: OpenOptions::new().read(true).write(true).open(path)? };
        let mut about = Capabilities::default();
        // SAFETY: the kernel fills the struct, whose layout is that of linux/cec.h, and keeps no pointer to it.
        #[expect(unsafe_code, reason = "there is no other way to ask for it")]
        unsafe {
            ioctl::capabilities(cec.device.as_raw_fd(), &mut about)?;
        }
        if about.capabilities & CAN_TRANSMIT == 0 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it cannot transmit"));
        }
        cec.claim_an_address(about.capabilities)?;
        Ok(cec)
    }

    /// Where this machine is plugged in; none while no screen tells.
    pub fn physical_address(&self) -> io::Result<Option<u16>> {
        let mut address = NOWHERE;
        // SAFETY: as above, two bytes.
        #[expect(unsafe_code, reason = "there is no other way to ask for it")]
        unsafe {
            ioctl::physical_address(self.device.as_raw_fd(), &mut address)?;
        }
        Ok(Some(address).filter(|address| *address != NOWHERE))
    }

    /// What this machine is called on the wire.
    pub fn logical_address(&self) -> io::Result<u8> {
        let now = self.addresses()?;
        Ok(if now.count > 0 && now.logical[0] < UNREGISTERED { now.logical[0] } else { UNREGISTERED })
    }

    /// Sends a message; where `reply` is named, waits for that word and returns what came.
    pub fn transmit(&self, message: &[u8], reply: Option<(u8, Duration)>) -> io::Result<Vec<u8>> {
        let mut sent = Message { len: u32::try_from(message.len()).unwrap_or(0), ..Message::default() };
        let Some(bytes) = sent.bytes.get_mut(..message.len()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
        };
        bytes.copy_from_slice(message);
        if let Some((word, within)) = reply {
            sent.reply = word;
            sent.timeout_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        }
        // SAFETY: as above; the kernel writes what came back into the same struct.
        #[expect(unsafe_code, reason = "there is no other way to send it")]
        unsafe {
            ioctl::transmit(self.device.as_raw_fd(), &mut sent)?;
        }
        if sent.sent & SENT == 0 {
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, "the screen does not listen to CEC"));
        }
        if reply.is_some() && sent.received & ANSWERED == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the screen does not answer by CEC"));
        }
        let len = usize::try_from(sent.len).unwrap_or(0).min(MESSAGE_MAX);
        Ok(if reply.is_some() { sent.bytes[..len].to_vec() } else { Vec::new() })
    }

    fn addresses(&self) -> io::Result<Addresses> {
        let mut now = Addresses::default();
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "there is no other way to ask for it")]
        unsafe {
            ioctl::addresses(self.device.as_raw_fd(), &mut now)?;
        }
        Ok(now)
    }

    /// Whoever has no address is not listened to by many screens. One that somebody else claimed is used as it is.
    fn claim_an_address(&self, capabilities: u32) -> io::Result<()> {
        if capabilities & CAN_SET_ADDRESSES == 0 || self.addresses()?.count > 0 {
            return Ok(());
        }
        let mut wanted = Addresses { version: VERSION_1_4, count: 1, vendor: NO_VENDOR, ..Addresses::default() };
        wanted.name[..7].copy_from_slice(b"pikiosk");
        (wanted.primary[0], wanted.kind[0], wanted.all[0]) = (PRIMARY_PLAYBACK, LOGICAL_PLAYBACK, ALL_PLAYBACK);
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "there is no other way to set it")]
        unsafe {
            ioctl::set_addresses(self.device.as_raw_fd(), &mut wanted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the requests carry these sizes: with another, the kernel would know none of them.
    #[test]
    fn the_structs_have_the_sizes_that_the_kernel_expects() {
        assert_eq!(size_of::<Capabilities>(), 76);
        assert_eq!(size_of::<Addresses>(), 92);
        assert_eq!(size_of::<Message>(), 56);
        assert_eq!(std::mem::offset_of!(Message, bytes), 32);
        assert_eq!(std::mem::offset_of!(Message, sent), 50);
        assert_eq!(std::mem::offset_of!(Addresses, primary), 31);
    }

    #[test]
    fn a_plug_that_is_not_there_is_an_error_and_no_more() {
        assert_eq!(
            Cec::open(Path::new("/dev/cec-none")).map_err(|error| error.kind()).err(),
            Some(io::ErrorKind::NotFound)
        );
        // Something else is there: the request means nothing to it.
        assert!(Cec::open(Path::new("/dev/null")).is_err());
    }
}
