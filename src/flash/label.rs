//! A label for the card or its Pi: what it is, for people and for a phone's camera.

use std::fmt::Write;

use jiff::Timestamp;
use qrcode::{Color, EcLevel, QrCode, render::unicode::Dense1x2};

use super::receipt::Receipt;

/// Millimetres of the label: a usual address label (29 × 62), lying.
const WIDTH: f64 = 62.0;
const HEIGHT: f64 = 29.0;

/// Millimetres of the QR code with its quiet zone.
const CODE: f64 = 27.0;

/// Millimetres of the edge.
const EDGE: f64 = 1.0;

/// The quiet zone of a QR code, in modules (ISO 18004).
const QUIET: usize = 4;

/// What is on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The display's id, or else the name of the image.
    title: String,
    /// Name and value of each line.
    lines: Vec<(&'static str, String)>,
}

impl Label {
    /// The label of a card. An enrollment code is a secret until it is used: it is there only if it is given here.
    pub fn of(receipt: &Receipt, enrollment: Option<&str>) -> Self {
        let named = receipt.identity.as_ref();
        let title = named.map_or(&receipt.image.name, |named| &named.display).clone();
        let mut lines = Vec::new();
        let mut line = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
        line("host", named.and_then(|named| named.hostname.clone()).filter(|hostname| *hostname != title));
        line("server", named.and_then(|named| named.server.clone()));
        line("code", enrollment.map(ToOwned::to_owned));
        line("image", Some(image(receipt)));
        line("made", Some(day(receipt.finished.unwrap_or(receipt.began))));
        Self { title, lines }
    }

    /// What the QR code says: the lines of the label.
    pub fn code_text(&self) -> String {
        self.lines.iter().fold(self.title.clone(), |mut text, (name, value)| {
            let _ = write!(text, "\n{name} {value}");
            text
        })
    }

    /// For a terminal or a plain text printer: the code in half blocks, the lines below.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(code) = self.code() {
            text = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.title);
        for (name, value) in &self.lines {
            let _ = writeln!(text, "{name:<7} {value}");
        }
        text
    }

    /// A drawing of its real size, black on white.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}mm\" height=\"{HEIGHT}mm\" \
             viewBox=\"0 0 {WIDTH} {HEIGHT}\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        let left = match self.code() {
            Some(code) => {
                draw(&code, &mut svg);
                EDGE + CODE + EDGE
            }
            None => EDGE,
        };
        let width = WIDTH - left - EDGE;
        let _ = writeln!(svg, "<g font-family=\"DejaVu Sans, Arial, sans-serif\">");
        let mut y = EDGE + 5.0;
        let mut line = |text: &str, largest: f64, weight: &str| {
            let size = size_of(text, width, largest);
            let text = escaped(text);
            let _ = writeln!(
                svg,
                "<text x=\"{left}\" y=\"{y:.1}\" font-size=\"{size:.2}\" font-weight=\"{weight}\">{text}</text>"
            );
            y += largest + 1.0;
        };
        line(&self.title, 5.0, "bold");
        for (name, value) in &self.lines {
            line(&format!("{name} {value}"), 2.8, "normal");
        }
        svg.push_str("</g>\n</svg>\n");
        svg
    }

    /// `None`: more text than a QR code holds.
    fn code(&self) -> Option<QrCode> {
        QrCode::with_error_correction_level(self.code_text(), EcLevel::M).ok()
    }
}

fn draw(code: &QrCode, svg: &mut String) {
    let across = code.width();
    let module = CODE / (across + 2 * QUIET) as f64;
    let _ = write!(
        svg,
        "<path transform=\"translate({EDGE} {EDGE}) scale({module:.5})\" shape-rendering=\"crispEdges\" d=\""
    );
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let _ = write!(svg, "M{} {}h1v1h-1z", at % across + QUIET, at / across + QUIET);
        }
    }
    svg.push_str("\"/>\n");
}

/// The size of letters with which a text fits, in millimetres: a letter is about 0.6 as wide as it is high.
fn size_of(text: &str, width: f64, largest: f64) -> f64 {
    largest.min(width / (0.62 * text.chars().count().max(1) as f64))
}

fn image(receipt: &Receipt) -> String {
    let short = receipt.image.sha256.get(..12).unwrap_or("unknown");
    format!("{short} {}", receipt.image.name)
}

fn day(when: Timestamp) -> String {
    when.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::receipt::{Named, tests::receipt};

    #[test]
    fn a_label_says_what_the_card_is_and_no_secret() {
        let receipt = receipt();
        let label = Label::of(&receipt, None);
        assert_eq!(
            label.code_text(),
            "lobby\nhost lobby-pi\nserver https://push.example.org\nimage 0123456789ab pikiosk.img.xz\n\
             made 2026-05-04 12:15 UTC"
        );
        let text = label.text();
        assert!(text.ends_with("\nmade    2026-05-04 12:15 UTC\n"), "{text}");
        assert!(text.contains('█'));
        assert!(Label::of(&receipt, Some("ABCD-EFGH")).text().contains("code    ABCD-EFGH"));
    }

    #[test]
    fn a_label_is_drawn_inside_its_edges_whatever_the_names() {
        let mut receipt = receipt();
        receipt.identity =
            Some(Named { display: "x".repeat(63), hostname: None, server: Some("https://a?b&c<d".into()) });
        let svg = Label::of(&receipt, None).svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("https://a?b&amp;c&lt;d"));
        let mut reader = quick_xml::Reader::from_str(&svg);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
        let size: f64 = svg.split_once("y=\"6.0\" font-size=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap();
        assert!(size * 0.62 * 63.0 < WIDTH - CODE);
    }
}
