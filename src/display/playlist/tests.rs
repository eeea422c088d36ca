//! The playlist by table and by property.

use proptest::prelude::*;

use super::*;

fn playlist(seconds: &[u32], repeat: bool) -> Playlist {
    let item = |(n, seconds): (usize, &u32)| PlaylistItem {
        url: Some(format!("http://site/{n}")),
        image: None,
        video: None,
        seconds: *seconds,
    };
    Playlist::new(&Data { items: seconds.iter().enumerate().map(item).collect(), repeat, ..Data::default() })
}

/// The glass of a test: time goes from deadline to deadline, each item shows or fails as `shows` says.
struct Glass<F> {
    list: Playlist,
    now: Instant,
    begin: Instant,
    shows: F,
    /// Second, item, whether it showed.
    seen: Vec<(u64, usize, bool)>,
    away: Vec<u64>,
    done: usize,
}

impl<F: FnMut(usize) -> bool> Glass<F> {
    fn new(list: Playlist, shows: F) -> Self {
        let now = Instant::now();
        Glass { list, now, begin: now, shows, seen: Vec::new(), away: Vec::new(), done: 0 }
    }

    fn step(&mut self, input: Input) {
        for effect in self.list.step(input, self.now) {
            let at = (self.now - self.begin).as_secs();
            match effect {
                Effect::Show { item, .. } => {
                    let showed = (self.shows)(item);
                    self.seen.push((at, item, showed));
                    self.step(if showed { Input::ItemPainted(item) } else { Input::ItemFailed(item) });
                }
                Effect::Away { .. } => self.away.push(at),
                Effect::Done => self.done += 1,
            }
        }
    }

    fn run(&mut self, steps: usize) -> &mut Self {
        self.step(Input::Started);
        for _ in 0..steps {
            let Some(deadline) = self.list.deadline() else { break };
            self.now = deadline;
            self.step(Input::Due);
        }
        self
    }
}

#[test]
fn items_come_in_turn_each_for_its_seconds_and_again() {
    let mut glass = Glass::new(playlist(&[10, 3, 5], true), |_| true);
    glass.run(4);
    assert_eq!(glass.seen, [(0, 0, true), (10, 1, true), (13, 2, true), (18, 0, true), (28, 1, true)]);
    assert_eq!((glass.away.len(), glass.done), (0, 0));
}

#[test]
fn without_loop_the_last_item_stays() {
    let mut glass = Glass::new(playlist(&[10, 3], false), |_| true);
    glass.run(10);
    assert_eq!(glass.seen, [(0, 0, true), (10, 1, true)]);
    assert_eq!(glass.done, 1);
    assert_eq!(glass.list.deadline(), None);
}

#[test]
fn a_single_page_is_not_loaded_again_and_again() {
    let mut glass = Glass::new(playlist(&[1], true), |_| true);
    glass.run(10);
    assert_eq!(glass.seen.len(), 1);
}

#[test]
fn an_item_that_fails_is_passed_over() {
    let mut glass = Glass::new(playlist(&[10, 10, 10], true), |item| item != 1);
    glass.run(4);
    assert_eq!(glass.seen, [(0, 0, true), (10, 1, false), (12, 2, true), (22, 0, true), (32, 1, false)]);
    assert!(glass.away.is_empty(), "one dead link among others is no outage");
}

#[test]
fn when_all_fail_it_says_so_and_tries_on_ever_slower_and_comes_back() {
    let mut alive = false;
    let mut glass = Glass::new(playlist(&[10, 10], true), |_| false);
    glass.run(16);
    assert_eq!(glass.away, [2, 9, 21, 43, 85, 147, 209, 271], "pauses of 5, 10, 20, 40, 60, 60 s");
    let mut glass = Glass::new(playlist(&[10, 10], true), |_| std::mem::replace(&mut alive, true));
    glass.run(3);
    assert_eq!(glass.seen[1], (2, 1, true));
}

#[test]
fn the_last_item_of_a_list_without_loop_is_tried_until_it_shows() {
    let mut tries = 0;
    let mut glass = Glass::new(playlist(&[1, 1, 1], false), |item| {
        tries += usize::from(item == 2);
        item != 2 || tries == 4
    });
    glass.run(20);
    assert_eq!(glass.seen.iter().map(|(_, item, _)| *item).collect::<Vec<_>>(), [0, 1, 2, 2, 2, 2]);
    assert_eq!((glass.done, glass.away.len()), (1, 3));
}

#[test]
fn an_item_that_says_nothing_has_failed() {
    let now = Instant::now();
    let mut list = playlist(&[10, 10], true);
    list.step(Input::Started, now);
    assert_eq!(list.deadline(), Some(now + PAINT_WITHIN));
    assert_eq!(list.step(Input::Due, now + PAINT_WITHIN), []);
    assert_eq!(list.step(Input::Due, now + PAINT_WITHIN + FAILED_DWELL).len(), 1);
}

#[test]
fn after_the_glass_was_lost_the_same_item_is_shown_again() {
    let now = Instant::now();
    let mut list = playlist(&[10, 10], true);
    list.step(Input::Started, now);
    list.step(Input::ItemPainted(0), now);
    let next = list.step(Input::Due, now + Duration::from_secs(10));
    assert!(matches!(next[..], [Effect::Show { item: 1, .. }]));
    list.step(Input::ItemPainted(1), now + Duration::from_secs(10));
    let again = list.step(Input::Started, now + Duration::from_secs(12));
    assert!(matches!(again[..], [Effect::Show { item: 1, .. }]));
}

#[test]
fn late_news_of_an_item_that_is_gone_changes_nothing() {
    let now = Instant::now();
    let mut list = playlist(&[10, 10, 10], true);
    list.step(Input::Started, now);
    for late in [Input::ItemPainted(1), Input::ItemFailed(2), Input::ItemPainted(99), Input::Due] {
        assert_eq!(list.step(late, now), []);
        assert_eq!(list.item(), Some(0));
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => Just(Input::Started),
        1 => (0..6usize).prop_map(Input::ItemPainted),
        1 => (0..6usize).prop_map(Input::ItemFailed),
        3 => Just(Input::Due),
    ]
}

proptest! {
    /// Whatever the list and whatever fails: in order, at most one item a second on average, and never stuck.
    #[test]
    fn a_playlist_keeps_its_order_never_spins_and_is_never_stuck(
        seconds in prop::collection::vec(1..20u32, 1..6),
        repeat: bool,
        fates in prop::collection::vec(any::<bool>(), 1..40),
    ) {
        let count = seconds.len();
        let mut fate = fates.into_iter().cycle();
        let mut glass = Glass::new(playlist(&seconds, repeat), move |_| fate.next().unwrap());
        glass.run(200);
        for pair in glass.seen.windows(2) {
            let ((before, first, _), (after, second, _)) = (pair[0], pair[1]);
            let stays = !repeat && first + 1 == count && first == second;
            prop_assert!(second == (first + 1) % count || stays, "{:?}", glass.seen);
            prop_assert!(after > before, "two items in one second: {:?}", glass.seen);
        }
        let ended = glass.list.deadline().is_none();
        prop_assert!(!ended || glass.done == 1 || count == 1);
        prop_assert!(ended || glass.seen.len() > 60, "stuck: {:?}", glass.seen);
    }

    /// Whatever is told in whatever order, there is either a deadline or an item on the glass, and time goes on.
    #[test]
    fn no_news_in_any_order_stops_a_playlist(
        seconds in prop::collection::vec(1..20u32, 1..6),
        repeat: bool,
        news in prop::collection::vec((any_input(), 0..30u64), 0..60),
    ) {
        let mut now = Instant::now();
        let mut list = playlist(&seconds, repeat);
        list.step(Input::Started, now);
        for (input, later) in news {
            now += Duration::from_secs(later);
            list.step(input, now);
            match list.deadline() {
                Some(deadline) if input == Input::Due => prop_assert!(deadline > now),
                Some(_) => {}
                None => prop_assert!(list.item().is_some()),
            }
        }
    }
}
