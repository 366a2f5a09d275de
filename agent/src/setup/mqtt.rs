//! MQTT brokers: what a gateway that the plant already has says, and which of it is taken.

use std::time::Duration;

use collectors::manifest::{Kind, Source};
use collectors::mqtt::{Number, overhear};

use super::ask::Console;
use super::devices::{Verdict, cadence, checked, meaning, name, tried};
use super::draft::{Draft, quoted};
use super::paths::existing;
use super::pick;

/// How long is listened before points are chosen.
const LISTENED: Duration = Duration::from_secs(10);

pub(super) async fn broker(
    console: &mut Console,
    draft: &mut Draft,
    state_dir: &std::path::Path,
) -> anyhow::Result<()> {
    let keys = access(console).await?;
    let name = name(console, draft).await?;
    let cadence = cadence(console).await?;
    let head =
        format!("\n[[sources]]\nname = {}\ncadence = \"{cadence}\"\n\n[sources.mqtt]\n{keys}", quoted(&name));
    loop {
        let Some(points) = points(console, draft, &head).await? else {
            return console.say("没有添加。", "Not added.");
        };
        let more = format!("{head}{points}");
        let Some(source) = checked(console, draft, &more)? else { continue };
        match tried(console, &source, state_dir).await? {
            Verdict::Keep => {
                draft.add(&source, None, &more);
                return Ok(());
            }
            Verdict::Again => {}
            Verdict::Drop => return Ok(()),
        }
    }
}

/// Keys of a broker in the manifest.
async fn access(console: &mut Console) -> anyhow::Result<String> {
    let broker = console
        .ask("MQTT 代理 host:port", "The broker, host:port", Some("127.0.0.1:1883"), |text| {
            let good = text.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if good {
                Ok(text.to_owned())
            } else {
                Err(("写作 192.168.1.9:1883", "write it as 192.168.1.9:1883"))
            }
        })
        .await?;
    const TLS: [(&str, &str); 2] = [
        ("TLS，按签发它的机构的证书核对", "TLS, checked by the certificate of its authority"),
        ("无（明文，不能用口令）", "none (anybody can read it; no password then)"),
    ];
    let mut keys = format!("broker = {}\n", quoted(&broker));
    if console.choose("连接怎样保护", "How the line is protected", &TLS, 0).await? == 1 {
        return Ok(keys + "tls = \"none\"\n");
    }
    let authority =
        existing(console, "机构证书文件（PEM）", "The authority's certificate (a PEM file)").await?;
    keys.push_str(&format!("ca_file = {}\n", quoted(&authority)));
    let user = console.text("用户名（没有则回车）", "User (Enter for none)", "").await?;
    if !user.is_empty() {
        let file = existing(console, "存放口令的文件", "The file that holds the password").await?;
        keys.push_str(&format!("user = {}\npassword_file = {}\n", quoted(&user), quoted(&file)));
    }
    Ok(keys)
}

/// Keys of the points, chosen or typed; `None` where the broker is given up.
async fn points(console: &mut Console, draft: &Draft, head: &str) -> anyhow::Result<Option<String>> {
    const HOW: [(&str, &str); 3] = [
        ("先听一听，从听到的里面选", "listen first and choose among what is heard"),
        ("自己填写主题", "type the topics"),
        ("不要了", "drop it"),
    ];
    loop {
        match console.choose("取哪些值？", "Which values?", &HOW, 0).await? {
            0 => {
                let topic = topic(console, Some("#")).await?;
                let all = format!("{head}{}", keys("-", &topic, ""));
                let Some(source) = checked(console, draft, &all)? else { return Ok(None) };
                let chosen = chosen(console, &source).await?;
                if !chosen.is_empty() {
                    return Ok(Some(chosen));
                }
            }
            1 => return typed(console).await.map(Some),
            _ => return Ok(None),
        }
    }
}

async fn topic(console: &mut Console, usual: Option<&str>) -> anyhow::Result<String> {
    console
        .ask(
            "主题（+ 代表一级，# 代表其后各级）",
            "Topic (+ is one level, # is all that follow)",
            usual,
            |text| Ok(text.to_owned()),
        )
        .await
}

/// Keys of points chosen among what is said on the topic of the source; empty where none was.
async fn chosen(console: &mut Console, source: &Source) -> anyhow::Result<String> {
    let Kind::Mqtt(broker) = &source.kind else { return Ok(String::new()) };
    let seconds = LISTENED.as_secs();
    console.say(&format!("听 {seconds} 秒……"), &format!("Listening for {seconds} s …"))?;
    let heard = match overhear(source, broker, LISTENED).await {
        Ok(heard) => heard,
        Err(error) => {
            let why = daemon::chain(&error);
            console.say(&format!("  × {why}"), &format!("  ! {why}"))?;
            return Ok(String::new());
        }
    };
    let (topics, count) = (heard.topics, heard.numbers.len());
    console.say(
        &format!("听到 {topics} 个主题，其中有 {count} 个数值"),
        &format!("{topics} topics were heard, with {count} numbers"),
    )?;
    if heard.numbers.is_empty() {
        return Ok(String::new());
    }
    let lines: Vec<_> = heard.numbers.iter().map(line).collect();
    let mut text = String::new();
    for at in pick::several(console, &lines).await? {
        let Number { topic, pointer, .. } = &heard.numbers[at];
        console.say(&lines[at], &lines[at])?;
        let usual = pointer.rsplit('/').next().filter(|step| !step.is_empty());
        let usual = usual.or(topic.rsplit('/').next()).unwrap_or("-");
        let name = console.text("点的名称", "Name of the point", usual).await?;
        text.push_str(&keys(&name, topic, pointer));
        text.push_str(&meaning(console).await?);
    }
    Ok(text)
}

fn line(number: &Number) -> String {
    let Number { topic, pointer, value } = number;
    // What strangers send comes to a terminal here.
    format!("{topic} {pointer} = {value}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn keys(name: &str, topic: &str, pointer: &str) -> String {
    let value = if pointer.is_empty() { String::new() } else { format!("value = {}\n", quoted(pointer)) };
    format!("\n[[sources.mqtt.points]]\nname = {}\ntopic = {}\n{value}", quoted(name), quoted(topic))
}

async fn typed(console: &mut Console) -> anyhow::Result<String> {
    let mut text = String::new();
    for at in 1.. {
        let usual = if at == 1 { "点 1" } else { "-" };
        let name = console.text("点的名称（- 表示完成）", "Name of a point (- when done)", usual).await?;
        if name == "-" {
            break;
        }
        let topic = topic(console, None).await?;
        let pointer = console
            .ask(
                "数值在消息中的位置，如 /v/run（消息本身就是数则回车）",
                "Where the number stands, such as /v/run (Enter where the message is the number)",
                Some(""),
                |text| {
                    if text.is_empty() || text.starts_with('/') {
                        Ok(text.to_owned())
                    } else {
                        Err(("以 / 开头", "it begins with /"))
                    }
                },
            )
            .await?;
        text.push_str(&keys(&name, &topic, &pointer));
        text.push_str(&meaning(console).await?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_chosen_is_what_a_manifest_takes_whatever_a_stranger_calls_it() {
        let head = "\n[[sources]]\nname = \"b\"\n[sources.mqtt]\nbroker = \"h:1\"\ntls = \"none\"\n";
        let draft = Draft::new(480, Path::new(""));
        for (topic, pointer) in [("gw/\"a\"\\/up", "/v/\"x\"/\\"), ("机/1", ""), ("a/\u{7}b", "/~1")] {
            let source = draft.with(&format!("{head}{}", keys("计数\"", topic, pointer))).unwrap();
            let Kind::Mqtt(broker) = &source.kind else { panic!("not MQTT") };
            assert_eq!((broker.points[0].topic.as_str(), broker.points[0].value.as_str()), (topic, pointer));
        }
        let number = Number { topic: "a\u{1b}[2J".into(), pointer: "/v".into(), value: "1".into() };
        assert_eq!(line(&number), "a [2J /v = 1");
    }
}
