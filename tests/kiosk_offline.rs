//! The site is away, and the display goes on with what it kept: a real Firefox on a real screen, and its pixels.

mod support;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use support::{
    film,
    kiosk::{COLD, Kiosk},
    screen::{Colour, Frame},
    site::{Site, turn_colour},
    wait::{Patience, seconds, until},
};

scenarios![
    a_playlist_goes_on_without_network_and_one_item_fades_into_the_next,
    what_was_corrupted_on_the_card_is_fetched_again_and_what_is_not_there_is_passed_over,
    the_last_picture_of_a_page_is_shown_as_such_while_its_site_is_away,
    a_picture_that_its_site_has_changed_is_on_the_glass_once_its_copy_is_asked_to_be_made_anew,
    one_page_of_a_playlist_follows_another_and_nothing_is_seen_between_them_also_while_a_site_is_away,
    a_site_that_never_answers_leaves_the_page_before_it_on_the_glass_until_the_next_one_is_there,
    a_picture_or_film_that_cannot_be_had_or_read_leaves_no_dark_moment_and_status_says_which_and_why,
    a_playlist_of_which_nothing_can_be_had_says_so_and_shows_the_first_that_is_back_within_five_seconds,
];

const RED: Colour = [0xb0, 0x22, 0x1e];
const BLUE: Colour = [0x12, 0x34, 0x9c];
const GREEN: Colour = [0x2a, 0x9a, 0x3c];

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
    until("the page's picture is on the card", seconds(40), || (pictures() > before).then_some(()));

    kiosk.site.go_away();
    kiosk.push_is("reload", &json!({}), "failed");
    let pictured = |frame: &Frame| above_the_band(frame, shown) > 0.95 && has_a_band(frame);
    kiosk.screen.until("the last picture, with a band that says so", seconds(10), pictured);
    kiosk.frame().save(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("last-picture.png"));
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

/// Nearly all of the glass has nearly this colour: a film's is not to the last bit.
fn is(frame: &Frame, colour: Colour) -> bool {
    above_the_band(frame, colour) > 0.95 && !has_a_band(frame)
}

fn keep_a_look(frame: &Frame, name: &str) {
    frame.save(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
}

/// Labels of what is on the card of these addresses.
fn cached(kiosk: &Kiosk, urls: &[&String]) -> usize {
    let entries = fs::read_dir(kiosk.folder().join("state/media")).into_iter().flatten().flatten();
    let labels = entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "json"));
    labels
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter(|text| urls.iter().any(|url| text.contains(&format!("\"url\":\"{url}\""))))
        .count()
}

fn a_playlist_goes_on_without_network_and_one_item_fades_into_the_next(kiosk: &mut Kiosk) {
    kiosk.site.put("/film.webm", "ETag: \"1\"\r\n", film::blue());
    let red = kiosk.site.url("/picture/b0221e");
    // Nearly as long an address as there may be: in the player's own it is three times as long.
    let green = kiosk.site.url(&format!("/picture/2a9a3c?{}", "&".repeat(4000)));
    let film = kiosk.site.url("/film.webm");
    let items = json!([
        {"image": red, "seconds": 2}, {"image": green, "seconds": 2}, {"video": film, "seconds": 2},
    ]);
    let playlist = json!({"items": items, "transition": "fade", "transition_ms": 1200});
    kiosk.push_is("playlist", &playlist, "shown");
    let round = |kiosk: &Kiosk| {
        for colour in [RED, GREEN, BLUE] {
            kiosk.screen.until(&format!("#{colour:02x?}"), seconds(20), |frame| is(frame, colour));
        }
    };
    round(kiosk);
    until("all of it is on the card", seconds(20), || (cached(kiosk, &[&red, &green, &film]) == 3).then_some(()));

    kiosk.site.go_away();
    round(kiosk);
    round(kiosk);
    // Half-way between a film and a picture: some of either, on all of the glass.
    kiosk.screen.until("the film fading into the picture", seconds(20), |frame| {
        let [red, _, blue] = frame.at(frame.width / 2, frame.height / 2);
        (0x38..0x88).contains(&red) && (0x30..0x88).contains(&blue)
    });
    keep_a_look(&kiosk.frame(), "fade.png");
    kiosk.screen.until("the film", seconds(20), |frame| is(frame, BLUE));
    keep_a_look(&kiosk.frame(), "film-offline.png");

    kiosk.stop_display();
    kiosk.start_run();
    kiosk.start_browser();
    kiosk.screen.until("the first picture after a start without network", COLD, |frame| is(frame, RED));
    round(kiosk);
    kiosk.site.come_back();
}

fn what_was_corrupted_on_the_card_is_fetched_again_and_what_is_not_there_is_passed_over(kiosk: &mut Kiosk) {
    let (red, green) = (kiosk.site.url("/picture/b0221e"), kiosk.site.url("/picture/2a9a3c"));
    let missing = kiosk.site.url("/nothing.png");
    let items = json!([{"image": red, "seconds": 2}, {"image": missing, "seconds": 2}, {"image": green, "seconds": 2}]);
    kiosk.push_is("playlist", &json!({ "items": items }), "shown");
    kiosk.screen.until("the third item", seconds(20), |frame| is(frame, GREEN));
    until("what there is, is on the card", seconds(20), || (cached(kiosk, &[&red, &green]) == 2).then_some(()));
    let log = || fs::read_to_string(kiosk.folder().join("run.log")).unwrap_or_default();
    assert!(log().contains("is passed over"), "the log says which was passed over");

    // A film that no browser can read.
    let broken = kiosk.site.url("/broken.webm");
    kiosk.site.put("/broken.webm", "", [&[0x1a, 0x45, 0xdf, 0xa3][..], &[7; 500]].concat());
    let receipt = kiosk.push_is("playlist", &json!({"items": [{"video": broken}]}), "failed");
    assert!(
        receipt["error"].as_str().is_some_and(|why| why.contains("format") || why.contains("damaged")),
        "{receipt}"
    );
    kiosk.push_is("playlist", &json!({ "items": items }), "shown");

    kiosk.stop_display();
    let media = kiosk.folder().join("state/media");
    for entry in fs::read_dir(&media).expect("the cache is there").flatten() {
        if entry.path().extension().is_none() {
            let mut bytes = fs::read(entry.path()).expect("it is read");
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(entry.path(), bytes).expect("it is written");
        }
    }
    let hits = kiosk.site.hits("/picture/b0221e").len();
    kiosk.start_run();
    kiosk.start_browser();
    kiosk.screen.until("the first item", COLD, |frame| is(frame, RED));
    until("both are on the card again", seconds(30), || (cached(kiosk, &[&red, &green]) == 2).then_some(()));
    assert!(kiosk.site.hits("/picture/b0221e").len() > hits, "it was fetched again");
    kiosk.site.go_away();
    for colour in [GREEN, RED, GREEN] {
        kiosk.screen.until(&format!("#{colour:02x?}"), seconds(20), |frame| is(frame, colour));
    }
    kiosk.site.come_back();
}

/// What a viewer saw, look by look.
#[derive(Debug, Default, Clone, Copy)]
struct Looks {
    red: u32,
    green: u32,
    /// The last picture of the green page, with its band.
    past: u32,
    other: u32,
    /// The machine had no time for anybody meanwhile.
    busy: bool,
}

impl Looks {
    /// How often neither item was seen. A picture is held for three seconds at most, and a machine that needs longer for a
    /// page shows what Firefox does: that is not judged.
    fn gaps(&self) -> u32 {
        if self.busy { 0 } else { self.other }
    }
}

/// Looks at the glass as often as it can. The first picture that is none of them is kept.
fn watch(kiosk: &Kiosk, time: Duration, name: &str) -> Looks {
    let (mut looks, began, patience) = (Looks::default(), Instant::now(), Patience::begin());
    while began.elapsed() < time {
        let frame = kiosk.frame();
        let (red, green) = (above_the_band(&frame, RED), above_the_band(&frame, GREEN));
        // A look may fall into the moment at which one half of the glass is painted already.
        if red + green < 0.95 {
            looks.other += 1;
            if looks.other == 1 {
                keep_a_look(&frame, name);
            }
        } else if has_a_band(&frame) {
            looks.past += 1;
        } else if red > green {
            looks.red += 1;
        } else {
            looks.green += 1;
        }
    }
    looks.busy = patience.limit(time) > time;
    looks
}

#[expect(clippy::print_stdout, reason = "how it looked is what this test is for")]
fn one_page_of_a_playlist_follows_another_and_nothing_is_seen_between_them_also_while_a_site_is_away(
    kiosk: &mut Kiosk,
) {
    let mut other = Site::start();
    let red = kiosk.site.colour(RED, "first");
    // Another site is another process of Firefox; and of this page not all is there when it paints first.
    let fills =
        "<!doctype html><h1>news</h1><script>setTimeout(() => { document.body.bgColor = '#2a9a3c'; }, 300)</script>";
    other.put("/fills", "", fills);
    let green = other.url("/fills").replace("127.0.0.1", "localhost");
    let list = json!({"items": [{"url": red, "seconds": 6}, {"url": green, "seconds": 6}]});
    kiosk.push_is("playlist", &list, "shown");
    kiosk.screen.until("the first page", seconds(5), |frame| is(frame, RED));
    kiosk.screen.until("the second page", seconds(20), |frame| is(frame, GREEN));
    let looks = watch(kiosk, seconds(20), "between-pages.png");
    println!("    both are there: {looks:?}");
    let pictures = || fs::read_dir(kiosk.folder().join("state/pictures")).map_or(0, |found| found.count());
    until("a picture of each is on the card", seconds(20), || (pictures() >= 2).then_some(()));

    kiosk.screen.until("the first page", seconds(20), |frame| is(frame, RED));
    other.go_away();
    let away = watch(kiosk, seconds(20), "between-past.png");
    println!("    one is away: {away:?}");
    kiosk.screen.until("the last picture of the page that is away", seconds(20), has_a_band);
    keep_a_look(&kiosk.frame(), "item-past.png");
    let health = kiosk.push_is("health", &json!({}), "done");
    assert_eq!(health["result"]["showing"], false, "an old picture is not the page: {health}");

    // One picture after the other is one page of ours that says something else.
    kiosk.site.go_away();
    let past_red = |frame: &Frame| above_the_band(frame, RED) > 0.95 && has_a_band(frame);
    kiosk.screen.until("the last picture of the first page", seconds(20), past_red);
    let all_away = watch(kiosk, seconds(15), "between-two-past.png");
    println!("    all are away: {all_away:?}");
    kiosk.screen.until("the last picture of the first page again", seconds(20), past_red);
    kiosk.site.come_back();
    other.come_back();
    let back = |frame: &Frame| above_the_band(frame, GREEN) > 0.95 && !has_a_band(frame);
    kiosk.screen.until("the page that was away", seconds(30), back);
    assert!(away.past > 20 && away.green == 0, "{away:?}");
    let gaps = [&looks, &away, &all_away].map(Looks::gaps);
    assert_eq!((looks.past, gaps), (0, [0; 3]), "{looks:?} {away:?} {all_away:?}");
}

fn a_picture_that_its_site_has_changed_is_on_the_glass_once_its_copy_is_asked_to_be_made_anew(kiosk: &mut Kiosk) {
    let drawing = |colour: &str| {
        let rect = format!("<rect width=\"1280\" height=\"720\" fill=\"#{colour}\"/>");
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1280\" height=\"720\">{rect}</svg>")
    };
    let url = kiosk.site.url("/changes.svg");
    kiosk.site.put("/changes.svg", "ETag: \"1\"\r\n", drawing("b0221e"));
    kiosk.push_is("playlist", &json!({"items": [{"image": url, "seconds": 600}]}), "shown");
    until("it is on the card", seconds(20), || (cached(kiosk, &[&url]) == 1).then_some(()));
    kiosk.site.put("/changes.svg", "ETag: \"2\"\r\n", drawing("2a9a3c"));
    kiosk.push_is("reload", &json!({}), "shown");
    assert!(is(&kiosk.frame(), RED), "the card's copy is good for a while");
    kiosk.push_is("reload", &json!({"ignore_cache": true}), "shown");
    kiosk.screen.until("what the site has now", seconds(3), |frame| is(frame, GREEN));

    kiosk.site.go_away();
    let receipt = kiosk.push_is("reload", &json!({"ignore_cache": true}), "failed");
    assert!(receipt["error"].as_str().is_some_and(|why| why.contains("could not be fetched anew")), "{receipt}");
    assert!(is(&kiosk.frame(), GREEN), "what there is stays");
    kiosk.site.come_back();
}

#[expect(clippy::print_stdout, reason = "how it looked is what this test is for")]
fn a_site_that_never_answers_leaves_the_page_before_it_on_the_glass_until_the_next_one_is_there(kiosk: &mut Kiosk) {
    let (red, green) = (kiosk.site.colour(RED, "before"), kiosk.site.colour(GREEN, "after"));
    let never = kiosk.site.url("/never");
    let items = [&red, &never, &green].map(|url| json!({"url": url, "seconds": 6}));
    kiosk.push_is("playlist", &json!({ "items": items }), "shown");
    kiosk.screen.until("the first page", seconds(5), |frame| is(frame, RED));
    // Firefox waits for it for twenty seconds; the next time it is known, and passed over in its turn.
    let looks = watch(kiosk, seconds(45), "between-never.png");
    println!("    {looks:?}, asked for {} times", kiosk.site.hits("/never").len());
    assert!(looks.red > 100 && looks.green > 100 && (looks.past, looks.gaps()) == (0, 0), "{looks:?}");
}

#[expect(clippy::print_stdout, reason = "how it looked is what this test is for")]
fn a_picture_or_film_that_cannot_be_had_or_read_leaves_no_dark_moment_and_status_says_which_and_why(kiosk: &mut Kiosk) {
    // No picture, though it says so; and a film without a track.
    kiosk.site.put("/torn.svg", "", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\"");
    kiosk.site.put("/broken.webm", "", [&[0x1a, 0x45, 0xdf, 0xa3][..], &[7; 500]].concat());
    let (missing, torn, film) =
        (kiosk.site.url("/nothing.png"), kiosk.site.url("/torn.svg"), kiosk.site.url("/broken.webm"));
    let item = |kind: &str, url: &str| json!({ kind: url, "seconds": 3 });
    let lists = |kind: &str, red: &str, green: &str| {
        json!({"items": [
            item(kind, red), item("image", &missing), item("image", &torn), item(kind, green), item("video", &film),
        ]})
    };
    let pictures = lists("image", &kiosk.site.url("/picture/b0221e"), &kiosk.site.url("/picture/2a9a3c"));
    let pages = lists("url", &kiosk.site.colour(RED, "near"), &kiosk.site.colour(GREEN, "far"));
    let mut seen = Vec::new();
    for (kind, list) in [("pictures", pictures), ("pages", pages)] {
        kiosk.push_is("playlist", &list, "shown");
        kiosk.screen.until("the first item", seconds(10), |frame| is(frame, RED));
        let first = watch(kiosk, seconds(12), &format!("first-round-{kind}.png"));
        let later = watch(kiosk, seconds(20), &format!("later-rounds-{kind}.png"));
        println!("    between {kind}: the first round {first:?}, later ones {later:?}");
        let health = kiosk.push_is("health", &json!({}), "done");
        let status = health["result"]["status"].as_str().unwrap_or_default().to_owned();
        println!("    {status}");
        for told in ["item 2 is passed over (http-404)", "item 3 is passed over (", "item 5 is passed over ("] {
            assert!(status.contains(told), "{told}: {status}");
        }
        seen.push((first, later));
    }
    // A film that breaks off in the middle leaves its last frame until the next item is there.
    let mut torn = film::blue();
    // The mark of each VP8 key frame.
    for at in torn.len() / 3..torn.len() - 3 {
        if torn[at..at + 3] == [0x9d, 0x01, 0x2a] {
            torn[at..at + 3].fill(0);
        }
    }
    kiosk.site.put("/breaks-off.webm", "", torn);
    let red = kiosk.site.url("/picture/b0221e");
    let list = json!({"items": [item("image", &red), item("video", &kiosk.site.url("/breaks-off.webm"))]});
    kiosk.push_is("playlist", &list, "shown");
    kiosk.screen.until("the film", seconds(20), |frame| is(frame, BLUE));
    let (mut others, began) = (0, Instant::now());
    while began.elapsed() < seconds(7) {
        let frame = kiosk.frame();
        if above_the_band(&frame, RED) + above_the_band(&frame, BLUE) < 0.95 {
            others += 1;
            keep_a_look(&frame, "breaks-off.png");
        }
    }
    assert_eq!(others, 0, "looks that saw neither");
    until("it is told of the film", seconds(20), || {
        let health = kiosk.push_is("health", &json!({}), "done");
        let status = health["result"]["status"].as_str().unwrap_or_default();
        status.contains("item 2 is passed over (it is damaged)").then_some(())
    });
    // Before the items were looked at in advance, two looks of three were dark. The player changes pictures itself, and that
    // takes no picture that is held for three seconds.
    assert_eq!((seen[0].0.other, seen[0].1.other), (0, 0), "between pictures: {seen:?}");
    assert_eq!((seen[1].0.gaps(), seen[1].1.gaps()), (0, 0), "between pages: {seen:?}");
}

#[expect(clippy::print_stdout, reason = "how long it took is what this test is for")]
fn a_playlist_of_which_nothing_can_be_had_says_so_and_shows_the_first_that_is_back_within_five_seconds(
    kiosk: &mut Kiosk,
) {
    let mut other = Site::start();
    let (page, picture) = (other.colour(GREEN, "nowhere"), kiosk.site.url("/picture/b0221e?nowhere"));
    other.go_away();
    kiosk.site.go_away();
    let list = json!({"items": [{"url": page, "seconds": 5}, {"image": picture, "seconds": 5}]});
    let receipt = kiosk.push_is("playlist", &list, "failed");
    println!("    {}", receipt["error"]);
    kiosk.screen.until("the offline page's words", seconds(10), |frame| frame.share(RED) < 0.1 && has_words(frame));
    // Until its own pauses are longer than what is asked of it.
    let paused = Instant::now();
    kiosk.screen.until("half a minute of it", seconds(60), |frame| {
        assert!(frame.share(RED) < 0.1 && frame.share(GREEN) < 0.1);
        paused.elapsed() > seconds(30)
    });
    keep_a_look(&kiosk.frame(), "nothing-to-show.png");
    let health = kiosk.push_is("health", &json!({}), "done");
    println!("    {}", health["result"]["status"]);
    assert_eq!((&health["result"]["showing"], &health["result"]["glass"]), (&json!(false), &json!("away")));
    for (site, colour) in [(&mut kiosk.site, RED), (&mut other, GREEN)] {
        let back = Instant::now();
        site.come_back();
        kiosk.screen.until("what is back", seconds(if colour == RED { 5 } else { 30 }), |frame| is(frame, colour));
        println!("    #{colour:02x?} was back on the glass after {:.1} s", back.elapsed().as_secs_f64());
    }
}
