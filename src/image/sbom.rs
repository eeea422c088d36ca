//! The list of what is in an image, for those who must know whether a fault in some library is in theirs: CycloneDX 1.5
//! (JSON).
//!
//! It holds nothing that the image does not: no time of its making, no random serial number. The same image, the same
//! list.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::packages::Package;

/// What a package URL leaves as it is (RFC 3986's unreserved characters).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the list is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The image's name.
    pub name: &'a str,
    /// RFC 3339.
    pub date: Option<&'a str>,
    /// `debian`, `raspbian`.
    pub distribution: &'a str,
    /// `trixie`.
    pub codename: &'a str,
    /// SHA-256 of the image, in hex.
    pub sha256: &'a str,
    /// The version of the pikiosk in it.
    pub pikiosk: Option<&'a str>,
}

/// The document.
pub fn cyclonedx(subject: &Subject<'_>, packages: &[Package]) -> Value {
    let mut components: Vec<_> = packages.iter().map(|package| component(subject, package)).collect();
    if let Some(version) = subject.pikiosk {
        components.push(json!({
            "type": "application",
            "bom-ref": "pikiosk",
            "name": "pikiosk",
            "version": version,
            "purl": format!("pkg:cargo/pikiosk@{}", encoded(version)),
        }));
    }
    let mut metadata = json!({
        "component": {
            "type": "operating-system",
            "bom-ref": "image",
            "name": subject.name,
            "hashes": [{ "alg": "SHA-256", "content": subject.sha256 }],
        },
    });
    if let Some(date) = subject.date {
        metadata["timestamp"] = json!(date);
    }
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": metadata,
        "components": components,
    })
}

fn component(subject: &Subject<'_>, package: &Package) -> Value {
    // The form of purl-spec for Debian: the source package lets scanners find advisories, which name sources.
    let mut purl = format!(
        "pkg:deb/{}/{}@{}?arch={}&distro={}",
        encoded(subject.distribution),
        encoded(&package.name),
        encoded(&package.version),
        encoded(&package.architecture),
        encoded(subject.codename),
    );
    if let Some(source) = &package.source {
        purl.push_str("&upstream=");
        purl.push_str(&encoded(source));
    }
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    });
    if let Some(maintainer) = &package.maintainer {
        component["publisher"] = json!(maintainer);
    }
    component
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_as_scanners_of_faults_look_for_it() {
        let package = Package {
            name: "libstdc++6".into(),
            version: "1:14.2.0-19+b1".into(),
            architecture: "arm64".into(),
            source: Some("gcc-14".into()),
            maintainer: None,
        };
        let subject = Subject {
            name: "pikiosk",
            date: None,
            distribution: "debian",
            codename: "trixie",
            sha256: "00",
            pikiosk: Some("0.1.0"),
        };
        let document = cyclonedx(&subject, &[package]);
        assert_eq!(
            document["components"][0]["purl"],
            "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19%2Bb1?arch=arm64&distro=trixie&upstream=gcc-14"
        );
        assert_eq!(document["components"][1]["name"], "pikiosk");
        assert_eq!(document["bomFormat"], "CycloneDX");
    }
}
