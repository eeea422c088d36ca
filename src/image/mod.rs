//! Drives the recipe in `image/`, and tells what an image holds.
//!
//! ```text
//!   image build -> image/build (mmdebstrap) -> provision --root -> FAT + ext4 -> .img .bmap .sha256 .sbom
//! ```
//!
//! Rejected: an image builder in Rust. mmdebstrap, mke2fs and mtools are better at it, and everybody can read the recipe.
