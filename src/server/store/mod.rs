//! Where events, ledgers, displays and tickets are kept.
