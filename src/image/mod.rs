//! Drives the recipe in `image/`, and tells what an image holds.
//!
//! ```text
//!   image build    -> recipe (image/build.sh: mmdebstrap -> provision --root -> FAT + ext4)
//!   image describe -> bmap, sbom, manifest: what travels beside the image
//!   image inspect  -> inspect (partitions, release, kiosk) + bootable (what a Pi 3's firmware would make of it)
//! ```
//!
//! Rejected: an image builder in Rust. mmdebstrap, mke2fs and mtools are better at it, and everybody can read the recipe.

pub mod bmap;
pub mod bootable;
pub mod firmware;
pub mod inspect;
pub mod manifest;
pub mod packages;
pub mod recipe;
pub mod sbom;
