//! The screen is taken away at its plug, and comes back by itself some seconds later.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::run::{Around, Drill, DrillError, EVERY, Ended, NotHere};
use crate::event::command::Fault;

/// systemd starts the unit that does it; on a Pi that has much to do this takes a while.
const GOES_WITHIN: Duration = Duration::from_secs(20);
/// Longer than that unit may run (pikiosk-unplug.service).
const COMES_WITHIN: Duration = Duration::from_secs(25);

impl<A: Around> Drill<A> {
    /// The clock runs from when the kernel has the screens again.
    pub(super) async fn unplugged(&mut self, before: u32) -> Result<Ended, DrillError> {
        let (screens, picture) = (self.around.screens().unwrap_or_default(), self.client.glass().await?.picture);
        if let Err(NotHere(why)) = self.around.unplug().await {
            return Ok(Ended::NotHere(why));
        }
        let mut told = false;
        if !self.screens_are(&[], GOES_WITHIN, &mut told).await? {
            return Ok(Ended::Broken("the screen was not taken away: journalctl -u pikiosk-unplug says why".into()));
        }
        if !self.screens_are(&screens, COMES_WITHIN, &mut told).await? {
            return Ok(Ended::Broken("the screen did not come back: journalctl -u pikiosk-unplug says why".into()));
        }
        let ended = self.until(Fault::ScreenUnplugged, Instant::now(), |drill, glass, look| {
            // The page outlives it: it need not be loaded again.
            let is_whole = glass.truth == "showing" && glass.picture == picture;
            is_whole && drill.is_right(glass, look, before.saturating_sub(1))
        });
        let ended = ended.await?;
        let now = self.client.glass().await?.picture;
        Ok(match ended {
            Ended::Recovered(_) if !told => {
                Ended::Broken("the supervisor never said that no screen was plugged in".into())
            }
            Ended::Never { waited, says } if now != picture => {
                let [was, is] = [picture, now].map(|picture| picture.unwrap_or_else(|| "none".to_owned()));
                Ended::Never { waited, says: format!("{says} (the picture was {was} and is {is})") }
            }
            ended => ended,
        })
    }

    /// Waits until the kernel has these screens, and hears whether the supervisor says meanwhile that there is none.
    async fn screens_are(&mut self, these: &[String], within: Duration, told: &mut bool) -> Result<bool, DrillError> {
        let began = Instant::now();
        while self.around.screens().unwrap_or_default() != these {
            let glass = self.client.glass().await?;
            if !glass.held {
                return Err(DrillError::Pushed);
            }
            *told |= glass.truth == "unplugged";
            if began.elapsed() > within {
                return Ok(false);
            }
            sleep(EVERY).await;
        }
        Ok(true)
    }
}
