//! `--host`: the same on a Pi that is reached by the system's ssh.
