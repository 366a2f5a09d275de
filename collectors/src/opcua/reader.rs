//! Declared points over one session: where they are now, and what they read.
//!
//! Ids are looked up anew at every connection. A point whose node is not there is a fault of that point; it is looked
//! for again, at turns ever farther apart, and stops no other.

use opcua::types::{
    AttributeId, BrowsePath, BrowsePathResult, DataValue, NamespaceMap, NodeId, ObjectId, QualifiedName,
    ReadValueId, ReferenceTypeId, RelativePath, RelativePathElement, StatusCode, TimestampsToReturn,
    UAString, VariableId, Variant,
};

use super::client::Open;
use crate::manifest::{Namespace, NodeAt, Step};
use crate::{CollectError, Fact};

/// Most nodes of one request, whatever the server allows; halved for a server that allows fewer than it says.
const CHUNK: usize = 500;
/// Most turns between two looks for what is not there.
const RARELY: u32 = 64;

/// What the server takes in one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) read: usize,
    pub(super) translate: usize,
    pub(super) monitor: usize,
    pub(super) browse: usize,
}

/// Reads declared points.
pub(super) struct Reader<'a> {
    pub(super) open: &'a Open<'a>,
    pub(super) limits: Limits,
    namespaces: NamespaceMap,
    /// By point; `None` while there is no such node.
    nodes: Vec<Option<NodeId>>,
    again: Again,
}

/// When to look again for what was not there: after 1, 2, 4 … 64 turns.
#[derive(Debug, Default)]
pub(super) struct Again {
    wait: u32,
    left: u32,
}

impl Again {
    /// Whether this is the turn; a wait that has passed makes the next one longer.
    pub(super) fn is_due(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.wait = (self.wait * 2).clamp(1, RARELY);
        self.left = self.wait - 1;
        true
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl<'a> Reader<'a> {
    /// Reads the server's limits and looks every point up.
    pub(super) async fn new(open: &'a Open<'a>) -> Result<Self, CollectError> {
        let limits = limits(open).await?;
        let nodes = vec![None; open.server.config.points.len()];
        let mut reader =
            Self { open, limits, namespaces: NamespaceMap::new(), nodes, again: Again::default() };
        let all: Vec<_> = (0..reader.nodes.len()).collect();
        reader.look_up(&all).await?;
        Ok(reader)
    }

    /// Where the point is now.
    pub(super) fn node(&self, point: usize) -> Option<&NodeId> {
        self.nodes[point].as_ref()
    }

    /// Looks again for points whose node was not there, when it is time. The points that were found.
    pub(super) async fn find_missing(&mut self) -> Result<Vec<usize>, CollectError> {
        let missing: Vec<_> = (0..self.nodes.len()).filter(|point| self.nodes[*point].is_none()).collect();
        if missing.is_empty() {
            self.again.reset();
            return Ok(missing);
        }
        if !self.again.is_due() {
            return Ok(Vec::new());
        }
        self.look_up(&missing).await?;
        Ok(missing.into_iter().filter(|point| self.nodes[*point].is_some()).collect())
    }

    /// The server says that there is no such node: it is looked for by its path, if it has one.
    pub(super) fn vanished(&mut self, point: usize) {
        if matches!(self.open.server.config.points[point].node, NodeAt::Path(_)) {
            self.nodes[point] = None;
        }
    }

    /// Reads these points: a value each, in their order. `max_age_ms` is how old a value of the server's own may be.
    pub(super) async fn read(
        &mut self,
        points: &[usize],
        max_age_ms: f64,
    ) -> Result<Vec<DataValue>, CollectError> {
        let absent = || DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..DataValue::null() };
        let mut values: Vec<_> = points.iter().map(|_| absent()).collect();
        let there: Vec<_> = (0..points.len()).filter(|at| self.nodes[points[*at]].is_some()).collect();
        let mut from = 0;
        while from < there.len() {
            let chunk = &there[from..there.len().min(from + self.limits.read)];
            let questions: Vec<_> = chunk
                .iter()
                .map(|at| ReadValueId {
                    node_id: self.nodes[points[*at]].clone().unwrap_or_default(),
                    attribute_id: AttributeId::Value as u32,
                    ..ReadValueId::default()
                })
                .collect();
            let read = self.open.session.read(&questions, TimestampsToReturn::Source, max_age_ms);
            let answers = match self.open.ask(read).await {
                Err(no) if no.too_many() && self.limits.read > 1 => {
                    self.limits.read = (chunk.len() / 2).max(1);
                    continue;
                }
                Err(no) => return Err(no.error),
                Ok(answers) => answers,
            };
            if answers.len() != chunk.len() {
                let why = format!("{} values for {} nodes", answers.len(), chunk.len());
                return Err(self.open.server.unreadable(why));
            }
            from += chunk.len();
            for (at, answer) in chunk.iter().zip(answers) {
                if answer.status == Some(StatusCode::BadNodeIdUnknown) {
                    self.vanished(points[*at]);
                }
                values[*at] = answer;
            }
        }
        Ok(values)
    }

    async fn look_up(&mut self, points: &[usize]) -> Result<(), CollectError> {
        let declared = &self.open.server.config.points;
        if points.iter().any(|point| declared[*point].node.uris().next().is_some()) {
            self.namespaces = namespaces(self.open).await?;
        }
        let mut paths = Vec::new();
        for point in points {
            match &declared[*point].node {
                NodeAt::Id { namespace, id } => {
                    self.nodes[*point] =
                        index_of(namespace, &self.namespaces).and_then(|index| node(index, id));
                }
                NodeAt::Path(steps) => {
                    paths.extend(relative(steps, &self.namespaces).map(|path| (*point, path)));
                }
            }
        }
        let mut from = 0;
        while from < paths.len() {
            let chunk = &paths[from..paths.len().min(from + self.limits.translate)];
            let questions: Vec<_> = chunk.iter().map(|(_, path)| path.clone()).collect();
            let asked = self.open.session.translate_browse_paths_to_node_ids(&questions);
            let answers = match self.open.ask(asked).await {
                Err(no) if no.too_many() && self.limits.translate > 1 => {
                    self.limits.translate = (chunk.len() / 2).max(1);
                    continue;
                }
                // A server without the service has no paths; its other points are read.
                Err(no) if no.is_an_answer() => return Ok(()),
                Err(no) => return Err(no.error),
                Ok(answers) => answers,
            };
            for ((point, _), answer) in chunk.iter().zip(answers) {
                self.nodes[*point] = target(answer, &self.namespaces);
            }
            from += chunk.len();
        }
        Ok(())
    }
}

/// The table of namespaces as it is now.
pub(super) async fn namespaces(open: &Open<'_>) -> Result<NamespaceMap, CollectError> {
    open.ask(open.session.read_namespace_array()).await.map_err(|no| no.error)
}

/// The node that is meant, if there is one.
pub(super) async fn find(
    open: &Open<'_>,
    at: &NodeAt,
    namespaces: &NamespaceMap,
) -> Result<Option<NodeId>, CollectError> {
    match at {
        NodeAt::Id { namespace, id } => Ok(index_of(namespace, namespaces).and_then(|index| node(index, id))),
        NodeAt::Path(steps) => {
            let Some(path) = relative(steps, namespaces) else { return Ok(None) };
            let asked = open.session.translate_browse_paths_to_node_ids(std::slice::from_ref(&path));
            let answers = open.ask(asked).await.map_err(|no| no.error)?;
            Ok(answers.into_iter().next().and_then(|answer| target(answer, namespaces)))
        }
    }
}

/// Build and start of a server, as far as it says them.
pub(super) async fn of_itself(open: &Open<'_>) -> Result<Vec<Fact>, CollectError> {
    let asked = [
        ("build product", VariableId::Server_ServerStatus_BuildInfo_ProductName),
        ("build maker", VariableId::Server_ServerStatus_BuildInfo_ManufacturerName),
        ("build version", VariableId::Server_ServerStatus_BuildInfo_SoftwareVersion),
        ("build number", VariableId::Server_ServerStatus_BuildInfo_BuildNumber),
        ("build date", VariableId::Server_ServerStatus_BuildInfo_BuildDate),
        ("running since", VariableId::Server_ServerStatus_StartTime),
    ];
    let mut facts = Vec::new();
    // One at a time: some servers answer fewer than six at once, and this is asked once.
    for (name, id) in asked {
        let question = [NodeId::from(id).into()];
        let read = open.session.read(&question, TimestampsToReturn::Neither, 0.0);
        let answers = match open.ask(read).await {
            Ok(answers) => answers,
            Err(no) if no.is_an_answer() => continue,
            Err(no) => return Err(no.error),
        };
        let value = answers.into_iter().next().and_then(|answer| answer.value);
        if let Some(value) = value.filter(|value| *value != Variant::Empty) {
            facts.push(Fact::new(name, value.to_string()));
        }
    }
    Ok(facts)
}

async fn limits(open: &Open<'_>) -> Result<Limits, CollectError> {
    let asked = [
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    ];
    let questions: Vec<ReadValueId> = asked.into_iter().map(|id| NodeId::from(id).into()).collect();
    let mut said = [CHUNK; 4];
    // One at a time where even these are too many.
    let answers = match open.ask(open.session.read(&questions, TimestampsToReturn::Neither, 0.0)).await {
        Ok(answers) => answers,
        Err(no) if no.too_many() => Vec::new(),
        Err(no) => return Err(no.error),
    };
    for (limit, answer) in said.iter_mut().zip(answers) {
        // None and zero say that there is no limit.
        if let Some(Variant::UInt32(most @ 1..)) = answer.value {
            *limit = usize::try_from(most).unwrap_or(CHUNK).min(CHUNK);
        }
    }
    let [read, translate, monitor, browse] = said;
    Ok(Limits { read, translate, monitor, browse })
}

fn index_of(namespace: &Namespace, namespaces: &NamespaceMap) -> Option<u16> {
    match namespace {
        Namespace::Index(index) => Some(*index),
        Namespace::Uri(uri) => namespaces.get_index(uri),
    }
}

/// A node id of the text that the manifest's check has let through.
fn node(namespace: u16, id: &str) -> Option<NodeId> {
    format!("ns={namespace};{id}").parse().ok()
}

fn relative(steps: &[Step], namespaces: &NamespaceMap) -> Option<BrowsePath> {
    let element = |step: &Step| {
        Some(RelativePathElement {
            reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
            is_inverse: false,
            include_subtypes: true,
            target_name: QualifiedName {
                namespace_index: index_of(&step.namespace, namespaces)?,
                name: UAString::from(step.name.as_str()),
            },
        })
    };
    let elements = steps.iter().map(element).collect::<Option<Vec<_>>>()?;
    Some(BrowsePath {
        starting_node: ObjectId::RootFolder.into(),
        relative_path: RelativePath { elements: Some(elements) },
    })
}

/// The first node that the whole path leads to, on this server.
fn target(answer: BrowsePathResult, namespaces: &NamespaceMap) -> Option<NodeId> {
    let whole = |target: &&opcua::types::BrowsePathTarget| target.remaining_path_index == u32::MAX;
    let targets = answer.targets.filter(|_| answer.status_code.is_good())?;
    let target = targets.iter().find(whole)?;
    target.target_id.try_resolve(namespaces).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_looked_for_ever_more_rarely() {
        let mut again = Again::default();
        let due: Vec<_> = (0..200).filter(|_| again.is_due()).collect();
        assert_eq!(due, [0, 1, 3, 7, 15, 31, 63, 127, 191]);
        again.reset();
        assert!(again.is_due());
    }

    #[test]
    fn a_path_that_leads_on_to_another_server_leads_nowhere() {
        use opcua::types::{BrowsePathTarget, ExpandedNodeId};
        let to = |server_index, remaining_path_index| {
            let mut target_id = ExpandedNodeId::new(NodeId::new(2, "a"));
            target_id.server_index = server_index;
            let targets = Some(vec![BrowsePathTarget { target_id, remaining_path_index }]);
            target(BrowsePathResult { status_code: StatusCode::Good, targets }, &NamespaceMap::new())
        };
        assert_eq!(to(0, u32::MAX), Some(NodeId::new(2, "a")));
        assert_eq!(to(1, u32::MAX), None);
        assert_eq!(to(0, 1), None);
    }
}
