//! The cable, the Wi-Fi and the address, for what holds the network on this system.

use std::net::IpAddr;

use ring::pbkdf2;

use super::{Lay, edit, units};
use crate::{
    config::{KioskSettings, NetworkSettings, StaticAddress, WifiSecret, WifiSettings},
    io::system::Owner,
    provision::facts::{Facts, Network},
};

const SUPPLICANT: &str = "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf";
const CONNECTION: &str = "/etc/NetworkManager/system-connections/pikiosk-wifi.nmconnection";
const WIFI: &str = "the Wi-Fi, with its key where only root can read it";

pub fn lay(lay: &mut Lay, settings: &KioskSettings, facts: &Facts) {
    let network = &settings.network;
    match facts.network {
        Network::NetworkManager => by_network_manager(lay, network, facts),
        Network::Networkd => by_networkd(lay, network, facts),
        Network::Ifupdown => by_ifupdown(lay, network, facts),
    }
}

fn by_network_manager(lay: &mut Lay, network: &NetworkSettings, facts: &Facts) {
    let dir = "/etc/NetworkManager/system-connections";
    lay.plain_dir("/etc/NetworkManager");
    lay.dir(dir, 0o700, Owner::ROOT, "the networks that NetworkManager knows");
    let ethernet = format!("{dir}/pikiosk-ethernet.nmconnection");
    match network.wifi.is_none() && (network.address.is_some() || !network.dns.is_empty()) {
        true => {
            let head = "[connection]\nid=pikiosk-ethernet\nuuid=6f0c5a52-4f1c-5d0e-9a7e-70696b696f73\ntype=ethernet\n\
                        autoconnect-priority=10\n";
            let text = format!("# Written by pikiosk provision.\n{head}\n{}", keyfile_addresses(network));
            lay.secret(&ethernet, text, 0o600, Owner::ROOT, "the cable, with an address of its own");
        }
        false => lay.absent(&ethernet, "the network gives the cable its address"),
    }
    match &network.wifi {
        None => lay.absent(CONNECTION, "there is no Wi-Fi in kiosk.toml"),
        Some(wifi) => {
            let key =
                key(wifi).or_else(|| known(facts.text(CONNECTION)?, &format!("ssid={}", bytes(&wifi.ssid)), "psk="));
            let security =
                key.map(|key| format!("[wifi-security]\nkey-mgmt=wpa-psk\npsk={key}\n\n")).unwrap_or_default();
            let hidden = if wifi.hidden { "hidden=true\n" } else { "" };
            let text = format!(
                "# Written by pikiosk provision.\n[connection]\nid=pikiosk-wifi\n\
                 uuid=b7d1a8de-23a5-5c6f-8f0f-70696b696f73\ntype=wifi\nautoconnect-retries=0\n\n\
                 [wifi]\nmode=infrastructure\nssid={}\n{hidden}powersave=2\n\n{security}{}",
                bytes(&wifi.ssid),
                keyfile_addresses(network)
            );
            lay.secret(CONNECTION, text, 0o600, Owner::ROOT, WIFI);
            let path = "/var/lib/NetworkManager/NetworkManager.state";
            if let Some(had) = facts.text(path) {
                let text = edit::in_section(had, "main", "WirelessEnabled", "true");
                lay.owned(
                    path,
                    text,
                    0o600,
                    Owner::ROOT,
                    "Raspberry Pi OS keeps the Wi-Fi off until its country is known: it is",
                );
            }
        }
    }
    lay.after(&[dir], "nmcli", &["connection", "reload"], "lets NetworkManager read what changed", false);
}

/// NetworkManager reads a name with any letter in this form.
fn bytes(ssid: &str) -> String {
    ssid.bytes().map(|byte| format!("{byte};")).collect()
}

fn keyfile_addresses(network: &NetworkSettings) -> String {
    let mut text = String::new();
    for (section, v4) in [("ipv4", true), ("ipv6", false)] {
        let mine = |address: IpAddr| address.is_ipv4() == v4;
        let address = network.address.filter(|of| mine(of.address));
        text.push_str(&format!("[{section}]\nmethod={}\n", if address.is_some() { "manual" } else { "auto" }));
        if let Some(StaticAddress { address, prefix, gateway }) = address {
            let gateway = gateway.map(|gateway| format!(",{gateway}")).unwrap_or_default();
            text.push_str(&format!("address1={address}/{prefix}{gateway}\n"));
        }
        let dns: String = network.dns.iter().filter(|of| mine(**of)).map(|of| format!("{of};")).collect();
        if !dns.is_empty() {
            text.push_str(&format!("dns={dns}\nignore-auto-dns=true\n"));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn by_networkd(lay: &mut Lay, network: &NetworkSettings, facts: &Facts) {
    let dir = "/etc/systemd/network";
    lay.plain_dir(dir);
    let wired = network.wifi.is_none().then_some(network);
    let text = networkd("Type=ether\nKind=!*", 100, "no", wired);
    lay.file(format!("{dir}/20-pikiosk-ethernet.network"), text, "the cable");
    let path = format!("{dir}/25-pikiosk-wifi.network");
    match &network.wifi {
        Some(_) => lay.file(path, networkd("Type=wlan", 600, "yes", Some(network)), "the address in the Wi-Fi"),
        None => lay.absent(path, "there is no Wi-Fi in kiosk.toml"),
    }
    let why = "holds the network";
    units::wanted_by(lay, "systemd-networkd.service", "multi-user.target", why);
    units::wanted_by(lay, "systemd-networkd.socket", "sockets.target", why);
    let name = "/etc/systemd/system/dbus-org.freedesktop.network1.service";
    lay.link(name, "/usr/lib/systemd/system/systemd-networkd.service", why);
    let text = "# Written by pikiosk provision.\n[Resolve]\nLLMNR=no\nMulticastDNS=no\n";
    lay.file("/etc/systemd/resolved.conf.d/90-pikiosk.conf", text, "no port is open to the network");
    let why = "one Wi-Fi needs no program that manages several by D-Bus";
    units::mask(lay, "wpa_supplicant.service", why);
    let wanted = "/etc/systemd/system/multi-user.target.wants/wpa_supplicant@wlan0.service";
    match &network.wifi {
        Some(wifi) => {
            supplicant(lay, wifi, facts);
            lay.link(wanted, "/usr/lib/systemd/system/wpa_supplicant@.service", "opens the Wi-Fi at each boot");
        }
        None => {
            lay.absent(SUPPLICANT, "there is no Wi-Fi in kiosk.toml");
            lay.absent(wanted, "there is no Wi-Fi in kiosk.toml");
        }
    }
    lay.after(&[dir], "networkctl", &["reload"], "lets the network take what changed", false);
}

fn networkd(matching: &str, metric: u32, wireless: &str, addresses: Option<&NetworkSettings>) -> String {
    let address = addresses.and_then(|network| network.address);
    let dns = addresses.map(|network| network.dns.as_slice()).unwrap_or_default();
    let mut text = format!("# Written by pikiosk provision.\n[Match]\n{matching}\n\n[Network]\n");
    match address {
        Some(StaticAddress { address, prefix, gateway }) => {
            text.push_str(&format!("Address={address}/{prefix}\n"));
            text.extend(gateway.map(|gateway| format!("Gateway={gateway}\n")));
        }
        None => text.push_str("DHCP=yes\n"),
    }
    text.extend(dns.iter().map(|server| format!("DNS={server}\n")));
    if wireless == "yes" {
        text.push_str("IgnoreCarrierLoss=3s\n");
    }
    if address.is_none() {
        let own_dns = if dns.is_empty() { "yes" } else { "no" };
        for section in ["DHCPv4", "IPv6AcceptRA"] {
            text.push_str(&format!("\n[{section}]\nRouteMetric={metric}\nUseDNS={own_dns}\n"));
        }
    }
    text
}

/// Debian's older network scripts hold the cable: it stays theirs, and the Wi-Fi becomes theirs too.
fn by_ifupdown(lay: &mut Lay, network: &NetworkSettings, facts: &Facts) {
    let path = "/etc/network/interfaces.d/pikiosk-wifi";
    let Some(wifi) = &network.wifi else {
        lay.absent(path, "there is no Wi-Fi in kiosk.toml");
        lay.absent(SUPPLICANT, "there is no Wi-Fi in kiosk.toml");
        return;
    };
    supplicant(lay, wifi, facts);
    let mut text = "# Written by pikiosk provision.\nallow-hotplug wlan0\n".to_owned();
    match network.address {
        None => text.push_str("iface wlan0 inet dhcp\n"),
        Some(StaticAddress { address, prefix, gateway }) => {
            let family = if address.is_ipv4() { "inet" } else { "inet6" };
            text.push_str(&format!("iface wlan0 {family} static\n    address {address}/{prefix}\n"));
            text.extend(gateway.map(|gateway| format!("    gateway {gateway}\n")));
        }
    }
    let dns: Vec<String> = network.dns.iter().map(ToString::to_string).collect();
    if !dns.is_empty() {
        text.push_str(&format!("    dns-nameservers {}\n", dns.join(" ")));
    }
    text.push_str(&format!("    wpa-conf {SUPPLICANT}\n"));
    lay.file(path, text, "the address in the Wi-Fi");
}

fn supplicant(lay: &mut Lay, wifi: &WifiSettings, facts: &Facts) {
    let ssid: String = wifi.ssid.bytes().map(|byte| format!("{byte:02x}")).collect();
    let key = key(wifi).or_else(|| known(facts.text(SUPPLICANT)?, &format!("ssid={ssid}"), "psk="));
    let security = match key {
        Some(key) => format!("    key_mgmt=WPA-PSK WPA-PSK-SHA256\n    ieee80211w=1\n    psk={key}\n"),
        None => "    key_mgmt=NONE\n".to_owned(),
    };
    let hidden = if wifi.hidden { "    scan_ssid=1\n" } else { "" };
    let text = format!(
        "# Written by pikiosk provision. The name of the Wi-Fi stands here in hexadecimal.\ncountry={}\n\
         ctrl_interface=DIR=/run/wpa_supplicant\n\nnetwork={{\n    ssid={ssid}\n{hidden}{security}}}\n",
        wifi.country
    );
    lay.plain_dir("/etc/wpa_supplicant");
    lay.secret(SUPPLICANT, text, 0o600, Owner::ROOT, WIFI);
}

/// What opens the Wi-Fi, in 64 hexadecimal digits. The password itself is laid down nowhere: people use them elsewhere
/// too.
fn key(wifi: &WifiSettings) -> Option<String> {
    let key = match wifi.secret.as_ref()? {
        WifiSecret::Key(key) => *key,
        WifiSecret::Passphrase(text) => derived(text, &wifi.ssid),
    };
    Some(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// IEEE 802.11i, H.4.1.
fn derived(passphrase: &str, ssid: &str) -> [u8; 32] {
    const ROUNDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(4096).expect("4096 is not zero");
    let mut key = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ROUNDS, ssid.as_bytes(), passphrase.as_bytes(), &mut key);
    key
}

/// The key that the system has for this Wi-Fi already: a file of ours that names it, and has a line with one.
fn known(text: &str, ssid: &str, name: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim);
    lines().any(|line| line == ssid).then(|| lines().find_map(|line| line.strip_prefix(name)))?.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of IEEE 802.11i, H.4.3.
    #[test]
    fn the_key_of_a_wifi_is_the_one_of_the_standard() {
        let key = |ssid: &str, secret| {
            key(&WifiSettings { ssid: ssid.into(), secret: Some(secret), country: "CH".into(), hidden: false }).unwrap()
        };
        let of = |passphrase: &str, ssid: &str| key(ssid, WifiSecret::Passphrase(passphrase.into()));
        assert_eq!(of("password", "IEEE"), "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e");
        assert_eq!(
            of("ThisIsAPassword", "ThisIsASSID"),
            "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"
        );
        assert_eq!(key("IEEE", WifiSecret::Key([0x0a; 32])), "0a".repeat(32));
    }
}
