use super::*;

#[path = "../../../../tests/support/golden.rs"]
mod golden;

use crate::io::{
    block::{FileDevice, overlay::Overlay},
    system::suite,
};

#[test]
fn an_image_behaves_as_every_system_does() {
    for layout in [golden::Layout::bookworm(), golden::Layout::pi_gen(), golden::Layout::trixie()] {
        let golden = golden::image_with(golden::Format::Ours, layout);
        let file = std::fs::File::open(&golden.path).unwrap();
        let len = file.metadata().unwrap().len();
        let device = Arc::new(Overlay::new(FileDevice::new(file, len)));
        let mut image = ImageSystem::open_at(device, 1_764_806_400).unwrap();
        suite::behaves(&mut image);
    }
}
