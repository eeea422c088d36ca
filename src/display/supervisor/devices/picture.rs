//! Whether the picture has the size and the turn that are wanted. Pure.

use crate::{config::Mode, display::screen::Output};

/// How it differs on every output that shows one, in words that go after the page's address; none where one of them is
/// right, or nothing is known. Without a wanted size the screen's own choice is right, where it tells it.
pub fn differs(outputs: &[Output], mode: Option<Mode>, degrees: u32) -> Option<String> {
    let mut found = None;
    for output in outputs.iter().filter(|output| output.connected) {
        let Some(picture) = output.picture else { continue };
        let preferred = output.preferred.map(|it| (it.width, it.height));
        let wanted = mode.map(|it| (it.width, it.height)).or(preferred);
        let (is, wanted) = ((picture.width, picture.height), wanted.unwrap_or((picture.width, picture.height)));
        let why = if output.degrees != degrees {
            format!("turned by {} degrees and not by {degrees}", output.degrees)
        } else if is != wanted {
            format!("in {}x{} and not in {}x{}", is.0, is.1, wanted.0, wanted.1)
        } else {
            return None;
        };
        found = found.or(Some(why));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::screen::Picture;

    fn output(width: u32, height: u32, degrees: u32) -> Output {
        let picture = |width, height| Some(Picture { width, height, millihertz: 60_000 });
        let preferred = picture(1920, 1080);
        Output { connected: true, picture: picture(width, height), preferred, degrees, ..Output::default() }
    }

    #[test]
    fn a_picture_of_another_size_or_turn_is_told_in_words_and_one_right_output_is_enough() {
        let (right, small) = (output(1920, 1080, 0), output(640, 480, 0));
        assert_eq!(differs(std::slice::from_ref(&right), None, 0), None);
        assert_eq!(differs(std::slice::from_ref(&small), None, 0).unwrap(), "in 640x480 and not in 1920x1080");
        assert_eq!(differs(&[small.clone(), right.clone()], None, 0), None);
        assert_eq!(differs(std::slice::from_ref(&right), None, 90).unwrap(), "turned by 0 degrees and not by 90");
        let vga = Some(Mode { width: 640, height: 480, refresh: None });
        assert_eq!(differs(&[small], vga, 0), None);
        assert_eq!(differs(&[right], vga, 0).unwrap(), "in 1920x1080 and not in 640x480");
    }

    #[test]
    fn of_a_screen_that_tells_nothing_nothing_is_said() {
        assert_eq!(differs(&[], None, 90), None);
        let dark = Output { connected: true, ..Output::default() };
        assert_eq!(differs(&[dark], None, 90), None);
        let modest = Output { preferred: None, ..output(800, 600, 0) };
        assert_eq!(differs(&[modest], None, 0), None);
    }
}
