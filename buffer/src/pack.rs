//! Compression of raw chunks: zstd with a checksum, each chunk against the one before it in its window.

use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::BufferError;

/// Longest chunk before compression.
pub(crate) const MAX_CHUNK: usize = 64 * 1024 * 1024;

/// Most of the previous chunk that is looked back at.
const LOOK_BACK: usize = 1024 * 1024;

const LEVEL: i32 = 3;

/// Compresses `chunk`, given the plain chunk before it (empty for the first).
pub(crate) fn pack(chunk: &[u8], before: &[u8]) -> Result<Vec<u8>, BufferError> {
    let mut compressor =
        Compressor::with_dictionary(LEVEL, &dictionary(before)).map_err(BufferError::Chunk)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(BufferError::Chunk)?;
    compressor.compress(chunk).map_err(BufferError::Chunk)
}

/// The plain chunk of `length` bytes.
pub(crate) fn unpack(packed: &[u8], before: &[u8], length: u64) -> Result<Vec<u8>, BufferError> {
    let wrong = || BufferError::Chunk(io::Error::from(io::ErrorKind::InvalidData));
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_CHUNK).ok_or_else(wrong)?;
    let mut decompressor = Decompressor::with_dictionary(&dictionary(before)).map_err(BufferError::Chunk)?;
    let plain = decompressor.decompress(packed, length).map_err(BufferError::Chunk)?;
    if plain.len() == length { Ok(plain) } else { Err(wrong()) }
}

/// A zero byte in front, so that no content can look like a trained dictionary.
fn dictionary(before: &[u8]) -> Vec<u8> {
    let mut dictionary = vec![0];
    dictionary.extend_from_slice(&before[before.len().saturating_sub(LOOK_BACK)..]);
    dictionary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_back_and_a_flipped_byte_is_noticed() {
        let before: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * 7919).to_le_bytes()).collect();
        let mut chunk = before.clone();
        chunk[5] = 9;
        let mut packed = pack(&chunk, &before).unwrap();
        assert!(packed.len() < chunk.len() / 20, "{}", packed.len());
        let length = chunk.len() as u64;
        assert_eq!(unpack(&packed, &before, length).unwrap(), chunk);
        assert!(unpack(&packed, b"", length).is_err());
        let last = packed.len() - 5;
        packed[last] ^= 1;
        assert!(unpack(&packed, &before, length).is_err());
    }

    #[test]
    fn content_that_looks_like_a_trained_dictionary_is_content() {
        let magic = [0x37, 0xA4, 0x30, 0xEC, 1, 2, 3, 4, 5, 6, 7, 8];
        let packed = pack(b"abcdef", &magic).unwrap();
        assert_eq!(unpack(&packed, &magic, 6).unwrap(), b"abcdef");
    }
}
