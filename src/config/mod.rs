//! `kiosk.toml` and `server.toml`: layers -> merged with origins -> settings.
