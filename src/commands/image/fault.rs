//! Why a command about images failed, with its exit code and its cure.

use std::io;
use std::path::PathBuf;

use super::super::failure::Exit;
use crate::flash::source::SourceError;
use crate::image::{inspect::InspectError, recipe::RecipeError};

/// Causes are sources, never repeated.
#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error("this folder, or this program, cannot be found")]
    Here { source: io::Error },
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{} cannot be used as an image", path.display())]
    Inspect { path: PathBuf, source: InspectError },
    #[error("{} is packed", path.display())]
    Packed { path: PathBuf },
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("make room to unpack it in {}", path.display())]
    Unpack { path: PathBuf, source: io::Error },
}

impl ImageFault {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Recipe(RecipeError::NotThere { .. } | RecipeError::NotFound { .. }) | Self::Packed { .. } => {
                Exit::Usage
            }
            Self::Recipe(_) | Self::Here { .. } | Self::Unpack { .. } => Exit::Bug,
            Self::Source(_) | Self::Inspect { .. } | Self::Read { .. } => Exit::ImageRefused,
        }
    }

    pub fn hint(&self) -> String {
        match self {
            Self::Recipe(RecipeError::NotThere { .. } | RecipeError::NotFound { .. }) => {
                "the recipe comes with the project's sources: go there, or name its folder with --recipe"
            }
            Self::Recipe(RecipeError::Failed { .. }) => {
                "do what its last words say, and start it again: packages that it has are not fetched twice"
            }
            Self::Recipe(RecipeError::Start { .. }) => "may it be executed, and is bash here?",
            Self::Here { .. } => "go to a folder that is there",
            Self::Packed { .. } => "unpack it first, keeping it: xz --decompress --keep",
            Self::Source(SourceError::Missing { .. }) | Self::Read { .. } => {
                "is the name right, and may this user read it?"
            }
            Self::Source(_) | Self::Inspect { .. } => {
                "fetch the image again; pikiosk image build makes one that is known to be good"
            }
            Self::Unpack { .. } => "make room there, or name a folder with room: TMPDIR=/var/tmp",
        }
        .to_owned()
    }
}
