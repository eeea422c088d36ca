use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::server::{Answer, Server, good_answer};
use super::*;
use crate::flash::stream::ImageStream;

/// A card that a Pi 3 starts from: 12 MiB, with a boot partition of 10 MiB.
fn card() -> &'static [u8] {
    static CARD: OnceLock<Vec<u8>> = OnceLock::new();
    CARD.get_or_init(super::boot::tests::pi_3)
}

fn packed() -> &'static [u8] {
    static PACKED: OnceLock<Vec<u8>> = OnceLock::new();
    PACKED.get_or_init(|| {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        // Random bytes in the second partition: a download that is large enough to break.
        let mut card = card().to_vec();
        let noise = card.len() - (1 << 20);
        fastrand::Rng::with_seed(7).fill(&mut card[noise..]);
        encoder.write_all(&card).unwrap();
        encoder.finish().unwrap()
    })
}

fn unpacked() -> Vec<u8> {
    let mut card = card().to_vec();
    let noise = card.len() - (1 << 20);
    fastrand::Rng::with_seed(7).fill(&mut card[noise..]);
    card
}

fn impatient() -> Patience {
    Patience { connect: Duration::from_secs(5), idle: Duration::from_secs(5), pause: Duration::ZERO, attempts: 3 }
}

fn options(cache: Option<&Path>) -> Options {
    Options {
        cache: cache.map(|dir| Cache::new(dir.to_owned(), cache::LIMIT)),
        patience: impatient(),
        ..Options::up_to(1 << 30)
    }
}

fn lookup(cache: Option<&Path>) -> Lookup {
    Lookup { patience: impatient(), cache: options(cache).cache, ..Lookup::default() }
}

fn at(url: &url::Url) -> Source {
    Source::named("os.img.xz".to_owned(), Place::Url(url.clone()))
}

fn file(path: &Path) -> Source {
    Source::find(path.to_str().unwrap(), &lookup(None)).unwrap()
}

/// All of it, or why not.
fn read(source: &Source, options: &Options) -> Result<(Vec<u8>, Cached), SourceError> {
    let mut opened = source.open(options)?;
    let mut all = Vec::new();
    while let Some(piece) = opened.image.next_piece()? {
        all.extend_from_slice(&piece.bytes);
    }
    assert_eq!(opened.image.sha256(), Some(Sha256::of(&all).bytes()));
    Ok((all, opened.cached))
}

fn read_well(source: &Source, options: &Options) -> Cached {
    let (all, cached) = read(source, options).unwrap();
    assert!(all == unpacked(), "other bytes than the card's");
    cached
}

/// Why not. A failing test does not print the card.
fn read_badly(source: &Source, options: &Options) -> SourceError {
    match read(source, options) {
        Err(error) => error,
        Ok((all, cached)) => panic!("all {} bytes came ({cached:?})", all.len()),
    }
}

#[test]
fn a_download_that_breaks_again_and_again_comes_whole_with_every_byte_asked_for_once() {
    let third = packed().len() / 3;
    let server = Server::of_file(packed().to_vec(), "\"v1\"", vec![third, 0, third]);
    let options = options(None);
    read_well(&at(&server.url), &options);
    let asked = server.requests();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[1].contains(&format!("bytes={third}-")) && asked[3].contains(&format!("bytes={}-", 2 * third)));
    assert_eq!(options.progress.fetched(), packed().len() as u64);
    assert_eq!(options.progress.fetches_again(), 3);
}

#[test]
fn a_server_without_ranges_is_asked_for_all_of_it_and_what_came_before_is_compared() {
    let half = packed().len() / 2;
    let whole = || Answer::new("200 OK", &[], packed());
    let server = Server::with(vec![whole().breaking(half), whole().breaking(half / 2), whole()]);
    read_well(&at(&server.url), &options(None));

    let mut other = packed().to_vec();
    other[half / 2] ^= 1;
    let server = Server::with(vec![whole().breaking(half), Answer::new("200 OK", &[], &other)]);
    let error = read_badly(&at(&server.url), &options(None));
    assert!(matches!(error, SourceError::Replaced { .. }), "{error}");
}

#[test]
fn an_image_that_is_replaced_while_it_is_fetched_is_not_mixed() {
    let half = packed().len() / 2;
    let first = Answer::new("200 OK", &["ETag: \"v1\""], packed()).breaking(half);
    let second = Answer::new("200 OK", &["ETag: \"v2\""], packed());
    let server = Server::with(vec![first, second]);
    let error = read_badly(&at(&server.url), &options(None));
    assert!(matches!(error, SourceError::Replaced { .. }), "{error}");

    let first = Answer::new("200 OK", &["ETag: \"v1\""], packed()).breaking(half);
    let wrong_place = Answer::new("206 Partial Content", &["Content-Range: bytes 0-9/10"], b"0123456789");
    let server = Server::with(vec![first, wrong_place]);
    let error = read_badly(&at(&server.url), &options(None));
    assert!(matches!(error, SourceError::Replaced { .. }), "{error}");
}

#[test]
fn what_is_fetched_is_used_again_and_offline_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(Some(dir.path()));
    let server = Server::of_file(packed().to_vec(), "\"v1\"", vec![]);
    let source = at(&server.url);
    assert_eq!(read_well(&source, &options), Cached::No);
    assert_eq!(read_well(&source, &options), Cached::Yes);
    assert_eq!(options.progress.fetched(), packed().len() as u64, "it was fetched twice");
    drop(server);
    assert_eq!(read_well(&source, &options), Cached::Offline);

    let blob = dir.path().join("sha256").join(Sha256::of(packed()).to_string());
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let error = read_badly(&source, &options);
    assert!(matches!(error, SourceError::Unreachable { .. }), "a kept file that changed was used: {error}");
    assert!(!blob.exists());
}

#[test]
fn a_newer_image_at_the_same_address_is_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(Some(dir.path()));
    let mut asked = 0;
    let server = Server::start(Box::new(move |_, headers| {
        asked += 1;
        // One request for the first version; later ones meet the second.
        good_answer(packed(), if asked == 1 { "\"v1\"" } else { "\"v2\"" }, headers)
    }));
    let source = at(&server.url);
    assert_eq!(read_well(&source, &options), Cached::No);
    assert_eq!(read_well(&source, &options), Cached::No);
    assert_eq!(read_well(&source, &options), Cached::Yes);
}

#[test]
fn a_download_goes_on_where_another_run_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let half = packed().len() / 2;
    let broken = Answer::new("200 OK", &["ETag: \"v1\""], packed()).breaking(half);
    let mut answers = vec![broken].into_iter();
    let server = Server::start(Box::new(move |_, headers| match answers.next() {
        Some(answer) => answer,
        None if headers.iter().any(|(name, value)| name == "range" && value != &format!("bytes={half}-")) => {
            Answer::new("404 Not Found", &[], b"")
        }
        None => good_answer(packed(), "\"v1\"", headers),
    }));
    let first = options(Some(dir.path()));
    let once = Options { patience: Patience { attempts: 1, ..impatient() }, ..first.clone() };
    assert!(matches!(read(&at(&server.url), &once), Err(SourceError::Unreachable { .. })));
    let second = options(Some(dir.path()));
    read_well(&at(&server.url), &second);
    assert_eq!(second.progress.fetched(), (packed().len() - half) as u64);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_hash_that_is_known_finds_the_file_without_the_network_and_refuses_another() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of_file(packed().to_vec(), "\"v1\"", vec![]);
    let told = |value| Some(Told { value, teller: "the list".to_owned() });
    let right = Source { packed_sha256: told(Sha256::of(packed())), ..at(&server.url) };
    let wrong = Source { packed_sha256: told(Sha256::of(b"other")), ..at(&server.url) };
    let options = options(Some(dir.path()));
    let error = read_badly(&wrong, &options);
    assert!(matches!(error, SourceError::WrongHash { what: "the fetched file", .. }), "{error}");
    assert_eq!(read_well(&right, &options), Cached::No, "a wrong file was kept");
    drop(server);
    assert_eq!(read_well(&right, &options), Cached::Yes);
    for value in [Sha256::of(packed()), Sha256::of(&unpacked())] {
        let server = Server::of_file(packed().to_vec(), "\"v1\"", vec![]);
        let either = Source { either_sha256: told(value), ..at(&server.url) };
        read_well(&either, &super::tests::options(None));
    }
    let server = Server::of_file(packed().to_vec(), "\"v1\"", vec![]);
    let either = Source { either_sha256: told(Sha256::of(b"other")), ..at(&server.url) };
    assert!(matches!(read(&either, &super::tests::options(None)), Err(SourceError::WrongHash { .. })));
}

#[test]
fn answers_that_are_no_image_are_named_as_what_they_are() {
    let page = b"<html><body>Please log in to the guest network</body></html>";
    let says = |answers: Vec<Answer>| {
        let server = Server::with(answers);
        read_badly(&at(&server.url), &options(None)).to_string()
    };
    let html = says(vec![Answer::new("200 OK", &["Content-Type: text/html; charset=utf-8"], page)]);
    assert!(html.contains("web page instead of an image"), "{html}");
    let untold = says(vec![Answer::new("200 OK", &[], &page.repeat(20))]);
    assert!(untold.contains("web page instead of an image"), "{untold}");
    assert!(says(vec![]).contains("answers 404"));
    let down = Answer::new("503 Service Unavailable", &[], b"");
    assert!(says(vec![down.clone(), down.clone(), down]).contains("it answers 503"));
    assert!(says(vec![Answer::new("200 OK", &[], b"")]).contains("is empty"));
}

#[test]
fn a_length_that_is_not_as_told_is_refused() {
    let server = Server::of_file(packed().to_vec(), "\"v1\"", vec![]);
    let source = Source { packed: Some(17), ..at(&server.url) };
    let error = read_badly(&source, &options(None));
    assert!(matches!(error, SourceError::WrongLength { expected: 17, .. }), "{error}");
    // A server that promises fewer bytes than there are: the image is cut off, and says so itself.
    let mut lie = Answer::new("200 OK", &[], packed());
    lie.head = lie.head.replace(&format!("Length: {}", packed().len()), &format!("Length: {}", packed().len() - 100));
    let server = Server::with(vec![lie]);
    let error = read_badly(&at(&server.url), &options(None));
    assert!(matches!(error, SourceError::Truncated { .. }), "{error}");
}

#[test]
fn files_that_were_not_used_for_longest_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().to_owned(), 250);
    let keep = |name: &str, len: usize| {
        let url: url::Url = format!("http://example.org/{name}").parse().unwrap();
        let mut part = cache.part(&url).unwrap().unwrap();
        assert!(cache.part(&url).unwrap().is_none(), "two write the same part");
        let version = cache::Version::default();
        part.begin(cache::Remembered { url: url.to_string(), version, length: None, sha256: None }).unwrap();
        let bytes = name.repeat(len);
        part.write(0, bytes.as_bytes()).unwrap();
        let sha256 = Sha256::of(bytes.as_bytes());
        part.complete(len as u64, sha256).unwrap();
        sha256
    };
    let age = |sha256: Sha256, seconds: u64| {
        let file =
            std::fs::File::options().append(true).open(dir.path().join("sha256").join(sha256.to_string())).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    let (a, b) = (keep("a", 100), keep("b", 100));
    age(a, 2);
    age(b, 1);
    assert!(cache.complete(b, &Cancel::default()).is_some(), "its use makes it the younger one");
    let c = keep("c", 100);
    let there = [a, b, c].map(|sha256| cache.complete(sha256, &Cancel::default()).is_some());
    assert_eq!(there, [false, true, true]);
    let big = keep("d", 1000);
    assert!(cache.complete(big, &Cancel::default()).is_some(), "what was just fetched stays whatever its size");
}

#[test]
fn a_file_is_refused_before_anything_is_unpacked_where_it_tells_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("os.img.xz");
    let refused = |bytes: &[u8], options: &Options| {
        std::fs::write(&path, bytes).unwrap();
        let error = file(&path).open(options).map(|_| ()).unwrap_err();
        assert_eq!(options.progress.decoded(), 0, "{error}: known only after unpacking");
        error
    };
    let zstd = zstd_of(&unpacked());
    let zip = zip_of(&unpacked());
    for whole in [packed(), &zstd, &zip] {
        let cut = &whole[..whole.len() - 8];
        assert!(matches!(refused(cut, &options(None)), SourceError::Truncated { .. }));
        let small = Options { limit: crate::flash::decode::Limit { bytes: 1 << 20 }, ..options(None) };
        assert!(matches!(refused(whole, &small), SourceError::TooLarge { at_least: false, .. }));
    }
    assert!(matches!(refused(b"", &options(None)), SourceError::Empty { .. }));
    std::fs::write(dir.path().join("os.img.xz.sha256"), format!("{}  os.img.xz\n", Sha256::of(b"other"))).unwrap();
    let error = refused(packed(), &options(None));
    assert!(error.to_string().contains("os.img.xz.sha256 says"), "{error}");
}

#[test]
fn a_file_with_its_checksums_and_block_map_beside_it_is_found_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("os.img.xz");
    std::fs::write(&path, packed()).unwrap();
    let sums = format!("{}  other\n{}  os.img\n", Sha256::of(b"other"), Sha256::of(&unpacked()));
    std::fs::write(dir.path().join("SHA256SUMS"), sums).unwrap();
    let source = file(&path);
    assert_eq!(source.unpacked_sha256.as_ref().map(|told| told.value), Some(Sha256::of(&unpacked())));
    assert_eq!(source.packed, Some(packed().len() as u64));
    read_well(&source, &options(None));
    let opened = source.open(&options(None)).unwrap();
    assert_eq!((opened.boot.arm64, opened.length), (Some(true), Some(unpacked().len() as u64)));

    std::fs::write(dir.path().join("os.bmap"), "<bmap version=\"2.0\">").unwrap();
    let error = Source::find(path.to_str().unwrap(), &lookup(None)).unwrap_err();
    assert!(error.to_string().contains("block map os.bmap"), "{error}");
}

#[test]
fn an_image_of_another_machine_or_cut_at_a_partition_is_refused_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("os.img");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        file(&path).open(&options(None)).map(|_| ()).unwrap_err()
    };
    assert!(matches!(refused(&card()[..card().len() - 512]), SourceError::Truncated { .. }));
    // gzip does not tell its length: only the end shows that a partition is missing, and the last piece never comes.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&card()[..card().len() - 512]).unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    let error = read_badly(&file(&path), &options(None));
    assert!(matches!(error, SourceError::Truncated { .. }), "{error}");
    assert!(matches!(refused(&super::boot::tests::pc()), SourceError::WrongMachine { .. }));
    let any = Options { wanted: Wanted::Anything, ..options(None) };
    assert_eq!(file(&path).open(&any).unwrap().boot.firmware, Some(false));
    std::fs::write(&path, super::boot::tests::pi_3_of_32_bits()).unwrap();
    assert!(file(&path).open(&options(None)).is_ok());
    let strict = Options { wanted: Wanted::Pi3Arm64, ..options(None) };
    assert!(matches!(file(&path).open(&strict), Err(SourceError::WrongArchitecture)));
}

#[test]
fn checksums_and_block_maps_beside_an_address_are_found_and_others_do_no_harm() {
    let server = Server::start(Box::new(move |path, headers| match path {
        "/os.img.xz" => good_answer(packed(), "\"v1\"", headers),
        "/os.img.xz.sha256" => Answer::new("200 OK", &["Content-Type: text/html"], b"<html>not found</html>"),
        "/SHA256SUMS" => Answer::new("200 OK", &[], format!("{}  os.img.xz\n", Sha256::of(packed())).as_bytes()),
        _ => Answer::new("500 Internal Server Error", &[], b""),
    }));
    let source = Source::find(server.url.as_str(), &lookup(None)).unwrap();
    let told = source.packed_sha256.clone().unwrap();
    assert_eq!((told.value, told.teller.as_str()), (Sha256::of(packed()), "SHA256SUMS"));
    read_well(&source, &options(None));
}

#[test]
fn an_address_that_sends_elsewhere_is_followed() {
    let server = Server::start(Box::new(move |path, headers| match path {
        "/os.img.xz" => Answer::new("302 Found", &["Location: /mirror/os.img.xz"], b""),
        "/mirror/os.img.xz" => good_answer(packed(), "\"v1\"", headers),
        _ => Answer::new("404 Not Found", &[], b""),
    }));
    read_well(&at(&server.url), &options(None));
    let lost = Server::start(Box::new(|_, _| Answer::new("302 Found", &["Location: /os.img.xz"], b"")));
    assert!(matches!(read(&at(&lost.url), &options(None)), Err(SourceError::Unreachable { .. })));
}

#[test]
fn stopping_ends_a_download_that_hangs() {
    // Promises a body, and never sends it.
    let mut hangs = Answer::new("200 OK", &[], b"");
    hangs.head = hangs.head.replace("Length: 0", "Length: 1000000").replace("Connection: close\r\n", "");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/os.img.xz", listener.local_addr().unwrap()).parse().unwrap();
    let options = options(None);
    let cancel = options.cancel.clone();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(hangs.head.as_bytes()).unwrap();
        cancel.cancel();
        // Held open until the other side goes.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    assert!(matches!(read(&at(&url), &options), Err(SourceError::Cancelled)));
    server.join().unwrap();
}

fn zip_of(bytes: &[u8]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("os.img", ::zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(bytes, 1).unwrap()
}
