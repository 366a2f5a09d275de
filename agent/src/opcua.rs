//! The installer's commands for OPC UA servers: trust one, look around in one.

use std::path::Path;
use std::time::Duration;

use agent::AgentConfig;
use anyhow::{Context as _, bail, ensure};
use collectors::manifest::{Kind, Manifest, NodeAt, OpcUa, Source, Thumbprint, pin};
use collectors::opcua::{Bounds, Browsed, BrowsedNode, Certificate};
use daemon::Exit;

use agent::give_to_owner;

use crate::{print, read_line};

/// Most points of the proposal that `browse` prints.
const PROPOSED: usize = 50;

/// What `trust` was asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Trust {
    /// Name of the source in the manifest.
    source: String,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Instead: make a new key pair of this gateway's, which every server must then be told to trust.
    #[arg(long)]
    renew_own: bool,
}

/// What `browse` was asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Browse {
    /// Name of the source in the manifest, or a URL such as opc.tcp://192.168.1.30:4840.
    server: String,
    /// Where to begin: a path such as 0:Objects/2:Machine, or a node id.
    #[arg(long, value_parser = node_at)]
    under: Option<NodeAt>,
    /// How many steps down.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=32))]
    depth: u8,
    /// How many nodes.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    nodes: u32,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

fn node_at(text: &str) -> Result<NodeAt, String> {
    NodeAt::id(text).or_else(|| NodeAt::path(text)).ok_or_else(|| "neither a node id nor a path".to_owned())
}

fn server_named<'a>(manifest: &'a Manifest, name: &str) -> anyhow::Result<(&'a Source, &'a OpcUa)> {
    let source =
        manifest.source_named(name).with_context(|| format!("the manifest has no source `{name}`"))?;
    match &source.kind {
        Kind::OpcUa(server) => Ok((source, server)),
        Kind::Modbus(_) | Kind::Log(_) | Kind::Table(_) | Kind::Mqtt(_) | Kind::Syslog(_) => {
            bail!("`{name}` is no OPC UA server")
        }
    }
}

/// Shows a server's certificate and, when somebody says that it is the right one, pins it in the manifest.
pub(crate) async fn trust(config: &Path, asked: &Trust, now_ms: i64) -> anyhow::Result<Exit> {
    let (config, manifest) = AgentConfig::load(config)?;
    let (source, server) = server_named(&manifest, &asked.source)?;
    if asked.renew_own {
        return renew(&config, source, server, asked.yes);
    }
    let found = collectors::opcua::certificate(source, server, &config.state_dir).await;
    give_to_owner(&config.state_dir)?;
    let Some(shown) = found? else {
        bail!("`{}` is read with policy = \"none\": there is no certificate to trust", source.name);
    };
    print::out(&certificate(source, &shown))?;
    if let Some(warning) = shown.ending("the server's", now_ms) {
        print::out(&format!("  note:       {warning}\n"))?;
    }
    print::out("Compare the thumbprint with the one on the server's own screen or file.\n")?;
    if !confirmed(asked.yes, "Pin it in the manifest?")? {
        return Ok(Exit::No);
    }
    let wanted = Thumbprint::parse(&shown.sha256).context("a thumbprint has 64 digits")?;
    pin(&config.manifest, &source.name, wanted)?;
    print::out(&format!(
        "pinned in {}; restart the agent to use it: systemctl restart inuse-agent\n",
        config.manifest.display()
    ))?;
    Ok(Exit::Ok)
}

fn certificate(source: &Source, shown: &Certificate) -> String {
    format!(
        "{} ({})\n  subject:    {}\n  valid:      {} to {}\n  key:        {} bits\n  SHA-256:    {}\n  SHA-1:      {}\n",
        source.name,
        source.address(),
        shown.subject,
        shown.not_before,
        shown.not_after,
        shown.key_bits,
        shown.sha256,
        shown.sha1
    )
}

fn renew(config: &AgentConfig, source: &Source, server: &OpcUa, yes: bool) -> anyhow::Result<Exit> {
    print::out(
        "A new key pair makes this gateway a stranger: every secured OPC UA server it reads refuses it until somebody \
         has told that server to trust the new certificate.\n",
    )?;
    if !confirmed(yes, "Make one?")? {
        return Ok(Exit::No);
    }
    let (made, path) = collectors::opcua::renew_own(source, server, &config.state_dir)?;
    give_to_owner(&config.state_dir)?;
    print::out(&format!(
        "made {}, valid to {}; the old pair is beside it as *.old\n  SHA-256:    {}\n  SHA-1:      {}\n\
         Now trust it at each server, then restart the agent.\n",
        path.display(),
        made.not_after,
        made.sha256,
        made.sha1
    ))?;
    Ok(Exit::Ok)
}

fn confirmed(yes: bool, question: &str) -> anyhow::Result<bool> {
    use std::io::IsTerminal as _;
    if yes {
        return Ok(true);
    }
    ensure!(std::io::stdin().is_terminal(), "nobody is there to answer: add --yes, which answers it");
    print::out(&format!("{question} [y/N] "))?;
    if matches!(read_line()?.as_str(), "y" | "Y" | "yes") {
        return Ok(true);
    }
    print::out("nothing was done\n")?;
    Ok(false)
}

/// Looks around in a server and shows what there is.
pub(crate) async fn browse(config: &Path, asked: &Browse) -> anyhow::Result<Exit> {
    let bounds = Bounds {
        nodes: usize::try_from(asked.nodes)?,
        depth: usize::from(asked.depth),
        time: Duration::from_secs(120),
    };
    let under = asked.under.as_ref();
    let found = if asked.server.starts_with("opc.tcp://") {
        // Needs no configuration: this is how one begins.
        let state = std::env::temp_dir().join(format!("inuse-browse-{}", std::process::id()));
        let found = collectors::opcua::browse_url(&asked.server, &state, under, bounds).await;
        if state.exists() {
            std::fs::remove_dir_all(&state).context("could not remove what the look had made")?;
        }
        found?
    } else {
        let (config, manifest) = AgentConfig::load(config)?;
        let (source, server) = server_named(&manifest, &asked.server)?;
        let found = collectors::opcua::browse(source, server, &config.state_dir, under, bounds).await;
        give_to_owner(&config.state_dir)?;
        found?
    };
    let text = if asked.json { serde_json::to_string(&found)? + "\n" } else { shown(&found) };
    print::out(&text)?;
    Ok(Exit::Ok)
}

fn shown(found: &Browsed) -> String {
    let mut text = format!("{}: {} nodes\n", found.endpoint, found.nodes.len());
    for node in &found.nodes {
        text += &line(node);
    }
    if let Some(why) = &found.cut {
        text += &format!("{why}: --under begins elsewhere, --nodes and --depth go on\n");
    }
    let points = found.points(PROPOSED);
    if !points.is_empty() {
        text += &format!("\n# For the manifest:\n{points}");
    }
    text
}

fn line(node: &BrowsedNode) -> String {
    let mut line = format!("{}\n    {}", node.path, node.node);
    if let Some(kind) = &node.data_type {
        line += &format!("  {kind}");
    }
    if let Some(value) = &node.value {
        line += &format!(" = {value}");
    }
    if let Some(access) = &node.access {
        line += &format!("  ({access}{})", if node.history { ", history" } else { "" });
    }
    line + "\n"
}
