//! What an installer does: the wizard in a real terminal, with the machine and the log of a firm that works and a real
//! server, from nothing to a window with its receipt; and the commands that ask by hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;
use collectors::manifest::{Kind, Manifest};
use data_encoding::HEXLOWER;
use jiff::civil::date;
use proof::Payload;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::clock::SimClock;
use tests::installer::Installer;
use tests::plant::Server;
use tests::plant::machine::{Machine, MachineSpec, Take};
use tests::plant::opcua::{Access, OpcUa};
use tests::process::{Program, program};
use tests::recordings::midnight_ms;
use tests::town::Town;

/// What the installer knows of the place.
struct Place {
    machine: String,
    unit: String,
    log: String,
    enrolment: String,
    token: String,
    config: PathBuf,
}

/// The same by any means.
fn installs(mut installer: Installer, place: &Place) -> anyhow::Result<()> {
    installer.introduces_himself()?;
    // A machine, whose number is mistyped at first.
    installer.told("添加什么", "9")?;
    installer.told("没有这个编号", "1")?;
    installer.told("地址", &place.machine)?;
    installer.told("单元号", &place.unit)?;
    installer.reads("在线")?;
    installer.told("名称", "一号压力机")?;
    installer.told("多久读一次", "1s")?;
    installer.told("读什么", "0")?;
    installer.told("点的名称", "计数")?;
    installer.told("在哪张表", "0")?;
    installer.told("地址", "6")?;
    installer.told("类型", "u32")?;
    installer.told("字节顺序", "0")?;
    installer.told("乘以", "")?;
    installer.told("它是什么", "2")?;
    installer.told("形状", "")?;
    installer.told("点的名称", "-")?;
    installer.reads("√ 计数")?;
    installer.told("与设备自己的显示比较", "0")?;
    // What its people write.
    installer.told("添加什么", "6")?;
    installer.told("日志文件", "/nowhere/at/all.log")?;
    installer.told("没有这个文件", &place.log)?;
    installer.reads("报工成功")?;
    installer.told("这样读对吗", "")?;
    installer.told("名称", "MES")?;
    installer.told("多久读一次", "1s")?;
    installer.told("管理员帐号", "")?;
    installer.told("接口帐号", "")?;
    installer.told("含有哪个词", "报工成功")?;
    installer.told("哪个模块", "6")?;
    installer.told("什么动作", "2")?;
    installer.told("含有哪个词", "")?;
    installer.told("添加什么", "0")?;
    installer.told("写入配置文件", "")?;
    installer.told("入网地址", &place.enrolment)?;
    installer.told("入网令牌", &place.token)?;
    installer.reads("已入网")?;
    installer.told("第一个有回执的窗口", "0")?;
    installer.reads("回执验证无误")?;
    installer.told("安装记录", "")?;
    installer.reads("签字")?;
    if let Some(browser) = installer.browser() {
        assert!(
            browser.get("/record")?.contains("江门市&lt;示范&gt;五金厂"),
            "the record can be printed there"
        );
    }
    installer.ends()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installer_comes_from_nothing_to_a_window_with_its_receipt_in_a_terminal() -> anyhow::Result<()> {
    comes_from_nothing_to_a_window(|config| Installer::begins(config, "zh")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installer_comes_from_nothing_to_a_window_with_its_receipt_on_a_page() -> anyhow::Result<()> {
    comes_from_nothing_to_a_window(|config| Installer::opens_the_page(config, "zh")).await
}

async fn comes_from_nothing_to_a_window(begin: fn(&Path) -> anyhow::Result<Installer>) -> anyhow::Result<()> {
    let town = Town::start(Program::shipped("inuse-agent")?).await?;
    let broker = town.start_broker().await?;
    let server = town.start_server().await?;
    town.people_write(20)?;
    let gateway = tempfile::tempdir()?;
    let (_, machine) = town.plant.devices().next().context("a machine")?;
    let Server::Modbus(machine) = machine else { anyhow::bail!("the machine speaks Modbus") };
    let place = Place {
        machine: machine.address().to_string(),
        unit: machine.unit().to_string(),
        log: town.plant.logs()[0].path().display().to_string(),
        enrolment: town.enrolment().to_owned(),
        token: town.token().await?,
        config: gateway.path().join("etc/agent.toml"),
    };
    std::fs::create_dir(gateway.path().join("etc"))?;
    let config = place.config.clone();
    tokio::task::spawn_blocking(move || installs(begin(&place.config)?, &place)).await??;

    // What the server has is what the wizard has set up.
    let etc = gateway.path().join("etc");
    let chain = town.chain_of(&etc.join("state"))?;
    assert!(matches!(chain.payloads[0], Payload::Manifest(_)));
    let window = chain.windows().next().context("no window was recorded")?;
    assert_eq!(window.sources.len(), 2, "{window:?}");
    let checked = Program::shipped("inuse-agent")?.output(&["check"], &config).await?;
    assert!(checked.contains("一号压力机") && checked.contains("MES"), "{checked}");
    let record = std::fs::read_to_string(etc.join("installation-record.html"))?;
    for text in ["江门市&lt;示范&gt;五金厂", "王工", "一号压力机", "计数", "SHA-256", "经验证的回执"]
    {
        assert!(record.contains(text), "`{text}` is not on the record");
    }
    assert!(!record.contains("<示范>"));
    server.terminate().await?;
    broker.terminate().await?;
    town.end().await
}

/// Reads a server that he has looked around in: of two machines the parts, each found by a word in a list.
fn looks_around(config: &Path, endpoint: &str, password: &Path, thumbprint: &str) -> anyhow::Result<()> {
    let mut installer = Installer::begins(config, "zh")?;
    installer.introduces_himself()?;
    installer.told("添加什么", "5")?;
    installer.told("OPC UA 地址", endpoint)?;
    installer.told("安全策略", "0")?;
    installer.told("用户名", "gateway")?;
    installer.told("存放口令的文件", "/nowhere/password")?;
    installer.told("没有这个文件", password.to_str().context("text")?)?;
    installer.told("名称", "冲压线")?;
    installer.told("多久读一次", "1s")?;
    installer.reads(thumbprint)?;
    installer.told("与服务器屏幕上的一致", "y")?;
    installer.told("读哪些节点", "0")?;
    installer.told("选哪些", "/Parts")?;
    let (first, second) = (installer.number_of("冲压1/")?, installer.number_of("冲压2/")?);
    installer.told("选哪些", "999")?;
    installer.told("没有这个编号", &format!("{first}，{second}"))?;
    installer.reads("已选 2 个")?;
    installer.told("选哪些", "")?;
    installer.told("点的名称 [Parts]", "一号产量")?;
    installer.told("它是什么", "2")?;
    installer.told("形状", "")?;
    installer.told("点的名称 [Parts]", "")?;
    installer.told("它是什么", "2")?;
    installer.told("形状", "n")?;
    installer.reads("√ 一号产量")?;
    installer.reads("√ Parts")?;
    installer.told("与设备自己的显示比较", "0")?;
    installer.finishes_without_enrolling()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installer_pins_a_server_looks_around_in_it_and_chooses_its_nodes_by_number() -> anyhow::Result<()>
{
    let gateway = tempfile::tempdir()?;
    let (config, password) = (gateway.path().join("agent.toml"), gateway.path().join("password"));
    std::fs::write(&password, "只读 password")?;
    let machine = || {
        let power = Take { weeks: 9, every: 1, phase: 0 };
        let spec = MachineSpec {
            power,
            share: 8,
            meter_wh: 70_000,
            part_wh: 900,
            temperature: None,
            off: Vec::new(),
        };
        Arc::new(Machine::new(spec, date(2026, 7, 22)))
    };
    let machines = vec![("冲压1".to_owned(), machine()), ("冲压2".to_owned(), machine())];
    let clock = Arc::new(SimClock::new(midnight_ms(date(2026, 7, 23)) + 10 * 3_600_000));
    let access = Access::Secured { user: "gateway".into(), password: "只读 password".into() };
    let mut server = OpcUa::start(machines, clock, access, &gateway.path().join("server")).await?;
    let pin = HEXLOWER.encode(&Sha256::digest(std::fs::read(server.certificate())?));
    let (endpoint, own, known) = (server.endpoint(), config.clone(), pin.clone());
    tokio::task::spawn_blocking(move || looks_around(&own, &endpoint, &password, &known)).await??;

    let manifest = Manifest::load(&gateway.path().join("manifest.toml"))?;
    let Kind::OpcUa(set_up) = &manifest.sources[0].kind else { anyhow::bail!("it is OPC UA") };
    let nodes: Vec<_> =
        set_up.points.iter().map(|point| (point.meaning.name.as_str(), point.node.to_string())).collect();
    let node = |tag: &str| format!("nsu=urn:inuse:plant:machines;s={tag}.Parts");
    assert_eq!(nodes, [("一号产量", node("冲压1")), ("Parts", node("冲压2"))]);
    assert!(manifest.text.contains(&format!("server_thumbprint = \"{pin}\"")), "{}", manifest.text);
    server.stop().await
}

#[tokio::test]
async fn a_page_is_one_browsers_and_each_question_is_answered_once() -> anyhow::Result<()> {
    let gateway = tempfile::tempdir()?;
    let config = gateway.path().join("agent.toml");
    let asking = move || -> anyhow::Result<()> {
        let mut installer = Installer::opens_the_page(&config, "en")?;
        installer.reads("The firm")?;
        let browser = installer.browser().context("it has one")?;
        let number = browser.question().context("a question")?.to_owned();
        // The address again, from elsewhere; and what is behind it, without.
        for path in [None, Some("/"), Some("/record"), Some("/0000")] {
            let another = browser.as_another(path)?;
            assert_eq!(another.status, 403, "{}", another.body);
            assert!(!another.head.contains("set-cookie") && !another.body.contains("The firm"));
        }
        let forged = browser.posts(&number, "forged", Some("http://elsewhere.invalid"))?;
        assert_eq!(forged.status, 403, "{}", forged.body);
        assert!(!browser.get("/")?.contains("<script"));
        installer.told(" (for the record only)", "<b>&\"")?;
        installer.reads("The provider")?;
        let browser = installer.browser().context("it has one")?;
        let late = browser.posts(&number, "twice", None)?;
        assert_eq!(late.status, 303);
        let page = browser.get("/")?;
        assert!(page.contains("The provider") && page.contains("&lt;b&gt;&amp;&quot;"), "{page}");
        assert!(!page.contains("twice") && !page.contains("forged"), "{page}");
        Ok(())
    };
    tokio::task::spawn_blocking(asking).await??;

    // Nowhere but at one address.
    let config = gateway.path().join("agent.toml");
    let ended = Program::shipped("inuse-agent")?.run(&["setup", "--page", "0.0.0.0:0"], &config).await?;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert_eq!(std::fs::read_dir(gateway.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn ctrl_c_and_the_end_of_the_answers_leave_nothing_behind() -> anyhow::Result<()> {
    let gateway = tempfile::tempdir()?;
    let config = gateway.path().join("agent.toml");
    let own = config.clone();
    tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let mut installer = Installer::begins(&own, "en")?;
        installer.told("The firm", "a")?;
        installer.reads("The provider")?;
        installer.interrupts()?;
        installer.reads("stopped")?;
        installer.ends()
    })
    .await??;
    let answers = gateway.path().join("answers");
    std::fs::write(&answers, "a\nb\nc\n")?;
    let given = answers.to_str().context("a path")?;
    let ended =
        Program::shipped("inuse-agent")?.run(&["setup", "--lang", "en", "--answers", given], &config).await?;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.out.contains("no more answers"), "{ended:?}");
    let left: Vec<_> =
        std::fs::read_dir(gateway.path())?.map(|entry| entry.map(|entry| entry.file_name())).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_found_and_named_its_registers_are_found_and_decoded_and_its_load_is_told()
-> anyhow::Result<()> {
    let agent = Program::shipped("inuse-agent")?;
    let town = Town::start(agent.clone()).await?;
    let (device, machine) = town.plant.devices().next().context("a machine")?;
    let Server::Modbus(machine) = machine else { anyhow::bail!("the machine speaks Modbus") };
    let (address, unit) = (machine.address().to_string(), machine.unit());
    let config = town.factory().join("agent.toml");
    let said = async |words: &str| -> anyhow::Result<Value> {
        let words: Vec<_> = words.split_whitespace().collect();
        Ok(serde_json::from_str(&agent.output(&words, &config).await?)?)
    };

    let last = unit + 2;
    let scan = said(&format!("scan --json --connect {address} --units 1-{last} --gap 50ms")).await?;
    let units = scan["units"].as_array().context("units")?;
    let there: Vec<_> = units.iter().filter(|found| found["state"] == "there").collect();
    assert_eq!(there.len(), 1, "{scan}");
    assert_eq!(there[0]["unit"], unit);
    assert_eq!(
        (&there[0]["identity"]["vendor"], &there[0]["identity"]["product"]),
        (&json!("inuse plant"), &json!(device.tag))
    );
    // The converter's own word for the others.
    assert!(
        units.iter().filter(|found| found["unit"] != unit).all(|found| found["exception"] == 11),
        "{scan}"
    );

    let scan = format!("scan --json --connect {address} --unit {unit} --registers 0-15 --gap 50ms");
    let scan = said(&scan).await?;
    let registers = scan["registers"].as_array().context("registers")?;
    assert_eq!(registers.len(), 16, "{scan}");
    assert!(registers[..9].iter().all(|register| register["value"].is_u64()), "{scan}");
    assert!(registers[10..].iter().all(|register| register["exception"] == 2), "{scan}");

    let decode = format!(
        "decode --json --all --connect {address} --unit {unit} --first 0 --count 9 --again 50ms --gap 50ms"
    );
    let decode = said(&decode).await?;
    let looks = decode["looks"].as_array().context("looks")?;
    let energy = |look: &&Value| look["address"] == 4 && look["type"] == "u32" && look["order"] == "ABCD";
    let word = |at: usize| decode["registers"][at].as_f64().unwrap_or(f64::NAN);
    let value = looks.iter().find(energy).and_then(|look| look["value"].as_f64());
    assert_eq!(value, Some(word(4) * 65_536.0 + word(5)), "{decode}");

    let load = said("load --json").await?;
    let machine_load = &load["sources"][0];
    assert!(machine_load["took_us"].as_u64().is_some_and(|took| took > 0), "{load}");
    assert!(machine_load["share"].as_f64().is_some_and(|share| share > 0.0 && share < 1.0), "{load}");
    assert_eq!(machine_load["unanswered"], 0, "{load}");
    town.end().await
}

#[tokio::test]
async fn root_reads_what_the_service_may_read_and_says_so() -> anyhow::Result<()> {
    let gateway = tempfile::tempdir()?;
    let (state, log) = (gateway.path().join("state"), gateway.path().join("app.log"));
    std::fs::create_dir(&state)?;
    std::fs::write(&log, "2026-07-23 08:21:45.112  INFO 5312 --- [nio-8080-exec-8] c.x.A : 报工成功\n")?;
    let config = gateway.path().join("agent.toml");
    std::fs::write(&config, "state_dir = \"state\"\n")?;
    let manifest = "[[sources]]\nname = \"MES\"\n[sources.log]\npath = \"app.log\"\nparser = \"spring\"\n";
    std::fs::write(gateway.path().join("manifest.toml"), manifest)?;
    // The service's user is user 1. Who is not root runs it as the root of a namespace of his own.
    let script = "set -e; chmod 755 \"$1\"; chmod 600 \"$1/app.log\"; chown 1:1 \"$1/state\"; \
                  \"$2\" probe --config \"$1/agent.toml\" >\"$1/out\" 2>\"$1/err\" || echo $? >\"$1/code\"; \
                  chown 0:0 \"$1/state\"";
    let agent = program("inuse-agent")?;
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self")?) == 0;
    let apart = ["unshare", "--user", "--map-root-user", "--map-auto"];
    let words: Vec<_> = if root { Vec::new() } else { apart.to_vec() };
    let words: Vec<_> = words.into_iter().chain(["sh", "-c", script, "sh"]).collect();
    let ran = Command::new(words[0]).args(&words[1..]).arg(gateway.path()).arg(agent).output()?;
    anyhow::ensure!(ran.status.success(), "{ran:?}");
    let said = |name: &str| std::fs::read_to_string(gateway.path().join(name)).unwrap_or_default();
    assert!(said("err").contains("to whom the state directory belongs"), "{}", said("err"));
    assert!(said("out").contains("refused"), "what root alone can read was shown: {}", said("out"));
    assert_eq!(said("code").trim(), "2");
    Ok(())
}
