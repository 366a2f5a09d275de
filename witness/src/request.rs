//! The body of `add-checkpoint`.

use data_encoding::BASE64;

/// Largest body, bytes: 63 hashes and a checkpoint with some signatures.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// Most lines of a consistency proof, by the specification.
const MOST_HASHES: usize = 63;

/// What a log asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Size of the checkpoint that the proof begins with.
    pub old: u64,
    /// The consistency proof (RFC 6962, 2.1.2).
    pub path: Vec<[u8; 32]>,
    /// The checkpoint, as it came.
    pub checkpoint: &'a str,
}

/// A body that is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRequest(
    /// What is wrong with it.
    pub &'static str,
);

impl<'a> Request<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadRequest> {
        let text = std::str::from_utf8(body).map_err(|_| BadRequest("it is not UTF-8"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(BadRequest("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(number);
        let old = old.ok_or(BadRequest("its first line is not `old` and a number"))?;
        let mut path = Vec::new();
        for line in lines {
            let hash = BASE64.decode(line.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
            path.push(hash.ok_or(BadRequest("a line of the proof is not 32 bytes in base64"))?);
            if path.len() > MOST_HASHES {
                return Err(BadRequest("the proof has more than 63 lines"));
            }
        }
        Ok(Self { old, path, checkpoint })
    }
}

/// Decimal, without a sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0') && text.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_size_a_proof_and_a_checkpoint() {
        let hash = BASE64.encode(&[7; 32]);
        let body = format!("old 12\n{hash}\n{hash}\n\nlog.example\n20\nroot\n\n— log.example sig\n");
        let read = Request::parse(body.as_bytes()).unwrap();
        assert_eq!((read.old, read.path.len()), (12, 2));
        assert_eq!(read.checkpoint, "log.example\n20\nroot\n\n— log.example sig\n");
        assert_eq!(Request::parse(b"old 0\n\nx").unwrap().path, Vec::<[u8; 32]>::new());
    }

    #[test]
    fn what_is_no_request_is_refused_with_words() {
        let hash = BASE64.encode(&[7; 32]);
        let long = format!("old 1\n{}\nx", format!("{hash}\n").repeat(64));
        for (body, what) in [
            (&b"\xff"[..], "UTF-8"),
            (b"", "empty line"),
            (b"old 12\n", "empty line"),
            (b"new 12\n\nx", "first line"),
            (b"old 012\n\nx", "first line"),
            (b"old +1\n\nx", "first line"),
            (b"old -1\n\nx", "first line"),
            (b"old 99999999999999999999\n\nx", "first line"),
            (b"old 1\nabcd\n\nx", "32 bytes"),
            (long.as_bytes(), "63"),
        ] {
            let BadRequest(said) = Request::parse(body).unwrap_err();
            assert!(said.contains(what), "{said}");
        }
    }
}
