//! What the C library keeps of memory that was given back to it.
//!
//! A picture of the glass takes megabytes for a moment. glibc then takes pieces of that size for usual and keeps them:
//! 13 MB of a supervisor that needs 3. With a fixed limit they go back to the machine at once.

/// The pieces that are the kernel's own from the beginning: glibc's first choice, which it would raise by itself.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 128 * 1024;

/// From now on keeps little. For a process that runs for years and seldom needs much.
#[cfg(target_env = "gnu")]
pub fn keep_little() {
    use nix::libc::{M_ARENA_MAX, M_MMAP_THRESHOLD, mallopt};
    #[expect(unsafe_code, reason = "it is the C library's own setting")]
    // SAFETY: it takes two numbers, and what it does not know it leaves as it is.
    unsafe {
        mallopt(M_MMAP_THRESHOLD, LARGE);
        mallopt(M_ARENA_MAX, 1);
    }
}

/// Another C library keeps what it likes.
#[cfg(not(target_env = "gnu"))]
pub fn keep_little() {}
