//! `[network]`: how the display reaches its server.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::origin::Refusals;

/// How the display reaches its server. Without anything, by cable and DHCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    pub wifi: Option<WifiSettings>,
    /// `None`: the network says (DHCP).
    pub address: Option<StaticAddress>,
    /// Empty: the network says.
    pub dns: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WifiSettings {
    /// 1 to 32 bytes.
    pub ssid: String,
    /// `None`: the one the system knows already; where it knows none, the network is an open one.
    pub secret: Option<WifiSecret>,
    /// ISO 3166, two capital letters.
    pub country: String,
    /// The network does not tell its name.
    pub hidden: bool,
}

/// What opens a Wi-Fi.
#[derive(Clone, PartialEq, Eq)]
pub enum WifiSecret {
    /// 8 to 63 ASCII characters.
    Passphrase(String),
    /// What is derived from a passphrase (IEEE 802.11i, H.4.1).
    Key([u8; 32]),
}

/// It stays out of logs.
impl fmt::Debug for WifiSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WifiSecret(..)")
    }
}

/// An address that the network did not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticAddress {
    pub address: IpAddr,
    /// Bits of the network, at most 32 or 128.
    pub prefix: u8,
    /// In the same network; `None`: there is no way out of it.
    pub gateway: Option<IpAddr>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct NetworkFile {
    /// The name of the Wi-Fi, as it is written: capital and small letters differ. Without it, by cable.
    #[schemars(extend("examples" = ["Reception"]))]
    wifi_ssid: Option<String>,
    /// The password of the Wi-Fi, or its key of 64 hexadecimal digits. Kept on the display where only root can read it,
    /// and taken out of the display's own kiosk.toml. Without it, the one that the display knows already; where it
    /// knows none, the Wi-Fi is an open one.
    #[schemars(extend("writeOnly" = true, "examples" = ["the password of the Wi-Fi"]))]
    wifi_password: Option<String>,
    /// The country in which the display stands, in two letters. The law there says which channels may be used.
    #[schemars(extend("examples" = ["CH"]))]
    wifi_country: Option<String>,
    /// true: the Wi-Fi does not tell its name.
    wifi_hidden: bool,
    /// An address of its own with the bits of its network, for the Wi-Fi where there is one and else for the cable.
    /// Without it, the network gives one (DHCP).
    #[schemars(extend("examples" = ["192.168.1.20/24"]))]
    address: Option<String>,
    /// The way out of the network, together with address.
    #[schemars(extend("examples" = ["192.168.1.1"]))]
    gateway: Option<String>,
    /// Name servers. Empty: those that the network tells.
    #[schemars(extend("examples" = [["192.168.1.1"]]))]
    dns: Vec<String>,
}

pub(super) fn settings(file: NetworkFile, refusals: &mut Refusals<'_>) -> NetworkSettings {
    let address = file.address.as_deref().and_then(|text| address(text, file.gateway.as_deref(), refusals));
    if file.gateway.is_some() && file.address.is_none() {
        refusals.refuse("network.gateway", "a gateway without an address", "write network.address as well");
    }
    let mut dns = Vec::new();
    for (index, text) in file.dns.iter().enumerate() {
        match text.parse() {
            Ok(server) => dns.push(server),
            Err(_) => {
                let cure = "write the number of a name server, such as 192.168.1.1";
                refusals.refuse(&format!("network.dns[{index}]"), format!("{text:?} is no address"), cure);
            }
        }
    }
    NetworkSettings { wifi: wifi(&file, refusals), address, dns }
}

fn wifi(file: &NetworkFile, refusals: &mut Refusals<'_>) -> Option<WifiSettings> {
    let Some(ssid) = file.wifi_ssid.clone() else {
        for (key, given) in [
            ("network.wifi_password", file.wifi_password.is_some()),
            ("network.wifi_country", file.wifi_country.is_some()),
            ("network.wifi_hidden", file.wifi_hidden),
        ] {
            if given {
                refusals.refuse(key, "there is no Wi-Fi to use it for", "write network.wifi_ssid as well");
            }
        }
        return None;
    };
    if ssid.is_empty() || ssid.len() > 32 || ssid.contains(['\n', '\r', '\0']) {
        let cure = "write its name as the router shows it, at most 32 letters";
        refusals.refuse("network.wifi_ssid", "this is no name of a Wi-Fi", cure);
    }
    let secret = file.wifi_password.as_deref().and_then(|text| secret(text, refusals));
    let country = country(file.wifi_country.as_deref(), refusals)?;
    Some(WifiSettings { ssid, secret, country, hidden: file.wifi_hidden })
}

fn country(text: Option<&str>, refusals: &mut Refusals<'_>) -> Option<String> {
    let cure = "write the two capital letters of the country in which the display stands, such as CH";
    let Some(text) = text else {
        refusals.refuse("network.wifi_country", "a Wi-Fi without its country stays switched off", cure);
        return None;
    };
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Some(text.to_owned());
    }
    refusals.refuse("network.wifi_country", format!("{text:?} is no country"), cure);
    None
}

/// The text itself is never repeated: it is the secret.
fn secret(text: &str, refusals: &mut Refusals<'_>) -> Option<WifiSecret> {
    // Copied from a file or a mail, it often brings its line's end along.
    let text = text.trim_end_matches(['\r', '\n']);
    if text.len() == 64
        && let Some(key) = hex(text)
    {
        return Some(WifiSecret::Key(key));
    }
    if (8..=63).contains(&text.len()) && text.bytes().all(|byte| (32..127).contains(&byte)) {
        return Some(WifiSecret::Passphrase(text.to_owned()));
    }
    let says = match text.len() {
        0 => "the password is empty".to_owned(),
        length @ (1..8 | 64..) => format!("a password of a Wi-Fi has 8 to 63 characters, this one has {length}"),
        _ => "a password of a Wi-Fi has only letters, digits and signs of ASCII".to_owned(),
    };
    let cure = "write it as the router shows it, or take the line out for a Wi-Fi without one";
    refusals.refuse("network.wifi_password", says, cure);
    None
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(key)
}

fn address(text: &str, gateway: Option<&str>, refusals: &mut Refusals<'_>) -> Option<StaticAddress> {
    let cure = "write it with the bits of its network, such as 192.168.1.20/24";
    let parsed = text.split_once('/').and_then(|(address, prefix)| {
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        Some((address, prefix.parse::<u8>().ok().filter(|prefix| (1..=longest).contains(prefix))?))
    });
    let Some((address, prefix)) = parsed else {
        refusals.refuse("network.address", format!("{text:?} is no address with its network"), cure);
        return None;
    };
    let gateway = match gateway.map(str::parse::<IpAddr>) {
        None => None,
        Some(Ok(gateway)) if same_network(address, gateway, prefix) => Some(gateway),
        Some(Ok(_)) => {
            let says = format!("the gateway is not in the network of {text}");
            refusals.refuse("network.gateway", says, "write the router's address in the same network");
            None
        }
        Some(Err(_)) => {
            refusals.refuse("network.gateway", "this is no address", "write the router's, such as 192.168.1.1");
            None
        }
    };
    Some(StaticAddress { address, prefix, gateway })
}

fn same_network(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            one.to_bits() & mask == other.to_bits() & mask && one != other
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            // A router of IPv6 is most often known by its address on the link.
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            other.is_unicast_link_local() || (one.to_bits() & mask == other.to_bits() & mask && one != other)
        }
        _ => false,
    }
}
