//! Fingers land where the picture is: the touch matrix of X goes with the picture's turn and place.

use x11rb::protocol::{
    xinput::{self, ConnectionExt as _},
    xproto::PropMode,
};

use super::x11::{X11, XError};

/// Of every device of X, whatever drives it (libinput as well).
const PROPERTY: &str = "Coordinate Transformation Matrix";

/// Row by row, in shares of the screen.
pub type Matrix = [f32; 9];

/// From places on the panel to places on the X screen of this size, of which the picture takes up `place` (left, top,
/// width, height) and is turned clockwise.
pub fn matrix(degrees: u32, place: (i16, i16, u16, u16), size: (u16, u16)) -> Matrix {
    let turn = match degrees {
        90 => [0.0, 1.0, 0.0, -1.0, 0.0, 1.0],
        180 => [-1.0, 0.0, 1.0, 0.0, -1.0, 1.0],
        270 => [0.0, -1.0, 1.0, 1.0, 0.0, 0.0],
        _ => [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    };
    let share = |part: f32, whole: u16| part / f32::from(whole.max(1));
    let (wide, high) = (share(place.2.into(), size.0), share(place.3.into(), size.1));
    let (left, top) = (share(place.0.into(), size.0), share(place.1.into(), size.1));
    let [a, b, c, d, e, f] = turn;
    [wide * a, wide * b, wide * c + left, high * d, high * e, high * f + top, 0.0, 0.0, 1.0]
}

/// Sets it for every touch screen; returns their names.
pub fn set(x11: &X11, matrix: Matrix) -> Result<Vec<String>, XError> {
    if !x11.has_touch {
        return Ok(Vec::new());
    }
    let (property, float) = (x11.atom(PROPERTY)?, x11.atom("FLOAT")?);
    let wanted = matrix.map(f32::to_bits).to_vec();
    let mut names = Vec::new();
    for device in screens(x11)? {
        let now = x11.connection.xinput_xi_get_property(device.deviceid, false, property, float, 0, 9)?.reply()?;
        if now.items.as_data32() != Some(&wanted) {
            let items = xinput::XIChangePropertyAux::Data32(wanted.clone());
            let change = PropMode::REPLACE;
            x11.connection.xinput_xi_change_property(device.deviceid, change, property, float, 9, &items)?.check()?;
        }
        names.push(String::from_utf8_lossy(&device.name).into_owned());
    }
    Ok(names)
}

/// The devices that are touched where the picture is; a touch pad is not one.
fn screens(x11: &X11) -> Result<Vec<xinput::XIDeviceInfo>, XError> {
    let all = x11.connection.xinput_xi_query_device(xinput::Device::ALL)?.reply()?.infos;
    let is_direct = |class: &xinput::DeviceClass| {
        class.data.as_touch().is_some_and(|touch| touch.mode == xinput::TouchMode::DIRECT)
    };
    let is_slave = |kind| matches!(kind, xinput::DeviceType::SLAVE_POINTER | xinput::DeviceType::FLOATING_SLAVE);
    Ok(all.into_iter().filter(|it| is_slave(it.type_) && it.classes.iter().any(is_direct)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a finger at this place of the panel lands.
    fn lands(matrix: Matrix, (x, y): (f32, f32)) -> (f32, f32) {
        (matrix[0] * x + matrix[1] * y + matrix[2], matrix[3] * x + matrix[4] * y + matrix[5])
    }

    #[test]
    fn a_finger_on_a_corner_of_the_panel_lands_on_the_corner_of_the_picture_that_is_there() {
        let whole = |degrees| matrix(degrees, (0, 0, 1080, 1920), (1080, 1920));
        // Turned clockwise, the picture's upper left corner is at the panel's upper right.
        for (degrees, panel) in [(0, (0.0, 0.0)), (90, (1.0, 0.0)), (180, (1.0, 1.0)), (270, (0.0, 1.0))] {
            assert_eq!(lands(whole(degrees), panel), (0.0, 0.0), "{degrees}");
            assert_eq!(lands(whole(degrees), (0.5, 0.5)), (0.5, 0.5), "{degrees}");
        }
    }

    #[test]
    fn beside_another_screen_fingers_stay_on_their_own() {
        let right_half = matrix(180, (1000, 0, 1000, 500), (2000, 1000));
        assert_eq!(lands(right_half, (1.0, 1.0)), (0.5, 0.0));
        assert_eq!(lands(right_half, (0.0, 0.0)), (1.0, 0.5));
    }

    /// `src/provision/desired/session.rs` writes the same for the first picture.
    #[test]
    fn the_matrix_is_the_one_that_the_session_starts_with() {
        let right = matrix(90, (0, 0, 1, 1), (1, 1));
        assert_eq!(right, [0.0, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
