//! The display's own durable files, written and read by its own code. One per file; whoever adds a file to STATE adds it
//! here.

use super::{Durable, Found};

mod black_box;
mod configured;
mod identity;
pub mod journal;
mod media;
mod pictures;
mod recovery;

pub fn all() -> Vec<Box<dyn Durable>> {
    vec![
        Box::new(journal::Written::default()),
        Box::new(identity::Keys::default()),
        Box::new(identity::Enrollments),
        Box::new(black_box::Entries),
        Box::new(black_box::Flights::default()),
        Box::new(recovery::Budgets),
        Box::new(configured::Settings),
        Box::new(pictures::LastGood),
        Box::new(media::Films),
    ]
}
