//! Between what SQLite holds and what we mean: signed integers, bounded lengths, bookmarks in one blob.

use crate::{Bookmarks, BufferError};

/// SQLite's integers are signed; our counts stay far below.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count out of SQLite.
pub(crate) fn count(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}

/// Refuses what is longer than `most`.
pub(crate) fn bound(what: &'static str, bytes: usize, most: usize) -> Result<(), BufferError> {
    if bytes > most { Err(BufferError::TooLarge { what, bytes }) } else { Ok(()) }
}

/// Longest bookmark.
const MAX_BOOKMARK: usize = 64 * 1024;

/// Refuses bookmarks that are too long.
pub(crate) fn bound_bookmarks(bookmarks: &Bookmarks) -> Result<(), BufferError> {
    bookmarks.values().try_for_each(|bookmark| bound("a bookmark", bookmark.len(), MAX_BOOKMARK))
}

/// Bookmarks as one blob: source (2), length (4), bytes, little endian.
pub(crate) fn join(bookmarks: &Bookmarks) -> Vec<u8> {
    let mut blob = Vec::new();
    for (source, bookmark) in bookmarks {
        let length = u32::try_from(bookmark.len()).expect("bookmarks are bounded");
        blob.extend_from_slice(&source.to_le_bytes());
        blob.extend_from_slice(&length.to_le_bytes());
        blob.extend_from_slice(bookmark);
    }
    blob
}

/// The bookmarks of a blob; a torn rest is left out.
pub(crate) fn split(mut blob: &[u8]) -> Bookmarks {
    let mut bookmarks = Bookmarks::new();
    while let Some((head, rest)) = blob.split_at_checked(6) {
        let source = u16::from_le_bytes([head[0], head[1]]);
        let length = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let Some((bookmark, rest)) = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n))
        else {
            break;
        };
        bookmarks.insert(source, bookmark.to_vec());
        blob = rest;
    }
    bookmarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookmarks_come_back_from_their_blob_and_a_torn_one_is_left_out() {
        let bookmarks = Bookmarks::from([(1, b"abc".to_vec()), (700, Vec::new()), (65_535, vec![0; 300])]);
        let blob = join(&bookmarks);
        assert_eq!(split(&blob), bookmarks);
        assert_eq!(split(&blob[..blob.len() - 1]).len(), 2);
    }
}
