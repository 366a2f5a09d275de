//! Looking around in a server, by hand: what an installer sees before there is a manifest.
//!
//! Bounded in nodes, depth and time; folders and variables only, each once, along hierarchical references. Nothing of it
//! is recorded. The server's own diagnostics are left out unless they are asked for.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use daemon::Stopwatch;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResult, ByteString, DataValue, NamespaceMap,
    NodeClass, NodeId, ObjectId, ReadValueId, ReferenceDescription, ReferenceTypeId, TimestampsToReturn,
    Variant,
};
use serde::Serialize;

use super::client::{Open, Server};
use super::reader::{self, Reader};
use super::{nodes, own_folder};
use crate::CollectError;
use crate::manifest::{Collect, Namespace, NodeAt, OpcUa, Security, Source, Step};

/// How far one look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most nodes.
    pub nodes: usize,
    /// Most steps below the beginning.
    pub depth: usize,
    /// Longest time.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { nodes: 2_000, depth: 8, time: Duration::from_secs(60) }
    }
}

/// What a look has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Browsed {
    /// Where.
    pub endpoint: String,
    /// Breadth first.
    pub nodes: Vec<BrowsedNode>,
    /// Why this is not all of it.
    pub cut: Option<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrowsedNode {
    /// Names from the root, as `path` of a manifest takes it.
    pub path: String,
    /// Its id with the URI of its namespace, as `node` of a manifest takes it.
    pub node: String,
    /// "object" or "variable".
    pub class: String,
    /// Type of a variable's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_type: Option<String>,
    /// What it reads now, or why nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether a point can be made of it: a number or truth value.
    pub number: bool,
    /// "read", "read, write" or "none", for whom we say we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// The server keeps its past.
    pub history: bool,
}

impl Browsed {
    /// The points of a manifest for what can be one, at most `most` of them.
    pub fn points(&self, most: usize) -> String {
        let mut text = String::new();
        for node in self.nodes.iter().filter(|node| node.number).take(most) {
            let name = node.path.rsplit('/').next().unwrap_or_default();
            let name = name.split_once(':').map_or(name, |(_, name)| name);
            let (name, id) = (quoted(&name.replace('&', "")), quoted(&node.node));
            writeln!(text, "[[sources.opcua.points]]\nname = {name}\nnode = {id}\n")
                .expect("writing to a string cannot fail");
        }
        text
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c)).expect("writing to a string cannot fail");
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Looks around in the server of a source, as the manifest says how to reach it, from `under` or from `0:Objects`.
///
/// # Errors
/// As a collector's run; [`CollectError::Refused`] for a path that leads nowhere.
pub async fn browse(
    source: &Source,
    server: &OpcUa,
    state_dir: &Path,
    under: Option<&NodeAt>,
    bounds: Bounds,
) -> Result<Browsed, CollectError> {
    let line = Server::new(server, &own_folder(source, state_dir));
    look_around(&line, under, bounds).await
}

/// Looks around in a server that no manifest names, anonymously and in the clear.
///
/// # Errors
/// As [`browse()`]; a server that offers no such endpoint says what it offers.
pub async fn browse_url(
    url: &str,
    state_dir: &Path,
    under: Option<&NodeAt>,
    bounds: Bounds,
) -> Result<Browsed, CollectError> {
    let server = OpcUa {
        endpoint: url.to_owned(),
        security: Security::None,
        user: None,
        client_dir: None,
        timeout: Duration::from_secs(5),
        collect: Collect::Poll,
        history: false,
        points: Vec::new(),
    };
    look_around(&Server::new(&server, &state_dir.join("opcua/browse")), under, bounds).await
}

async fn look_around(line: &Server, under: Option<&NodeAt>, bounds: Bounds) -> Result<Browsed, CollectError> {
    let (mut connection, open) = line.connect().await?;
    let walked = connection.drive(walk(&open, under, bounds)).await;
    connection.close(&open).await;
    walked
}

/// A node that is still to be opened.
struct Ahead {
    id: NodeId,
    path: Vec<Step>,
}

async fn walk(open: &Open<'_>, under: Option<&NodeAt>, bounds: Bounds) -> Result<Browsed, CollectError> {
    let reader = Reader::new(open).await?;
    let namespaces = reader::namespaces(open).await?;
    let began = Stopwatch::start();
    let endpoint = open.server.config.endpoint.clone();
    let mut browsed = Browsed { endpoint, ..Browsed::default() };
    let begin = begin(open, &namespaces, under).await?;
    let base = begin.path.len();
    let mut seen = HashSet::from([begin.id.clone()]);
    if under.is_none() {
        seen.insert(ObjectId::Server.into());
    }
    let mut ahead = VecDeque::from([begin]);
    while let Some(first) = ahead.pop_front() {
        if began.elapsed() > bounds.time {
            browsed.cut = Some(format!("stopped after {} s", bounds.time.as_secs()));
            break;
        }
        let level = first.path.len() - base;
        if level >= bounds.depth {
            browsed.cut = Some(format!("stopped {} steps down", bounds.depth));
            break;
        }
        let mut batch = vec![first];
        while batch.len() < reader.limits.browse.min(50)
            && ahead.front().is_some_and(|next| next.path.len() - base == level)
        {
            batch.extend(ahead.pop_front());
        }
        let mut found = Vec::new();
        for (parent, references) in batch.iter().zip(children(open, &batch, bounds.nodes).await?) {
            for reference in references {
                let Some(id) = reference.node_id.try_resolve(&namespaces).map(std::borrow::Cow::into_owned)
                else {
                    continue;
                };
                if seen.len() > bounds.nodes {
                    browsed.cut = Some(format!("stopped after {} nodes", bounds.nodes));
                    break;
                }
                if seen.insert(id.clone()) {
                    let namespace = Namespace::Index(reference.browse_name.namespace_index);
                    let name = reference.browse_name.name.as_ref().to_owned();
                    let path = [parent.path.as_slice(), &[Step { namespace, name }]].concat();
                    found.push((Ahead { id, path }, reference.node_class));
                }
            }
        }
        browsed.nodes.extend(describe(open, &reader, &namespaces, &found).await?);
        if browsed.nodes.len() >= bounds.nodes {
            break;
        }
        ahead.extend(found.into_iter().map(|(node, _)| node));
    }
    Ok(browsed)
}

/// Where to begin.
async fn begin(
    open: &Open<'_>,
    namespaces: &NamespaceMap,
    under: Option<&NodeAt>,
) -> Result<Ahead, CollectError> {
    let objects = Step { namespace: Namespace::Index(0), name: "Objects".to_owned() };
    let Some(under) = under else {
        return Ok(Ahead { id: ObjectId::ObjectsFolder.into(), path: vec![objects] });
    };
    let found = reader::find(open, under, namespaces).await?;
    let id = found.ok_or_else(|| open.server.refused(format!("it has no `{under}`")))?;
    let path = match under {
        NodeAt::Path(steps) => steps.clone(),
        NodeAt::Id { .. } => vec![Step { namespace: Namespace::Index(0), name: under.to_string() }],
    };
    Ok(Ahead { id, path })
}

/// The children of each node, at most `most` of one.
async fn children(
    open: &Open<'_>,
    parents: &[Ahead],
    most: usize,
) -> Result<Vec<Vec<ReferenceDescription>>, CollectError> {
    let questions: Vec<_> = parents
        .iter()
        .map(|parent| BrowseDescription {
            node_id: parent.id.clone(),
            browse_direction: BrowseDirection::Forward,
            reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
            include_subtypes: true,
            node_class_mask: NodeClass::Object as u32 | NodeClass::Variable as u32,
            result_mask: 0x3f,
        })
        .collect();
    let answers = open.ask(open.session.browse(&questions, 500, None)).await.map_err(|no| no.error)?;
    let mut all = Vec::with_capacity(answers.len());
    for answer in answers {
        let mut of_one = Vec::new();
        let mut next = page(answer, &mut of_one);
        while let Some(point) = next.take() {
            // Past the bound the place is given back, not gone on from.
            let enough = of_one.len() >= most;
            let asked = open.session.browse_next(enough, std::slice::from_ref(&point));
            let answers = open.ask(asked).await.map_err(|no| no.error)?;
            next =
                answers.into_iter().next().filter(|_| !enough).and_then(|answer| page(answer, &mut of_one));
        }
        all.push(of_one);
    }
    Ok(all)
}

/// Takes a page; where to go on, if there is more.
fn page(answer: BrowseResult, into: &mut Vec<ReferenceDescription>) -> Option<ByteString> {
    into.extend(answer.references.into_iter().flatten());
    Some(answer.continuation_point).filter(|point| !point.is_null_or_empty())
}

const ATTRIBUTES: [AttributeId; 4] =
    [AttributeId::DataType, AttributeId::UserAccessLevel, AttributeId::Historizing, AttributeId::Value];

async fn describe(
    open: &Open<'_>,
    reader: &Reader<'_>,
    namespaces: &NamespaceMap,
    found: &[(Ahead, NodeClass)],
) -> Result<Vec<BrowsedNode>, CollectError> {
    let questions: Vec<_> = found
        .iter()
        .filter(|(_, class)| *class == NodeClass::Variable)
        .flat_map(|(node, _)| {
            ATTRIBUTES.map(|attribute| ReadValueId {
                node_id: node.id.clone(),
                attribute_id: attribute as u32,
                ..ReadValueId::default()
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(questions.len());
    for chunk in questions.chunks((reader.limits.read / ATTRIBUTES.len()).max(1) * ATTRIBUTES.len()) {
        let read = open.session.read(chunk, TimestampsToReturn::Neither, 0.0);
        answers.extend(open.ask(read).await.map_err(|no| no.error)?);
    }
    let mut answers = answers.chunks_exact(ATTRIBUTES.len());
    Ok(found.iter().map(|(node, class)| described(node, *class, namespaces, &mut answers)).collect())
}

fn described<'a>(
    node: &Ahead,
    class: NodeClass,
    namespaces: &NamespaceMap,
    answers: &mut impl Iterator<Item = &'a [DataValue]>,
) -> BrowsedNode {
    let path = NodeAt::Path(node.path.clone()).to_string();
    let mut shown = BrowsedNode {
        path,
        node: portable(&node.id, namespaces),
        class: if class == NodeClass::Variable { "variable" } else { "object" }.to_owned(),
        data_type: None,
        value: None,
        number: false,
        access: None,
        history: false,
    };
    if class != NodeClass::Variable {
        return shown;
    }
    let Some([data_type, access, history, value]) = answers.next() else { return shown };
    if let Some(Variant::NodeId(id)) = &data_type.value {
        shown.data_type = Some(type_name(id, namespaces));
    }
    if let Some(Variant::Byte(level)) = access.value {
        let words = match level & 3 {
            0 => "none",
            1 => "read",
            2 => "write",
            _ => "read, write",
        };
        shown.access = Some(words.to_owned());
        // Bit 2: its history may be read (OPC 10000-3, 8.57).
        shown.history = level & 4 != 0;
    }
    shown.history |= history.value == Some(Variant::Boolean(true));
    shown.number = value.value.as_ref().is_some_and(nodes::is_number);
    shown.value = Some(match (&value.value, value.status) {
        (_, Some(status)) if !status.is_good() => status.to_string(),
        (Some(read), _) => short(&read.to_string()),
        (None, _) => "nothing".to_owned(),
    });
    shown
}

/// An id that holds after the server's next start.
fn portable(id: &NodeId, namespaces: &NamespaceMap) -> String {
    let text = id.to_string();
    let uri =
        namespaces.known_namespaces().keys().find(|uri| namespaces.get_index(uri) == Some(id.namespace));
    match (uri, text.split_once(';')) {
        (Some(uri), Some((_, rest))) if id.namespace != 0 => {
            NodeAt::Id { namespace: Namespace::Uri(uri.clone()), id: rest.to_owned() }.to_string()
        }
        _ => text,
    }
}

fn type_name(id: &NodeId, namespaces: &NamespaceMap) -> String {
    match id.as_data_type_id() {
        Ok(known) => format!("{known:?}"),
        Err(_) => portable(id, namespaces),
    }
}

/// At most 60 characters of a line.
fn short(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect();
    if text.chars().count() > 60 { line + "…" } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_names_only_numbers_and_is_toml() {
        let node = |path: &str, number| BrowsedNode {
            path: path.into(),
            node: "nsu=urn:a;s=\"x\"".into(),
            class: "variable".into(),
            data_type: None,
            value: None,
            number,
            access: None,
            history: false,
        };
        let nodes = vec![node("0:Objects/2:\"电\"能", true), node("0:Objects/2:名", false)];
        let text = Browsed { endpoint: String::new(), nodes, cut: None }.points(10);
        assert_eq!(
            text,
            "[[sources.opcua.points]]\nname = \"\\\"电\\\"能\"\nnode = \"nsu=urn:a;s=\\\"x\\\"\"\n\n"
        );
    }
}
