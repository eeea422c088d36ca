//! The site is away, and the display goes on with what it kept: a real Firefox on a real screen, and its pixels.

mod support;

use std::fs;

use serde_json::json;
use support::{
    kiosk::{COLD, Kiosk},
    screen::{Colour, Frame},
    site::turn_colour,
    wait::{seconds, until},
};

scenarios![the_last_picture_of_a_page_is_shown_as_such_while_its_site_is_away];

/// How much of the uppermost part of the glass, to nine tenths of its height, has nearly this colour.
fn above_the_band(frame: &Frame, colour: Colour) -> f64 {
    let rows = 2..frame.height * 9 / 10;
    let places = rows.step_by(4).flat_map(|y| (0..frame.width).step_by(4).map(move |x| (x, y)));
    let near =
        |(x, y): &(usize, usize)| frame.at(*x, *y).iter().zip(colour).all(|(have, want)| have.abs_diff(want) < 6);
    let (near, all) = places.fold((0, 0), |(hits, all), place| (hits + usize::from(near(&place)), all + 1));
    near as f64 / all as f64
}

/// A dark band with letters in it at the lower edge.
fn has_a_band(frame: &Frame) -> bool {
    let row = |y: usize| (0..frame.width).map(move |x| frame.at(x, y));
    let is_dark = |colour: Colour| colour.iter().all(|part| *part < 0x30);
    let bottom: Vec<Colour> = (frame.height - 30..frame.height).flat_map(row).collect();
    let dark = bottom.iter().filter(|colour| is_dark(**colour)).count();
    let bright = bottom.iter().filter(|colour| colour.iter().all(|part| *part > 0x90)).count();
    dark * 10 > bottom.len() * 8 && bright > 100
}

fn has_words(frame: &Frame) -> bool {
    let bright = (0..frame.height).flat_map(|y| (0..frame.width).map(move |x| frame.at(x, y)));
    bright.filter(|colour| colour.iter().all(|part| *part > 0x90)).count() > 3000
}

fn the_last_picture_of_a_page_is_shown_as_such_while_its_site_is_away(kiosk: &mut Kiosk) {
    let url = kiosk.site.url("/turn/menu");
    kiosk.push_is("navigate", &json!({ "url": url }), "shown");
    let shown = turn_colour(kiosk.site.turns("menu"));
    kiosk.shows(shown, seconds(2));
    let folder = kiosk.folder().join("state/pictures");
    let pictures = || fs::read_dir(&folder).map_or(0, |entries| entries.flatten().count());
    let before = pictures();
    until("the page's picture is on the card, after a minute", seconds(90), || (pictures() > before).then_some(()));

    kiosk.site.go_away();
    kiosk.push_is("reload", &json!({}), "failed");
    let pictured = |frame: &Frame| above_the_band(frame, shown) > 0.95 && has_a_band(frame);
    kiosk.screen.until("the last picture, with a band that says so", seconds(10), pictured);
    kiosk.frame().save(&std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("last-picture.png"));
    let health = kiosk.push_is("health", &json!({}), "done");
    assert_eq!(health["result"]["showing"], false, "an old picture is not the page: {health}");

    // Supervisor and browser are started again, as after a power cut, and the site is still away.
    kiosk.kill_run();
    kiosk.stop_display();
    kiosk.start_run();
    kiosk.start_browser();
    kiosk.screen.until("the last picture after a start", COLD, pictured);

    kiosk.site.come_back();
    kiosk.screen.until("the page, back by itself", seconds(30), |frame| {
        frame.share(turn_colour(kiosk.site.turns("menu"))) > 0.8
    });

    kiosk.push_is("clear_data", &json!({"cookies": false}), "done");
    assert_eq!(pictures(), 0, "what pages left is cleared");
    kiosk.site.go_away();
    kiosk.push_is("reload", &json!({}), "failed");
    kiosk.screen.until("the offline page's words", seconds(10), |frame| frame.share(shown) < 0.1 && has_words(frame));
    kiosk.site.come_back();
}
