//! A film of one colour: a WebM of VP8 key frames, made here.

/// 32x18 pixels of #12349c, as an encoder of WebP (whose pictures are key frames of VP8) wrote them.
const BLUE: &str = "3003009d012a200012003e6d349647a4232221280800800d896500cb5a800040505000fef558bfff9e99fd6dfc7fd9f7fad4230e646ccd1f0000";

/// After each frame, as a film of a usual size has.
const PADDING: usize = 200_000;

/// Three seconds, ten frames in each; so large that it is never in memory as a whole.
pub fn blue() -> Vec<u8> {
    let frame: Vec<u8> =
        (0..BLUE.len()).step_by(2).filter_map(|at| u8::from_str_radix(&BLUE[at..at + 2], 16).ok()).collect();
    let nothing = element(&[0xec], &[0; PADDING]);
    let blocks = (0..30u16).flat_map(|n| {
        let [high, low] = (n * 100).to_be_bytes();
        [element(&[0xa3], &[&[0x81, high, low, 0x80], &frame[..]].concat()), nothing.clone()].concat()
    });
    let cluster: Vec<u8> = element(&[0xe7], &[0]).into_iter().chain(blocks).collect();
    let video = [element(&[0xb0], &[32]), element(&[0xba], &[18])].concat();
    let track = [
        element(&[0xd7], &[1]),
        element(&[0x73, 0xc5], &[1]),
        element(&[0x83], &[1]),
        element(&[0x86], b"V_VP8"),
        element(&[0xe0], &video),
    ];
    let info = [
        element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40]),
        element(&[0x44, 0x89], &3000f64.to_be_bytes()),
        element(&[0x4d, 0x80], b"pikiosk"),
        element(&[0x57, 0x41], b"pikiosk"),
    ];
    let segment = [
        element(&[0x15, 0x49, 0xa9, 0x66], &info.concat()),
        element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &track.concat())),
        element(&[0x1f, 0x43, 0xb6, 0x75], &cluster),
    ];
    let head = [
        element(&[0x42, 0x86], &[1]),
        element(&[0x42, 0xf7], &[1]),
        element(&[0x42, 0xf2], &[4]),
        element(&[0x42, 0xf3], &[8]),
        element(&[0x42, 0x82], b"webm"),
        element(&[0x42, 0x87], &[2]),
        element(&[0x42, 0x85], &[2]),
    ];
    [element(&[0x1a, 0x45, 0xdf, 0xa3], &head.concat()), element(&[0x18, 0x53, 0x80, 0x67], &segment.concat())].concat()
}

/// With its length in eight bytes.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u64 | 1 << 56).to_be_bytes();
    [id, &length, body].concat()
}
