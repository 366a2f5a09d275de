//! Modbus devices: how one is reached, whether it is there, and which of its registers are read.

use std::path::Path;
use std::time::Duration;

use collectors::manifest::Kind;
use collectors::modbus::hand::{Hand, Presence, USUAL_GAP};

use super::ask::{Console, Wrong};
use super::devices::{Verdict, cadence, checked, meaning, name, tried};
use super::draft::{Draft, quoted};
use super::ports;
use crate::line_use;
use crate::status::SOCKET;

/// How a Modbus device is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    Serial,
    Converter,
    Dialling,
}

pub(super) async fn device(
    console: &mut Console,
    draft: &mut Draft,
    state_dir: &Path,
    way: Way,
) -> anyhow::Result<()> {
    let keys = line(console, way).await?;
    let (line_name, line_text) = draft.line(&keys);
    let unit = number(console, "单元号（从站地址）", "Unit", "1", 255).await?;
    if !look_at(console, draft, state_dir, &line_text, (&line_name, unit)).await? {
        return Ok(());
    }
    let name = name(console, draft).await?;
    let cadence = cadence(console).await?;
    loop {
        let points = points(console).await?;
        let more = format!(
            "{line_text}\n[[sources]]\nname = {}\ncadence = \"{cadence}\"\n\n[sources.modbus]\nline = {}\nunit = \
             {unit}\n{points}",
            quoted(&name),
            quoted(&line_name)
        );
        let Some(source) = checked(console, draft, &more)? else { continue };
        match tried(console, &source, state_dir).await? {
            Verdict::Keep => {
                draft.add(&source, Some((line_name, &keys)), &more);
                return Ok(());
            }
            Verdict::Again => {}
            Verdict::Drop => return Ok(()),
        }
    }
}

/// The line's keys in the manifest.
async fn line(console: &mut Console, way: Way) -> anyhow::Result<String> {
    if way == Way::Dialling {
        let listen = console
            .ask("在哪里等它拨入", "Where it dials to", Some("0.0.0.0:5020"), |text| {
                let address: Result<std::net::SocketAddr, _> = text.parse();
                address.map_err(|_| ("写作 0.0.0.0:5020", "write it like 0.0.0.0:5020"))
            })
            .await?;
        let says =
            console.text("它的注册包（没有则回车）", "What it says first (Enter for nothing)", "").await?;
        return Ok(format!("listen = \"{listen}\"\nregistration = {}\n", quoted(&says)));
    }
    if way == Way::Serial {
        let first = ports::here().first().map(|port| port.display().to_string());
        let port = console
            .ask("串口", "Serial port", first.as_deref(), |text| {
                let there = Path::new(text).exists();
                if there {
                    Ok(text.to_owned())
                } else {
                    Err(("没有这个设备文件", "there is no such device file"))
                }
            })
            .await?;
        let baud = baud(console).await?;
        const PARITIES: [(&str, &str); 3] = [("无 none", "none"), ("偶 even", "even"), ("奇 odd", "odd")];
        let parity = PARITIES[console.choose("校验", "Parity", &PARITIES, 0).await?].1;
        return Ok(format!("serial = {}\nbaud = {baud}\nparity = \"{parity}\"\n", quoted(&port)));
    }
    let endpoint = endpoint(console).await?;
    if way == Way::Tcp {
        return Ok(format!("connect = {}\n", quoted(&endpoint)));
    }
    Ok(format!("connect = {}\nframing = \"rtu\"\nbaud = {}\n", quoted(&endpoint), baud(console).await?))
}

async fn endpoint(console: &mut Console) -> anyhow::Result<String> {
    console
        .ask("地址 host[:port]", "Address, host[:port]", None, |text| {
            let whole = if text.contains(':') { text.to_owned() } else { format!("{text}:502") };
            let good = whole.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty()
                    && !host.contains(char::is_whitespace)
                    && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if good {
                Ok(whole)
            } else {
                Err(("写作 192.168.1.20 或 192.168.1.20:502", "write it as 192.168.1.20:502"))
            }
        })
        .await
}

async fn baud(console: &mut Console) -> anyhow::Result<u32> {
    console
        .ask("波特率", "Bits a second", Some("9600"), |text| match text.parse::<u32>() {
            Ok(baud @ 300..=4_000_000) => Ok(baud),
            Ok(_) | Err(_) => Err(("300 到 4000000", "300 to 4000000")),
        })
        .await
}

async fn number(console: &mut Console, zh: &str, en: &str, default: &str, most: u32) -> anyhow::Result<u32> {
    console
        .ask(zh, en, Some(default), |text| match text.parse::<u32>() {
            Ok(number) if number <= most => Ok(number),
            Ok(_) | Err(_) => Err(("数字不对或超出范围", "not a number in range")),
        })
        .await
}

/// Says whether the unit is there, and what it says of itself. `false` when the manifest cannot have such a line, or the
/// running agent asks on it.
async fn look_at(
    console: &Console,
    draft: &Draft,
    state_dir: &Path,
    line: &str,
    (name, unit): (&str, u32),
) -> anyhow::Result<bool> {
    let probe = format!(
        "{line}\n[[sources]]\nname = \"\u{2014}\"\n[sources.modbus]\nline = {}\nunit = {unit}\npoints = [{{ name = \"a\", \
         address = 0 }}]\n",
        quoted(name)
    );
    let Some(source) = checked(console, draft, &probe)? else { return Ok(false) };
    let Kind::Modbus(device) = &source.kind else { return Ok(false) };
    if let Err(taken) = line_use::ensure_free_for(&state_dir.join(SOCKET), &source).await {
        console.say(&format!("× {taken:#}"), &format!("! {taken:#}"))?;
        return Ok(false);
    }
    let mut hand = Hand::new(&device.line, Duration::from_secs(2), USUAL_GAP);
    let (zh, en) = match hand.presence(device.unit).await {
        Ok(Presence::There { .. }) => {
            let who = hand.identity(device.unit).await.ok().flatten();
            let who = who
                .map_or_else(String::new, |who| format!(" {} {} {}", who.vendor, who.product, who.revision));
            (format!("√ 单元 {unit} 在线。{who}"), format!("ok: unit {unit} is there.{who}"))
        }
        Ok(Presence::GatewaySays(code)) => (
            format!("× 网关说单元 {unit} 不在（异常 {code}）。"),
            format!("the gateway says that unit {unit} is not there (exception {code})."),
        ),
        Ok(Presence::Silent) => (format!("× 单元 {unit} 没有回答。"), format!("unit {unit} says nothing.")),
        Ok(Presence::Garbled(why)) => {
            (format!("× 单元 {unit} 的回答读不懂：{why}"), format!("unit {unit} answers badly: {why}"))
        }
        Err(error) => {
            let why = daemon::chain(&error);
            (format!("× {why}"), format!("! {why}"))
        }
    };
    console.say(&zh, &en)?;
    Ok(true)
}

/// Keys of the points, from the library or one by one.
async fn points(console: &mut Console) -> anyhow::Result<String> {
    let library = collectors::manifest::devices();
    let mut options = vec![("自己填写寄存器".to_owned(), "registers of your own".to_owned())];
    for map in &library {
        let mark =
            if map.documented { ("有公开文档", "documented") } else { ("未证实", "unconfirmed") };
        options.push((
            format!("{}（{}，{}）", map.name, map.about, mark.0),
            format!("{} ({}, {})", map.name, map.about, mark.1),
        ));
    }
    let shown: Vec<_> = options.iter().map(|(zh, en)| (zh.as_str(), en.as_str())).collect();
    let chosen = console.choose("读什么？", "Read what?", &shown, 0).await?;
    let map = chosen.checked_sub(1).and_then(|at| library.get(at));
    let mut text = map.map_or_else(String::new, |map| format!("device = \"{}\"\n", map.name));
    if map.is_some_and(|map| map.has_points) {
        return Ok(text);
    }
    for at in 1.. {
        let usual = if at == 1 { "点 1" } else { "-" };
        let name = console.text("点的名称（- 表示完成）", "Name of a point (- when done)", usual).await?;
        if name == "-" {
            break;
        }
        text.push_str(&format!("\n[[sources.modbus.points]]\nname = {}\n", quoted(&name)));
        let place = if map.is_some() { placed(console).await? } else { addressed(console).await? };
        text.push_str(&place);
        text.push_str(&meaning(console).await?);
    }
    Ok(text)
}

/// A place by a controller's own name. Data registers hold numbers, everything else bits.
async fn placed(console: &mut Console) -> anyhow::Result<String> {
    let place = console
        .ask("位置，如 D100", "Its place, such as D100", None, |text| {
            let good = text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.ends_with(|c: char| c.is_ascii_digit());
            if good {
                Ok(text.to_owned())
            } else {
                Err(("写作 D100、M5、X17", "write it as D100, M5 or X17"))
            }
        })
        .await?;
    let kind = if place.starts_with(['d', 'D']) { numeric(console, true).await? } else { String::new() };
    Ok(format!("at = {}\n{kind}", quoted(&place)))
}

async fn addressed(console: &mut Console) -> anyhow::Result<String> {
    const TABLES: [(&str, &str); 4] = [
        ("holding 保持寄存器", "holding"),
        ("input 输入寄存器", "input"),
        ("coil 线圈", "coil"),
        ("discrete 离散输入", "discrete"),
    ];
    let table = TABLES[console.choose("在哪张表", "In which table", &TABLES, 0).await?].1;
    let address = number(console, "地址（从 0 数起）", "Address (counted from 0)", "0", 65_535).await?;
    let kind =
        if matches!(table, "holding" | "input") { numeric(console, false).await? } else { String::new() };
    Ok(format!("table = \"{table}\"\naddress = {address}\n{kind}"))
}

/// Type, order (unless the device's map knows it) and scale of a number.
async fn numeric(console: &mut Console, ordered: bool) -> anyhow::Result<String> {
    const TYPES: [&str; 10] = ["u16", "i16", "u32", "i32", "f32", "u64", "i64", "f64", "bcd16", "bcd32"];
    let kind = console
        .ask(
            "类型（u16 i16 u32 i32 f32 u64 i64 f64 bcd16 bcd32）",
            "Type (u16 i16 u32 i32 f32 u64 i64 f64 bcd16 bcd32)",
            Some("u16"),
            |text| {
                let kind = TYPES.into_iter().find(|kind| *kind == text);
                kind.ok_or(("没有这个类型", "there is no such type"))
            },
        )
        .await?;
    let mut text = format!("type = \"{kind}\"\n");
    if !kind.ends_with("16") && !ordered {
        const ORDERS: [(&str, &str); 4] =
            [("ABCD", "ABCD"), ("CDAB", "CDAB"), ("BADC", "BADC"), ("DCBA", "DCBA")];
        let order = ORDERS[console.choose("字节顺序", "Order of its bytes", &ORDERS, 0).await?].1;
        text.push_str(&format!("order = \"{order}\"\n"));
    }
    let scale = console
        .ask("乘以", "Times", Some("1"), |text| {
            let scale = text.parse::<f64>().ok().filter(|scale| scale.is_finite() && *scale != 0.0);
            scale.ok_or::<Wrong>(("应是不为零的数", "a number that is not zero"))
        })
        .await?;
    text.push_str(&format!("scale = {scale:?}\n"));
    Ok(text)
}
