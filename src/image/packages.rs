//! The packages that dpkg has installed in an image.

/// One installed package, as `/var/lib/dpkg/status` tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// `arm64`, `all`.
    pub architecture: String,
    /// The source package, where its name is another.
    pub source: Option<String>,
    pub maintainer: Option<String>,
}

/// The installed packages, by name. What dpkg only remembers (removed, half installed) is left out; so is a paragraph
/// without a version.
pub fn installed(status: &str) -> Vec<Package> {
    let mut packages: Vec<_> = status.split("\n\n").filter_map(package).collect();
    packages.sort();
    packages
}

fn package(paragraph: &str) -> Option<Package> {
    // Continued lines begin with a blank, and belong to descriptions and lists that are of no use here.
    let field = |name: &str| {
        let mut lines = paragraph.lines().filter(|line| !line.starts_with([' ', '\t']));
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()))
    };
    if !field("Status")?.ends_with(" installed") {
        return None;
    }
    Some(Package {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        // `linux-signed-arm64 (6.12.1+1)`: a version only where it differs.
        source: field("Source").and_then(|source| source.split_whitespace().next().map(str::to_owned)),
        maintainer: field("Maintainer"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: zlib1g
Status: install ok installed
Maintainer: Mark Brown <broonie@example.org>
Architecture: arm64
Source: zlib (1:1.3)
Version: 1:1.3.1-1
Description: compression
 Version: 9 is not it

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: adduser
Status: install ok installed
Architecture: all
Version: 3.152
";

    #[test]
    fn packages_that_are_installed_are_listed_by_name_and_no_others() {
        let packages = installed(STATUS);
        let told: Vec<_> = packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
        assert_eq!(told, [("adduser", "3.152"), ("zlib1g", "1:1.3.1-1")]);
        assert_eq!(packages[1].source.as_deref(), Some("zlib"));
        assert_eq!(packages[0].source, None);
    }
}
