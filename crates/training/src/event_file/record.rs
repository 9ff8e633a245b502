//! TFRecord framing: length, checksum of the length, data, checksum of the data; numbers are little-endian.
use std::io::{self, Write};

/// CRC-32C, turned and shifted, so that checksums of data that contains checksums are sound.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Writes one record.
pub(super) fn write(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_checksum(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked_checksum(data).to_le_bytes())
}

/// The data of each whole record.
pub(super) fn split(mut bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut records = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<12>() {
        let (length, checksum) = head.split_at(8);
        let number = |b: &[u8]| b.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
        if u64::from(masked_checksum(length)) != number(checksum) {
            return Err("the checksum of a length is wrong".into());
        }
        let Some((data, rest)) = usize::try_from(number(length)).ok().and_then(|n| rest.split_at_checked(n)) else {
            break;
        };
        let Some((checksum, rest)) = rest.split_first_chunk::<4>() else { break };
        if masked_checksum(data) != u32::from_le_bytes(*checksum) {
            return Err("the checksum of a record is wrong".into());
        }
        records.push(data);
        bytes = rest;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // RFC 3720, B.4: 32 bytes of zeros and of ones.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(masked_checksum(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn records_come_back_and_damage_is_found() {
        let mut bytes = Vec::new();
        for data in [&b"first"[..], b"", b"third"] {
            write(&mut bytes, data).expect("a vector takes all");
        }
        assert_eq!(bytes.len(), 3 * 16 + 10);
        assert_eq!(split(&bytes), Ok(vec![&b"first"[..], b"", b"third"]));
        assert_eq!(split(&bytes[..bytes.len() - 1]), Ok(vec![&b"first"[..], b""]), "a record cut off");
        for at in [0, 9, 14] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(split(&damaged).is_err(), "byte {at}");
        }
    }
}
