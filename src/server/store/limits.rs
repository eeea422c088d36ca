//! Every bound of the store, in one place. `[limits]` of `server.toml` sets those that an operator may want to change.

/// Bounds of one store. All are upper bounds except `dedupe_ms`, which is what is promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Events kept per address for resume. A display that was away longer gets its state and its pending actions
    /// anyway; 1,000 is hours of a busy address.
    pub history_events: u64,
    /// Age in ms after which an event leaves its address's history although there is room: idle addresses must not
    /// keep their last thousand events for ever. Seven days: a long week-end and some.
    pub history_ms: u64,
    /// How long at least a repeated `source`+`id` is answered with the first position, in ms. 24 h by contract.
    pub dedupe_ms: u64,
    /// Remembered `source`+`id` pairs. Full means `StoreError::Full`, never a silently forgotten pair: five million
    /// are 58 events a second for a whole day, in some 500 MB.
    pub dedupe_entries: u64,
    /// Events whose text and receipts are kept for `GET /v1/events/{id}` after they left history. 200,000 of 1 KiB are
    /// 200 MB.
    pub detail_events: u64,
    /// What all events of the memory engine may take, in bytes; the file of the other engine has its disk. Over it the oldest
    /// leave their histories early, and if all that is left is owed or retained, `StoreError::Full`. 256 MiB are some
    /// 150,000 events of half a KiB.
    pub memory_bytes: usize,
    /// Addresses that ever had an event (a user's name is any text, so this needs a bound).
    pub addresses: u64,
    /// Action commands waiting for one display; one more is `StoreError::QueueFull`. At one a second a display that
    /// is away for a quarter of an hour is still served.
    pub pending_actions: u64,
    /// Undone state commands kept per display and slot, so that a burst at a connected display gets its own
    /// receipts; older ones become `superseded`.
    pub pending_states: u64,
    /// How often a connecting display is given an action that it never answers, before the action ends as `failed`: it may
    /// be what the display dies of. State has no such bound: it is always painted again, and what a site does to a
    /// browser the display's own recovery deals with.
    pub attempts: u32,
    /// How long after its due time an action of a *connected* display expires, in ms: it may be acting.
    pub expiry_grace_ms: u64,
    /// Enrolled displays. A publish to `all` makes one ledger row for each.
    pub displays: u64,
    /// Enrollment codes that wait to be redeemed.
    pub enrollments: u64,
    /// Records of the server's own in one collection (operator keys, revocations, the audit log).
    pub records: u64,
    /// One result (screenshot, log), in bytes. 8 MiB by contract.
    pub result_bytes: usize,
    /// Results kept per display.
    pub results: usize,
    /// Tickets (and, apart, nonces) that were minted and not yet taken. They live 20 s (60 s).
    pub one_time: usize,
    /// Operations that wait for the writer thread. One batch takes them all; more waiters than this gain nothing.
    pub queue: usize,
    /// Batches of committed events that wait for the hub. The writer stops when the hub does not keep up, and with it
    /// the publishers: back-pressure instead of memory.
    pub feed: usize,
}

const HOUR_MS: u64 = 3_600_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            history_events: 1_000,
            history_ms: 7 * 24 * HOUR_MS,
            dedupe_ms: 24 * HOUR_MS,
            dedupe_entries: 5_000_000,
            detail_events: 200_000,
            memory_bytes: 256 * 1024 * 1024,
            addresses: 200_000,
            pending_actions: 1_000,
            pending_states: 32,
            attempts: 5,
            expiry_grace_ms: 30_000,
            displays: 10_000,
            enrollments: 10_000,
            records: 10_000,
            result_bytes: 8 * 1024 * 1024,
            results: 16,
            one_time: 100_000,
            queue: 1_024,
            feed: 64,
        }
    }
}
