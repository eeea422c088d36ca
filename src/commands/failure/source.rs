//! What to do about an image that was not found, not fetched, or refused.

use std::io::ErrorKind;

use crate::flash::source::SourceError;

pub(super) fn hint(error: &SourceError) -> String {
    let hint = match error {
        SourceError::StandardInput => "write it to a file first, and give the name of the file",
        SourceError::Missing { .. } => {
            "is the name right? An image of the official list is given as \"os:Raspberry Pi OS Lite (64-bit)\""
        }
        SourceError::Folder { .. } => "give the image file in it",
        SourceError::Unreadable { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            "try again with sudo, or as the user that owns it"
        }
        SourceError::Unreadable { .. } => "copy it to another disk, and compare its checksum",
        SourceError::Thread { .. } => "is the machine out of memory or of processes?",
        SourceError::Cache { source, .. } if source.kind() == ErrorKind::StorageFull => {
            "make room on the disk, or keep nothing with --no-cache"
        }
        SourceError::Cache { .. } => "set XDG_CACHE_HOME to a folder of your own, or keep nothing with --no-cache",
        SourceError::BadAddress { .. } => "write it as https://example.org/image.img.xz",
        SourceError::BadSha256(_) => "sha256sum prints it; copy all 64 digits",
        SourceError::BadList { .. } => "is it a list for Raspberry Pi Imager? --os-list names another one",
        SourceError::UnknownName { near, .. } if !near.is_empty() => {
            return format!("did you mean one of these? {}", near.join(" · "));
        }
        SourceError::UnknownName { .. } => "--os-list names another list; a file is given by its path",
        SourceError::ManyNames { names, .. } => return format!("write more of its name: {}", names.join(" · ")),
        SourceError::OtherDevice { .. } => "choose one for the Raspberry Pi 3, such as Raspberry Pi OS Lite (64-bit)",
        SourceError::Unreachable { .. } => {
            "is this machine online? The same command goes on where the download stopped"
        }
        SourceError::Answered { .. } => "open the address in a browser: has the image moved?",
        SourceError::WebPage { .. } => {
            "does this network ask for a login first? Open the address in a browser, then try again"
        }
        SourceError::Replaced { .. } => "run it again: it is fetched from the start",
        SourceError::WrongLength { .. } => "fetch it again; if it stays so, whoever publishes it has made a mistake",
        SourceError::WrongHash { .. } => {
            "do not use it: fetch it again, and compare with what its publisher writes; a card that was begun does not boot"
        }
        SourceError::Empty { .. } | SourceError::Truncated { .. } | SourceError::Damaged { .. } => {
            "fetch the image again; a card that was begun does not boot"
        }
        SourceError::Garbage { .. } => "were two files joined by mistake? Fetch the image again",
        SourceError::Unsupported { .. } | SourceError::Nested { .. } => {
            "unpack it until it is an .img, .img.xz, .img.gz, .img.zst or .zip"
        }
        SourceError::NotAnImage { .. } => "give the image of a whole card: it begins with a partition table",
        SourceError::WrongMachine { .. } => "choose an image for the Raspberry Pi 3; pikiosk image build makes one",
        SourceError::WrongArchitecture => "choose the 64-bit (arm64) image of the same system",
        SourceError::TooLarge { .. } => "use a larger card, or a smaller image",
        SourceError::Memory { .. } => "unpack it with its own tool, and give the .img",
        SourceError::BadZip { .. } => "unpack it, and give the .img that is in it",
        SourceError::BadBmap { .. } => "fetch the block map again, or move it away: it only saves time",
        SourceError::Cancelled => "the same command starts over, with what was fetched so far",
    };
    hint.to_owned()
}
