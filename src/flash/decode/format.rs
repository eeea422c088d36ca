//! What kind of file an image is in, told by its first bytes. Names lie.

/// How many of the first bytes are enough to tell.
pub const MAGIC: usize = 512;

/// A format that is unpacked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The bytes of a card as they are.
    Raw,
    Xz,
    Gzip,
    Zstd,
    Zip,
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Image(Format),
    /// Something well known that is no image, or is packed in a way that is not read here.
    Other(&'static str),
    /// HTML: what a captive portal or an error page is.
    WebPage,
    Unknown,
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw image",
            Self::Xz => "xz file",
            Self::Gzip => "gzip file",
            Self::Zstd => "zstd file",
            Self::Zip => "zip file",
        }
    }
}

impl Format {
    /// With its article, as in "there is … inside".
    pub fn article_name(self) -> &'static str {
        match self {
            Self::Raw => "a raw image",
            Self::Xz => "an xz file",
            Self::Gzip => "a gzip file",
            Self::Zstd => "a zstd file",
            Self::Zip => "a zip file",
        }
    }
}

impl Kind {
    /// Tells from the first [`MAGIC`] bytes, or all of them if there are fewer.
    pub fn of(head: &[u8]) -> Self {
        let starts = |magic: &[u8]| head.starts_with(magic);
        // A boot sector can begin with any code: its mark comes first among what is not packed.
        if starts(b"\xfd7zXZ\0") {
            Self::Image(Format::Xz)
        } else if starts(b"\x1f\x8b") {
            Self::Image(Format::Gzip)
        } else if starts(b"\x28\xb5\x2f\xfd") || is_skippable_zstd(head) {
            Self::Image(Format::Zstd)
        } else if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") || starts(b"PK00PK\x03\x04") {
            Self::Image(Format::Zip)
        } else if head.get(510..512) == Some(b"\x55\xaa") {
            Self::Image(Format::Raw)
        } else if starts(b"BZh") {
            Self::Other("a bzip2 file")
        } else if starts(b"7z\xbc\xaf\x27\x1c") {
            Self::Other("a 7z file")
        } else if starts(b"Rar!\x1a\x07") {
            Self::Other("a rar file")
        } else if starts(b"\x04\x22\x4d\x18") {
            Self::Other("an lz4 file")
        } else if starts(b"LZIP") {
            Self::Other("an lzip file")
        } else if starts(b"\x5d\x00\x00") {
            Self::Other("an old .lzma file")
        } else if starts(b"QFI\xfb") {
            Self::Other("a qcow2 disk of a virtual machine")
        } else if starts(b"KDMV") || starts(b"# Disk DescriptorFile") {
            Self::Other("a vmdk disk of a virtual machine")
        } else if starts(b"vhdxfile") || starts(b"conectix") {
            Self::Other("a vhd disk of a virtual machine")
        } else if starts(b"\x3a\xff\x26\xed") {
            Self::Other("an Android sparse image")
        } else if starts(b"!<arch>\n") {
            Self::Other("a Debian package")
        } else if starts(b"\x7fELF") {
            Self::Other("a program")
        } else if head.get(257..262) == Some(b"ustar") {
            Self::Other("a tar archive")
        } else if is_web_page(head) {
            Self::WebPage
        } else {
            Self::Unknown
        }
    }
}

fn is_skippable_zstd(head: &[u8]) -> bool {
    head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18]
}

fn is_web_page(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    [&b"<!doctype html"[..], b"<html", b"<head", b"<?xml"]
        .iter()
        .any(|start| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_its_first_bytes() {
        let mut mbr = vec![0; 512];
        mbr[510..].copy_from_slice(&[0x55, 0xaa]);
        let cases: [(&[u8], Kind); 12] = [
            (b"\xfd7zXZ\0\0\x04", Kind::Image(Format::Xz)),
            (b"\x1f\x8b\x08", Kind::Image(Format::Gzip)),
            (b"\x28\xb5\x2f\xfd", Kind::Image(Format::Zstd)),
            (b"\x5a\x2a\x4d\x18", Kind::Image(Format::Zstd)),
            (b"PK\x03\x04", Kind::Image(Format::Zip)),
            (&mbr, Kind::Image(Format::Raw)),
            (b"BZh91AY", Kind::Other("a bzip2 file")),
            (b"\xef\xbb\xbf\n <!DOCTYPE HTML>", Kind::WebPage),
            (b"<html>", Kind::WebPage),
            (b"", Kind::Unknown),
            (b"\xfd7zX", Kind::Unknown),
            (&[0; 512], Kind::Unknown),
        ];
        for (head, kind) in cases {
            assert_eq!(Kind::of(head), kind, "{head:?}");
        }
    }
}
