//! Tickets, JWT, display keys, enrollment codes: pure rules; `now` and randomness are passed in.
