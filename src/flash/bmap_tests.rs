use proptest::prelude::*;

use super::*;

/// As bmaptool 3 writes it, made here so that its checksum fits.
fn written(version: &str, size: u64, block: u64, ranges: &str) -> String {
    let blocks = size.div_ceil(block.max(1));
    let zeros = "0".repeat(64);
    let text = format!(
        "<?xml version=\"1.0\" ?>\n<!-- A comment <with> things -->\n<bmap version=\"{version}\">\n    <ImageSize> {size} \
         </ImageSize>\n    <BlockSize> {block} </BlockSize>\n    <BlocksCount> {blocks} </BlocksCount>\n    <ChecksumType> \
         sha256 </ChecksumType>\n    <BmapFileChecksum> {zeros} </BmapFileChecksum>\n    <BlockMap>\n{ranges}\n    \
         </BlockMap>\n</bmap>\n"
    );
    text.replacen(&zeros, &Sha256::of(text.as_bytes()).to_string(), 1)
}

fn says(text: &str) -> String {
    match Bmap::parse("a.bmap", text.as_bytes()) {
        Ok(_) => "fine".to_owned(),
        Err(SourceError::BadBmap { says, .. }) => says,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_map_reads_as_bmaptool_means_it() {
    let sum = Sha256::of(b"x");
    let text = written("2.0", 10_000, 4096, &format!("<Range chksum=\"{sum}\"> 0 </Range><Range> 1-2 </Range>"));
    let map = Bmap::parse("a.bmap", text.as_bytes()).unwrap();
    assert_eq!((map.image_size, map.block_size, map.mapped()), (10_000, 4096, 10_000));
    assert_eq!(
        map.ranges,
        [Mapped { start: 0, end: 4096, sha256: Some(sum) }, Mapped { start: 4096, end: 10_000, sha256: None }]
    );
}

#[test]
fn a_map_of_bmaptool_itself_and_one_of_version_1_3_read() {
    let text = include_str!("bmap_tests/bmaptool-2.0.bmap");
    let map = Bmap::parse("a.bmap", text.as_bytes()).unwrap();
    assert_eq!((map.image_size, map.mapped(), map.ranges.len()), (8 << 20, 4 * 4096, 2));
    let zeros = "0".repeat(40);
    let old = format!(
        "<bmap version=\"1.3\"><ImageSize>4096</ImageSize><BlockSize>4096</BlockSize><BmapFileSHA1>{zeros}</BmapFileSHA1>\
         <BlockMap><Range sha1=\"{zeros}\">0</Range></BlockMap></bmap>"
    );
    let sum: String =
        digest(&SHA1_FOR_LEGACY_USE_ONLY, old.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(says(&old.replacen(&zeros, &sum, 1)), "fine");
    assert!(says(&old).contains("checksum of itself is wrong"));
}

#[test]
fn a_map_that_makes_no_sense_is_refused_and_says_where() {
    let good = written("2.0", 40_960, 4096, "<Range> 0-3 </Range><Range> 5 </Range>");
    assert_eq!(says(&good), "fine");
    let cases = [
        (good.replace("0-3", "0-4"), "changed by hand"),
        (written("2.0", 40_960, 4096, "<Range> 0-3 </Range><Range> 3-5 </Range>"), "3-5 is not after"),
        (written("2.0", 40_960, 4096, "<Range> 5-3 </Range>"), "ends before it begins"),
        (written("2.0", 40_960, 4096, "<Range> 9-10 </Range>"), "beyond the image, which has 10"),
        (written("2.0", 40_960, 4096, "<Range> -1 </Range>"), "no range"),
        (written("2.0", 40_960, 4096, "<Range chksum=\"12\"> 1 </Range>"), "not a SHA-256"),
        (written("2.0", 40_960, 4096, "<Range> 0-18446744073709551615 </Range>"), "beyond"),
        (written("2.0", u64::MAX, 1, "<Range> 0-18446744073709551614 </Range>"), "fine"),
        (written("2.0", 40_960, 0, ""), "size of a block"),
        (written("2.0", 0, 4096, ""), "size of its image"),
        (written("3.0", 40_960, 4096, ""), "version 3.0"),
        (good.replace("<BlocksCount> 10", "<BlocksCount> 11"), "changed by hand"),
        (good[..good.len() / 2].to_owned(), "cut off"),
        ("<html></html>".to_owned(), "no block map"),
        (String::new(), "no block map"),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><bmap version=\"2.0\"></bmap>".to_owned(), "no block map holds"),
    ];
    for (text, expected) in cases {
        assert!(says(&text).contains(expected), "{} but not {expected}\n{text}", says(&text));
    }
    assert!(matches!(Bmap::parse("a", b"\xff\xfe"), Err(SourceError::BadBmap { .. })));
}

proptest! {
    #[test]
    fn whatever_lies_beside_an_image_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Bmap::parse("a", &bytes);
    }

    #[test]
    fn a_map_with_a_changed_byte_is_refused_or_means_the_same(at in 0usize..2000, with in any::<u8>()) {
        let good = written("2.0", 40_960, 4096, "<Range> 0-3 </Range><Range> 5 </Range>");
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(map) = Bmap::parse("a", &bytes) {
            prop_assert_eq!(map, Bmap::parse("a", good.as_bytes()).unwrap());
        }
    }
}
