//! A log that nobody has described yet: what its encoding, parser and time zone look like, for the installer to check.
//!
//! Guesses are guesses: they are shown with lines of the file, and nothing is configured by them. Nothing is recorded.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::Offset;
use proof::Record;
use regex::Regex;

use super::lines::{Columns, Line, MAX_LINE, Reader};
use super::{file, places, split, text};
use crate::CollectError;
use crate::manifest::{ENCODINGS, Encoding, LogText, Zone, built_in_parsers, parsers_beside};

/// Bytes at the beginning and at the end of a file that are looked at.
const LOOKED_AT: usize = 4 * MAX_LINE;
/// Lines shown.
const SHOWN: usize = 10;
/// Lines not understood that are shown.
const UNPARSED: usize = 5;
/// Firms in China are eight hours east of UTC.
const CHINA: i32 = 480;

/// What a log looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The file that was looked at.
    pub path: String,
    /// What to follow: that file, the one it was renamed from, or all that are named as it is but for the day.
    pub follow: String,
    /// What is wrong with parser files beside the manifest.
    pub wrong: Vec<String>,
    /// The manifest's word for its encoding.
    pub encoding: &'static str,
    /// Places where text was lost before it came here (锟斤拷, U+FFFD).
    pub lost: usize,
    /// Name of the parser that understands most; none when none understands anything.
    pub parser: Option<String>,
    /// What that parser says of itself.
    pub about: String,
    /// Names of a record's fields.
    pub fields: Vec<String>,
    /// The name of the field that names the account.
    pub account: Option<String>,
    /// Lines looked at.
    pub lines: u32,
    /// Those that the parser did not understand.
    pub unparsed: u32,
    /// The last records.
    pub records: Vec<Record>,
    /// The last lines that were not understood; without a parser the last lines.
    pub not_understood: Vec<String>,
    /// Minutes east of UTC of its times, where they name no zone.
    pub utc_offset_minutes: i32,
    /// Hours by which the newest time differs from when the file was written, where that is a whole number other than
    /// zero: a parser that says UTC, or a zone, may be wrong.
    pub hours_off: Option<i64>,
    /// What to paste into the manifest.
    pub manifest: String,
}

/// Looks at a log file, of those behind a pattern at the one written to last. Parsers beside a manifest in `dir` are tried
/// with those built in.
///
/// # Errors
/// [`CollectError::Missing`] and [`CollectError::Unreadable`].
pub fn sample(path: &Path, dir: Option<&Path>) -> Result<Sample, CollectError> {
    let shown = path.display().to_string();
    read(path, dir).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return CollectError::Missing { path: shown };
        }
        CollectError::Unreadable { endpoint: shown, why: error.to_string() }
    })
}

fn read(asked: &Path, dir: Option<&Path>) -> io::Result<Sample> {
    // A manifest's relative paths begin at its own folder.
    let asked = std::path::absolute(asked)?;
    let is_pattern = places::has_wildcard(&asked.to_string_lossy());
    let (path, follow) = if is_pattern {
        (places::newest(&asked)?, asked)
    } else {
        let follow = to_follow(&asked);
        (asked, follow)
    };
    let path = path.as_path();
    let (own, wrong) = dir.map(parsers_beside).unwrap_or_default();
    let (from, bytes) = end_of(path)?;
    let encoding = guess_encoding(&bytes);
    let name = ENCODINGS.iter().find(|(_, known)| *known == encoding).map_or("utf-8", |(name, _)| *name);
    let mut best: Option<(Try, LogText)> = None;
    for parser in own.into_iter().chain(built_in_parsers()) {
        let text = LogText {
            encoding,
            parser: Box::new(parser),
            utc_offset_minutes: CHINA,
            accounts: Vec::new(),
            rules: Vec::new(),
        };
        let Ok(reader) = Reader::new(&text) else { continue };
        let tried = attempt(path, from, &bytes, reader)?;
        // Of two that understand as much, the one that knows more of a line.
        let rank = |tried: &Try| (tried.taken(), tried.fields.len());
        if tried.taken() > 0 && best.as_ref().is_none_or(|(best, _)| rank(&tried) > rank(best)) {
            best = Some((tried, text));
        }
    }
    let whole = text::decode(encoding, &bytes);
    let lost = text::lost(&whole);
    let mut sample = Sample {
        path: path.display().to_string(),
        follow: follow.display().to_string(),
        wrong,
        encoding: name,
        lost,
        parser: None,
        about: String::new(),
        fields: Vec::new(),
        account: None,
        lines: 0,
        unparsed: 0,
        records: Vec::new(),
        not_understood: last(whole.lines().map(str::to_owned).collect(), SHOWN),
        utc_offset_minutes: CHINA,
        hours_off: None,
        manifest: String::new(),
    };
    if let Some((tried, text)) = best {
        let written_ms = places::written_ms(&std::fs::metadata(path)?);
        sample.judge_times(&tried, text.parser.time.as_ref().map(|time| time.zone), written_ms);
        sample.parser = Some(text.parser.name);
        (sample.about, sample.account) = (text.parser.about, text.parser.account);
        (sample.fields, sample.lines, sample.unparsed) = (tried.fields, tried.lines, tried.unparsed);
        sample.records = last(tried.records, SHOWN);
        sample.not_understood = last(tried.not_understood, UNPARSED);
    } else {
        sample.lines = u32::try_from(whole.lines().count()).unwrap_or(u32::MAX);
        sample.unparsed = sample.lines;
    }
    sample.manifest = sample.snippet();
    Ok(sample)
}

impl Sample {
    /// A moment on the firm's clock.
    pub fn local_time(&self, ms: i64) -> String {
        let offset = Offset::from_seconds(self.utc_offset_minutes * 60).unwrap_or(Offset::UTC);
        let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        offset.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The newest event and the last writing of a live file are about the same moment.
    fn judge_times(&mut self, tried: &Try, zone: Option<Zone>, written_ms: u64) {
        const HOUR: i64 = 60 * 60_000;
        let Some(newest) = tried.records.iter().filter_map(|record| record.event_ms).max() else { return };
        let ahead_ms = newest - i64::try_from(written_ms).unwrap_or(i64::MAX);
        let hours = (ahead_ms + HOUR / 2).div_euclid(HOUR);
        // A file that was copied or has been quiet says nothing.
        if hours == 0 || hours.abs() > 14 || (ahead_ms - hours * HOUR).abs() > 10 * 60_000 {
            return;
        }
        if zone == Some(Zone::Local) {
            self.utc_offset_minutes += i32::try_from(hours * 60).unwrap_or(0);
        } else {
            self.hours_off = Some(hours);
        }
    }

    fn snippet(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let name = Path::new(&self.path).file_stem().unwrap_or_default().to_string_lossy();
        let of_days = if places::has_wildcard(&self.follow) { "    # a file a day" } else { "" };
        let mut text = format!(
            "[[sources]]\nname = {}\n\n[sources.log]\npath = {}{of_days}\nencoding = \"{}\"\n",
            quoted(&name),
            quoted(&self.follow),
            self.encoding
        );
        match &self.parser {
            Some(parser) => text.push_str(&format!("parser = \"{parser}\"\n")),
            None => text.push_str(
                "parser = \"…\"    # none of those built in; a file parsers/….toml beside the manifest\n",
            ),
        }
        if self.utc_offset_minutes != CHINA {
            text.push_str(&format!("utc_offset_minutes = {}\n", self.utc_offset_minutes));
        }
        text
    }
}

/// What to follow of a log of which this is a file.
fn to_follow(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let renamed_from = places::bases(&name).map(|base| path.with_file_name(base)).find(|base| base.is_file());
    renamed_from.unwrap_or_else(|| match of_any_day(&name) {
        Some(pattern) => path.with_file_name(pattern),
        None => path.to_owned(),
    })
}

/// The pattern of names that differ from this one in the day alone: `u_ex250618.log`, `access.2025-06-18.1.log`.
fn of_any_day(name: &str) -> Option<String> {
    const DAY: &str = r"(?:^|[^0-9])((?:(?:19|20)[0-9]{2}[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12][0-9]|3[01])|[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))(?:[-_.T]?[0-9]+)*)(?:$|[^0-9])";
    let day = Regex::new(DAY).ok()?.captures(name)?.get(1)?;
    Some(format!("{}*{}", &name[..day.start()], &name[day.end()..]))
}

/// What one parser makes of a file.
#[derive(Default)]
struct Try {
    fields: Vec<String>,
    lines: u32,
    unparsed: u32,
    records: Vec<Record>,
    not_understood: Vec<String>,
}

impl Try {
    /// Lines that are records.
    fn taken(&self) -> usize {
        self.records.len()
    }
}

fn attempt(path: &Path, from: u64, bytes: &[u8], mut reader: Reader) -> io::Result<Try> {
    let mut tried = Try { fields: reader.fields().to_vec(), ..Try::default() };
    let mut columns = Columns::default();
    let encoding = head(path, &mut reader, &mut columns)?;
    for (position, cut, line) in cuts(from, bytes, &reader, encoding) {
        tried.lines += cut.lines;
        match reader.read(position, line, encoding, &mut columns) {
            Line::Record(record) => tried.records.push(record),
            Line::Skipped => {}
            Line::Unparsed => {
                tried.unparsed += cut.lines;
                tried.not_understood.push(text::decode(encoding, line).into_owned());
            }
        }
    }
    Ok(tried)
}

/// Reads the first lines of a file for the columns they name; says how the file is encoded.
pub(super) fn head(path: &Path, reader: &mut Reader, columns: &mut Columns) -> io::Result<Encoding> {
    let mut bytes = vec![0; MAX_LINE];
    let filled = file::fill(&File::open(path)?, 0, &mut bytes)?;
    let encoding = text::marked(reader.encoding(), &bytes[..filled]);
    let mut rest = &bytes[..filled];
    for _ in 0..20 {
        let Some(cut) = split::next(rest, encoding) else { break };
        reader.read(0, &rest[..cut.end], encoding, columns);
        rest = &rest[cut.next..];
    }
    Ok(encoding)
}

/// The last bytes of a file, from the beginning of a line on, and where that is.
pub(super) fn end_of(path: &Path) -> io::Result<(u64, Vec<u8>)> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    // At an even place, where a character of two bytes begins.
    let from = meta.len().saturating_sub(LOOKED_AT as u64) & !1;
    let mut bytes = vec![0; LOOKED_AT + 1];
    let filled = file::fill(&File::open(path)?, from, &mut bytes)?;
    bytes.truncate(filled);
    Ok((from, bytes))
}

/// The lines or records in the last bytes of a file, with their positions; not the first one, unless the file begins
/// with it.
pub(super) fn cuts<'a>(
    from: u64,
    bytes: &'a [u8],
    reader: &Reader,
    encoding: Encoding,
) -> Vec<(u64, split::Cut, &'a [u8])> {
    let mut at = if from == 0 { 0 } else { split::next(bytes, encoding).map_or(bytes.len(), |cut| cut.next) };
    let mut cuts = Vec::new();
    while at < bytes.len() {
        let rest = &bytes[at..];
        let cut = if reader.has_records_of_several_lines() {
            split::record(rest, reader, encoding, true)
        } else {
            split::next(rest, encoding)
        };
        let Some(cut) = cut else { break };
        cuts.push((from + at as u64, cut, &rest[..cut.end]));
        at += cut.next;
    }
    cuts
}

fn last<T>(mut all: Vec<T>, most: usize) -> Vec<T> {
    all.drain(..all.len().saturating_sub(most));
    all
}

/// The encoding that makes most sense of some bytes of a log.
fn guess_encoding(bytes: &[u8]) -> Encoding {
    let marked = text::marked(Encoding::Mixed, bytes);
    if marked != Encoding::Mixed {
        return marked;
    }
    let zeros = |parity| bytes.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    // Digits and punctuation have a zero byte in UTF-16, and logs are full of them; no other encoding has any.
    if zeros(0) + zeros(1) > bytes.len() / 8 {
        return if zeros(1) >= zeros(0) { Encoding::Utf16Le } else { Encoding::Utf16Be };
    }
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_ascii()).collect();
    // The first and the last may be cut within a character.
    let whole = if lines.len() > 2 { &lines[1..lines.len() - 1] } else { &lines };
    let utf8 = whole.iter().filter(|line| std::str::from_utf8(line).is_ok()).count();
    if utf8 == whole.len() {
        return Encoding::Utf8;
    }
    if utf8 > 0 {
        return Encoding::Mixed;
    }
    let sense = |encoding| {
        let text: String = whole.iter().map(|line| text::decode(encoding, line)).collect();
        let common = text.chars().filter(|character| COMMON.contains(*character)).count();
        i64::try_from(common).unwrap_or(0) - 4 * i64::try_from(text::lost(&text)).unwrap_or(0)
    };
    if sense(Encoding::Big5) > sense(Encoding::Gb18030) { Encoding::Big5 } else { Encoding::Gb18030 }
}

/// Characters that logs of business systems are full of, in both scripts.
const COMMON: &str = "的一是在不了有人我上个大中为这到以用户登录退出成功失败保存提交审核新增修改删除查询打印导出导入\
工单号报完数量操作员生产订采购入库出货物料销售客供应商仓质检验设备车间班组编码名称时间日期开始结束系统错误信息\
個為這戶登錄敗審刪詢導單報數操員產訂採購庫貨銷客應倉質檢驗設備車間組編碼稱時間開結統錯誤訊息";

#[cfg(test)]
mod tests;
