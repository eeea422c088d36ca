//! What travels: events, addresses, positions, commands, receipts, frames. Pure: no I/O, no async, no clock.
