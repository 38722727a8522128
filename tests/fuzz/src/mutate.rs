//! Changes of bytes, as a fuzzer without knowledge of the code makes them.

use fastrand::Rng;

/// Numbers at which programs err.
const EDGES: [u64; 16] = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x1_0000_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFFF,
];
/// Texts at which programs err.
const TEXTS: [&str; 22] = [
    "",
    " ",
    "\n",
    "\r\n",
    "\0",
    "-",
    "+",
    "0",
    "00",
    "-1",
    "+1",
    "1e9",
    "18446744073709551616",
    "\"",
    "\\",
    "=",
    "\u{feff}",
    "µ",
    "\u{202e}",
    "İ",
    "🏥",
    "\u{2014} ",
];

/// Changes some bytes, once or a few times; `other` is what pieces are taken from.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let mut times = 1;
    while times < 12 && rng.bool() {
        times += 1;
    }
    for _ in 0..times {
        change(bytes, other, rng);
    }
}

fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.usize(..=bytes.len());
    match rng.u8(..14) {
        0 => on(bytes, rng, |byte, rng| byte ^ 1 << rng.u8(..8)),
        1 => on(bytes, rng, |_, rng| rng.u8(..)),
        2 => on(bytes, rng, |byte, rng| byte.wrapping_add(rng.u8(..5)).wrapping_sub(2)),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(..at.min(16))),
        5 => {
            let range = piece(bytes, rng);
            drop(bytes.drain(range));
        }
        6 => {
            let copy = bytes[piece(bytes, rng)].to_vec();
            insert(bytes, at, &copy);
        }
        7 => {
            let copy = &other[piece(other, rng)];
            insert(bytes, at, copy);
        }
        8 => {
            let copy = &other[piece(other, rng)];
            overwrite(bytes, at, copy);
        }
        9 => {
            let (edge, width) = (EDGES[rng.usize(..EDGES.len())], [1, 2, 4, 8][rng.usize(..4)]);
            let big = &edge.to_be_bytes()[8 - width..];
            let little = &edge.to_le_bytes()[..width];
            overwrite(bytes, at, if rng.bool() { big } else { little });
        }
        10 => {
            let varint = varint(EDGES[rng.usize(..EDGES.len())]);
            if rng.bool() { insert(bytes, at, &varint) } else { overwrite(bytes, at, &varint) }
        }
        11 => insert(bytes, at, TEXTS[rng.usize(..TEXTS.len())].as_bytes()),
        12 => overwrite(bytes, at, TEXTS[rng.usize(..TEXTS.len())].as_bytes()),
        _ => {
            let run = vec![rng.u8(..); 1 << rng.u8(..11)];
            insert(bytes, at, &run);
        }
    }
}

fn on(bytes: &mut [u8], rng: &mut Rng, new: impl Fn(u8, &mut Rng) -> u8) {
    if !bytes.is_empty() {
        let at = rng.usize(..bytes.len());
        bytes[at] = new(bytes[at], rng);
    }
}

/// A short piece, or now and then a long one.
fn piece(bytes: &[u8], rng: &mut Rng) -> std::ops::Range<usize> {
    let from = rng.usize(..=bytes.len());
    let most = if rng.u8(..8) == 0 { bytes.len() } else { 24 };
    let length = rng.usize(..=most.min(bytes.len() - from));
    from..from + length
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(bytes.splice(at..at, piece.iter().copied()));
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let end = (at + piece.len()).min(bytes.len());
    drop(bytes.splice(at..end, piece.iter().copied()));
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
