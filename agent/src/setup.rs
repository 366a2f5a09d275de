//! `setup`: from nothing to a gateway that reports, asked line by line in a terminal, or form by form on a page.
//!
//! # Promises
//!
//! Every question has a default or says that it has none; an answer that is not good is asked for again with the
//! reason. What is declared is read before it is written down, and its values are shown. Nothing is written before all
//! of it was checked together, and then whole: a file that is replaced keeps a dated copy beside it. Ctrl-C and the end
//! of the answers leave everything as it was, up to the moment that says otherwise.
//!
//! Deliberately absent: colours and cursors, so that it works over any line and in any test; guesses that are not
//! shown; anything that the commands could not do one by one.

mod ask;
mod devices;
mod draft;
mod logs;
mod meanings;
mod menu;
#[cfg(feature = "modbus")]
mod modbus;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "opcua")]
mod opcua;
#[cfg(feature = "setup-page")]
mod page;
mod paths;
#[cfg(any(feature = "opcua", feature = "mqtt"))]
mod pick;
mod ports;
mod record;
#[cfg(feature = "sql")]
mod tables;
mod trial;
#[cfg(any(feature = "opcua", feature = "sql"))]
mod trust;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use daemon::{Clock, Exit};
use tokio_util::sync::CancellationToken;

pub use ask::{Answers, Lang};
use ask::{Console, Ended};
use draft::Draft;
use menu::Adding;
use record::Record;

use crate::{AgentConfig, Identity, Watched};

/// Who asks whom, about what.
pub struct Setup {
    /// Where `agent.toml` is or will be; `manifest.toml` lies beside it.
    pub config: PathBuf,
    /// The language of the questions.
    pub lang: Lang,
    /// Where answers come from.
    pub answers: Answers,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fires at Ctrl-C.
    pub stop: CancellationToken,
}

impl Setup {
    /// Asks, writes, enrols, tries out, and writes the installation record.
    ///
    /// # Errors
    /// When something cannot be read, written or reached that it cannot go on without.
    pub async fn run(self) -> anyhow::Result<Exit> {
        let mut console = Console::start(self.lang, &self.answers, self.stop.clone()).await?;
        let exit = match self.steps(&mut console).await {
            Ok(()) => Exit::Ok,
            Err(error) => match error.downcast_ref::<Ended>() {
                Some(ended) => {
                    let (zh, en) = ended.words();
                    console.say(zh, en)?;
                    Exit::No
                }
                None => {
                    console.fail(&error);
                    console.close(false).await?;
                    return Err(error);
                }
            },
        };
        console.close(self.stop.is_cancelled()).await?;
        Ok(exit)
    }

    async fn steps(&self, console: &mut Console) -> anyhow::Result<()> {
        console.say(
            "在用（inuse）安装向导。对设备和系统只读，绝不写入。\n直接回车采用默认值（方括号中的，网页上已填好）；在终端按 \
             Ctrl-C 随时退出。",
            "inuse setup. Devices and systems are only read, never written to.\nEnter takes what stands in brackets, or on \
             a page in the field; Ctrl-C in the terminal ends it at any time.",
        )?;
        let dir = self.config.parent().unwrap_or(Path::new(".")).to_owned();
        let existing = Existing::find(&self.config)?;
        let people = People::ask(console).await?;
        let state_dir = state_dir(console, &existing, &dir).await?;
        let mut draft = self.begin(console, &existing, &dir).await?;
        ports::show(console)?;
        self.sources(console, &mut draft, &dir.join(&state_dir)).await?;
        let manifest = draft.check()?;
        console.say(
            &format!("共 {} 个来源。清单检查通过。", manifest.sources.len()),
            &format!("{} sources. The manifest is good.", manifest.sources.len()),
        )?;
        if !console.yes("写入配置文件？", "Write the configuration?", true).await? {
            return Err(Ended::Declined.into());
        }
        let agent_toml = existing.agent_toml(&state_dir);
        let written = write::all(&dir, &self.config, &draft, agent_toml.as_deref(), &self.clock)?;
        for path in written {
            let path = path.display();
            console.say(&format!("已写入 {path}"), &format!("wrote {path}"))?;
        }
        let (config, manifest) = AgentConfig::load(&self.config)?;
        let enrolled = {
            let watched = Watched { manifest: &manifest, now_ms: self.clock.stamp().wall_ms };
            enrol(console, &config, watched).await?
        };
        self.as_the_service(console, &config).await?;
        let proved = if enrolled { self.prove(console, &config).await? } else { None };
        let record = Record {
            people: &people,
            config: &config,
            manifest: &manifest,
            identity: Identity::load(&config.state_dir).ok(),
            loads: loads(&config, &manifest).await,
            proved,
            now_ms: self.clock.stamp().wall_ms,
        };
        self.print_record(console, &record, &dir).await
    }

    /// The manifest as it begins: that which is there, or none.
    async fn begin(&self, console: &mut Console, existing: &Existing, dir: &Path) -> anyhow::Result<Draft> {
        if let Some(text) = &existing.manifest {
            let choice = console
                .choose(
                    "已有 manifest.toml：",
                    "There is a manifest.toml already:",
                    &[
                        ("保留并添加来源", "keep it and add sources"),
                        ("重新开始（旧文件留备份）", "begin anew (a copy is kept)"),
                    ],
                    0,
                )
                .await?;
            if choice == 0 {
                return Draft::of(text, dir);
            }
        }
        let minutes = console
            .ask(
                "本厂时钟与 UTC 相差的分钟数",
                "Minutes that the firm's clock is ahead of UTC",
                Some("480"),
                |text| {
                    let minutes: i32 = text.parse().map_err(|_| ("不是整数", "not a whole number"))?;
                    if (-840..=840).contains(&minutes) {
                        Ok(minutes)
                    } else {
                        Err(("应在 -840 到 840 之间", "-840 to 840"))
                    }
                },
            )
            .await?;
        Ok(Draft::new(minutes, dir))
    }

    async fn sources(
        &self,
        console: &mut Console,
        draft: &mut Draft,
        state_dir: &Path,
    ) -> anyhow::Result<()> {
        let kinds = Adding::offered();
        let menu: Vec<_> = kinds.iter().map(|(_, zh, en)| (*zh, *en)).collect();
        loop {
            let usual = usize::from(draft.sources() == 0);
            let kind = console.choose("添加什么？", "Add what?", &menu, usual).await?;
            match kinds[kind].0 {
                Adding::Nothing if draft.sources() > 0 => return Ok(()),
                Adding::Nothing => console.say("至少需要一个来源。", "There must be one source at least.")?,
                #[cfg(feature = "modbus")]
                Adding::Modbus(way) => modbus::device(console, draft, state_dir, way).await?,
                #[cfg(feature = "opcua")]
                Adding::OpcUa => opcua::server(console, draft, state_dir).await?,
                Adding::Log => logs::log(console, draft).await?,
                #[cfg(feature = "sql")]
                Adding::Table => tables::table(console, draft, state_dir).await?,
                #[cfg(feature = "mqtt")]
                Adding::Mqtt => mqtt::broker(console, draft, state_dir).await?,
            }
        }
    }

    /// Shows what the service's user cannot read, where root installs: everything so far was read by root.
    async fn as_the_service(&self, console: &Console, config: &AgentConfig) -> anyhow::Result<()> {
        if crate::owner::of_another(config).is_none() {
            return Ok(());
        }
        // Another process: who has become the service's user can write no record.
        let mut probe = tokio::process::Command::new(std::env::current_exe()?);
        probe
            .arg("probe")
            .arg("--config")
            .arg(&self.config)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let probed = tokio::select! {
            () = self.stop.cancelled() => return Err(Ended::Stopped.into()),
            probed = probe.output() => probed?,
        };
        if probed.status.success() {
            return console.say("√ 服务用户读得到所有来源。", "ok: the service's user reads every source.");
        }
        let said = String::from_utf8_lossy(&probed.stdout).into_owned();
        console.say(
            &format!("× 以服务用户读取时：\n{said}给它所需的组，见 inuse-agent.service 中的说明。"),
            &format!(
                "As the service's user:\n{said}Give it the groups it needs: inuse-agent.service says how."
            ),
        )
    }

    async fn prove(
        &self,
        console: &mut Console,
        config: &AgentConfig,
    ) -> anyhow::Result<Option<trial::Proved>> {
        let choice = console
            .choose(
                "看到第一个有回执的窗口：",
                "See a first window with its receipt:",
                &[
                    ("现在试运行（约一分钟）", "try it out now (about a minute)"),
                    (
                        "等待正在运行的服务（最长 15 分钟）",
                        "wait for the running service (15 minutes at most)",
                    ),
                    ("跳过", "skip it"),
                ],
                usize::from(crate::status::ask(&config.status_socket()).await.is_ok()),
            )
            .await?;
        let proved = match choice {
            0 => trial::run(console, &self.config, &self.clock, &self.stop).await,
            1 => trial::wait(console, config, &self.stop).await,
            _ => return Ok(None),
        };
        crate::enrol::give_to_owner(&config.state_dir)?;
        match proved {
            Ok(proved) => {
                let (seq, server) = (proved.seq, &proved.server);
                console.say(
                    &format!("√ 第 {seq} 号窗口已被 {server} 收下，回执验证无误。"),
                    &format!("ok: window {seq} was recorded by {server}, and its receipt holds."),
                )?;
                Ok(Some(proved))
            }
            Err(error) if error.downcast_ref::<Ended>().is_some() => Err(error),
            Err(error) => {
                let why = daemon::chain(&*error);
                console.say(&format!("× 没有成功：{why}"), &format!("failed: {why}"))?;
                Ok(None)
            }
        }
    }

    async fn print_record(
        &self,
        console: &mut Console,
        record: &Record<'_>,
        dir: &Path,
    ) -> anyhow::Result<()> {
        let usual = dir.join("installation-record.html").display().to_string();
        let path = console
            .ask(
                "安装记录（A4，可打印）写到",
                "Where to put the installation record (A4)",
                Some(&usual),
                |text| {
                    let path = dir.join(text);
                    let there = path.parent().is_some_and(Path::is_dir);
                    if there { Ok(path) } else { Err(("没有这个目录", "there is no such folder")) }
                },
            )
            .await?;
        let page = record.html();
        console.offer(&page);
        write::replace(&path, page.as_bytes(), &self.clock)
            .with_context(|| format!("could not write {}", path.display()))?;
        let shown = path.display();
        console.say(
            &format!("安装记录：{shown}\n请打印，双方核对后签字。"),
            &format!("installation record: {shown}\nPrint it; both sides read and sign it."),
        )
    }
}

/// Who installed it, where. Stands on the record and nowhere else.
struct People {
    firm: String,
    provider: String,
    installer: String,
}

impl People {
    async fn ask(console: &mut Console) -> anyhow::Result<Self> {
        let text = |text: &str| {
            if text.chars().count() <= 80 {
                Ok(text.to_owned())
            } else {
                Err(("最多 80 个字", "80 characters at most"))
            }
        };
        Ok(Self {
            firm: console
                .ask("企业名称（只写在安装记录上）", "The firm (for the record only)", Some("-"), text)
                .await?,
            provider: console.ask("服务商", "The provider", Some("-"), text).await?,
            installer: console.ask("实施人员", "Who installs", Some("-"), text).await?,
        })
    }
}

/// What is there before anything is asked.
struct Existing {
    agent: Option<(String, PathBuf)>,
    manifest: Option<String>,
}

impl Existing {
    fn find(config: &Path) -> anyhow::Result<Self> {
        let agent = match std::fs::read_to_string(config) {
            Ok(text) => {
                let (checked, complaints) = AgentConfig::alone(config)?;
                let checked =
                    complaints.or(checked)?.context("a good configuration has a state directory")?;
                Some((text, checked.state_dir))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("could not read {}", config.display())),
        };
        let manifest = std::fs::read_to_string(config.with_file_name("manifest.toml")).ok();
        Ok(Self { agent, manifest })
    }

    /// The text to write; `None` where the file stays as it is.
    fn agent_toml(&self, state_dir: &str) -> Option<String> {
        self.agent.is_none().then(|| {
            format!(
                "# Written by `inuse-agent setup`; `inuse-agent config` shows every key with its default.\n\
                 state_dir = {}\nmanifest = \"manifest.toml\"\n",
                draft::quoted(state_dir)
            )
        })
    }
}

async fn state_dir(console: &mut Console, existing: &Existing, dir: &Path) -> anyhow::Result<String> {
    if let Some((_, state_dir)) = &existing.agent {
        let shown = state_dir.display();
        console.say(
            &format!("已有 agent.toml，保持不变；状态目录 {shown}"),
            &format!("there is an agent.toml, which stays as it is; state directory {shown}"),
        )?;
        return Ok(shown.to_string());
    }
    let usual = crate::config::STATE_DIR;
    console
        .ask("状态目录（密钥、缓冲）", "State directory (keys, buffer)", Some(usual), |text| {
            let path = dir.join(text);
            let near = path.ancestors().find(|place| place.exists());
            let folder = near.is_some_and(Path::is_dir);
            if folder {
                Ok(text.to_owned())
            } else {
                Err(("那里不是目录", "there is a file in its place"))
            }
        })
        .await
}

async fn enrol(console: &mut Console, config: &AgentConfig, watched: Watched<'_>) -> anyhow::Result<bool> {
    match Identity::load(&config.state_dir) {
        Ok(identity) => {
            let agent = identity.agent;
            console.say(
                &format!("本网关已入网：{agent}"),
                &format!("this gateway is enrolled already: {agent}"),
            )?;
            return Ok(true);
        }
        Err(crate::IdentityError::NotEnrolled) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        let server = console
            .ask(
                "入网地址 host:port（- 表示以后再入网）",
                "Enrolment address, host:port (- to enrol later)",
                Some("-"),
                |text| {
                    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                    let good = text == "-" || port.is_some();
                    if good {
                        Ok(text.to_owned())
                    } else {
                        Err(("写作 host:port", "write it as host:port"))
                    }
                },
            )
            .await?;
        if server == "-" {
            return Ok(false);
        }
        let token = console
            .ask(
                "入网令牌（inuse1-…，只能用一次）",
                "Token (inuse1-…, good once)",
                None,
                |text| {
                    let good = text.starts_with("inuse1-");
                    if good {
                        Ok(text.to_owned())
                    } else {
                        Err(("令牌以 inuse1- 开头", "a token begins with inuse1-"))
                    }
                },
            )
            .await?;
        let count = watched.manifest.sources.len();
        console.say(
            &format!("正在询问 {count} 个来源的现状，作为改造前基线；最长五分钟"),
            &format!("asking {count} sources what is there, as the before-baseline; five minutes at most"),
        )?;
        match crate::enrol(&config.state_dir, &server, &token, Some(watched)).await {
            Ok(enrolment) => {
                crate::enrol::give_to_owner(&config.state_dir)?;
                let (agent, project) = (enrolment.agent, enrolment.project);
                console.say(
                    &format!("已入网：{agent}，项目 {project}"),
                    &format!("enrolled: {agent} of {project}"),
                )?;
                let words = enrolment.words;
                console.say(
                    &format!("六字指纹：{}。请企业代表与城市平台各自核对并确认；两方确认之前，证据只接收、不计入", words.zh()),
                    &format!("six words: {}. Firm and city compare and confirm them; before both have, evidence is recorded and decides nothing", words.en()),
                )?;
                return Ok(true);
            }
            Err(error) => {
                let why = daemon::chain(&error);
                console.say(&format!("× 入网没有成功：{why}"), &format!("not enrolled: {why}"))?;
            }
        }
    }
}

/// What each source costs: measured where it answers, planned where it does not.
async fn loads(
    config: &AgentConfig,
    manifest: &collectors::manifest::Manifest,
) -> Vec<Option<collectors::Load>> {
    let running = crate::status::ask(&config.status_socket()).await.is_ok();
    let mut loads = Vec::new();
    for source in &manifest.sources {
        // Two who ask on one line would disturb each other.
        let measured = collectors::load(source, &config.state_dir, !running).await;
        loads.push(match measured {
            Ok(load) => Some(load),
            Err(_) => collectors::load(source, &config.state_dir, false).await.ok(),
        });
    }
    loads
}
