//! What is mounted and swapped to, as the kernel's tables tell it (proc(5): mountinfo, swaps).

use super::DeviceNumber;

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Of the file system; of major 0 for those without one device (btrfs, overlay).
    pub(super) number: DeviceNumber,
    pub(super) at: String,
    /// What mount(8) was given: `/dev/sda2`, `overlay`.
    pub(super) source: String,
}

pub(super) fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    // 36 35 98:0 /root /mount-point options [optional ...] - fstype source superoptions
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    let number = before.nth(2)?.parse().ok()?;
    let at = unescaped(before.nth(1)?);
    let source = unescaped(after.split(' ').nth(1)?);
    Some(Mount { number, at, source })
}

/// The paths that are swapped to.
pub(super) fn swaps(swaps: &str) -> Vec<String> {
    swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(unescaped).collect()
}

/// Blank, tab, newline and backslash are written as `\040` and so on.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_with_blanks_is_read_whole() {
        let line = "36 25 8:17 / /media/ann/my\\040card rw,nosuid shared:1 master:2 - vfat /dev/sdb1 rw,fmask=0022";
        let found = mounts(line);
        assert_eq!(found[0].at, "/media/ann/my card");
        assert_eq!(found[0].number, DeviceNumber { major: 8, minor: 17 });
        assert_eq!(found[0].source, "/dev/sdb1");
        assert_eq!(mounts("nonsense\n\n1 2 x - a b c"), []);
    }

    #[test]
    fn swap_files_and_partitions_are_read() {
        let text = "Filename Type Size Used Priority\n/dev/sda3   partition 1 0 -2\n/swap\\040file file 1 0 -3\n";
        assert_eq!(swaps(text), ["/dev/sda3", "/swap file"]);
    }
}
