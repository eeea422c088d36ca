//! A request as what is done about it. Pure: programs and their arguments are all here, and none of them travelled.

use super::{Request, clock::Clock};

/// What the helper does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// This program with these arguments.
    Run(&'static str, &'static [&'static str]),
    SetClock {
        unix_ms: u64,
    },
    /// It is so already.
    Nothing,
}

/// The deed, or why there is none.
pub fn of(request: &Request, clock: impl FnOnce() -> Clock) -> Result<Deed, String> {
    // systemd is told and not waited for: it ends us as well.
    match request {
        Request::Reboot => Ok(Deed::Run("systemctl", &["--no-block", "reboot"])),
        Request::PowerOff => Ok(Deed::Run("systemctl", &["--no-block", "poweroff"])),
        // The login on tty1 is gone with it, and with the login its whole session (logind, KillUserProcesses).
        Request::RestartSession => Ok(Deed::Run("systemctl", &["--no-block", "restart", "getty@tty1.service"])),
        // Of the next seconds systemd takes care, whatever becomes of whoever asked.
        Request::Unplug => Ok(Deed::Run("systemctl", &["--no-block", "start", "pikiosk-unplug.service"])),
        Request::SetClock { unix_ms } => clock().judge(*unix_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_names_a_program_or_an_argument() {
        let never = || panic!("only one request looks at the clock");
        for (request, arguments) in [
            (Request::Reboot, "reboot"),
            (Request::PowerOff, "poweroff"),
            (Request::RestartSession, "getty@tty1.service"),
            (Request::Unplug, "pikiosk-unplug.service"),
        ] {
            let deed = of(&request, never).unwrap();
            assert!(matches!(deed, Deed::Run("systemctl", all) if all.last() == Some(&arguments)), "{deed:?}");
        }
        for json in [r#"{"do":"run","program":"sh"}"#, r#"{"do":"reboot_now"}"#, "{}", "reboot"] {
            assert!(serde_json::from_str::<Request>(json).is_err(), "{json}");
        }
    }
}
