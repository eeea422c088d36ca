//! The commands that take the machine down, `reboot` and `shutdown`: asked of the helper once, and proved by the boot. Pure.
//!
//! ```text
//!   taken --Leaving{boot} on disk--> the helper --refuses--> failed
//!                                       `--done--> shutdown: done, while it can still be told
//!                                                  reboot: waits .. the machine goes .. another boot: done
//!                                                          `--five minutes in the same boot: failed
//! ```
//!
//! A power cut between the two is another boot as well: the machine was started again, and nothing is asked for again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Supervisor,
    out::{Out, Outcome, earlier},
    port::AskId,
};
use crate::{
    display::{
        configured::Configured,
        helper::Request,
        journal::{EventKey, Journal, Record},
    },
    event::Status,
};

/// systemd ends every service in 20 s (DefaultTimeoutStopSec), a card that is slow to sync takes its time.
const GONE_WITHIN: Duration = Duration::from_secs(300);

/// What is known of the machine as long as the supervisor runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machine {
    /// Another one at each start of the machine; none where the kernel names none.
    pub boot: Option<String>,
    /// There is somebody who may do what only root may.
    pub helper: bool,
    /// There shall be a server.
    pub server: bool,
    /// What came by the command `configure`.
    pub configured: Configured,
}

/// One command on its way.
#[derive(Debug)]
struct Going {
    key: EventKey,
    request: Request,
    /// Until the helper has answered.
    ask: Option<AskId>,
    deadline: Instant,
}

/// The machine.
#[derive(Debug)]
pub struct Leaving {
    machine: Machine,
    going: Vec<Going>,
}

impl Leaving {
    pub fn new(machine: Machine) -> Self {
        Leaving { machine, going: Vec::new() }
    }

    /// True from the moment the machine was told to go down until it is known that it did not.
    pub fn is_under_way(&self) -> bool {
        !self.going.is_empty()
    }

    /// What the last run of the supervisor began.
    pub fn resume(&mut self, journal: &Journal, out: &mut Out) {
        for (taken, before) in
            journal.leaving().filter(|(taken, _)| matches!(taken.name.as_str(), "reboot" | "shutdown"))
        {
            let (key, deadline) = (taken.key.clone(), out.now + GONE_WITHIN);
            match &self.machine.boot {
                Some(boot) if boot != before => {
                    let result = Some(json!({ "boot_before": before, "boot": boot }));
                    out.end(key, Outcome { result, ..Outcome::of(Status::Done) });
                }
                // The machine may be on its way down: only the supervisor was faster up again.
                _ => {
                    let request = if taken.name == "reboot" { Request::Reboot } else { Request::PowerOff };
                    self.going.push(Going { key, request, ask: None, deadline });
                }
            }
        }
    }

    /// True if the answer was to this machine's question.
    pub fn gathered(&mut self, ask: AskId, result: &Result<Value, String>, out: &mut Out) -> bool {
        let Some(at) = self.going.iter().position(|going| going.ask == Some(ask)) else { return false };
        match result {
            Err(why) => out.end(self.going.swap_remove(at).key, Outcome::failed(why.as_str())),
            // Who is switched off tells nothing more.
            Ok(_) if self.going[at].request == Request::PowerOff => {
                out.end(self.going.swap_remove(at).key, Outcome::of(Status::Done));
            }
            Ok(_) => self.going[at].ask = None,
        }
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.going.iter().map(|going| going.deadline).fold(None, |first, at| earlier(first, Some(at)))
    }

    pub fn due(&mut self, out: &mut Out) {
        let now = out.now;
        for going in self.going.extract_if(.., |going| going.deadline <= now) {
            out.end(going.key, Outcome::failed("the machine did not go down"));
        }
    }

    fn begin(&mut self, request: Request, key: EventKey, out: &mut Out) {
        let ask = Some(out.system(request.clone()));
        self.going.push(Going { key, request, ask, deadline: out.now + GONE_WITHIN });
    }
}

impl Supervisor {
    /// Takes the machine down for this command, where somebody may.
    pub(super) fn leave(&mut self, request: Request, key: EventKey, out: &mut Out) {
        let Machine { boot, helper, .. } = &self.leaving.machine;
        match boot.clone() {
            _ if !helper => {
                let why = "nobody on this display may do it: pikiosk provision lays down the service that may";
                out.end(key, Outcome::refused(why));
            }
            None => out
                .end(key, Outcome::refused("this kernel does not name its boots: nobody could tell that it was done")),
            Some(boot) => {
                self.keep(vec![Record::Leaving { key: key.clone(), boot }], out);
                self.leaving.begin(request, key, out);
            }
        }
    }
}
