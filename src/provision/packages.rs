//! Debian packages: which are there, and the commands that bring and take them.

use std::{collections::BTreeSet, io, path::Path};

use crate::io::system::{Observe, Ran, System};

/// Where dpkg keeps what is installed.
pub const STATUS: &str = "/var/lib/dpkg/status";

/// The packages that are installed and configured; none on a system without dpkg.
pub fn installed(system: &dyn Observe) -> io::Result<BTreeSet<String>> {
    match system.read(Path::new(STATUS)) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// deb-control(5), as in dpkg's status file: paragraphs of fields.
pub(super) fn parse(status: &str) -> BTreeSet<String> {
    let mut installed = BTreeSet::new();
    let mut package = None;
    for line in status.lines() {
        if let Some(name) = line.strip_prefix("Package:") {
            package = Some(name.trim());
        } else if let Some(state) = line.strip_prefix("Status:") {
            // Wanted, no error, state: `hold ok installed` is installed as well.
            if state.split_ascii_whitespace().nth(2) == Some("installed") {
                installed.extend(package.take().map(str::to_owned));
            }
        }
    }
    installed
}

/// Brings packages with what they depend on, and nothing that is only recommended.
pub(super) fn install(system: &mut dyn System, names: &[String], told: &mut dyn FnMut(&str)) -> io::Result<Ran> {
    // A power cut while dpkg worked: it refuses everything until this was run.
    let repaired = run(system, "dpkg", &["--configure", "-a"], told)?;
    if !repaired.success {
        return Ok(repaired);
    }
    // Without a network the lists that are there may do.
    run(system, "apt-get", &["update", "-q"], told)?;
    // Files that we laid down are kept, and nothing asks.
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"];
    arguments.extend(names.iter().map(String::as_str));
    run(system, "apt-get", &arguments, told)
}

/// Takes packages away with their configuration.
pub(super) fn purge(system: &mut dyn System, names: &[String], told: &mut dyn FnMut(&str)) -> io::Result<Ran> {
    let mut arguments = vec!["purge", "-q", "-y"];
    arguments.extend(names.iter().map(String::as_str));
    run(system, "apt-get", &arguments, told)
}

fn run(system: &mut dyn System, program: &str, arguments: &[&str], told: &mut dyn FnMut(&str)) -> io::Result<Ran> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let environment = [("DEBIAN_FRONTEND", "noninteractive"), ("LC_ALL", "C.UTF-8")];
    system.run(program, &arguments, &environment.map(|(name, value)| (name.to_owned(), value.to_owned())), told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_and_configured_counts() {
        let status = "Package: a\nStatus: install ok installed\nDescription: x\n Package: not-one\n\n\
                      Package: b\nStatus: deinstall ok config-files\n\n\
                      Package: c\nArchitecture: arm64\nStatus: hold ok installed\n\n\
                      Package: d\nStatus: install ok half-configured\n";
        assert_eq!(parse(status).into_iter().collect::<Vec<_>>(), ["a", "c"]);
    }
}
