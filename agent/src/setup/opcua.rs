//! OPC UA servers: whose certificate is pinned, and which nodes are read.

use std::path::Path;

use collectors::manifest::{Kind, NodeAt, Source};
use collectors::opcua::{Bounds, Browsed, BrowsedNode};

use super::ask::Console;
use super::devices::{Verdict, cadence, checked, meaning, name, tried};
use super::draft::{Draft, quoted};
use super::paths::existing;
use super::pick;
use super::trust::{Trust, on_first_use};

/// A node that every server has: its clock. Stands in while nothing is chosen.
const CLOCK: &str = "\n[[sources.opcua.points]]\nname = \"-\"\nnode = \"ns=0;i=2258\"\n";

pub(super) async fn server(console: &mut Console, draft: &mut Draft, state_dir: &Path) -> anyhow::Result<()> {
    let (mut keys, secured) = access(console).await?;
    let name = name(console, draft).await?;
    let cadence = cadence(console).await?;
    let head =
        format!("\n[[sources]]\nname = {}\ncadence = \"{cadence}\"\n\n[sources.opcua]\n", quoted(&name));
    let mut pinned = !secured;
    loop {
        let Some(source) = checked(console, draft, &format!("{head}{keys}{CLOCK}"))? else { return Ok(()) };
        if !pinned {
            match on_first_use(console, &source, state_dir).await? {
                Trust::Pinned(pin) => {
                    keys.push_str(&pin);
                    pinned = true;
                    continue;
                }
                Trust::Refused => return console.say("没有添加。", "Not added."),
                Trust::Unseen => {}
            }
        }
        let Some(points) = points(console, &source, state_dir).await? else {
            return console.say("没有添加。", "Not added.");
        };
        let more = format!("{head}{keys}{points}");
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

/// Keys of a server in the manifest, and whether it is a secured one.
async fn access(console: &mut Console) -> anyhow::Result<(String, bool)> {
    let endpoint = console
        .ask("OPC UA 地址", "OPC UA endpoint", Some("opc.tcp://127.0.0.1:4840"), |text| {
            let good = text.starts_with("opc.tcp://") && text.len() > 10;
            if good {
                Ok(text.to_owned())
            } else {
                Err(("以 opc.tcp:// 开头", "it begins with opc.tcp://"))
            }
        })
        .await?;
    const SECURITY: [(&str, &str); 2] =
        [("Basic256Sha256，签名并加密", "Basic256Sha256, sign and encrypt"), ("无（明文）", "none")];
    let secured = console.choose("安全策略", "Security", &SECURITY, 0).await? == 0;
    let mut keys = format!("endpoint = {}\n", quoted(&endpoint));
    keys.push_str(if secured {
        "policy = \"basic256sha256\"\nmode = \"sign_and_encrypt\"\n"
    } else {
        "policy = \"none\"\n"
    });
    let user = console.text("用户名（匿名则回车）", "User (Enter for anonymous)", "").await?;
    if !user.is_empty() {
        let file = existing(console, "存放口令的文件", "The file that holds the password").await?;
        keys.push_str(&format!("user = {}\npassword_file = {}\n", quoted(&user), quoted(&file)));
    }
    Ok((keys, secured))
}

/// Keys of the points, chosen or typed; `None` where the server is given up.
async fn points(console: &mut Console, source: &Source, state_dir: &Path) -> anyhow::Result<Option<String>> {
    const HOW: [(&str, &str); 3] = [
        ("在服务器中浏览，从中选择", "look around in the server and choose"),
        ("自己填写节点", "type the nodes"),
        ("不要了", "drop it"),
    ];
    loop {
        match console.choose("读哪些节点？", "Which nodes?", &HOW, 0).await? {
            0 => match chosen(console, source, state_dir).await? {
                text if text.is_empty() => {}
                text => return Ok(Some(text)),
            },
            1 => return typed(console).await.map(Some),
            _ => return Ok(None),
        }
    }
}

/// Keys of points chosen among what the server has; empty where none was.
async fn chosen(console: &mut Console, source: &Source, state_dir: &Path) -> anyhow::Result<String> {
    let Kind::OpcUa(server) = &source.kind else { return Ok(String::new()) };
    let mut under: Option<NodeAt> = None;
    let found = loop {
        console.say("浏览中，最长一分钟……", "Looking around, for a minute at most …")?;
        let bounds = Bounds::default();
        let browsed = collectors::opcua::browse(source, server, state_dir, under.as_ref(), bounds).await;
        let found = match browsed {
            Ok(found) => found,
            Err(error) => {
                let why = daemon::chain(&error);
                console.say(&format!("  × {why}"), &format!("  ! {why}"))?;
                return Ok(String::new());
            }
        };
        let Some(cut) = &found.cut else { break found };
        let (all, numbers) = (found.nodes.len(), numbers(&found).len());
        console.say(
            &format!("看到 {all} 个节点，其中 {numbers} 个是数值；没有看完：{cut}"),
            &format!("{all} nodes, {numbers} of them numbers; that is not all: {cut}"),
        )?;
        under = console
            .ask(
                "改从哪个节点往下看（路径或节点号；回车则就用这些）",
                "Under which node instead (a path or an id; Enter takes these)",
                Some(""),
                |text| match NodeAt::id(text).or_else(|| NodeAt::path(text)) {
                    None if !text.is_empty() => Err(("不是路径也不是节点号", "neither a path nor an id")),
                    under => Ok(under),
                },
            )
            .await?;
        if under.is_none() {
            break found;
        }
    };
    let nodes = numbers(&found);
    if nodes.is_empty() {
        console.say("  × 没有看到数值节点", "  ! no node with a number was seen")?;
        return Ok(String::new());
    }
    let lines: Vec<_> = nodes.iter().map(|node| line(node)).collect();
    let mut text = String::new();
    let mut names = Vec::new();
    for at in pick::several(console, &lines).await? {
        let node = nodes[at];
        console.say(&lines[at], &lines[at])?;
        let usual = usual_name(&node.path, &names);
        let name = console.text("点的名称", "Name of the point", &usual).await?;
        let (shown, id) = (quoted(&name), quoted(&node.node));
        text.push_str(&format!("\n[[sources.opcua.points]]\nname = {shown}\nnode = {id}\n"));
        text.push_str(&meaning(console).await?);
        names.push(name);
    }
    Ok(text)
}

fn numbers(found: &Browsed) -> Vec<&BrowsedNode> {
    let mut nodes: Vec<_> = found.nodes.iter().filter(|node| node.number).collect();
    // Servers tell them in any order, and some in another one each time.
    nodes.sort_by(|one, other| one.path.cmp(&other.path));
    nodes
}

fn line(node: &BrowsedNode) -> String {
    let path = node.path.strip_prefix("0:Objects/").unwrap_or(&node.path);
    let (kind, value) = (node.data_type.as_deref().unwrap_or("-"), node.value.as_deref().unwrap_or("-"));
    format!("{path}  {kind} = {value}")
}

/// The node's own name, with its parent's before it where another has it already.
fn usual_name(path: &str, taken: &[String]) -> String {
    // `&` stands before a mark that is part of a name.
    let mut names = vec![String::new()];
    let mut marks = path.chars();
    while let Some(mark) = marks.next() {
        let last = names.last_mut().expect("there is one at least");
        match mark {
            '&' => last.extend(marks.next()),
            '/' => names.push(String::new()),
            ':' if last.chars().all(|c| c.is_ascii_digit()) => last.clear(),
            other => last.push(other),
        }
    }
    let own = names.last().cloned().unwrap_or_default();
    if !taken.contains(&own) {
        return own;
    }
    names[names.len().saturating_sub(2)..].join(" ")
}

async fn typed(console: &mut Console) -> anyhow::Result<String> {
    let mut text = String::new();
    for at in 1.. {
        let usual = if at == 1 { "点 1" } else { "-" };
        let name = console.text("点的名称（- 表示完成）", "Name of a point (- when done)", usual).await?;
        if name == "-" {
            break;
        }
        let node = console
            .ask("节点，如 ns=2;s=Meter.kWh", "Node, such as ns=2;s=Meter.kWh", None, |text| {
                let good = text.contains('=');
                if good {
                    Ok(text.to_owned())
                } else {
                    Err(("写作 ns=2;s=… 或 ns=2;i=…", "write it as ns=2;s=… or ns=2;i=…"))
                }
            })
            .await?;
        let (name, node) = (quoted(&name), quoted(&node));
        text.push_str(&format!("\n[[sources.opcua.points]]\nname = {name}\nnode = {node}\n"));
        text.push_str(&meaning(console).await?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_what_the_server_calls_it_and_by_its_parent_where_two_are_called_so() {
        assert_eq!(usual_name("0:Objects/2:灌装机/2:计数", &[]), "计数");
        assert_eq!(usual_name("0:Objects/2:灌装机/2:计数", &["计数".to_owned()]), "灌装机 计数");
        assert_eq!(usual_name("0:Objects/2:a&/b&:c&&", &[]), "a/b:c&");
    }
}
