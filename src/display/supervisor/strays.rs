//! Windows and tabs beside the page that nobody asked for: each is closed, and not more of them than a display can bear. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::{out::Out, port::Ask, recovery::Cause};

const CLOSED_WITHIN: Duration = Duration::from_secs(1);
/// Whoever plays with a keyboard opens fewer in this time; what opens more is closed for good with Firefox itself.
const CLOSED_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// The machine.
#[derive(Debug, Default)]
pub struct Strays {
    /// Since when so many were met.
    window: Option<(Instant, u32)>,
}

impl Strays {
    /// One more is there.
    pub fn opened(&mut self, context: String, out: &mut Out) {
        let same = self.window.filter(|(since, _)| out.now < *since + WINDOW);
        let (since, met) = same.map_or((out.now, 1), |(since, met)| (since, met.saturating_add(1)));
        self.window = Some((since, met));
        if met <= CLOSED_MAX {
            out.ask(Ask::CloseContext { context }, CLOSED_WITHIN);
        } else if met == CLOSED_MAX + 1 {
            out.fault(Cause::Strays);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_closed_at_once_and_windows_without_end_are_a_fault_once_in_a_while() {
        let (mut strays, began) = (Strays::default(), Instant::now());
        let (mut closed, mut faults) = (0, 0);
        // Seventy a second, for a minute.
        for n in 0..4200u32 {
            let mut out = Out::new(began + Duration::from_secs(1) * n / 70, 0);
            strays.opened(n.to_string(), &mut out);
            closed += out.effects.len();
            faults += out.faults.len();
        }
        assert_eq!((closed, faults), (120, 6));
        let mut out = Out::new(began + Duration::from_secs(80), 0);
        strays.opened("one".into(), &mut out);
        assert_eq!((out.effects.len(), out.faults), (1, vec![]));
    }
}
