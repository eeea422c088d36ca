//! The overlays: functions that the browser runs over whatever is on the glass.
//!
//! Each is one JavaScript function expression with one argument, an object; it is called with `script.callFunction` in
//! a sandbox of our own, and its promise ends when the overlay has been painted (two animation frames).

/// `{text, level, seconds, position}`: a message over the page. A newer one replaces it.
pub const MESSAGE: &str = include_str!("../../../assets/overlay/message.js");
/// `{}`: takes the message away.
pub const CLEAR_MESSAGE: &str = include_str!("../../../assets/overlay/clear_message.js");
/// `{display, lines, seconds}`: the display's id in large letters, over all.
pub const IDENTIFY: &str = include_str!("../../../assets/overlay/identify.js");
