//! From looks at the glass to what is told of it. Pure.
//!
//! The script `assets/browser/beat.js` keeps four pixels in the upper left corner of every page that differ from what is
//! around them by three levels at most, and carry a pattern in the two lowest bits of each colour: red and green say
//! that it is they, blue says which of the two phases it is. So a sampler that knows nothing of the page knows whether
//! the script runs in it, and for how long the glass has not followed it.

use std::time::Duration;

use tokio::time::Instant;

use crate::display::screen::{Facts, Frame};

/// How many pixels the beat has.
pub const BEAT: usize = 4;
/// The lowest two bits of red and green, pixel by pixel; beat.js has the same.
const SIGN: [[u8; 2]; BEAT] = [[1, 2], [2, 1], [1, 1], [2, 2]];

/// What is only more of the same is told this often: a moving picture would be told each second.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Whoever touches something after nobody did for so long has come.
const ALONE_MS: u64 = 5000;

/// A colour: red, green, blue.
pub type Colour = [u8; 3];

/// One look at the glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Every point of the whole picture has this colour.
    pub uniform: Option<Colour>,
    /// Of the sampled rows.
    pub hash: u64,
    /// The first pixels of the first row.
    pub corner: [Colour; BEAT],
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    /// The hash, and since when it is that.
    hash: Option<(u64, Instant)>,
    /// The phase, and since when it is that.
    beat: Option<(bool, Instant)>,
}

impl Watch {
    pub fn look(&mut self, look: &Look, now: Instant) -> Frame {
        let since = match self.hash {
            Some((hash, since)) if hash == look.hash => since,
            _ => now,
        };
        self.hash = Some((look.hash, since));
        self.beat = phase(&look.corner).map(|phase| match self.beat {
            Some((last, since)) if last == phase => (phase, since),
            _ => (phase, now),
        });
        Frame {
            uniform: look.uniform,
            hash: look.hash,
            still_ms: millis(now - since),
            beat_still_ms: self.beat.map(|(_, since)| millis(now - since)),
        }
    }

    /// The glass was not looked at for a while: nothing is known of how long it has been still.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Which of the two phases the beat is in; none where these pixels are not it.
fn phase(corner: &[Colour; BEAT]) -> Option<bool> {
    let signed = corner.iter().zip(SIGN).all(|(pixel, sign)| [pixel[0] & 3, pixel[1] & 3] == sign);
    match signed.then(|| corner.map(|pixel| pixel[2] & 3)) {
        Some([1, 2, 1, 2]) => Some(false),
        Some([2, 1, 2, 1]) => Some(true),
        _ => None,
    }
}

/// When facts are worth telling.
#[derive(Debug, Default)]
pub struct Teller {
    told: Option<(Facts, Instant)>,
}

impl Teller {
    /// True if these are to be told now: at once what is new, and now and then what goes on.
    pub fn is_news(&mut self, facts: &Facts, now: Instant) -> bool {
        let news = match &self.told {
            None => true,
            Some((told, at)) => now >= *at + TELL_EVERY || is_other(told, facts),
        };
        if news {
            self.told = Some((facts.clone(), now));
        }
        news
    }

    /// Somebody else listens from now on.
    pub fn forget(&mut self) {
        self.told = None;
    }
}

fn is_other(told: &Facts, facts: &Facts) -> bool {
    let frame = |facts: &Facts| facts.frame.map(|frame| (frame.uniform, frame.beat_still_ms.is_some()));
    let alone = |facts: &Facts| facts.idle_ms.is_some_and(|idle| idle >= ALONE_MS);
    (&told.outputs, &told.second, told.panel, frame(told)) != (&facts.outputs, &facts.second, facts.panel, frame(facts))
        || alone(told) && !alone(facts)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::screen::Panel;

    const WHITE: Colour = [255; 3];

    fn beat(phase: bool) -> [Colour; BEAT] {
        let blue = |place: usize| if place.is_multiple_of(2) == phase { 2 } else { 1 };
        std::array::from_fn(|place| [252 + SIGN[place][0], 252 + SIGN[place][1], 252 + blue(place)])
    }

    fn look(hash: u64, corner: [Colour; BEAT]) -> Look {
        Look { uniform: None, hash, corner }
    }

    #[tokio::test(start_paused = true)]
    async fn a_glass_that_stands_still_is_told_with_how_long_it_has() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        assert_eq!(watch.look(&look(1, [WHITE; BEAT]), at(0)).still_ms, 0);
        assert_eq!(watch.look(&look(1, [WHITE; BEAT]), at(7)).still_ms, 7000);
        assert_eq!(watch.look(&look(2, [WHITE; BEAT]), at(8)).still_ms, 0, "it moved");
        assert_eq!(watch.look(&look(2, [WHITE; BEAT]), at(9)).still_ms, 1000);
        watch.forget();
        assert_eq!(watch.look(&look(2, [WHITE; BEAT]), at(60)).still_ms, 0, "nobody looked in between");
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_that_stops_is_told_and_a_page_without_one_has_none() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        assert_eq!(watch.look(&look(1, [WHITE; BEAT]), at(0)).beat_still_ms, None, "no script of ours");
        assert_eq!(watch.look(&look(1, beat(false)), at(1)).beat_still_ms, Some(0));
        assert_eq!(watch.look(&look(1, beat(false)), at(2)).beat_still_ms, Some(1000));
        assert_eq!(watch.look(&look(1, beat(true)), at(3)).beat_still_ms, Some(0), "it beats");
        assert_eq!(watch.look(&look(1, beat(true)), at(33)).beat_still_ms, Some(30_000), "frozen");
        assert_eq!(watch.look(&look(1, [WHITE; BEAT]), at(34)).beat_still_ms, None, "another page");
    }

    #[test]
    fn a_flat_corner_of_any_colour_is_never_taken_for_the_beat() {
        // The two lowest bits of each are all that is looked at.
        let levels = || 0..4_u8;
        for (red, green) in levels().flat_map(|red| levels().map(move |green| (red, green))) {
            assert!(levels().all(|blue| phase(&[[red, green, blue]; BEAT]).is_none()));
        }
        let mut off_by_one = beat(true);
        off_by_one[2][1] ^= 1;
        assert_eq!(phase(&off_by_one), None);
    }

    #[tokio::test(start_paused = true)]
    async fn news_are_told_at_once_and_more_of_the_same_every_five_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let frame = |uniform, still_ms| Some(Frame { uniform, hash: still_ms, still_ms, beat_still_ms: None });
        let facts = |panel, frame| Facts { panel, frame, ..Facts::default() };
        let mut teller = Teller::default();
        assert!(teller.is_news(&facts(Panel::On, frame(None, 0)), at(0)));
        assert!(!teller.is_news(&facts(Panel::On, frame(None, 1000)), at(1)), "a second more of it");
        assert!(teller.is_news(&facts(Panel::On, frame(Some(WHITE), 0)), at(2)), "white");
        assert!(teller.is_news(&facts(Panel::Off, frame(Some(WHITE), 0)), at(3)), "off");
        assert!(!teller.is_news(&facts(Panel::Off, frame(Some(WHITE), 1)), at(7)));
        assert!(teller.is_news(&facts(Panel::Off, frame(Some(WHITE), 2)), at(8)), "it is still there");
        teller.forget();
        let alone = |idle_ms| Facts { idle_ms, ..facts(Panel::Off, frame(Some(WHITE), 3)) };
        assert!(teller.is_news(&alone(Some(60_000)), at(9)), "to a new supervisor");
        assert!(teller.is_news(&alone(Some(10)), at(10)), "somebody has come");
        assert!(!teller.is_news(&alone(Some(7000)), at(11)), "and has gone: that may wait");
    }
}
