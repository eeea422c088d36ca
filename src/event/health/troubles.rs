//! What a person should look at, in words: the worst first. Pure.

use super::{ClockSource, Health};

/// A Pi slows itself down at 80 degrees.
const HOT_C: f64 = 78.0;
const DISK_LEFT_KB: u64 = 200 * 1024;
const MEMORY_LEFT_KB: u64 = 60 * 1024;
/// Per cent of a minute in which nothing went on for want of memory.
const STALLED: f64 = 10.0;
const WORN_PERCENT: u8 = 90;
const SLOW_SYNC_MS: u64 = 5_000;
const HANGS_S: u64 = 30;
/// Below this pages load slowly.
const WEAK_DBM: i32 = -75;
/// Certificates are made for days, and a schedule for minutes.
const CLOCK_OFF_MS: u64 = 30_000;

/// Every trouble of the machine that this health tells of.
pub fn troubles(health: &Health) -> Vec<String> {
    let mut found = Vec::new();
    let mut tell = |is: bool, words: String| found.extend(is.then_some(words));
    let card = health.card.clone().unwrap_or_default();
    tell(card.read_only, "the card can no longer be written: replace it".into());
    if let Some(disk) = &health.disk {
        if let Some(why) = &disk.error {
            tell(true, format!("nothing can be written down ({why})"));
        }
        let hangs = disk.hangs_s.unwrap_or(0);
        tell(hangs >= HANGS_S, format!("the card has not answered for {hangs} s: replace it"));
        let took = disk.sync_ms.unwrap_or(0);
        tell(took >= SLOW_SYNC_MS, format!("the card takes {} s for one write: replace it soon", took / 1000));
    }
    let errors = card.errors.unwrap_or(0);
    tell(errors > 0, format!("the card has failed {errors} times: replace it"));
    let worn = card.worn_percent.unwrap_or(0);
    tell(worn >= WORN_PERCENT, format!("the card has used {worn} % of its life: replace it soon"));
    if health.under_voltage == Some(true) {
        tell(true, "the power supply is too weak now: look at adapter and cable".into());
    } else {
        let seen = health.under_voltage_seen == Some(true);
        tell(seen, "the power supply has been too weak since the machine started: look at adapter and cable".into());
    }
    let degrees = health.temperature_c.unwrap_or(0.0);
    let hot = degrees >= HOT_C;
    tell(hot, format!("the processor is too hot ({degrees:.0} °C): give it air"));
    tell(!hot && health.throttled == Some(true), "the processor is slowed down, by heat or by the supply".into());
    let free = health.memory_available_kb.unwrap_or(u64::MAX);
    tell(free < MEMORY_LEFT_KB, format!("the memory is nearly full ({} MiB free)", free / 1024));
    let stalled = health.pressure.map_or(0.0, |pressure| pressure.full);
    tell(stalled >= STALLED, format!("everything waits for memory {stalled:.0} % of the time"));
    let disk = health.disk_free_kb.unwrap_or(u64::MAX);
    tell(disk < DISK_LEFT_KB, format!("the disk is nearly full ({} MiB free)", disk / 1024));
    if let Some((wifi, signal)) = health.wifi.as_ref().and_then(|wifi| Some((wifi, wifi.signal_dbm?))) {
        let name = wifi.ssid.as_deref().unwrap_or(&wifi.interface);
        tell(signal < WEAK_DBM, format!("the Wi-Fi {name} is weak ({signal} dBm): bring them nearer together"));
    }
    if let Some(clock) = health.clock {
        let off = clock.ahead_ms.unwrap_or(0);
        let far = off.unsigned_abs() >= CLOCK_OFF_MS;
        let way = if off > 0 { "ahead of" } else { "behind" };
        let seconds = off.unsigned_abs() / 1000;
        tell(far, format!("the clock is {seconds} s {way} the server's"));
        let nobody = clock.set_by == ClockSource::Nobody && clock.ahead_ms.is_none();
        tell(
            nobody,
            "nobody has set the clock since the machine started: does the network let NTP (UDP 123) through?".into(),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn a_display_in_good_order_has_no_trouble() {
        let health = Health {
            under_voltage: Some(false),
            temperature_c: Some(61.0),
            memory_available_kb: Some(400_000),
            disk_free_kb: Some(2_000_000),
            card: Some(Card { errors: Some(0), worn_percent: Some(20), ..Card::default() }),
            disk: Some(Disk { sync_ms: Some(40), ..Disk::default() }),
            clock: Some(Clock { set_by: ClockSource::Service, ahead_ms: Some(12) }),
            wifi: Some(Wifi { signal_dbm: Some(-60), ..Wifi::default() }),
            ..Health::default()
        };
        assert_eq!(troubles(&health), Vec::<String>::new());
        assert_eq!(troubles(&Health::default()), Vec::<String>::new(), "what nobody knows is no trouble");
    }

    #[test]
    fn each_trouble_is_told_in_words_with_what_to_do_the_worst_first() {
        let health = Health {
            under_voltage_seen: Some(true),
            temperature_c: Some(82.4),
            throttled: Some(true),
            memory_available_kb: Some(20_000),
            pressure: Some(Pressure { some: 60.0, full: 31.2 }),
            disk_free_kb: Some(90_000),
            card: Some(Card { errors: Some(3), worn_percent: Some(95), read_only: true, ..Card::default() }),
            disk: Some(Disk { hangs_s: Some(40), ..Disk::default() }),
            clock: Some(Clock { set_by: ClockSource::Nobody, ahead_ms: Some(-3_600_000) }),
            wifi: Some(Wifi { interface: "wlan0".into(), ssid: Some("Lobby".into()), signal_dbm: Some(-82) }),
            ..Health::default()
        };
        insta::assert_snapshot!(troubles(&health).join("\n"), @"
        the card can no longer be written: replace it
        the card has not answered for 40 s: replace it
        the card has failed 3 times: replace it
        the card has used 95 % of its life: replace it soon
        the power supply has been too weak since the machine started: look at adapter and cable
        the processor is too hot (82 °C): give it air
        the memory is nearly full (19 MiB free)
        everything waits for memory 31 % of the time
        the disk is nearly full (87 MiB free)
        the Wi-Fi Lobby is weak (-82 dBm): bring them nearer together
        the clock is 3600 s behind the server's
        ");
    }
}
