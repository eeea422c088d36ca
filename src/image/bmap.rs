//! Which blocks of an image matter, in the format of bmaptool (version 2.0), with a hash of each run of them.
//!
//! What matters is what the file systems use, not what is not zero: a used block of zeros must be written too, for the
//! card holds what it held before.
//!
//! Source: bmaptool's `docs/` and `BmapCreate.py`. Runs are of whole blocks, first and last named; the file's own hash is
//! taken with 64 zeros in its place.

use std::fmt::Write;
use std::ops::Range;

use ring::digest::{Context, SHA256, digest};

/// Bytes per block: that of ext4, and a divisor of every card's own.
pub const BLOCK: u64 = 4096;

/// Collects what matters while an image is read once, from the front to the end.
#[derive(Default)]
pub struct Map {
    /// Runs of whole blocks: first, one past the last, SHA-256.
    done: Vec<(Range<u64>, String)>,
    open: Option<(Range<u64>, Context)>,
}

impl Map {
    /// Takes the next piece of the image at `offset`, a multiple of [`BLOCK`], and the parts of it that matter (bytes of
    /// the image, sorted, inside the piece). Pieces follow each other without a gap, and all but the last are whole
    /// blocks.
    pub fn add(&mut self, offset: u64, bytes: &[u8], used: &[Range<u64>]) {
        let end = offset + bytes.len() as u64;
        let mut next = offset / BLOCK;
        for range in used {
            let first = (range.start / BLOCK).max(next);
            let last = range.end.div_ceil(BLOCK);
            if first >= last {
                continue;
            }
            next = last;
            let (from, to) = (first * BLOCK - offset, (last * BLOCK).min(end) - offset);
            self.run(first..last, &bytes[from as usize..to as usize]);
        }
    }

    fn run(&mut self, blocks: Range<u64>, bytes: &[u8]) {
        match &mut self.open {
            Some((open, context)) if open.end == blocks.start => {
                open.end = blocks.end;
                context.update(bytes);
            }
            _ => {
                self.close();
                let mut context = Context::new(&SHA256);
                context.update(bytes);
                self.open = Some((blocks, context));
            }
        }
    }

    fn close(&mut self) {
        if let Some((blocks, context)) = self.open.take() {
            self.done.push((blocks, hex(context.finish().as_ref())));
        }
    }

    /// Bytes that matter, as far as known.
    pub fn mapped(&self) -> u64 {
        let open = self.open.iter().map(|(blocks, _)| blocks);
        self.done.iter().map(|(blocks, _)| blocks).chain(open).map(|blocks| (blocks.end - blocks.start) * BLOCK).sum()
    }

    /// The file, for an image of so many bytes.
    pub fn render(mut self, image: u64) -> String {
        self.close();
        let mapped: u64 = self.done.iter().map(|(blocks, _)| blocks.end - blocks.start).sum();
        let blocks = image.div_ceil(BLOCK);
        let nothing = "0".repeat(64);
        let mut text = format!(
            "<?xml version=\"1.0\" ?>\n\
             <!-- Which blocks of the image matter. bmaptool copy and pikiosk flash write and verify only these. -->\n\
             <bmap version=\"2.0\">\n\
             \x20   <ImageSize> {image} </ImageSize>\n\
             \x20   <BlockSize> {BLOCK} </BlockSize>\n\
             \x20   <BlocksCount> {blocks} </BlocksCount>\n\
             \x20   <MappedBlocksCount> {mapped} </MappedBlocksCount>\n\
             \x20   <ChecksumType> sha256 </ChecksumType>\n\
             \x20   <BmapFileChecksum> {nothing} </BmapFileChecksum>\n\
             \x20   <BlockMap>\n"
        );
        for (blocks, sha256) in &self.done {
            let (first, last) = (blocks.start, blocks.end - 1);
            // One block is written as one number.
            let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
            let _ = writeln!(text, "        <Range chksum=\"{sha256}\"> {range} </Range>");
        }
        text.push_str("    </BlockMap>\n</bmap>\n");
        let own = hex(digest(&SHA256, text.as_bytes()).as_ref());
        text.replacen(&nothing, &own, 1)
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map").field("mapped", &self.mapped()).finish_non_exhaustive()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_over_pieces_and_each_is_hashed_as_a_whole() {
        let image: Vec<u8> = (0..5 * BLOCK).map(|at| (at / 7) as u8).collect();
        let mut map = Map::default();
        let half = 3 * BLOCK as usize;
        // Bytes inside block 0; the end of block 2, which goes on in block 3 of the next piece.
        map.add(0, &image[..half], &[10..20, 2 * BLOCK + 4000..3 * BLOCK]);
        map.add(half as u64, &image[half..], &[3 * BLOCK..3 * BLOCK + 1]);
        assert_eq!(map.mapped(), 3 * BLOCK);
        let text = map.render(image.len() as u64);
        let first = hex(digest(&SHA256, &image[..BLOCK as usize]).as_ref());
        let second = hex(digest(&SHA256, &image[2 * BLOCK as usize..4 * BLOCK as usize]).as_ref());
        assert!(text.contains(&format!("<Range chksum=\"{first}\"> 0 </Range>")), "{text}");
        assert!(text.contains(&format!("<Range chksum=\"{second}\"> 2-3 </Range>")), "{text}");
        assert!(text.contains("<MappedBlocksCount> 3 </MappedBlocksCount>"), "{text}");
        assert!(text.contains("<BlocksCount> 5 </BlocksCount>"), "{text}");
    }

    #[test]
    fn two_ranges_of_one_block_are_that_block_once() {
        let image = vec![1; 2 * BLOCK as usize];
        let mut map = Map::default();
        map.add(0, &image, &[0..5, 100..105, 4000..5000]);
        assert_eq!(map.mapped(), 2 * BLOCK);
    }

    #[test]
    fn the_last_block_of_an_image_may_be_short() {
        let image = vec![7; BLOCK as usize + 100];
        let mut map = Map::default();
        map.add(0, &image, &[BLOCK..BLOCK + 100]);
        let text = map.render(image.len() as u64);
        let sha256 = hex(digest(&SHA256, &image[BLOCK as usize..]).as_ref());
        assert!(text.contains(&format!("<Range chksum=\"{sha256}\"> 1 </Range>")), "{text}");
    }

    #[test]
    fn the_files_own_hash_is_that_with_zeros_in_its_place() {
        let text = Map::default().render(0);
        let own = text.split("<BmapFileChecksum> ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let blank = text.replace(&own, &"0".repeat(64));
        assert_eq!(own, hex(digest(&SHA256, blank.as_bytes()).as_ref()));
    }
}
