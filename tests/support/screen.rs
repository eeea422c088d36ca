//! A screen without glass: Xvfb with matchbox, and the pixels that are on it.
//!
//! The pixels come from Xvfb's own frame buffer (`-fbdir`), so a look costs one read of a file and starts no process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    process::Process,
    wait::{seconds, timed, until},
};

pub type Colour = [u8; 3];

/// Xvfb and matchbox; both end with it.
#[derive(Debug)]
pub struct Screen {
    /// Such as `:99`.
    pub display: String,
    buffer: PathBuf,
    // Dropped in this order: the window manager before its X server.
    _manager: Process,
    server: Child,
}

impl Screen {
    /// 1280x720, as the issue measures.
    #[track_caller]
    pub fn start(folder: &Path) -> Screen {
        let mut server = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1280x720x24",
                "-nolisten",
                "tcp",
                "-noreset",
                "-nocursor",
                "-fbdir",
            ])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts (apt install xvfb)");
        let mut line = String::new();
        let stdout = server.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut line).expect("Xvfb says its display");
        assert!(!line.trim().is_empty(), "Xvfb ended at once");
        let display = format!(":{}", line.trim());
        let mut manager = Command::new("matchbox-window-manager");
        manager.args([
            "-use_titlebar",
            "no",
            "-use_cursor",
            "no",
            "-use_desktop_mode",
            "plain",
            "-kbdconfig",
            "/dev/null",
        ]);
        manager.env("DISPLAY", &display);
        let manager = Process::start("matchbox", folder, &mut manager);
        let buffer = folder.join("Xvfb_screen0");
        until("the frame buffer is there", seconds(10), || Frame::read(&buffer));
        Screen { display, buffer, _manager: manager, server }
    }

    /// What is on the screen now.
    #[track_caller]
    pub fn frame(&self) -> Frame {
        until("the frame buffer is read", seconds(5), || Frame::read(&self.buffer))
    }

    /// The X server's own process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.server.id()).expect("a pid is small")
    }

    /// Waits until a condition holds for what is on the screen; returns how long that took.
    #[track_caller]
    pub fn until(&self, what: &str, limit: Duration, mut look: impl FnMut(&Frame) -> bool) -> Duration {
        timed(what, limit, || look(&self.frame()).then_some(())).1
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// One look at the screen.
#[derive(Debug, Clone)]
pub struct Frame {
    pub width: usize,
    pub height: usize,
    stride: usize,
    /// 4 bytes a pixel: blue, green, red, nothing.
    pixels: Vec<u8>,
}

impl Frame {
    /// Reads the XWD file that Xvfb keeps (X11/XWDFile.h, version 7; 32-bit big-endian fields).
    pub fn read(path: &Path) -> Option<Frame> {
        let file = fs::read(path).ok()?;
        let field = |n: usize| -> Option<usize> {
            let bytes = file.get(n * 4..n * 4 + 4)?;
            usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
        };
        let (header, width, height, bits, stride, colours) =
            (field(0)?, field(4)?, field(5)?, field(11)?, field(12)?, field(19)?);
        assert_eq!(bits, 32, "Xvfb keeps 24-bit pixels in 32 bits");
        let pixels = file.get(header + colours * 12..)?;
        (width > 0 && pixels.len() >= stride * height).then(|| Frame { width, height, stride, pixels: pixels.to_vec() })
    }

    pub fn at(&self, x: usize, y: usize) -> Colour {
        let start = y * self.stride + x * 4;
        [self.pixels[start + 2], self.pixels[start + 1], self.pixels[start]]
    }

    /// The share of the screen that has this colour, 0 to 1; looks at every fourth pixel of every fourth line.
    pub fn share(&self, colour: Colour) -> f64 {
        let looks = (0..self.height).step_by(4).flat_map(|y| (0..self.width).step_by(4).map(move |x| (x, y)));
        let (same, all) =
            looks.fold((0_u32, 0_u32), |(same, all), (x, y)| (same + u32::from(self.at(x, y) == colour), all + 1));
        f64::from(same) / f64::from(all)
    }

    /// The share of the screen that looks as it does in another look, as [`share`](Self::share) counts it.
    pub fn same_as(&self, other: &Frame) -> f64 {
        let looks = (0..self.height).step_by(4).flat_map(|y| (0..self.width).step_by(4).map(move |x| (x, y)));
        let (same, all) = looks
            .fold((0_u32, 0_u32), |(same, all), (x, y)| (same + u32::from(self.at(x, y) == other.at(x, y)), all + 1));
        f64::from(same) / f64::from(all)
    }

    /// A PNG of it, for whoever looks into a failure.
    pub fn save(&self, path: &Path) {
        let mut picture = image::RgbImage::new(self.width as u32, self.height as u32);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            pixel.0 = self.at(x as usize, y as usize);
        }
        picture.save(path).expect("the picture is written");
    }
}
