//! Audit tables: where the database is, whose certificate is pinned, which map reads it, and what its last rows are.

use std::path::Path;

use collectors::Probe;
use collectors::manifest::{Kind, Source, TableMap, table_maps};

use super::ask::Console;
use super::devices::{cadence, checked, name};
use super::draft::{Draft, quoted};
use super::paths::existing;
use super::trust::{Trust, on_first_use};
use super::{meanings, record};

/// What is known of a table so far.
struct Known {
    head: String,
    map: String,
    server: String,
}

impl Known {
    /// The source as the manifest has it.
    fn with(&self, accounts: &str, rules: &str) -> String {
        let Self { head, map, server } = self;
        format!(
            "{head}{map}accounts = [\n{accounts}]\nrules = [\n{rules}]\n\n[sources.table.server]\n{server}"
        )
    }
}

pub(super) async fn table(console: &mut Console, draft: &mut Draft, state_dir: &Path) -> anyhow::Result<()> {
    console.say(
        "请先在数据库中建一个只读帐号：只能查这张表，别的都不能。",
        "First make an account in the database that may read this table and do nothing else.",
    )?;
    let (server, mut pinned) = server(console).await?;
    let name = name(console, draft).await?;
    let cadence = cadence(console).await?;
    let head =
        format!("\n[[sources]]\nname = {}\ncadence = \"{cadence}\"\n\n[sources.table]\n", quoted(&name));
    let mut known = Known { head, map: map(console).await?, server };
    let (source, probe) = loop {
        let Some(source) = checked(console, draft, &known.with("", ""))? else { return Ok(()) };
        if !pinned {
            match on_first_use(console, &source, state_dir).await? {
                Trust::Pinned(pin) => {
                    known.server.push_str(&pin);
                    pinned = true;
                    continue;
                }
                Trust::Refused => return console.say("没有添加。", "Not added."),
                Trust::Unseen => {}
            }
        } else if let Some(probe) = read(console, &source, state_dir).await? {
            break (source, probe);
        }
        const WHAT: [(&str, &str); 3] =
            [("再试一次", "try again"), ("换一个映射", "another map"), ("不要了", "drop it")];
        match console.choose("没有读到。", "Nothing was read.", &WHAT, 0).await? {
            0 => {}
            1 => known.map = map(console).await?,
            _ => return console.say("没有添加。", "Not added."),
        }
    };
    let records = show(console, &source, &probe)?;
    if !console.yes("这样读对吗？", "Is that right?", records).await? {
        return console.say(
            "没有添加：请在 maps/ 中写一个映射文件，config/maps 里有例子。",
            "Not added: write a map file into maps/; config/maps has examples.",
        );
    }
    let accounts = meanings::accounts(console).await?;
    let rows = probe.records.as_ref().map_or(&[][..], |(records, ..)| records);
    let rules = meanings::rules(console, &probe.fields, rows).await?;
    let more = known.with(&accounts, &rules);
    if let Some(source) = checked(console, draft, &more)? {
        draft.add(&source, None, &more);
        let name = source.name;
        console.say(&format!("√ 已添加 {name}"), &format!("ok: added {name}"))?;
    }
    Ok(())
}

/// Keys of the server, and whether they say already what its certificate is to be.
async fn server(console: &mut Console) -> anyhow::Result<(String, bool)> {
    const KINDS: [(&str, &str, &str); 4] = [
        ("SQL Server", "sqlserver", "1433"),
        ("MySQL", "mysql", "3306"),
        ("MariaDB", "mariadb", "3306"),
        ("PostgreSQL", "postgresql", "5432"),
    ];
    let kinds = KINDS.map(|(product, ..)| (product, product));
    let (_, kind, port) = KINDS[console.choose("哪种数据库", "Which database", &kinds, 0).await?];
    let plain = |text: &str| {
        let good = !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/');
        if good { Ok(text.to_owned()) } else { Err(("不能有空格或 /", "no blanks and no /")) }
    };
    let host = console.ask("主机名或地址", "Host", None, plain).await?;
    let port = console
        .ask("端口", "Port", Some(port), |text| match text.parse::<u16>() {
            Ok(port @ 1..) => Ok(port),
            Ok(_) | Err(_) => Err(("1 到 65535", "1 to 65535")),
        })
        .await?;
    let some = |text: &str| Ok(text.to_owned());
    let database = console.ask("数据库名", "Name of the database", None, some).await?;
    let user = console.ask("只读帐号", "The account that may only read", None, some).await?;
    let file = existing(console, "存放口令的文件", "The file that holds the password").await?;
    let mut keys = format!(
        "kind = \"{kind}\"\nhost = {}\nport = {port}\ndatabase = {}\nuser = {}\npassword_file = {}\n",
        quoted(&host),
        quoted(&database),
        quoted(&user),
        quoted(&file)
    );
    const TLS: [(&str, &str); 3] = [
        ("TLS，看一次服务器证书并固定", "TLS; see its certificate once and pin it"),
        ("TLS，按签发它的机构的证书核对", "TLS, checked by the certificate of its authority"),
        ("无（口令和数据都可能被人读到）", "none (password and rows can be read on the way)"),
    ];
    match console.choose("连接怎样保护", "How the line is protected", &TLS, 0).await? {
        0 => Ok((keys, false)),
        1 => {
            let file =
                existing(console, "机构证书文件（PEM）", "The authority's certificate (a PEM file)").await?;
            keys.push_str(&format!("ca_file = {}\n", quoted(&file)));
            Ok((keys, true))
        }
        _ => Ok((keys + "tls = \"none\"\n", true)),
    }
}

/// The key of the map, one of the library or a file beside the manifest.
async fn map(console: &mut Console) -> anyhow::Result<String> {
    let maps = table_maps();
    let mut options: Vec<_> = maps.iter().map(described).collect();
    options.push((
        "自己的映射文件 maps/<名称>.toml".to_owned(),
        "a file maps/<name>.toml of your own".to_owned(),
    ));
    let shown: Vec<_> = options.iter().map(|(zh, en)| (zh.as_str(), en.as_str())).collect();
    let chosen = console.choose("表里是什么？", "What is in the table?", &shown, 0).await?;
    let name = match maps.get(chosen) {
        Some(map) => map.name.clone(),
        None => {
            let some = |text: &str| Ok(text.trim_end_matches(".toml").to_owned());
            console.ask("文件名称，如 mes_log", "Its name, such as mes_log", None, some).await?
        }
    };
    Ok(format!("map = {}\n", quoted(&name)))
}

fn described(map: &TableMap) -> (String, String) {
    let (zh, en) = if map.confirmed {
        ("有公开文档", "documented")
    } else {
        ("未证实，须与现场核对", "unconfirmed")
    };
    let (name, about) = (&map.name, &map.about);
    (format!("{name}（{about}，{zh}）"), format!("{name} ({about}, {en})"))
}

/// Asks the table once; `None` after it was said why not.
async fn read(console: &Console, source: &Source, state_dir: &Path) -> anyhow::Result<Option<Probe>> {
    console.say("读最后几行……", "Reading its last rows …")?;
    let why = match collectors::probe(source, state_dir).await {
        Ok(Probe { refused: Some(why), .. }) => why,
        Ok(probe) => return Ok(Some(probe)),
        Err(error) => daemon::chain(&error),
    };
    console.say(&format!("  × {why}"), &format!("  ! {why}"))?;
    Ok(None)
}

/// Shows what came; whether any row was understood.
fn show(console: &Console, source: &Source, probe: &Probe) -> anyhow::Result<bool> {
    for warning in &probe.warnings {
        console.say(&format!("  ! {warning}"), &format!("  ! {warning}"))?;
    }
    let Some((records, rows, unparsed)) = &probe.records else { return Ok(false) };
    console.say(
        &format!("{rows} 行中 {unparsed} 行没有读懂"),
        &format!("of {rows} rows {unparsed} were not understood"),
    )?;
    let Kind::Table(table) = &source.kind else { return Ok(false) };
    meanings::show(console, &probe.fields, records, |ms| record::local(ms, table.utc_offset_minutes))?;
    Ok(!records.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_map_of_the_library_makes_a_source_that_a_manifest_takes() {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("口令");
        std::fs::write(&password, "x").unwrap();
        let draft = Draft::new(480, &PathBuf::new());
        for map in table_maps() {
            let known = Known {
                head: "\n[[sources]]\nname = \"ERP\"\ncadence = \"30s\"\n\n[sources.table]\n".into(),
                map: format!("map = \"{}\"\n", map.name),
                server: format!(
                    "kind = \"mysql\"\nhost = \"h\"\nport = 3306\ndatabase = \"d\"\nuser = \"u\"\npassword_file = {}\n",
                    quoted(password.to_str().unwrap())
                ),
            };
            let accounts = "    { exact = \"admin\", class = \"excluded\", reason = \"admin\" },\n";
            let source = draft.with(&known.with(accounts, "")).unwrap();
            assert!(matches!(source.kind, Kind::Table(_)), "{}", map.name);
            assert!(described(&map).0.contains(&map.about));
        }
    }
}
