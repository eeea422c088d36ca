//! Finds the recipe and runs it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The script, in the directory of the recipe.
const SCRIPT: &str = "build.sh";

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    pub out: Option<PathBuf>,
    pub config: Option<PathBuf>,
    /// The program for the Pi.
    pub binary: Option<PathBuf>,
    /// The program that lays down the kiosk: this one.
    pub pikiosk: Option<PathBuf>,
    /// Fetch the packages again.
    pub fresh: bool,
    pub no_xz: bool,
}

/// Why no image was built.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("there is no {SCRIPT} in {}", at.display())]
    NotThere { at: PathBuf },
    #[error("there is no image/{SCRIPT} in {} nor above it", from.display())]
    NotFound { from: PathBuf },
    #[error("{} cannot be started", script.display())]
    Start { script: PathBuf, source: io::Error },
    /// What went wrong was said by the recipe itself.
    #[error("the recipe ended with {status}; its words above say where")]
    Failed { status: ExitStatus },
}

/// The directory of the recipe: the one that is given, or `image/` of the nearest directory above `from` that has it.
pub fn find(given: Option<&Path>, from: &Path) -> Result<PathBuf, RecipeError> {
    match given {
        Some(given) if given.join(SCRIPT).is_file() => Ok(given.to_owned()),
        Some(given) => Err(RecipeError::NotThere { at: given.to_owned() }),
        None => {
            let mut places = from.ancestors().map(|place| place.join("image"));
            places
                .find(|place| place.join(SCRIPT).is_file())
                .ok_or_else(|| RecipeError::NotFound { from: from.to_owned() })
        }
    }
}

/// The recipe's own arguments for an order.
pub fn arguments(order: &Order) -> Vec<std::ffi::OsString> {
    let files = [
        ("--out", &order.out),
        ("--config", &order.config),
        ("--binary", &order.binary),
        ("--pikiosk", &order.pikiosk),
    ];
    let mut arguments = Vec::new();
    for (name, file) in files {
        if let Some(file) = file {
            arguments.extend([name.into(), file.into()]);
        }
    }
    if order.fresh {
        arguments.push("--fresh".into());
    }
    if order.no_xz {
        arguments.push("--no-xz".into());
    }
    arguments
}

/// Builds; minutes. The recipe tells its progress on stderr itself.
pub fn build(recipe: &Path, order: &Order) -> Result<(), RecipeError> {
    let script = recipe.join(SCRIPT);
    let ran = Command::new(&script).args(arguments(order)).stdin(Stdio::inherit()).status();
    match ran {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(RecipeError::Failed { status }),
        Err(source) => Err(RecipeError::Start { script, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_is_found_from_anywhere_in_the_project() {
        let project = tempfile::tempdir().unwrap();
        let deep = project.path().join("src/image");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(project.path().join("image")).unwrap();
        assert!(matches!(find(None, &deep), Err(RecipeError::NotFound { .. })));
        std::fs::write(project.path().join("image/build.sh"), "").unwrap();
        assert_eq!(find(None, &deep).unwrap(), project.path().join("image"));
        assert!(matches!(find(Some(&deep), &deep), Err(RecipeError::NotThere { .. })));
    }

    #[test]
    fn a_recipe_that_stops_is_a_failure_and_its_arguments_arrive_as_they_are() {
        let recipe = tempfile::tempdir().unwrap();
        let script = recipe.path().join("build.sh");
        std::fs::write(&script, "#!/bin/sh\n[ \"$1 $2 $3\" = '--out a b --fresh' ]\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let order = Order { out: Some("a b".into()), fresh: true, ..Order::default() };
        build(recipe.path(), &order).unwrap();
        assert!(matches!(build(recipe.path(), &Order::default()), Err(RecipeError::Failed { .. })));
    }
}
