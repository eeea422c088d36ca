use std::io::Write;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::flash::source::{Cancel, Progress, Sha256, SourceError, Told};
use crate::flash::stream::{ImageStream, SlowPart};

/// 3 MiB that pack a little, beginning as a card does.
fn card(len: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut bytes: Vec<u8> = (0..len)
        .map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if at % 8192 < 4096 { (state >> 60) as u8 } else { 0 }
        })
        .collect();
    if len >= 512 {
        bytes[446..510].fill(0);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    }
    bytes
}

fn means() -> Means {
    Means { threads: 3, memory: 192 << 20, memory_of_all: 512 << 20 }
}

fn xz_blocks(bytes: &[u8], block: u64) -> Vec<u8> {
    let stream = liblzma::stream::MtStreamBuilder::new()
        .threads(2)
        .preset(0)
        .block_size(block)
        .check(liblzma::stream::Check::Crc32)
        .encoder()
        .unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    xz_blocks(bytes, 1 << 20)
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip as streaming writers make it (lengths after the data) or as others do.
fn zip_of(files: &[(&str, &[u8])], streamed: bool, deflated: bool) -> Vec<u8> {
    let method = if deflated { ::zip::CompressionMethod::Deflated } else { ::zip::CompressionMethod::Stored };
    let options = ::zip::write::SimpleFileOptions::default().compression_method(method);
    let mut bytes = std::io::Cursor::new(Vec::new());
    if streamed {
        let mut writer = ::zip::ZipWriter::new_stream(Vec::new());
        for (name, content) in files {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        return writer.finish().unwrap().into_inner();
    }
    let mut writer = ::zip::ZipWriter::new(&mut bytes);
    for (name, content) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    bytes.into_inner()
}

fn input_of(packed: &[u8], block: usize) -> Input {
    let blocks: Vec<_> = packed.chunks(block.max(1)).map(|block| Ok(block.to_vec())).collect();
    Input::new(Box::new(blocks.into_iter()), Arc::default())
}

/// Unpacks with a codec alone, in blocks of so many bytes, at most `most` bytes out.
fn unpack(format: Format, packed: &[u8], block: usize, room: usize) -> Result<Vec<u8>, SourceError> {
    let mut input = input_of(packed, block);
    let mut codec = codec(format, means());
    let mut all = Vec::new();
    let mut into = vec![0; room];
    loop {
        match codec.decode(&mut input, &mut into)? {
            0 => return Ok(all),
            made => all.extend_from_slice(&into[..made]),
        }
        assert!(all.len() < 64 << 20, "it unpacks without end");
    }
}

fn job(packed: Vec<u8>, expected: Expected, limit: u64) -> Result<Decoded, SourceError> {
    let blocks: Vec<_> = packed.chunks(1 << 16).map(|block| Ok(block.to_vec())).collect();
    start(Job {
        name: "card.img".to_owned(),
        blocks: Box::new(blocks.into_iter()),
        expected,
        limit: Limit { bytes: limit },
        means: means(),
        progress: Arc::new(Progress::default()),
        cancel: Cancel::default(),
        from: SlowPart::Disk,
    })
}

fn to_the_end(mut decoded: Decoded) -> Result<(Vec<u8>, Sha256), SourceError> {
    let mut all = Vec::new();
    while let Some(piece) = decoded.next_piece()? {
        assert_eq!(piece.offset, all.len() as u64);
        all.extend_from_slice(&piece.bytes);
    }
    assert!(decoded.next_piece()?.is_none(), "the end is the end");
    Ok((all, Sha256::from(decoded.sha256().unwrap())))
}

fn told<T>(value: T) -> Option<Told<T>> {
    Some(Told { value, teller: "the list".to_owned() })
}

#[test]
fn every_format_unpacks_to_the_card_whatever_the_pieces() {
    let card = card(3 << 20);
    let other = [&card[..], b"more"].concat();
    let zipped =
        |streamed, deflated| zip_of(&[("README.txt", b"read me"), ("a/", b""), ("x.img", &card)], streamed, deflated);
    let cases = [
        (Format::Raw, card.clone(), &card),
        (Format::Xz, xz(&card), &card),
        (Format::Xz, [xz(&card), vec![0; 8], xz(b"more")].concat(), &other),
        (Format::Xz, [xz(&card), xz(b"more"), vec![0; 4]].concat(), &other),
        (Format::Gzip, gz(&card), &card),
        (Format::Gzip, [gz(&card), gz(b"more")].concat(), &other),
        (Format::Zstd, zst(&card), &card),
        (Format::Zstd, [b"\x50\x2a\x4d\x18\x02\0\0\0ab".to_vec(), zst(&card), zst(b"more")].concat(), &other),
        (Format::Zip, zipped(false, true), &card),
        (Format::Zip, zipped(true, true), &card),
        (Format::Zip, zipped(false, false), &card),
    ];
    for (format, packed, expected) in &cases {
        assert_eq!(Kind::of(&packed[..MAGIC]), Kind::Image(*format));
        for (block, room) in [(packed.len(), 4 << 20), (1021, 1 << 16), (1 << 16, 1021)] {
            let unpacked = unpack(*format, packed, block, room).unwrap_or_else(|error| panic!("{format:?}: {error}"));
            assert!(unpacked == **expected, "{format:?} in blocks of {block} into {room}");
        }
    }
}

#[test]
fn an_image_that_is_cut_off_anywhere_is_refused_as_cut_off() {
    let card = card(5000);
    let packings: [(Format, Vec<u8>); 6] = [
        (Format::Xz, [xz_blocks(&card, 2000), xz(b"more")].concat()),
        (Format::Gzip, [gz(&card), gz(b"more")].concat()),
        (Format::Zstd, [zst(&card), zst(b"more")].concat()),
        (Format::Zip, zip_of(&[("x.img", &card), ("README", b"read me")], false, true)),
        (Format::Zip, zip_of(&[("x.img", &card)], true, true)),
        (Format::Zip, zip_of(&[("x.img", &card)], false, false)),
    ];
    for (format, packed) in &packings {
        assert!(unpack(*format, packed, 100, 512).is_ok(), "{format:?}");
        let boundary = match format {
            Format::Xz => xz_blocks(&card, 2000).len(),
            Format::Gzip => gz(&card).len(),
            Format::Zstd => zst(&card).len(),
            _ => usize::MAX,
        };
        // Cut exactly between two whole streams, nothing can tell.
        for cut in (1..packed.len()).filter(|cut| *cut != boundary) {
            match unpack(*format, &packed[..cut], 100, 512) {
                Err(SourceError::Truncated { .. }) => {}
                other => panic!("{format:?} cut at {cut} of {}: {:?}", packed.len(), other.map(|bytes| bytes.len())),
            }
        }
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    let card = card(5000);
    for garbage in [&b"x"[..], b"garbage!", &[0; 3], b"\xfd7zXX\0", b"\x1f\x8a", b"PK\x03\x04"] {
        for (format, packed) in [
            (Format::Xz, xz(&card)),
            (Format::Gzip, gz(&card)),
            (Format::Zstd, zst(&card)),
            (Format::Zip, zip_of(&[("x.img", &card)], false, true)),
        ] {
            let packed = [&packed[..], garbage].concat();
            match unpack(format, &packed, 1000, 512) {
                Err(SourceError::Garbage { at, .. }) => assert_eq!(at, (packed.len() - garbage.len()) as u64),
                // Three bytes are fewer than a zstd frame's mark has.
                Err(SourceError::Truncated { .. }) if garbage.len() < 4 => {}
                other => panic!("{format:?} and {garbage:?}: {:?}", other.map(|bytes| bytes.len())),
            }
        }
    }
    let only_padding_before = [vec![0; 4], xz(&card)].concat();
    assert!(matches!(unpack(Format::Xz, &only_padding_before, 100, 100), Err(SourceError::Garbage { .. })));
}

#[test]
fn a_changed_byte_is_refused_or_changes_nothing() {
    let card = card(3000);
    for (format, packed) in [
        (Format::Xz, xz(&card)),
        (Format::Gzip, gz(&card)),
        (Format::Zstd, zst(&card)),
        (Format::Zip, zip_of(&[("x.img", &card)], true, true)),
    ] {
        for at in 0..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 0x41;
            if let Ok(unpacked) = unpack(format, &changed, 500, 4096) {
                assert!(unpacked == card, "{format:?} changed at {at} goes unnoticed");
            }
        }
    }
}

#[test]
fn a_zip_holds_exactly_one_image() {
    let card = card(5000);
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Files<'_>, &str); 4] = [
        (&[("a.img", &card), ("b.img", &card)], "two images, a.img and b.img"),
        (&[("a.txt", b"hello")], "none of its 1 files"),
        (&[], "none of its 0 files"),
        (&[("a.img.xz", &xz(&card))], "an xz file inside the zip file"),
    ];
    for (files, says) in cases {
        for streamed in [false, true] {
            let error = unpack(Format::Zip, &zip_of(files, streamed, true), 1000, 1000).unwrap_err().to_string();
            assert!(error.contains(says), "{error}, but not {says}");
        }
    }
}

#[test]
fn a_file_that_asks_for_too_much_memory_is_refused_before_it_gets_any() {
    // xz with a dictionary of 64 MiB where 32 are allowed; zstd with a window of 2 GiB, in the header alone.
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(64 << 20);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(&card(5000)).unwrap();
    let packed = encoder.finish().unwrap();
    let small = Means { threads: 2, memory: 32 << 20, memory_of_all: 512 << 20 };
    let mut into = [0; 100];
    let refused = codec(Format::Xz, small).decode(&mut input_of(&packed, 100), &mut into);
    assert!(matches!(refused, Err(SourceError::Memory { kind: "xz file", .. })), "{refused:?}");
    assert!(unpack(Format::Xz, &packed, 100, 100).is_ok());
    let window = b"\x28\xb5\x2f\xfd\x00\xa8\x01\0\0";
    let refused = unpack(Format::Zstd, window, 100, 100);
    assert!(matches!(refused, Err(SourceError::Memory { needs: Some(0x8000_0000), .. })), "{refused:?}");
}

#[test]
fn a_bomb_stops_at_the_size_of_the_card_or_before_it_starts() {
    let bomb = xz(&{
        let mut zeros = vec![0; 20 << 20];
        zeros[510..512].copy_from_slice(&[0x55, 0xaa]);
        zeros
    });
    let error = to_the_end(job(bomb.clone(), Expected::default(), 10 << 20).unwrap()).unwrap_err();
    assert!(matches!(error, SourceError::TooLarge { at_least: true, .. }), "{error}");
    let known = Expected { length: told(20 << 20), ..Expected::default() };
    assert!(matches!(job(bomb.clone(), known.clone(), 10 << 20), Err(SourceError::TooLarge { at_least: false, .. })));
    assert!(to_the_end(job(bomb, known, 20 << 20).unwrap()).is_ok());
}

#[test]
fn the_last_piece_comes_only_if_length_and_hash_are_right() {
    for len in [600, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20] {
        let card = card(len);
        let right = Expected { length: told(len as u64), sha256: told(Sha256::of(&card)), ..Expected::default() };
        let (all, sha256) = to_the_end(job(card.clone(), right.clone(), u64::MAX).unwrap()).unwrap();
        assert!(all == card);
        assert_eq!(sha256, Sha256::of(&card));

        let wrong = Expected { sha256: told(Sha256::of(b"other")), ..Expected::default() };
        let mut decoded = job(card.clone(), wrong, u64::MAX).unwrap();
        let mut came = 0;
        let error = loop {
            match decoded.next_piece() {
                Ok(Some(piece)) => came += piece.bytes.len(),
                Ok(None) => panic!("a wrong hash went through"),
                Err(error) => break error,
            }
        };
        assert!(came < len, "all of it came before the hash was known to be wrong");
        assert!(error.to_string().contains("and the list says"), "{error}");
        assert!(decoded.sha256().is_none());

        for length in [len as u64 - 1, len as u64 + 1] {
            let wrong = Expected { length: told(length), ..Expected::default() };
            let refused = to_the_end(job(card.clone(), wrong, u64::MAX).unwrap()).map(|_| ());
            assert!(matches!(refused, Err(SourceError::WrongLength { .. })), "{len} told as {length}: {refused:?}");
        }
    }
}

#[test]
fn what_is_no_image_is_refused_with_its_kind() {
    let card = card(5000);
    let page = b"<!DOCTYPE html><html><body>Log in to this network</body></html>".repeat(10);
    let cases = [
        (Vec::new(), "card.img is empty"),
        (b"short".to_vec(), "5 bytes long"),
        (vec![0; 5000], "neither begins with a partition table nor is packed"),
        (page.clone(), "web page"),
        (b"BZh91AY&SY".to_vec(), "bzip2"),
        (xz(&[0; 5000]), "does not begin with a partition table"),
        (gz(&xz(&card)), "an xz file inside the gzip file"),
        (zst(&page), "a web page inside the zstd file"),
        (gz(b""), "inside of the gzip file is empty"),
    ];
    for (packed, says) in cases {
        let error = job(packed, Expected::default(), u64::MAX).and_then(to_the_end).unwrap_err().to_string();
        assert!(error.contains(says), "{error}, but not {says}");
    }
}

#[test]
fn an_image_that_nobody_takes_ends_its_threads() {
    let decoded = job(xz(&card(30 << 20)), Expected::default(), u64::MAX).unwrap();
    let cancel = decoded.progress().clone();
    drop(decoded);
    assert!(cancel.decoded() <= 30 << 20);
}

#[test]
fn an_xz_file_of_several_blocks_is_unpacked_by_several_threads() {
    // Threads that liblzma starts take the name of the one that starts them.
    const NAME: &str = "xz-is-counted";
    let packed = xz_blocks(&card(24 << 20), 2 << 20);
    let most = std::thread::Builder::new()
        .name(NAME.to_owned())
        .spawn(move || {
            let mut input = input_of(&packed, 1 << 16);
            let mut codec = codec(Format::Xz, means());
            let mut into = vec![0; 1 << 20];
            let mut most = 0;
            while codec.decode(&mut input, &mut into).unwrap() > 0 {
                most = most.max(threads_called(NAME));
            }
            most
        })
        .unwrap()
        .join()
        .unwrap();
    assert!(most >= 3, "{most} threads: the one that asks, and {} that unpack", most - 1);
}

fn threads_called(name: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name))
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_after_any_mark_never_panic_nor_run_on(
        format in prop_oneof![Just(Format::Xz), Just(Format::Gzip), Just(Format::Zstd), Just(Format::Zip)],
        rest in proptest::collection::vec(any::<u8>(), 0..600),
        block in 1usize..300,
    ) {
        let mark: &[u8] = match format {
            Format::Xz => b"\xfd7zXZ\0\0\x01\x69\x22\xde\x36",
            Format::Gzip => b"\x1f\x8b\x08\0",
            Format::Zstd => b"\x28\xb5\x2f\xfd",
            _ => b"PK\x03\x04",
        };
        let _ = unpack(format, &[mark, &rest].concat(), block, 4096);
        let _ = unpack(format, &rest, block, 4096);
    }

    #[test]
    fn streams_one_after_the_other_unpack_to_their_contents_one_after_the_other(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 1..5),
        block in 1usize..2000,
        room in 1usize..5000,
        padding in 0usize..3,
    ) {
        let all = parts.concat();
        let join = |pack: &dyn Fn(&[u8]) -> Vec<u8>, between: &[u8]| {
            parts.iter().map(|part| [&pack(part)[..], between].concat()).collect::<Vec<_>>().concat()
        };
        prop_assert_eq!(&unpack(Format::Xz, &join(&xz, &vec![0; padding * 4]), block, room).unwrap(), &all);
        prop_assert_eq!(&unpack(Format::Gzip, &join(&gz, b""), block, room).unwrap(), &all);
        prop_assert_eq!(&unpack(Format::Zstd, &join(&zst, b""), block, room).unwrap(), &all);
    }
}

/// Run alone on an idle machine: `cargo test --profile fast --lib unpacking_speed -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
#[expect(clippy::print_stdout, reason = "what it is for")]
fn unpacking_speed() {
    let mut plain = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    plain.truncate(96 << 20);
    let size = plain.len() as f64 / f64::from(1 << 20);
    let one = Means { threads: 1, ..means() };
    let all = Means { threads: Means::of_this_machine().threads, ..means() };
    let several = xz_blocks(&plain, 12 << 20);
    for (name, format, packed, means) in [
        ("xz, one thread", Format::Xz, several.clone(), one),
        ("xz, all threads", Format::Xz, several, all),
        ("gzip", Format::Gzip, gz(&plain), all),
        ("zstd", Format::Zstd, zst(&plain), all),
        ("zip", Format::Zip, zip_of(&[("x.img", &[&card(512)[..], &plain].concat())], true, true), all),
    ] {
        let (since, before) = (std::time::Instant::now(), cpu_seconds());
        let mut input = input_of(&packed, 1 << 20);
        let mut codec = codec(format, means);
        let mut into = vec![0; 4 << 20];
        while codec.decode(&mut input, &mut into).unwrap() > 0 {}
        let (wall, cpu) = (since.elapsed().as_secs_f64(), cpu_seconds() - before);
        println!("{name:16} {:6.0} MiB per second, {:6.0} MiB per CPU-second", size / wall, size / cpu);
    }
}

/// User and system time of this process, as proc_pid_stat(5) counts it: in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
