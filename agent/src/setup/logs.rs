//! Logs: which encoding and parser read one best.

use std::path::Path;

use super::ask::{Console, Wrong};
use super::devices::{cadence, checked, named};
use super::draft::{Draft, quoted};
use super::meanings;
use collectors::log::sample::{Sample, sample};

pub(super) async fn log(console: &mut Console, draft: &mut Draft) -> anyhow::Result<()> {
    let asked =
        console.ask("日志文件，可含 * 和 ?", "The log file, with * and ? where it is several", None, whole);
    let path = asked.await?;
    let looked = sample(Path::new(&path), Some(draft.dir()));
    let best = match &looked {
        Ok(best) => best,
        Err(error) => {
            let why = daemon::chain(error);
            return console.say(&format!("× 读不了。{why}"), &format!("! it cannot be read. {why}"));
        }
    };
    show(console, best)?;
    let Some(parser) = &best.parser else {
        return console.say(
            "× 一行也没有读懂：请在 parsers/ 中写一个解析文件，config/parsers 里有例子。",
            "! not one line was understood: write a parser file into parsers/; config/parsers has examples.",
        );
    };
    if !console.yes("这样读对吗？", "Is that right?", best.unparsed * 5 < best.lines).await? {
        return console.say(
            "没有添加：请在 parsers/ 中写一个解析文件，config/parsers 里有例子。",
            "Not added: write a parser file into parsers/; config/parsers has examples.",
        );
    }
    let path = followed(console, best).await?;
    let usual = Path::new(&best.path)
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let name = named(console, draft, &usual).await?;
    let cadence = cadence(console).await?;
    let accounts = meanings::accounts(console).await?;
    let rules = meanings::rules(console, &best.fields, &best.records).await?;
    let more = format!(
        "{}accounts = [\n{accounts}]\nrules = [\n{rules}]\n",
        source(&name, &cadence, &path, best, parser)
    );
    if let Some(source) = checked(console, draft, &more)? {
        draft.add(&source, None, &more);
        let name = source.name;
        console.say(&format!("√ 已添加 {name}"), &format!("ok: added {name}"))?;
    }
    Ok(())
}

/// A path as it is from the root, of a file that is there or of several.
fn whole(text: &str) -> Result<String, Wrong> {
    let path = std::path::absolute(text).ok();
    let path = path.filter(|path| text.contains(['*', '?']) || path.is_file());
    let path = path.and_then(|path| path.to_str().map(str::to_owned));
    path.ok_or(("没有这个文件，或本用户看不到它", "no such file, or not to be seen"))
}

/// What is followed: a log that begins a new file each day is all of them.
async fn followed(console: &mut Console, best: &Sample) -> anyhow::Result<String> {
    let (path, all) = (&best.path, &best.follow);
    if path == all {
        return Ok(path.clone());
    }
    let (zh, en) = (
        format!("这只是其中一个文件。改为跟读 {all}？"),
        format!("That is one file of several. Follow {all} instead?"),
    );
    Ok(if console.yes(&zh, &en, true).await? { all.clone() } else { path.clone() })
}

fn source(name: &str, cadence: &str, path: &str, best: &Sample, parser: &str) -> String {
    let zone = match best.utc_offset_minutes {
        480 => String::new(),
        minutes => format!("utc_offset_minutes = {minutes}\n"),
    };
    format!(
        "\n[[sources]]\nname = {}\ncadence = \"{cadence}\"\n\n[sources.log]\npath = {}\nencoding = \"{}\"\nparser = \
         \"{parser}\"\n{zone}",
        quoted(name),
        quoted(path),
        best.encoding
    )
}

fn show(console: &Console, best: &Sample) -> anyhow::Result<()> {
    let (lines, unparsed) = (best.lines, best.unparsed);
    let parser = best.parser.as_deref().unwrap_or("-");
    console.say(
        &format!("编码 {}，解析 {parser}；{lines} 行中 {unparsed} 行没有读懂", best.encoding),
        &format!("{}, parser {parser}; of {lines} lines {unparsed} were not understood", best.encoding),
    )?;
    if best.lost > 0 {
        console.say(
            &format!("  ! 有 {} 处文字在写入日志前就已丢失（锟斤拷）", best.lost),
            &format!("  ! text was lost in {} places before it came into the log", best.lost),
        )?;
    }
    if let Some(hours) = best.hours_off {
        console.say(
            &format!("  ! 最新一条的时间与文件写入时间相差 {hours} 小时：请核对时区"),
            &format!("  ! the newest time is {hours} hours off the file's: check the time zone"),
        )?;
    }
    for wrong in &best.wrong {
        console.say(&format!("  ! {wrong}"), &format!("  ! {wrong}"))?;
    }
    meanings::show(console, &best.fields, &best.records, |ms| best.local_time(ms))?;
    for line in best.not_understood.iter().filter(|_| unparsed > 0) {
        console.say(&format!("  没有读懂: {line}"), &format!("  not understood: {line}"))?;
    }
    Ok(())
}
