//! Firefox: its process, its profile, its BiDi session.
