//! What one server served, and what befell it meanwhile.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use opcua::types::{DataValue, DateTime, StatusCode, Variant};

use super::Fault;

/// Values of one node that are remembered.
const REMEMBERED: usize = 4_096;

/// A node of every server.
pub struct Node {
    /// Its id and name.
    pub name: &'static str,
    /// Looked up by the names on the way to it.
    pub by_path: bool,
    /// How long a value stays, in milliseconds; it is another each time it is asked for where this is 1.
    stays: u64,
}

/// Of all types that hold a number of the run's milliseconds and say whose it is.
pub const NODES: [Node; 7] = [
    Node { name: "温度", by_path: false, stays: 1 },
    Node { name: "能耗", by_path: false, stays: 700 },
    Node { name: "产量", by_path: true, stays: 1_900 },
    Node { name: "Spindle", by_path: false, stays: 1 },
    Node { name: "State", by_path: false, stays: 5_300 },
    Node { name: "功率", by_path: false, stays: 330 },
    Node { name: "Still", by_path: false, stays: 86_400_000 },
];

/// A value that was served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// When, since the run began.
    pub at: Duration,
    /// The millisecond of the run since which it was so.
    pub since: u64,
    /// What was said of it.
    pub status: StatusCode,
}

/// Something that befell a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub fault: Fault,
    /// From.
    pub from: Duration,
    /// To; it lasts while there is none.
    pub to: Option<Duration>,
}

/// What one server served.
pub struct Served {
    server: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    values: Vec<VecDeque<Value>>,
    status: Vec<StatusCode>,
    absent: Vec<Vec<(Duration, Option<Duration>)>>,
    troubles: Vec<Trouble>,
}

impl Served {
    /// Of a server that has served nothing.
    pub fn new(server: usize) -> Self {
        let count = NODES.len();
        let inner = Inner {
            values: vec![VecDeque::new(); count],
            status: vec![StatusCode::Good; count],
            absent: vec![Vec::new(); count],
            troubles: Vec::new(),
        };
        Self { server, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while what was served is locked")
    }

    /// A value of a node's type.
    pub fn kind_of(&self, node: usize) -> Variant {
        shown(self.server, node, 0).0
    }

    /// The value of a node at this moment, which is noted as served.
    pub fn serve(&self, name: &str, now: Duration) -> DataValue {
        let Some(node) = NODES.iter().position(|node| node.name == name) else { return DataValue::null() };
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let since = now_ms - now_ms % NODES[node].stays;
        let mut inner = self.inner();
        let status = inner.status[node];
        let values = &mut inner.values[node];
        values.push_back(Value { at: now, since, status });
        if values.len() > REMEMBERED {
            values.pop_front();
        }
        let at = Some(DateTime::now());
        DataValue {
            value: Some(shown(self.server, node, since).0),
            status: Some(status),
            source_timestamp: at,
            server_timestamp: at,
            ..DataValue::null()
        }
    }

    /// What is said of a node's value from now on.
    pub fn turns(&self, node: usize, status: StatusCode) {
        self.inner().status[node] = status;
    }

    /// A node is not there from now on.
    pub fn vanishes(&self, node: usize, now: Duration) {
        self.inner().absent[node].push((now, None));
    }

    /// It is there again.
    pub fn returns(&self, node: usize, now: Duration) {
        if let Some(last) = self.inner().absent[node].last_mut() {
            last.1 = Some(now);
        }
    }

    /// Something befalls it; its place among all.
    pub fn begins(&self, fault: Fault, now: Duration) -> usize {
        let mut inner = self.inner();
        inner.troubles.push(Trouble { fault, from: now, to: None });
        inner.troubles.len() - 1
    }

    /// It is over.
    pub fn ends(&self, trouble: usize, now: Duration) {
        self.inner().troubles[trouble].to = Some(now);
    }

    /// What was served of a node from one moment to another.
    pub fn between(&self, node: usize, from: Duration, to: Duration) -> Vec<Value> {
        let inner = self.inner();
        let served = inner.values[node].iter().filter(|value| value.at >= from && value.at <= to);
        served.copied().collect()
    }

    /// Whether a node was not there at some moment of this while; after it returned it is looked for as long again as it
    /// was away and `more` where it is found by its path, else `more`.
    pub fn was_absent(&self, node: usize, from: Duration, to: Duration, more: Duration) -> bool {
        self.inner().absent[node].iter().any(|(gone, back)| {
            let sought = match back {
                Some(back) if NODES[node].by_path => *back + (*back - *gone) + more,
                Some(back) => *back,
                None => Duration::MAX,
            };
            *gone <= to && from <= sought
        })
    }

    /// What befell it at some moment of this while, or had ended not longer than `tail` before.
    pub fn troubles(&self, from: Duration, to: Duration, tail: Duration) -> Vec<(usize, Trouble)> {
        let inner = self.inner();
        let within = |(_, trouble): &(usize, &Trouble)| {
            let over = trouble.to.map_or(Duration::MAX, |to| to + tail);
            trouble.from <= to && from <= over
        };
        inner.troubles.iter().enumerate().filter(within).map(|(at, trouble)| (at, *trouble)).collect()
    }

    /// How often something befell it.
    pub fn count(&self, fault: Fault) -> u64 {
        self.inner().troubles.iter().filter(|trouble| trouble.fault == fault).count() as u64
    }

    /// The bytes and the number that a reader must make of a node's value.
    pub fn read(&self, node: usize, since: u64) -> (Vec<u8>, f64) {
        let (_, raw, value) = shown(self.server, node, since);
        (raw, value)
    }
}

/// A node's value since a moment: as the server holds it, as its bytes on the wire, and as a number.
#[expect(clippy::cast_precision_loss, reason = "less than 53 bits")]
fn shown(server: usize, node: usize, since: u64) -> (Variant, Vec<u8>, f64) {
    let whose = u64::try_from(server * 16 + node + 1).expect("few");
    let all = whose << 40 | since;
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    match node {
        0 => (Variant::UInt64(all), with(9, &all.to_le_bytes()), all as f64),
        1 => {
            let less = -i64::try_from(all).expect("less than 63 bits");
            (Variant::Int64(less), with(8, &less.to_le_bytes()), less as f64)
        }
        // Some 4 hours and a half of milliseconds.
        2 | 3 => {
            let short = u32::try_from(whose << 24 | since & 0xFF_FFFF).expect("8 bits and 24");
            (Variant::UInt32(short), with(7, &short.to_le_bytes()), f64::from(short))
        }
        _ => (Variant::Double(all as f64), with(11, &(all as f64).to_le_bytes()), all as f64),
    }
}
