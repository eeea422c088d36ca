//! Why there was a restart, judged by what the last run left behind. Pure.

use super::{Flight, Leave, Panic, ServiceEnd};
use crate::event::health::{Restart, RestartCause as Cause, Restarted};
use crate::event::time::UtcMillis;

/// The watchdog's hardware says that it started the machine (`WDIOF_CARDRESET`).
const CARD_RESET: u32 = 0x20;
/// With less than this, in kB, a machine that stands still was most likely looking for memory.
const HARDLY_ANY_MEMORY_KB: u64 = 40 * 1024;
/// What a Rust program ends with after a panic.
const PANICKED: &str = "101";

/// What the last run left behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Left {
    pub flight: Option<Flight>,
    pub panic: Option<Panic>,
    pub service: Option<ServiceEnd>,
}

/// What is so now.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    pub at: UtcMillis,
    pub boot: Option<String>,
    pub machine_uptime_s: Option<u64>,
    pub version: String,
    /// `bootstatus` of the hardware watchdog, where there is one.
    pub watchdog: Option<u32>,
    /// The kernel left a crash behind (pstore).
    pub kernel_crashed: bool,
}

/// Why this start was; none for the first one ever.
pub fn judge(left: &Left, now: &Now) -> Option<Restart> {
    let flight = left.flight.as_ref()?;
    let same_boot = flight.boot.is_some() && flight.boot == now.boot;
    let (of, (cause, sentence)) = match same_boot {
        true => (Restarted::Supervisor, supervisor(left, flight, now)),
        false => (Restarted::Machine, machine(flight, now)),
    };
    let down_s = same_boot.then(|| Some(now.machine_uptime_s?.saturating_sub(flight.machine_uptime_s?))).flatten();
    Some(Restart { at: now.at, of, cause, sentence, down_s })
}

fn supervisor(left: &Left, flight: &Flight, now: &Now) -> (Cause, String) {
    let updated = flight.version != now.version;
    match &flight.leave {
        Some(_) if updated => {
            (Cause::Update, format!("The supervisor was updated from {} to {}.", flight.version, now.version))
        }
        Some(Leave::Command { name }) => (Cause::Command, format!("The command {name} asked for it.")),
        Some(Leave::Recovery { why }) => (Cause::Recovery, format!("To cure this: {why}")),
        Some(Leave::Signal) => (Cause::Stopped, "The supervisor was ended and started by somebody.".to_owned()),
        None => crashed(left, flight),
    }
}

fn crashed(left: &Left, flight: &Flight) -> (Cause, String) {
    let panic = left.panic.as_ref().filter(|panic| panic.pid == flight.pid);
    let Some(end) = &left.service else {
        return match panic.filter(|panic| panic.thread == "main") {
            Some(panic) => panicked(panic),
            None => (Cause::Unknown, "The supervisor was gone without a word.".to_owned()),
        };
    };
    let (result, status) = (end.result.as_str(), end.status.as_str());
    match (result, panic) {
        ("watchdog", _) => {
            (Cause::Watchdog, "The supervisor gave no sign of life, and systemd's watchdog ended it.".to_owned())
        }
        ("oom-kill", _) => (Cause::OutOfMemory, "The memory was full, and the kernel ended the supervisor.".to_owned()),
        ("exit-code", Some(panic)) if status == PANICKED => panicked(panic),
        ("exit-code", _) => (Cause::Crash, format!("The supervisor ended with an error (exit code {status}).")),
        ("timeout", _) => {
            (Cause::Crash, "The supervisor did not start or end in time, and systemd ended it.".to_owned())
        }
        ("signal" | "core-dump", _) => (Cause::Crash, format!("The supervisor was killed (signal {status}).")),
        (other, _) => (Cause::Unknown, format!("The supervisor ended: systemd says {other} {status}.")),
    }
}

fn panicked(panic: &Panic) -> (Cause, String) {
    (Cause::Panic, format!("A fault in the program ended the supervisor: {} ({}).", panic.message, panic.place))
}

fn machine(flight: &Flight, now: &Now) -> (Cause, String) {
    match &flight.leave {
        Some(Leave::Command { name }) => return (Cause::Command, format!("The command {name} asked for it.")),
        Some(Leave::Recovery { why }) => {
            return (Cause::Recovery, format!("The machine was started again to cure this: {why}"));
        }
        Some(Leave::Signal) => {
            let sentence = "The machine was switched off or started again in good order, by somebody there.";
            return (Cause::Stopped, sentence.to_owned());
        }
        None => {}
    }
    if now.kernel_crashed {
        return (Cause::Kernel, "The kernel failed, and started the machine again.".to_owned());
    }
    if now.watchdog.is_some_and(|status| status & CARD_RESET != 0) {
        return (Cause::Watchdog, "The machine stood still, and its watchdog started it again.".to_owned());
    }
    let hint = if flight.under_voltage_seen {
        " Its supply had been too weak before: look at adapter and cable."
    } else if flight.memory_available_kb.is_some_and(|kb| kb < HARDLY_ANY_MEMORY_KB) {
        " Its memory was nearly full before."
    } else {
        ""
    };
    (Cause::Power, format!("The power went, or the machine stood still and was started again.{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight() -> Flight {
        Flight {
            boot: Some("one".into()),
            pid: 7,
            version: "1.0".into(),
            machine_uptime_s: Some(100),
            memory_available_kb: Some(400_000),
            ..Flight::default()
        }
    }

    fn now(boot: &str) -> Now {
        Now {
            at: UtcMillis(0),
            boot: Some(boot.into()),
            machine_uptime_s: Some(103),
            version: "1.0".into(),
            watchdog: Some(0),
            kernel_crashed: false,
        }
    }

    fn cause(flight: Flight, panic: Option<Panic>, service: Option<&str>, now: &Now) -> (Cause, String) {
        let left = Left { flight: Some(flight), panic, service: service.and_then(ServiceEnd::read) };
        let restart = judge(&left, now).unwrap();
        (restart.cause, restart.sentence)
    }

    fn panic(thread: &str) -> Option<Panic> {
        Some(Panic { pid: 7, thread: thread.into(), message: "no such row".into(), place: "a.rs:3".into() })
    }

    #[test]
    fn a_supervisor_that_ended_tells_why_by_what_systemd_saw() {
        let here = now("one");
        for (service, wanted, word) in [
            ("watchdog killed ABRT", Cause::Watchdog, "no sign of life"),
            ("oom-kill killed KILL", Cause::OutOfMemory, "memory was full"),
            ("signal killed KILL", Cause::Crash, "signal KILL"),
            ("core-dump dumped SEGV", Cause::Crash, "signal SEGV"),
            ("exit-code exited 13", Cause::Crash, "exit code 13"),
            ("timeout killed KILL", Cause::Crash, "in time"),
            ("new-word x y", Cause::Unknown, "new-word"),
        ] {
            let (cause, sentence) = cause(flight(), None, Some(service), &here);
            assert!(cause == wanted && sentence.contains(word), "{service}: {cause:?} {sentence}");
        }
        assert_eq!(cause(flight(), None, None, &here).0, Cause::Unknown);
    }

    #[test]
    fn a_panic_is_told_with_its_place_and_a_chores_panic_is_not_taken_for_the_end() {
        let here = now("one");
        let (cause_of, sentence) = cause(flight(), panic("main"), Some("exit-code exited 101"), &here);
        assert!(cause_of == Cause::Panic && sentence.contains("no such row (a.rs:3)"), "{sentence}");
        assert_eq!(cause(flight(), panic("main"), None, &here).0, Cause::Panic, "without systemd");
        assert_eq!(cause(flight(), panic("chore"), None, &here).0, Cause::Unknown);
        assert_eq!(cause(flight(), panic("chore"), Some("signal killed KILL"), &here).0, Cause::Crash);
        let of_another_run = Flight { pid: 8, ..flight() };
        assert_eq!(cause(of_another_run, panic("main"), None, &here).0, Cause::Unknown);
    }

    #[test]
    fn an_end_in_good_order_is_told_by_who_asked_for_it() {
        let left = |leave| Flight { leave: Some(leave), ..flight() };
        let command = || Leave::Command { name: "reboot".into() };
        let newer = Now { version: "1.1".into(), ..now("one") };
        assert_eq!(cause(left(Leave::Signal), None, Some("success exited 0"), &now("one")).0, Cause::Stopped);
        assert_eq!(cause(left(Leave::Signal), None, None, &newer).0, Cause::Update);
        assert_eq!(cause(left(command()), None, None, &now("one")).0, Cause::Command);
        assert_eq!(cause(left(command()), None, None, &now("two")).0, Cause::Command);
        assert_eq!(cause(left(Leave::Signal), None, None, &now("two")).0, Cause::Stopped);
        let cured = Leave::Recovery { why: "X does not answer".into() };
        let (of, sentence) = cause(left(cured), None, None, &now("two"));
        assert!(of == Cause::Recovery && sentence.contains("X does not answer"));
    }

    #[test]
    fn a_machine_that_was_gone_without_a_word_lost_its_power_unless_something_says_otherwise() {
        let (power, sentence) = cause(flight(), None, Some("watchdog killed ABRT"), &now("two"));
        assert_eq!(power, Cause::Power, "what systemd saw was of the boot before");
        assert!(!sentence.contains("supply"), "{sentence}");
        let weak = Flight { under_voltage_seen: true, ..flight() };
        assert!(cause(weak, None, None, &now("two")).1.contains("adapter and cable"));
        let full = Flight { memory_available_kb: Some(9_000), ..flight() };
        assert!(cause(full, None, None, &now("two")).1.contains("memory was nearly full"));
        let by_watchdog = Now { watchdog: Some(CARD_RESET), ..now("two") };
        assert_eq!(cause(flight(), None, None, &by_watchdog).0, Cause::Watchdog);
        let by_kernel = Now { kernel_crashed: true, ..by_watchdog };
        assert_eq!(cause(flight(), None, None, &by_kernel).0, Cause::Kernel);
    }

    #[test]
    fn the_first_start_has_no_cause_and_a_restart_tells_for_how_long_nothing_ran() {
        assert_eq!(judge(&Left::default(), &now("one")), None);
        let left = Left { flight: Some(flight()), ..Left::default() };
        assert_eq!(judge(&left, &now("one")).unwrap().down_s, Some(3));
        assert_eq!(judge(&left, &now("two")).unwrap().down_s, None, "no clock runs through a power cut");
        let nameless = Now { boot: None, ..now("one") };
        assert_eq!(judge(&left, &nameless).unwrap().of, Restarted::Machine);
    }
}
