//! The installation record: one page that both sides sign. HTML without anything from elsewhere, set for A4.

use std::fmt::Write as _;

use collectors::Load;
use collectors::manifest::{Kind, Manifest, Source};
use data_encoding::HEXLOWER;
use proof::wire::Share;
use sha2::{Digest as _, Sha256};

use super::People;
use super::trial::Proved;
use crate::{AgentConfig, Identity};

/// Rows of points that fit on the page.
const MOST_POINTS: usize = 36;

/// What the record says.
pub(super) struct Record<'a> {
    pub(super) people: &'a People,
    pub(super) config: &'a AgentConfig,
    pub(super) manifest: &'a Manifest,
    /// `None` while the gateway is not enrolled.
    pub(super) identity: Option<Identity>,
    /// One for each source.
    pub(super) loads: Vec<Option<Load>>,
    pub(super) proved: Option<Proved>,
    pub(super) now_ms: i64,
}

const STYLE: &str = "@page{size:A4;margin:12mm}body{font:9pt/1.35 'Noto Sans CJK SC','Source Han Sans SC','Microsoft YaHei',\
sans-serif;color:#000;max-width:186mm;margin:auto}h1{font-size:15pt;margin:0 0 2mm}h2{font-size:10pt;margin:3mm 0 1mm;\
border-bottom:.3mm solid #000}table{border-collapse:collapse;width:100%}td,th{border:.2mm solid #666;padding:.4mm 1mm;\
text-align:left;vertical-align:top;font-weight:normal}th{background:#eee}code{font-family:monospace;word-break:break-all}\
small{color:#333}.sign td{height:22mm;width:50%}ul{margin:1mm 0;padding-left:5mm}";

impl Record<'_> {
    pub(super) fn html(&self) -> String {
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\"><title>安装记录 Installation record</title>\
             <style>{STYLE}</style></head><body>\n<h1>安装记录 <small>Installation record · 在用 inuse</small></h1>\n<table>\n"
        );
        let minutes = self.manifest.utc_offset_minutes;
        let people = self.people;
        let identity = self.identity.as_ref();
        let agent = identity.map_or_else(|| "未入网 not enrolled".to_owned(), |own| own.agent.to_string());
        let key = identity.map_or_else(|| "-".to_owned(), fingerprint);
        let project = identity.map_or("-", |own| own.project.as_str());
        let broker = self.config.broker.as_ref().or(identity.map(|own| &own.broker));
        let broker =
            broker.map_or_else(|| "-".to_owned(), |broker| format!("{}:{}", broker.host, broker.port));
        let digest = HEXLOWER.encode(&Sha256::digest(self.manifest.text.as_bytes()));
        for (zh, en, value) in [
            ("企业", "firm", people.firm.as_str()),
            (
                "服务商 / 实施人员",
                "provider / installer",
                &format!("{} / {}", people.provider, people.installer),
            ),
            ("日期", "date", &local(self.now_ms, minutes)),
            ("项目 / 网关", "project / gateway", &format!("{project} / {agent}")),
            ("签名公钥指纹", "fingerprint of the signing key", &key),
            ("程序", "program", crate::BUILD),
            ("清单摘要 SHA-256", "digest of the manifest", &digest),
            ("报送到", "reports to", &broker),
        ] {
            push(
                &mut page,
                format_args!("<tr><th>{zh} <small>{en}</small></th><td>{}</td></tr>\n", escaped(value)),
            );
        }
        page.push_str("</table>\n");
        self.sources(&mut page);
        self.points(&mut page);
        self.leaves(&mut page);
        self.signatures(&mut page);
        page.push_str("</body></html>\n");
        page
    }

    fn sources(&self, page: &mut String) {
        page.push_str(
            "<h2>读取什么 <small>what is read (read-only; nothing is ever written)</small></h2>\n<table>\n<tr><th>#</th>\
             <th>来源 <small>source</small></th><th>地址 <small>address</small></th><th>周期 <small>every</small></th>\
             <th>对设备的负担 <small>load on it</small></th></tr>\n",
        );
        for (source, load) in self.manifest.sources.iter().zip(&self.loads) {
            let (name, address) = (escaped(&source.name), escaped(&source.address()));
            let (index, cadence) = (source.index, source.cadence.as_secs());
            let load = burden(source, load.as_ref());
            push(
                page,
                format_args!(
                    "<tr><td>{index}</td><td>{name}</td><td><code>{address}</code></td><td>{cadence} s</td><td>{load}</td></tr>\n"
                ),
            );
        }
        page.push_str("</table>\n");
    }

    fn points(&self, page: &mut String) {
        let all: Vec<_> = self.manifest.sources.iter().flat_map(rows).collect();
        if all.is_empty() {
            return;
        }
        page.push_str("<h2>读取的点 <small>points</small></h2>\n<table>\n");
        for pair in all.iter().take(MOST_POINTS).collect::<Vec<_>>().chunks(2) {
            page.push_str("<tr>");
            for row in pair {
                push(page, format_args!("<td>{row}</td>"));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table>\n");
        if let Some(more) = all.len().checked_sub(MOST_POINTS).filter(|more| *more > 0) {
            push(
                page,
                format_args!(
                    "<p>另有 {more} 个点，见上述摘要对应的清单。<small>and {more} more: see the manifest of that digest</small></p>\n"
                ),
            );
        }
    }

    fn leaves(&self, page: &mut String) {
        let deltas: Vec<_> = self
            .manifest
            .sources
            .iter()
            .flat_map(|source| source.points().into_iter().map(move |point| (source, point)))
            .filter(|(_, point)| point.share == Share::Delta)
            .map(|(source, point)| format!("{}·{}", source.name, point.name))
            .collect();
        page.push_str(
            "<h2>什么离开工厂 <small>what leaves the factory</small></h2>\n<ul>\n<li>每十分钟一份签名的用证：无单位的形状特征、条数、\
             承诺值（哈希）<small>every ten minutes a signed proof: features without a unit, counts, commitments (hashes)</small></li>\n\
             <li>不离开：名称、地址、日志原文、帐号名、带单位的数值；帐号以带密钥的假名代替，密钥只在网关上\
             <small>never: names, addresses, log text, account names, values with a unit; accounts go as keyed pseudonyms, and the key \
             stays here</small></li>\n",
        );
        if !deltas.is_empty() {
            let list = escaped(&deltas.join("、"));
            push(
                page,
                format_args!(
                    "<li>另给出每窗口增量的点 <small>points whose increase in a window is told</small>：{list}</li>\n"
                ),
            );
        }
        page.push_str("</ul>\n");
        let (zh, en) = match &self.proved {
            Some(proved) => {
                let unread =
                    if proved.unread.is_empty() { "-".to_owned() } else { proved.unread.join("、") };
                (
                    format!(
                        "第 {} 号窗口已有经验证的回执；读到的来源 {} 个，未读到：{unread}",
                        proved.seq,
                        proved.read.len()
                    ),
                    format!(
                        "window {} has a checked receipt; {} sources were read",
                        proved.seq,
                        proved.read.len()
                    ),
                )
            }
            None => ("安装时没有等到回执".to_owned(), "no receipt was waited for".to_owned()),
        };
        push(page, format_args!("<p>试运行：{} <small>trial: {}</small></p>\n", escaped(&zh), escaped(&en)));
    }

    fn signatures(&self, page: &mut String) {
        let (firm, provider) = (escaped(&self.people.firm), escaped(&self.people.provider));
        push(
            page,
            format_args!(
                "<h2>双方确认以上内容属实 <small>both sides confirm this</small></h2>\n<table class=\"sign\"><tr>\
                 <td>企业（签字、盖章、日期）<small>firm: signature, seal, date</small><br>{firm}</td>\
                 <td>服务商（签字、日期）<small>provider: signature, date</small><br>{provider} {}</td></tr></table>\n",
                escaped(&self.people.installer)
            ),
        );
    }
}

/// The beginning of the SHA-256 of the public key, in groups that can be read aloud, and the hint that envelopes carry.
fn fingerprint(identity: &Identity) -> String {
    let key = identity.keys.current().verify_key();
    let digest = HEXLOWER.encode(&Sha256::digest(key.to_bytes())[..16]);
    let groups: Vec<_> =
        digest.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    format!("{} (kid {})", groups.join(" "), key.kid())
}

fn rows(source: &Source) -> Vec<String> {
    let place = |at: usize| match &source.kind {
        Kind::Modbus(device) => device.points.get(at).map_or_else(String::new, |point| {
            format!("{} {} {}", point.table.word(), point.address, point.kind.word())
        }),
        Kind::OpcUa(server) => server.points.get(at).map_or_else(String::new, |point| point.node.to_string()),
        Kind::Mqtt(broker) => {
            broker.points.get(at).map_or_else(String::new, |point| format!("{} {}", point.topic, point.value))
        }
        Kind::Log(_) | Kind::Syslog(_) | Kind::Table(_) => String::new(),
    };
    let points = source.points().into_iter().enumerate();
    let row = |(at, point): (usize, &collectors::manifest::Meaning)| {
        let (name, place) = (escaped(&point.name), escaped(&place(at)));
        format!("{} · {name} <code>{place}</code>", source.index)
    };
    points.map(row).collect()
}

/// What is asked of a device, in a few words.
fn burden(source: &Source, load: Option<&Load>) -> String {
    let Some(load) = load else { return "-".to_owned() };
    let mut words = match (load.questions, load.bytes) {
        (Some(questions), Some((asked, answered))) => {
            format!(
                "{questions} 问/次，{} 字节 <small>{questions} questions a turn</small>",
                asked + answered
            )
        }
        (Some(0), None) => "只订阅，不询问 <small>listens and asks nothing</small>".to_owned(),
        (Some(_), None) if matches!(source.kind, Kind::Table(_)) => {
            "只读查询 <small>bounded SELECTs</small>".to_owned()
        }
        (Some(_), None) => format!("一次会话，{} 个节点 <small>one session</small>", source.points().len()),
        (None, _) => "只读新增的行 <small>appended lines only</small>".to_owned(),
    };
    if let (Some(share), false) = (load.share(source), load.questions.is_none()) {
        push(&mut words, format_args!("，占时 {:.2} %", share * 100.0));
    }
    words
}

pub(super) fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
        safe
    })
}

/// `2026-01-02 03:04` on the firm's clock (civil from days, Howard Hinnant's algorithm).
pub(super) fn local(now_ms: i64, offset_minutes: i32) -> String {
    let minutes = now_ms.div_euclid(60_000) + i64::from(offset_minutes);
    let (days, minute) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_date_is_the_firms() {
        assert_eq!(local(1_792_800_000_000, 480), "2026-10-24 08:00");
        assert_eq!(local(1_709_164_799_000, 480), "2024-02-29 07:59");
        assert_eq!(local(-60_000, 0), "1969-12-31 23:59");
    }

    #[test]
    fn a_name_is_text_and_never_markup_and_a_long_list_stays_on_its_page() {
        let points: String = (0..50)
            .map(|at| format!("{{ name = \"p{at}\", address = {at}, share = \"delta\" }},\n"))
            .collect();
        let text = format!(
            "[[sources]]\nname = \"<b>压机&\"\n[sources.modbus]\nendpoint = \"h:502\"\npoints = [\n{points}]\n"
        );
        let manifest = Manifest::parse("manifest.toml", &text, Path::new("")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, "state_dir = \"state\"").unwrap();
        let (config, _) = AgentConfig::alone(&path).unwrap();
        let people = People { firm: "<i>".into(), provider: "p".into(), installer: "q".into() };
        let record = Record {
            people: &people,
            config: &config.unwrap(),
            manifest: &manifest,
            identity: None,
            loads: vec![None],
            proved: None,
            now_ms: 0,
        };
        let page = record.html();
        assert!(page.contains("&lt;b&gt;压机&amp;") && !page.contains("<b>") && !page.contains("<i>"));
        assert!(page.contains("另有 14 个点"));
        assert!(!page.contains("http"), "nothing comes from elsewhere");
    }
}
