use super::*;
use crate::flash::{
    card::{Existing, FileSize},
    events::Phase,
    fault::{CardFault, Holds},
    job::Mode,
    receipt::{Named, Receipt},
};

const MIB: usize = 1 << 20;

fn outcome_of(image: &TestImage, card: Card, options: Options) -> CardOutcome {
    flash_all(vec![card], image, options).pop().unwrap()
}

#[test]
fn a_file_becomes_the_image_with_holes_where_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("card.img");
    let image = TestImage::new(13 * MIB + 512);
    let card = Card::file(&path, FileSize::Image, Existing::Emptied).unwrap();
    let outcome = outcome_of(&image, card, Options::default());
    let receipt = outcome.result.unwrap();
    assert_eq!(outcome.holds, Holds::Complete);
    let card = std::fs::read(&path).unwrap();
    assert_eq!(card.len(), image.bytes.len());
    assert!(image.is_on(&card));
    assert!(card[MIB..2 * MIB].iter().all(|byte| *byte == 0), "a free part was not written");
    assert_eq!(receipt.image.bytes, image.bytes.len() as u64);
    assert_eq!(receipt.image.sha256.len(), 64);
    assert_eq!((receipt.written.extents, receipt.written.bytes), (7, 7 * MIB as u64));
    assert_eq!((receipt.read_back.extents, receipt.read_back.bytes), (6, 6 * MIB as u64));
    assert!(receipt.retries.is_empty());
}

#[test]
fn a_file_gets_the_size_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("card.img");
    let image = TestImage::new(5 * MIB);
    for (size, len) in [(FileSize::PowerOfTwo, 8 * MIB), (FileSize::Exactly(6 * MIB as u64), 6 * MIB)] {
        let card = Card::file(&path, size, Existing::Emptied).unwrap();
        outcome_of(&image, card, Options::default()).result.unwrap();
        let card = std::fs::read(&path).unwrap();
        assert_eq!(card.len(), len);
        assert!(image.is_on(&card));
    }
    let card = Card::file(&path, FileSize::Exactly(4 * MIB as u64), Existing::Emptied).unwrap();
    let outcome = outcome_of(&image, card, Options::default());
    assert!(matches!(outcome.result, Err(CardFault::TooSmall { .. })), "{outcome:?}");
    assert_eq!(outcome.holds, Holds::Untouched);
}

#[test]
fn four_cards_get_one_decode_and_each_its_own_name() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..4).map(|n| directory.path().join(format!("card{n}.img"))).collect();
    let image = TestImage::new(9 * MIB);
    let place = 2 * MIB as u64 + 8192;
    let jobs = paths.iter().enumerate().map(|(n, path)| {
        let mut job = job(Card::file(path, FileSize::Image, Existing::Emptied).unwrap());
        job.identity = Some(Named { display: format!("hall-{n}"), hostname: None, server: None });
        job.customise = Some(Box::new(move |it| {
            use crate::io::block::BlockDevice;
            let name = format!("hall-{n}");
            it.device.write_at(place + 3, name.as_bytes())?;
            it.device.write_at(440, name.as_bytes())?;
            let manifest: Receipt = serde_json::from_slice(&it.manifest)?;
            assert_eq!((manifest.identity.unwrap().display, manifest.finished), (name, None));
            Ok(())
        }));
        job
    });
    let told = Arc::new(Told::default());
    let outcomes = crate::flash::flash(
        jobs.collect(),
        image.image(),
        Options::default(),
        Arc::clone(&told) as _,
        &Cancel::default(),
    );
    for (n, (outcome, path)) in outcomes.into_iter().zip(&paths).enumerate() {
        let receipt = outcome.result.unwrap();
        let name = format!("hall-{n}");
        let mut expected = image.clone();
        let bytes = Arc::make_mut(&mut expected.bytes);
        bytes[place as usize + 3..][..6].copy_from_slice(name.as_bytes());
        bytes[440..446].copy_from_slice(name.as_bytes());
        assert!(expected.is_on(&std::fs::read(path).unwrap()), "{name}");
        assert_eq!(receipt.customised.iter().map(|part| part.offset).collect::<Vec<_>>(), [0, place]);
        assert_eq!(receipt.identity.unwrap().display, name);
    }
    let events = told.events();
    for card in 0..4 {
        let phases: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Phase { card: of, phase } if *of == card => Some(*phase),
                _ => None,
            })
            .collect();
        let expected = [Phase::Writing, Phase::ReadingBack, Phase::Customising, Phase::ReadingBack, Phase::Finishing];
        assert_eq!(phases, expected);
    }
    for event in &events {
        if let Event::Progress { done, total: Some(total), .. } = event {
            assert!(done <= total, "{event:?}");
        }
    }
}

#[test]
fn an_image_that_breaks_off_leaves_cards_that_do_not_boot() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("card.img");
    let mut image = TestImage::new(13 * MIB);
    image.breaks_at = Some(9 * MIB as u64);
    std::fs::write(&path, vec![0xff; 13 * MIB]).unwrap();
    let card = Card::file(&path, FileSize::Image, Existing::Kept).unwrap();
    let outcome = outcome_of(&image, card, Options::default());
    assert!(matches!(outcome.result, Err(CardFault::Image { .. })));
    assert_eq!(outcome.holds, Holds::Unbootable);
    assert!(std::fs::read(&path).unwrap()[..MIB].iter().all(|byte| *byte == 0));

    image.breaks_at = Some(0);
    std::fs::write(&path, vec![0xff; 13 * MIB]).unwrap();
    let card = Card::file(&path, FileSize::Image, Existing::Kept).unwrap();
    let outcome = outcome_of(&image, card, Options::default());
    assert_eq!(outcome.holds, Holds::Untouched, "it broke before a card was touched");
    assert!(std::fs::read(&path).unwrap().iter().all(|byte| *byte == 0xff));
}

#[test]
fn again_writes_nothing_where_nothing_differs_and_only_that_where_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("card.img");
    let image = TestImage::new(17 * MIB);
    let again = || Options { mode: Mode::Again, ..Options::default() };
    let card = || Card::file(&path, FileSize::Image, Existing::Kept).unwrap();
    outcome_of(&image, card(), Options::default()).result.unwrap();

    let receipt = outcome_of(&image, card(), again()).result.unwrap();
    assert_eq!(receipt.written.bytes, 0);

    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4 * MIB + 10] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let receipt = outcome_of(&image, card(), again()).result.unwrap();
    assert_eq!(receipt.written.bytes, 4096 + MIB as u64, "one block, and the first MiB that was zeroed for it");
    assert!(image.is_on(&std::fs::read(&path).unwrap()));

    bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    outcome_of(&image, card(), again()).result.unwrap();
    assert!(image.is_on(&std::fs::read(&path).unwrap()), "only the first MiB differed");
}

#[test]
fn verify_only_tells_what_differs_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("card.img");
    let image = TestImage::new(9 * MIB);
    let mut job = job(Card::file(&path, FileSize::Image, Existing::Emptied).unwrap());
    job.customise = Some(Box::new(|it| {
        use crate::io::block::BlockDevice;
        Ok(it.device.write_at(2 * MIB as u64, b"hall")?)
    }));
    let outcomes =
        crate::flash::flash(vec![job], image.image(), Options::default(), Arc::new(|_| {}), &Cancel::default());
    let customised = outcomes[0].result.as_ref().unwrap().customised.clone();
    let card = || Card::file(&path, FileSize::Image, Existing::Kept).unwrap();
    let verify = |customised| Options { mode: Mode::VerifyOnly, customised, ..Options::default() };

    let outcome = outcome_of(&image, card(), verify(customised.clone()));
    outcome.result.unwrap();
    assert_eq!(outcome.differs.allowed.len(), 1);

    let outcome = outcome_of(&image, card(), verify(Vec::new()));
    assert!(matches!(outcome.result, Err(CardFault::NotTheImage { offset: 0x20_0000, blocks: 1 })), "{outcome:?}");

    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2 * MIB + 9] ^= 1;
    bytes[6 * MIB] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let outcome = outcome_of(&image, card(), verify(customised));
    assert_eq!(outcome.differs.unexpected.len(), 2, "what was customised is not as it was customised");
    assert_eq!(outcome.holds, Holds::Untouched);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    std::fs::write(&path, &bytes[..7 * MIB]).unwrap();
    assert!(outcome_of(&image, card(), verify(Vec::new())).result.is_err());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 7 * MIB as u64, "a file that was cut is not made longer");
}
