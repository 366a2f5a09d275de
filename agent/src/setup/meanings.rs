//! What lines of a log and rows of a table stand for: who is who, and what is what.

use proof::Record;
use proof::catalogue::MODULES;

use super::ask::Console;
use super::draft::quoted;

/// Records that are shown.
const SHOWN: usize = 10;

const ACTIONS: [(&str, &str); 8] = [
    ("其他 other", "other"),
    ("新建 create", "create"),
    ("报工/上报 report", "report"),
    ("审核 approve", "approve"),
    ("过账 post", "post"),
    ("关闭 close", "close"),
    ("修改 change", "change"),
    ("查询 query", "query"),
];

/// The last records, each with its time on the firm's clock, its account and its fields.
pub(super) fn show(
    console: &Console,
    fields: &[String],
    records: &[Record],
    local: impl Fn(i64) -> String,
) -> anyhow::Result<()> {
    for record in records.iter().take(SHOWN) {
        let fields = fields.iter().zip(&record.fields);
        let fields: Vec<_> =
            fields.map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
        let at = record.event_ms.map_or_else(|| "-".to_owned(), &local);
        let by = record.account.as_deref().unwrap_or("-");
        let of = record.document.as_ref().map_or_else(String::new, |number| format!(" [{number}]"));
        let line = format!("  {at} {by}{of}: {}", fields.join(" "));
        console.say(&line, &line)?;
    }
    Ok(())
}

/// Entries of the manifest's `accounts`.
pub(super) async fn accounts(console: &mut Console) -> anyhow::Result<String> {
    let admins = console
        .text("管理员帐号（逗号分隔，不计使用）", "Accounts of administrators (comma between)", "admin")
        .await?;
    let machines = console.text("接口帐号（逗号分隔）", "Accounts of machines (comma between)", "").await?;
    let list = |accounts: &str, rest: &str| -> String {
        let names = accounts.split([',', '，']).map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| format!("    {{ exact = {}, {rest} }},\n", quoted(name))).collect()
    };
    Ok(list(&admins, "class = \"excluded\", reason = \"admin\"") + &list(&machines, "class = \"interface\""))
}

/// Entries of the manifest's `rules`: what a record with a word in it stands for.
pub(super) async fn rules(
    console: &mut Console,
    fields: &[String],
    records: &[Record],
) -> anyhow::Result<String> {
    let mut text = String::new();
    let modules: Vec<_> = MODULES.iter().map(|module| (module.zh, module.en)).collect();
    loop {
        let keyword = console
            .text(
                "含有哪个词的行属于一个模块（- 表示完成）",
                "Lines with which word belong to a module (- when done)",
                "-",
            )
            .await?;
        if keyword == "-" {
            return Ok(text);
        }
        let Some(field) = field_with(fields, records, &keyword) else {
            console.say("  × 最后这些行里没有这个词", "  ! none of these lines has that word")?;
            continue;
        };
        let field = field.to_owned();
        let module = MODULES[console.choose("哪个模块", "Which module", &modules, 0).await?].code;
        let action = ACTIONS[console.choose("什么动作", "Which action", &ACTIONS, 0).await?].1;
        let word: String = keyword
            .chars()
            .flat_map(|c| if c.is_ascii_punctuation() { vec!['\\', c] } else { vec![c] })
            .collect();
        text.push_str(&format!(
            "    {{ module = \"{module}\", action = \"{action}\", when = [{{ field = {}, regex = {} }}] }},\n",
            quoted(&field),
            quoted(&word)
        ));
    }
}

/// The field in which one of the records has this word.
fn field_with<'a>(fields: &'a [String], records: &[Record], keyword: &str) -> Option<&'a str> {
    records.iter().find_map(|record| {
        let mut pairs = fields.iter().zip(&record.fields);
        let found = pairs.find(|(_, value)| String::from_utf8_lossy(value).contains(keyword));
        found.map(|(name, _)| name.as_str())
    })
}
