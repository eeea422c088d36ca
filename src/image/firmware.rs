//! `config.txt` as the firmware of a Pi 3 reads it, and `cmdline.txt` as the kernel does.
//!
//! Source: the documentation of config.txt by Raspberry Pi (conditional filters; the last line of a setting wins, but
//! `initramfs` has no equals sign).

/// What `config.txt` says to a Pi 3. Paths are as written, without `os_prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub kernel: Option<String>,
    /// `None`: not said.
    pub arm_64bit: Option<bool>,
    pub upstream_kernel: bool,
    pub device_tree: Option<String>,
    pub initramfs: Option<String>,
    /// Put before every other path.
    pub os_prefix: String,
    /// The file with the kernel's command line.
    pub cmdline: String,
}

impl Config {
    /// Reads the lines that are for every board or for a Pi 3 B.
    pub fn read(text: &str) -> Self {
        let mut config = Self { cmdline: "cmdline.txt".to_owned(), ..Self::default() };
        let mut ours = true;
        for line in text.lines().map(str::trim) {
            if let Some(filter) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
                ours = matches!(filter, "all" | "pi3" | "board-type=0x08" | "board-type=0x0d");
                continue;
            }
            if !ours || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix("initramfs ") {
                config.initramfs = rest.split_whitespace().next().map(str::to_owned);
            } else if let Some((key, value)) = line.split_once('=') {
                config.set(key.trim(), value.trim());
            }
        }
        config
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "kernel" => self.kernel = Some(value.to_owned()),
            "arm_64bit" => self.arm_64bit = Some(value != "0"),
            "upstream_kernel" => self.upstream_kernel = value != "0",
            "device_tree" => self.device_tree = Some(value.to_owned()),
            "os_prefix" => self.os_prefix = value.to_owned(),
            "cmdline" => self.cmdline = value.to_owned(),
            _ => {}
        }
    }
}

/// Where the kernel is told to find its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    Label(String),
    /// Of the file system.
    Uuid(String),
    /// `1a2b3c4d-02`: the disk's number in the MBR, and the partition's.
    PartUuid(String),
    /// `/dev/mmcblk0p2`: the number of the partition.
    Partition(u32),
    Other(String),
}

impl Root {
    /// The last `root=` of a command line, as the kernel takes it.
    pub fn of(cmdline: &str) -> Option<Self> {
        let value = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("root=")).next_back()?;
        let Some((kind, name)) = value.split_once('=') else {
            let number = value.strip_prefix("/dev/mmcblk0p").and_then(|number| number.parse().ok());
            return Some(number.map_or_else(|| Self::Other(value.to_owned()), Self::Partition));
        };
        Some(match kind {
            "LABEL" => Self::Label(name.to_owned()),
            "UUID" => Self::Uuid(name.to_ascii_lowercase()),
            "PARTUUID" => Self::PartUuid(name.to_ascii_lowercase()),
            _ => Self::Other(value.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_other_boards_are_not_for_a_pi_3() {
        let config = Config::read(
            "kernel=a.img\n[pi4]\nkernel=b.img\n[pi3]\narm_64bit=1\n[none]\nkernel=c.img\n[all]\ninitramfs initrd followkernel\n# kernel=d.img\n",
        );
        assert_eq!(config.kernel.as_deref(), Some("a.img"));
        assert_eq!(config.arm_64bit, Some(true));
        assert_eq!(config.initramfs.as_deref(), Some("initrd"));
        assert_eq!(config.cmdline, "cmdline.txt");
    }

    #[test]
    fn the_root_is_found_by_any_of_its_names() {
        assert_eq!(Root::of("console=tty0 root=LABEL=rootfs rw"), Some(Root::Label("rootfs".into())));
        assert_eq!(Root::of("root=PARTUUID=1A2B3C4D-02"), Some(Root::PartUuid("1a2b3c4d-02".into())));
        assert_eq!(Root::of("root=/dev/sda1 root=/dev/mmcblk0p2"), Some(Root::Partition(2)));
        assert_eq!(Root::of("root=ROOTDEV"), Some(Root::Other("ROOTDEV".into())));
        assert_eq!(Root::of("quiet"), None);
    }
}
