//! The verifier as a WebAssembly module, for `page.html` beside it.
//!
//! The page asks for room, writes a bundle and what it was given of the log into it, calls [`inuse_check`] and reads the
//! answer, a JSON text. It imports nothing: no clock, no randomness, no network. A panic is a trap, of which the page says
//! that nothing was checked; after one, or after an answer, the module is thrown away.
#![expect(unsafe_code, reason = "exported under their own names; each address is followed by the page alone")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use proof::Envelope;
use proof::policy::Policy;
use serde_json::{Value, json};
use sha2::Digest as _;
use verifier::bundle::{Known, Mark, check, is_bundle};

/// Longest bundle that a page checks, bytes. A module of 32 bits has 4 GiB, a tab often less.
const MAX_BUNDLE: usize = 256 << 20;

/// Longest text of what is known of the log, bytes: the longest policy.
const MAX_KNOWN: usize = 64 << 10;

/// What lies in the module's memory.
struct Held {
    bundle: Vec<u8>,
    known: Vec<u8>,
    answer: String,
}

static HELD: Mutex<Held> = Mutex::new(Held { bundle: Vec::new(), known: Vec::new(), answer: String::new() });

fn held() -> MutexGuard<'static, Held> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for a bundle of this length.
#[unsafe(no_mangle)]
pub extern "C" fn inuse_bundle(length: usize) -> *mut u8 {
    assert!(length <= MAX_BUNDLE, "the page has looked at its length");
    let bundle = &mut held().bundle;
    bundle.resize(length, 0);
    bundle.as_mut_ptr()
}

/// Room for a text of this length: a log key, a policy, or nothing.
#[unsafe(no_mangle)]
pub extern "C" fn inuse_known(length: usize) -> *mut u8 {
    assert!(length <= MAX_KNOWN, "the page has looked at its length");
    let known = &mut held().known;
    known.resize(length, 0);
    known.as_mut_ptr()
}

/// Checks what was written, and returns how long the answer is.
#[unsafe(no_mangle)]
pub extern "C" fn inuse_check() -> usize {
    let held = &mut *held();
    held.answer = answer(&held.bundle, &held.known).to_string();
    held.answer.len()
}

/// What the module is, as long as the answer: its version and limits.
#[unsafe(no_mangle)]
pub extern "C" fn inuse_about() -> usize {
    let held = &mut *held();
    let about =
        json!({ "version": env!("CARGO_PKG_VERSION"), "max_bundle": MAX_BUNDLE, "max_known": MAX_KNOWN });
    held.answer = about.to_string();
    held.answer.len()
}

/// Where the answer stands.
#[unsafe(no_mangle)]
pub extern "C" fn inuse_answer() -> *const u8 {
    held().answer.as_ptr()
}

/// What a text from elsewhere says of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    Nothing,
    LogKey(String),
    Policy(Policy),
}

/// The command line is told which of the two it is; a page sees it: a key is one word, a policy has lines of several.
fn given(text: &[u8]) -> Result<Given, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
    match text.trim() {
        "" => Ok(Given::Nothing),
        key if key.contains('+') && !key.contains(char::is_whitespace) => Ok(Given::LogKey(key.to_owned())),
        _ => Policy::parse(text).map(Given::Policy).map_err(|wrong| {
            let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            wrong.join("; ")
        }),
    }
}

/// The report, or why none was made.
fn answer(bundle: &[u8], known: &[u8]) -> Value {
    let given = match given(known) {
        Ok(given) => given,
        Err(why) => {
            return not_checked(
                format!("另行给出的内容既不是日志公钥，也不是见证策略：{why}"),
                format!("what was given from elsewhere is neither a log key nor a policy: {why}"),
            );
        }
    };
    if !is_bundle(bundle) && Envelope::parse(bundle).is_ok() {
        return not_checked(
            "这是单个信封，不是证据包：请用命令行 inuse-verify 连同回执和公钥核对".to_owned(),
            "this is a single envelope and no bundle: the program inuse-verify checks it with its receipt and keys"
                .to_owned(),
        );
    }
    let known = match &given {
        Given::Nothing => Known::Nothing,
        Given::LogKey(key) => Known::LogKey(key),
        Given::Policy(policy) => Known::Policy(policy),
    };
    let report = check(bundle, known);
    let verdict = report.verdict;
    let lines: Vec<_> = report
        .lines
        .iter()
        .map(|line| {
            let mark = line.mark;
            json!({ "kind": kind(mark), "mark": both(mark.zh(), mark.en()), "text": both(&line.zh, &line.en) })
        })
        .collect();
    json!({
        "sha256": data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bundle)),
        "given": match given {
            Given::Nothing => "nothing",
            Given::LogKey(_) => "log key",
            Given::Policy(_) => "policy",
        },
        "code": verdict.exit_code(),
        "verdict": both(verdict.zh(), verdict.en()),
        "lines": lines,
    })
}

fn not_checked(zh: String, en: String) -> Value {
    json!({ "not_checked": both(&zh, &en) })
}

fn both(zh: &str, en: &str) -> Value {
    json!({ "zh": zh, "en": en })
}

/// For the sheet that shows it.
fn kind(mark: Mark) -> &'static str {
    match mark {
        Mark::Holds => "holds",
        Mark::Wrong => "wrong",
        Mark::Missing => "missing",
        Mark::Says => "says",
        Mark::CannotTell => "cannot-tell",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::SigningKey;

    const KEY: &str = "city.log+8c7b1f3d+AYEM8ZAvWCXdSMmMOr9WyobB2NBeEwn5ggRCCLEPfCPP";

    #[test]
    fn a_key_is_told_from_a_policy_and_anything_else_is_refused() {
        assert_eq!(given(b" \n"), Ok(Given::Nothing));
        assert_eq!(given(format!("\n{KEY}\n").as_bytes()), Ok(Given::LogKey(KEY.to_owned())));
        assert!(given(b"hello").is_err() && given(b"a+b c").is_err() && given(&[0xff]).is_err());
    }

    #[test]
    fn the_answer_is_the_librarys_report() {
        let report = check(b"nonsense", Known::LogKey(KEY));
        let said = answer(b"nonsense", KEY.as_bytes());
        assert_eq!(said["code"], report.verdict.exit_code());
        assert_eq!(said["verdict"]["zh"], "无效");
        assert_eq!(said["lines"][0]["text"]["zh"], report.lines[0].zh);
        assert_eq!(said["lines"][0]["mark"]["en"], "FAILED");
        assert_eq!(said["lines"].as_array().map(Vec::len), Some(report.lines.len()));
    }

    #[test]
    fn what_cannot_be_checked_has_no_verdict() {
        let envelope = Envelope::sign(&SigningKey::from_seed(&[1; 32]), "outage", vec![1]);
        for said in [answer(envelope.bytes(), b""), answer(b"nonsense", b"hello")] {
            assert!(said.get("verdict").is_none() && said["not_checked"]["zh"].is_string(), "{said}");
        }
    }
}
