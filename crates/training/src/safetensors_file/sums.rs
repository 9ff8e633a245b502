//! Checksums in a file's metadata: of the header, and of the bytes of each tensor, by which a damaged file is told.
//!
//! They are CRC-32C in eight hexadecimal digits, first that of the header (its length and JSON, with zeros in its own place), then
//! those of the tensors in the order of their bytes. Other readers of safetensors take them for any other text.
use super::header::Header;

/// The key that they stand under.
pub(super) const KEY: &str = "tallow.crc32c";
const NONE: &str = "00000000";

/// The text for a file of `tensors` tensors, before anything is known.
pub(super) fn blank(tensors: usize) -> String {
    vec![NONE; tensors + 1].join(" ")
}

fn text(sum: u32) -> String {
    format!("{sum:08x}")
}

/// Where the first digit of the text stands in the JSON of a header, as it is written here.
fn place(json: &[u8]) -> Option<usize> {
    let before = format!("\"{KEY}\":\"");
    let at = json.windows(before.len()).position(|w| w == before.as_bytes())? + before.len();
    (at + NONE.len() <= json.len()).then_some(at)
}

/// The checksum of a header: of its length and its JSON, with zeros in the eight bytes from `at`.
fn of_header(json: &[u8], at: usize) -> u32 {
    let sum = crc32c::crc32c(&(json.len() as u64).to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &json[..at]);
    let sum = crc32c::crc32c_append(sum, NONE.as_bytes());
    crc32c::crc32c_append(sum, &json[at + NONE.len()..])
}

/// Writes the checksums into the JSON of a header that has [`blank`] in their place; leaves one without as it is.
pub(super) fn fill(json: &mut [u8], tensors: &[u32]) {
    let Some(at) = place(json) else { return };
    for (i, sum) in tensors.iter().enumerate() {
        let at = at + (i + 1) * (NONE.len() + 1);
        json[at..at + NONE.len()].copy_from_slice(text(*sum).as_bytes());
    }
    let sum = of_header(json, at);
    json[at..at + NONE.len()].copy_from_slice(text(sum).as_bytes());
}

/// Takes the checksums of the tensors out of a header, whose own is checked; `None` in a file without.
///
/// # Errors
/// In words, for a header that is damaged.
pub(super) fn take(header: &mut Header, json: &[u8], own: &str) -> Result<Option<Vec<u32>>, String> {
    let Some(given) = header.metadata.remove(KEY) else {
        // Where our metadata stands beside something else, that was the key of the checksums.
        let damaged = header.metadata.contains_key(own) && header.metadata.len() > 1;
        return if damaged { Err("it is damaged: its checksums are missing".into()) } else { Ok(None) };
    };
    let damaged = || {
        format!("it is damaged: the checksum of its header is wrong (a program that rewrites such a file must leave `{KEY}` out)")
    };
    let mut words = given.split(' ');
    let at = place(json).ok_or_else(damaged)?;
    if words.next() != Some(text(of_header(json, at)).as_str()) {
        return Err(damaged());
    }
    let sums: Option<Vec<u32>> = words.map(|w| u32::from_str_radix(w, 16).ok()).collect();
    sums.filter(|s| s.len() == header.entries.len()).map(Some).ok_or_else(damaged)
}
