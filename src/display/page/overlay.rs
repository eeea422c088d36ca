//! The overlays: functions that the browser runs over whatever is on the glass.
//!
//! Each is one JavaScript function expression with one argument, an object; it is called with `script.callFunction` in
//! a sandbox of our own. Its promise ends when the overlay has been painted (two animation frames), and fails with an
//! `Error` if it could not be put up. Calling it again replaces what it put up before. A document that goes takes its
//! overlays along.

macro_rules! overlay {
    ($file:literal) => {
        concat!(
            "(argument) => {\n\"use strict\";\n",
            include_str!("../../../assets/overlay/stage.js"),
            include_str!(concat!("../../../assets/overlay/", $file)),
            "}"
        )
    };
}

/// `{text, level, seconds, position}`, as the command has them: a message over the page. A newer one replaces it.
pub const MESSAGE: &str = overlay!("message.js");
/// `{}`: takes the message away.
pub const CLEAR_MESSAGE: &str = overlay!("clear_message.js");
/// `{display, lines, seconds}`: the display's id in large letters over all, and lines of text under it.
pub const IDENTIFY: &str = overlay!("identify.js");

#[cfg(test)]
mod tests {
    use super::*;

    /// Each would run into a strict Content Security Policy, or let a message act.
    #[test]
    fn overlays_write_text_and_never_markup() {
        for script in [MESSAGE, CLEAR_MESSAGE, IDENTIFY] {
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacent", "<style", "cssText", "eval(", "Function(", "import("]
            {
                assert!(!script.contains(forbidden), "{forbidden}");
            }
        }
    }
}
