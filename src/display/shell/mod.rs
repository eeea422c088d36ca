//! What does the supervisor's bidding: one loop over the browser, the link, the machine's own work and the next
//! deadline.
mod bidi;
pub mod glass;
