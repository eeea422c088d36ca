//! One load of one URL: from the order to the paint. Pure.
//!
//! Firefox tells of a load in four messages that come from two processes and in no fixed order: the answer to
//! `navigate` (with the navigation's id), `navigationCommitted`, the document's own `painted`, and errors. The load is
//! shown when the document that our navigation committed says that it is painted.

use std::time::Duration;

use tokio::time::Instant;

use super::port::{AskId, Painted};
use crate::display::page::SiteFault;

/// A site that has not begun to answer by then is not there; and as long again to paint.
pub const LOAD_WITHIN: Duration = Duration::from_secs(20);

/// A painted document that nothing names as ours is waited with for so long.
const NAMELESS_FOR: Duration = Duration::from_secs(3);

/// A page that leads elsewhere without end is not remembered without end.
const KEPT_MAX: usize = 64;

/// An order that found no document, not even an old one, is given again after so long.
const FRAMELESS_AGAIN: Duration = Duration::from_secs(1);
/// So often is an order given again that something else on the glass put aside, or that found no document.
const ABORTS_MAX: u32 = 3;
/// What Firefox answers of a page that came and at once led elsewhere.
const ADDRESS_REJECTED: &str = "Address rejected";

/// A load under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    pub url: String,
    pub ask: AskId,
    /// The browser took the order; under this id, if it said one.
    answered: bool,
    navigation: Option<String>,
    /// What was committed before the id was known, and then what our navigation led to.
    commits: Vec<(Option<String>, String)>,
    ours: Option<usize>,
    painted: Option<Painted>,
    /// Jumps within the document that were told before the id was known.
    jumps: Vec<String>,
    aborts: u32,
    /// It led elsewhere before it came.
    led_on: bool,
    /// It is to be given again at its deadline.
    put_off: bool,
    /// A jump within the document is not enough.
    afresh: bool,
    /// An item for the player, which is a document that may be there already: it comes as a jump, and tells by itself when
    /// it is painted, under its own whole address.
    item: bool,
    deadline: Instant,
}

/// What became of a load.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    Pending,
    Shown,
    /// It was a jump within the document that is there, and that is to be a new one.
    Stale,
    /// The order was not taken, and is to be given again now.
    Untaken,
    Failed(SiteFault),
}

impl Load {
    pub fn new(url: String, ask: AskId, now: Instant) -> Self {
        Load {
            // As Firefox will write it: `http://A` is `http://a/`.
            url: url::Url::parse(&url).map_or(url, String::from),
            ask,
            answered: false,
            navigation: None,
            commits: Vec::new(),
            ours: None,
            painted: None,
            jumps: Vec::new(),
            aborts: 0,
            led_on: false,
            put_off: false,
            afresh: false,
            item: false,
            deadline: now + LOAD_WITHIN,
        }
    }

    /// The document is to be a new one, even where only the fragment of its address differs from that of the old one.
    pub fn afresh(self) -> Self {
        Load { afresh: true, ..self }
    }

    pub fn of_item(self) -> Self {
        Load { item: true, ..self }
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The browser took the order.
    pub fn navigated(&mut self, navigation: Option<String>, now: Instant) -> Loaded {
        self.answered = true;
        if navigation.as_ref().is_some_and(|id| self.jumps.contains(id)) {
            return self.jump();
        }
        self.navigation = navigation;
        let found = self.commits.iter().position(|(id, url)| self.is_ours(id.as_deref(), url));
        self.found(found, now)
    }

    /// What is on the glass by this load: it may lead elsewhere by itself before it is painted.
    pub fn document(&self) -> &str {
        self.commits.last().map_or(&self.url, |(_, url)| url)
    }

    /// Whether our document came onto the glass, whatever became of it then.
    pub fn came(&self) -> bool {
        self.commits.iter().any(|(_, url)| same_document(url, &self.url))
    }

    /// Whether the order was put aside so often that giving it again is no use.
    pub fn is_given_up(&self) -> bool {
        self.aborts >= ABORTS_MAX
    }

    /// The order was put aside for the last time, in these words.
    pub fn rejected(&mut self, message: &str) {
        self.led_on = message.contains(ADDRESS_REJECTED);
    }

    /// Nothing before it is there any more that could put it aside: what is painted now is taken for it, where it was a page
    /// that led elsewhere.
    pub fn put_aside(&mut self, now: Instant) -> Loaded {
        if self.led_on { self.navigated(None, now) } else { Loaded::Failed(SiteFault::EmptyAnswer) }
    }

    /// The order was given once more, with this question.
    pub fn again(&mut self, ask: AskId, now: Instant) {
        let (aborts, afresh, item) = (self.aborts + 1, self.afresh, self.item);
        *self = Load { aborts, afresh, item, ..Load::new(std::mem::take(&mut self.url), ask, now) };
    }

    /// There was no document that could have been led elsewhere.
    pub fn put_off(&mut self, now: Instant) {
        self.put_off = !self.is_given_up();
        self.deadline = if self.put_off { now + FRAMELESS_AGAIN } else { self.deadline };
    }

    /// A document came onto the glass.
    pub fn committed(&mut self, navigation: Option<&str>, url: &str, now: Instant) -> Loaded {
        if let Some(fault) = SiteFault::from_error_document(url) {
            return Loaded::Failed(fault);
        }
        // The last one counts, and whether ours was among the first.
        self.commits.truncate(KEPT_MAX - 1);
        self.commits.push((navigation.map(str::to_owned), url.to_owned()));
        let found = (self.answered && self.is_ours(navigation, url)).then(|| self.commits.len() - 1);
        self.found(found, now)
    }

    /// By its id, or by its URL: when Firefox changes the process under a navigation, it may give it another id than it
    /// answered, and of one that was put aside it answers none. The page before may be leaving by itself at the same
    /// moment: what it leads to is not ours.
    fn is_ours(&self, navigation: Option<&str>, url: &str) -> bool {
        self.navigation.as_deref().is_some_and(|id| navigation == Some(id)) || same_document(url, &self.url)
    }

    fn found(&mut self, found: Option<usize>, now: Instant) -> Loaded {
        if self.ours.is_none() && found.is_some() {
            self.ours = found;
            self.deadline = now + LOAD_WITHIN;
        }
        self.judge(now)
    }

    /// The deadline passed. A document that painted, and that no id and no URL names as ours (it was redirected, and
    /// the id changed), is taken for it in the end: the browser took the order, and nothing else came.
    pub fn overdue(&self) -> Loaded {
        match self.look() {
            Loaded::Pending if self.put_off => Loaded::Untaken,
            Loaded::Pending => Loaded::Failed(SiteFault::TimedOut),
            loaded => loaded,
        }
    }

    /// A jump within the document (the same URL, with a fragment): it is painted already.
    pub fn jumped(&mut self, navigation: Option<&str>, now: Instant) -> Loaded {
        let Some(id) = navigation else { return Loaded::Pending };
        if self.item {
            let url = self.url.clone();
            return self.committed(Some(id), &url, now);
        }
        self.jumps.truncate(KEPT_MAX - 1);
        self.jumps.push(id.to_owned());
        if self.navigation.as_deref() == navigation { self.jump() } else { Loaded::Pending }
    }

    fn jump(&self) -> Loaded {
        if self.afresh { Loaded::Stale } else { Loaded::Shown }
    }

    pub fn painted(&mut self, painted: &Painted, now: Instant) -> Loaded {
        if let Some(fault) = SiteFault::from_error_document(&painted.uri) {
            // An older error page may still have been painting when we began: only our own counts.
            return if self.ours.is_some() { Loaded::Failed(fault) } else { Loaded::Pending };
        }
        self.painted = Some(painted.clone());
        self.judge(now)
    }

    fn judge(&mut self, now: Instant) -> Loaded {
        let loaded = self.look();
        if self.ours.is_some() || loaded == Loaded::Pending {
            return loaded;
        }
        if self.answered {
            self.deadline = self.deadline.min(now + NAMELESS_FOR);
        }
        Loaded::Pending
    }

    /// The page may lead elsewhere by itself before it paints: the last document is the one that counts.
    fn look(&self) -> Loaded {
        let (true, Some((_, url)), Some(painted)) = (self.answered, self.commits.last(), &self.painted) else {
            return Loaded::Pending;
        };
        let is_painted = match self.item {
            // A long address is told cut short; what makes each another stands first.
            true => self.url.starts_with(&painted.uri) && painted.uri.contains("&src="),
            false => same_document(url, &painted.uri),
        };
        if !is_painted {
            return Loaded::Pending;
        }
        match (&painted.failed, painted.status.and_then(SiteFault::from_status)) {
            (Some(why), _) => Loaded::Failed(SiteFault::Media(why.clone())),
            (None, Some(fault)) => Loaded::Failed(fault),
            (None, None) => Loaded::Shown,
        }
    }
}

/// Whether two URLs name one document: all but the fragment.
pub fn same_document(a: &str, b: &str) -> bool {
    let without = |url: &str| url.split_once('#').map_or(url.len(), |(document, _)| document.len());
    a[..without(a)] == b[..without(b)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(uri: &str, status: Option<u16>) -> Painted {
        Painted { uri: uri.into(), status, failed: None }
    }

    fn load(now: Instant) -> Load {
        Load::new("http://a/".into(), 1, now)
    }

    #[test]
    fn a_page_is_shown_in_whatever_order_its_messages_come() {
        let now = Instant::now();
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in orders {
            let mut load = load(now);
            let results: Vec<Loaded> = order
                .iter()
                .map(|step| match step {
                    0 => load.navigated(Some("n".into()), now),
                    1 => load.committed(Some("n"), "http://a/", now),
                    _ => load.painted(&painted("http://a/#top", Some(200)), now),
                })
                .collect();
            assert_eq!(results, [Loaded::Pending, Loaded::Pending, Loaded::Shown], "{order:?}");
        }
    }

    #[test]
    fn the_paint_of_the_page_before_is_not_ours() {
        let now = Instant::now();
        let mut load = load(now);
        assert_eq!(load.painted(&painted("http://old/", Some(200)), now), Loaded::Pending);
        assert_eq!(load.committed(Some("older"), "http://old/", now), Loaded::Pending);
        assert_eq!(load.navigated(Some("n".into()), now), Loaded::Pending);
        assert_eq!(load.committed(Some("n"), "http://a/", now), Loaded::Pending);
        assert_eq!(load.painted(&painted("http://old/", Some(200)), now), Loaded::Pending);
        assert_eq!(load.painted(&painted("http://a/", Some(200)), now), Loaded::Shown);
    }

    #[test]
    fn a_page_is_known_by_its_address_however_the_publisher_wrote_it() {
        let now = Instant::now();
        let mut load = Load::new("http://A:80".into(), 1, now);
        load.navigated(Some("n".into()), now);
        assert_eq!(load.committed(Some("other"), "http://a/#top", now), Loaded::Pending);
        assert_eq!(load.painted(&painted("http://a/#top", Some(200)), now), Loaded::Shown);
    }

    #[test]
    fn a_page_that_leads_on_is_shown_when_the_last_one_paints() {
        let now = Instant::now();
        let mut load = load(now);
        load.navigated(Some("n".into()), now);
        load.committed(Some("n"), "http://a/", now);
        assert_eq!(load.committed(Some("m"), "http://a/login", now), Loaded::Pending);
        assert_eq!(load.painted(&painted("http://a/login", Some(200)), now), Loaded::Shown);
    }

    #[test]
    fn a_navigation_that_changed_its_id_is_known_by_its_url_and_in_the_end_by_being_the_only_one() {
        let now = Instant::now();
        let mut load = load(now);
        load.committed(Some("other"), "http://a/", now);
        load.navigated(Some("n".into()), now);
        assert_eq!(load.painted(&painted("http://a/", Some(200)), now), Loaded::Shown);

        let mut redirected = self::load(now);
        redirected.committed(Some("other"), "http://b/", now);
        redirected.navigated(Some("n".into()), now);
        assert_eq!(redirected.painted(&painted("http://b/", Some(200)), now), Loaded::Pending);
        assert_eq!(redirected.deadline(), now + NAMELESS_FOR);
        assert_eq!(redirected.overdue(), Loaded::Shown);
        assert_eq!(self::load(now).overdue(), Loaded::Failed(SiteFault::TimedOut));
    }

    #[test]
    fn what_the_page_before_leads_to_at_the_same_moment_is_not_ours_in_whatever_order_it_is_told() {
        let now = Instant::now();
        let rejected = |load: &mut Load| load.navigated(None, now);
        let left = |load: &mut Load| load.committed(Some("left"), "http://old/gone", now);
        let its_404 = |load: &mut Load| load.painted(&painted("http://old/gone", Some(404)), now);
        let orders: [[&dyn Fn(&mut Load) -> Loaded; 3]; 3] =
            [[&rejected, &left, &its_404], [&left, &rejected, &its_404], [&left, &its_404, &rejected]];
        for (at, order) in orders.iter().enumerate() {
            let mut load = load(now);
            for step in order {
                assert_eq!(step(&mut load), Loaded::Pending, "{at}");
            }
            assert_eq!(load.committed(Some("n"), "http://a/", now), Loaded::Pending, "{at}");
            assert_eq!(load.painted(&painted("http://a/", Some(200)), now), Loaded::Shown, "{at}");
        }
    }

    #[test]
    fn errors_are_told_by_their_document_and_by_their_status() {
        let now = Instant::now();
        let mut refused = load(now);
        refused.navigated(Some("n".into()), now);
        let fault = refused.committed(Some("n"), "about:neterror?e=connectionFailure&u=http%3A//a/", now);
        assert_eq!(fault, Loaded::Failed(SiteFault::Refused));

        let mut missing = load(now);
        missing.navigated(Some("n".into()), now);
        missing.committed(Some("n"), "http://a/", now);
        assert_eq!(missing.painted(&painted("http://a/", Some(404)), now), Loaded::Failed(SiteFault::Status(404)));
    }

    #[test]
    fn an_item_of_the_player_is_shown_when_it_says_so_itself_and_not_when_the_one_before_does() {
        let now = Instant::now();
        let (one, two) = ("http://a/media#n=1&src=x", "http://a/media#n=2&src=x");
        let item = || Load::new(two.into(), 1, now).of_item();
        let mut jumped = item();
        assert_eq!(jumped.navigated(Some("n".into()), now), Loaded::Pending);
        assert_eq!(jumped.jumped(Some("n"), now), Loaded::Pending, "it is only being loaded");
        assert_eq!(jumped.painted(&painted(one, Some(200)), now), Loaded::Pending);
        assert_eq!(jumped.painted(&painted(two, Some(200)), now), Loaded::Shown);

        let long = format!("{two}{}", "x".repeat(9000));
        let mut cut = Load::new(long.clone(), 1, now).of_item();
        cut.navigated(Some("n".into()), now);
        cut.jumped(Some("n"), now);
        assert_eq!(cut.painted(&painted(&long[..8192], Some(200)), now), Loaded::Shown, "as much as is told of it");

        let mut early = item();
        assert_eq!(early.jumped(Some("n"), now), Loaded::Pending);
        assert_eq!(early.painted(&painted(two, Some(200)), now), Loaded::Pending);
        assert_eq!(early.navigated(Some("n".into()), now), Loaded::Shown);

        let mut first = item();
        first.navigated(Some("n".into()), now);
        first.committed(Some("n"), two, now);
        let failed = Painted { failed: Some("it is damaged".into()), ..painted(two, Some(200)) };
        assert_eq!(first.painted(&failed, now), Loaded::Failed(SiteFault::Media("it is damaged".into())));
    }

    #[test]
    fn a_jump_within_the_page_is_shown_at_once() {
        let now = Instant::now();
        let mut load = load(now);
        load.navigated(Some("n".into()), now);
        assert_eq!(load.jumped(Some("m"), now), Loaded::Pending);
        assert_eq!(load.jumped(Some("n"), now), Loaded::Shown);

        let mut early = self::load(now);
        assert_eq!(early.jumped(Some("n"), now), Loaded::Pending);
        assert_eq!(early.navigated(Some("n".into()), now), Loaded::Shown);

        let mut afresh = self::load(now).afresh();
        afresh.navigated(Some("n".into()), now);
        assert_eq!(afresh.jumped(Some("n"), now), Loaded::Stale, "the document that is there is not a new one");
    }
}
