//! How a manifest says which node it means: by id, or by the names on the way to it.
//!
//! An index of a namespace holds for one start of one server; a URI holds for ever. Whatever is written here is
//! looked up again at every connection.

use std::fmt;

/// Longest node id or path, bytes.
const MAX_TEXT: usize = 1_024;
/// Most names of a path.
const MAX_STEPS: usize = 32;

/// Which namespace a name is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// Its place in the server's table as it is now.
    Index(u16),
    /// Its name in that table.
    Uri(String),
}

/// One name of a browse path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Of which namespace.
    pub namespace: Namespace,
    /// The browse name.
    pub name: String,
}

/// Which node of a server is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAt {
    /// An id.
    Id {
        /// Of which namespace.
        namespace: Namespace,
        /// `i=`, `s=`, `g=` or `b=`, and what follows.
        id: String,
    },
    /// Browse names, from the root.
    Path(Vec<Step>),
}

impl NodeAt {
    /// Reads `ns=2;s=Press.Running`, `nsu=urn:plant;s=Press.Running` or `i=2258` (OPC 10000-6, 5.3.1.10).
    pub fn id(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (namespace, id) = namespace_of(text)?;
        let right = match id.split_at_checked(2)? {
            ("i=", number) => number.parse::<u32>().is_ok(),
            ("s=" | "g=" | "b=", rest) => !rest.is_empty(),
            _ => false,
        };
        right.then(|| Self::Id { namespace, id: id.to_owned() })
    }

    /// Reads `0:Objects/2:Machine/2:Count`, each name with the index of its namespace (0 when absent) or as
    /// `nsu=<URI>;<name>`; `&` takes the meaning from the `/`, `:`, `;` or `&` that follows it.
    pub fn path(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let steps: Option<Vec<_>> =
            split(text.strip_prefix('/').unwrap_or(text)).iter().map(|part| step(part)).collect();
        steps.filter(|steps| (1..=MAX_STEPS).contains(&steps.len())).map(Self::Path)
    }

    /// The URIs of namespaces it names.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        let namespaces: Vec<_> = match self {
            Self::Id { namespace, .. } => vec![namespace],
            Self::Path(steps) => steps.iter().map(|step| &step.namespace).collect(),
        };
        namespaces.into_iter().filter_map(|namespace| match namespace {
            Namespace::Uri(uri) => Some(uri.as_str()),
            Namespace::Index(_) => None,
        })
    }
}

/// A character, and whether an `&` stood before it.
type Marked = (char, bool);

fn split(text: &str) -> Vec<Vec<Marked>> {
    let mut parts = vec![Vec::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '/' => parts.push(Vec::new()),
            '&' => parts.last_mut().expect("begun with one").extend(chars.next().map(|c| (c, true))),
            c => parts.last_mut().expect("begun with one").push((c, false)),
        }
    }
    parts
}

fn step(part: &[Marked]) -> Option<Step> {
    let text = |part: &[Marked]| part.iter().map(|(c, _)| c).collect::<String>();
    let prefix: String = part.iter().take(4).map(|(c, _)| c).collect();
    let (namespace, name) = if prefix == "nsu=" {
        let end = part.iter().position(|c| *c == (';', false))?;
        (Namespace::Uri(text(&part[4..end])).named()?, text(&part[end + 1..]))
    } else {
        match part.iter().position(|c| *c == (':', false)) {
            Some(end) => (Namespace::Index(text(&part[..end]).parse().ok()?), text(&part[end + 1..])),
            None => (Namespace::Index(0), text(part)),
        }
    };
    (!name.is_empty()).then_some(Step { namespace, name })
}

fn namespace_of(text: &str) -> Option<(Namespace, &str)> {
    if let Some(rest) = text.strip_prefix("nsu=") {
        // A URI may have a semicolon of its own only as %3B.
        let (uri, id) = rest.split_once(';')?;
        return Some((Namespace::Uri(uri.replace("%3B", ";").replace("%25", "%")).named()?, id));
    }
    match text.strip_prefix("ns=") {
        None => Some((Namespace::Index(0), text)),
        Some(rest) => {
            let (index, id) = rest.split_once(';')?;
            Some((Namespace::Index(index.parse().ok()?), id))
        }
    }
}

impl Namespace {
    fn named(self) -> Option<Self> {
        match &self {
            Self::Uri(uri) if uri.is_empty() => None,
            Self::Uri(_) | Self::Index(_) => Some(self),
        }
    }
}

/// A name with `&` before what has a meaning in a path.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '/' | ':' | ';' | '&') {
            text.push('&');
        }
        text.push(c);
    }
    text
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Namespace::Index(index) => write!(f, "{index}:{}", escaped(&self.name)),
            Namespace::Uri(uri) => write!(f, "nsu={};{}", escaped(uri), escaped(&self.name)),
        }
    }
}

impl fmt::Display for NodeAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id { namespace: Namespace::Index(0), id } => f.write_str(id),
            Self::Id { namespace: Namespace::Index(index), id } => write!(f, "ns={index};{id}"),
            Self::Id { namespace: Namespace::Uri(uri), id } => {
                write!(f, "nsu={};{id}", uri.replace('%', "%25").replace(';', "%3B"))
            }
            Self::Path(steps) => {
                let steps: Vec<_> = steps.iter().map(Step::to_string).collect();
                f.write_str(&steps.join("/"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_paths_say_what_was_read() {
        for text in
            ["i=2258", "ns=2;s=Press.Running", "nsu=urn:plant:line;s=冲压;1", "nsu=http://a/%25;b=AQ=="]
        {
            assert_eq!(NodeAt::id(text).unwrap().to_string(), text);
        }
        for text in ["0:Objects/2:机床/2:Count", "0:Objects/nsu=http&:&/&/a&/b;Count", "2:a&/b/3:c&&d"] {
            assert_eq!(NodeAt::path(text).unwrap().to_string(), text);
        }
        let NodeAt::Path(steps) = NodeAt::path("/Objects/nsu=urn&:a;x&:y").unwrap() else { panic!() };
        assert_eq!(steps[0], Step { namespace: Namespace::Index(0), name: "Objects".into() });
        assert_eq!(steps[1], Step { namespace: Namespace::Uri("urn:a".into()), name: "x:y".into() });
        // A colon of a URI needs no mark.
        assert_eq!(NodeAt::path("nsu=urn:a;x").unwrap().uris().collect::<Vec<_>>(), ["urn:a"]);
    }

    #[test]
    fn what_names_no_node_is_refused() {
        for text in ["", "x=1", "ns=70000;i=1", "nsu=;s=a", "nsu=urn:a", "i=-1", "s="] {
            assert_eq!(NodeAt::id(text), None, "{text}");
        }
        for text in ["", "0:", "a//b", "x:y", "nsu=urn:a", &"a/".repeat(40), &"a".repeat(2_000)] {
            assert_eq!(NodeAt::path(text), None, "{text}");
        }
    }
}
