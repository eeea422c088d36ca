//! Which build of pikiosk goes onto a system.

use std::path::{Path, PathBuf};

use super::ProvisionError;

/// Where `make aarch64` leaves its build, beside where cargo leaves this one: target/debug/pikiosk, target/aarch64/pikiosk.
const FOR_A_PI: &str = "aarch64/pikiosk";

/// e_machine of elf(5), by Debian's names of architectures.
const MACHINES: [(u16, &str); 4] = [(0xb7, "arm64"), (0x28, "armhf"), (0x3e, "amd64"), (0x03, "i386")];

/// The program for a system of this architecture (Debian's name): the one that was asked for, this one, or the build for
/// a Pi.
pub(super) fn find(asked: Option<&Path>, architecture: &str) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = asked {
        return match machine(path)? {
            found if found == architecture => Ok(path.to_owned()),
            found => {
                Err(ProvisionError::WrongProgram { path: path.to_owned(), found, wanted: architecture.to_owned() })
            }
        };
    }
    let unknown = |source| ProvisionError::Program { path: PathBuf::from("/proc/self/exe"), source };
    let this = std::env::current_exe().map_err(unknown)?;
    let beside = this.parent().and_then(Path::parent).map(|target| target.join(FOR_A_PI));
    let builds = [Some(this), beside, Some(PathBuf::from("target").join(FOR_A_PI))];
    let fits = |path: &PathBuf| machine(path).is_ok_and(|found| found == architecture);
    let found = builds.into_iter().flatten().find(fits);
    found.ok_or_else(|| ProvisionError::NoProgram { wanted: architecture.to_owned() })
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ProvisionError> {
    std::fs::read(path).map_err(|source| ProvisionError::Program { path: path.to_owned(), source })
}

/// For which processor a program is built, in Debian's words.
fn machine(path: &Path) -> Result<String, ProvisionError> {
    use std::io::Read;
    let failed = |source| ProvisionError::Program { path: path.to_owned(), source };
    let mut header = [0; 20];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) if header.starts_with(b"\x7fELF") => {
            let machine = u16::from_le_bytes([header[18], header[19]]);
            let known = MACHINES.iter().find(|(number, _)| *number == machine);
            Ok(known.map_or_else(|| format!("processor {machine:#x}"), |(_, name)| (*name).to_owned()))
        }
        Ok(()) => Ok("no processor: it is no program".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ok("no processor: it is no program".to_owned())
        }
        Err(error) => Err(failed(error)),
    }
}
