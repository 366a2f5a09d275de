//! The outbox's way out: publishes what has no receipt, oldest first, and forgets it when its receipt is checked.
//!
//! The broker's acknowledgement means nothing here. A proof that gets no receipt is sent again; sending twice is
//! harmless. Time-outs, back-off and pacing are in real time; the moment of sending after a seal is on the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use buffer::{BufferError, Handle, Outgoing};
use daemon::{Backoff, Clock, Hold, Sleep, Stopwatch};
use proof::log::{Head, ReceiptError, check_consistency, check_receipt};
use proof::presence::Presence;
use proof::{Answer, Consistency, EntryId, Parcel, wire};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::BrokerAddress;
use crate::identity::Identity;
use crate::mqtt::{Happened, Line, Lost, Options, Version};
use crate::status::Shared;

/// Proofs on their way at once.
const IN_FLIGHT: usize = 64;

/// At most this many a second once there is a backlog: one every 20 ms.
const PACE: Duration = Duration::from_millis(20);

/// A burst that is not paced: what a healthy gateway has to send.
const UNPACED: usize = 8;

/// No receipt for this long: send again. The broker may have had nobody listening when it took the proof.
const PATIENCE: Duration = Duration::from_secs(15);

/// The same while stopping, when there is less time.
const IMPATIENCE: Duration = Duration::from_secs(2);

/// After a refusal the same proof is not sent again for this long.
const REFUSED: Duration = Duration::from_secs(300);

/// A receipt whose answer is this much later than what it certifies is a repeated one, ms.
const FIRST_ANSWER_MS: i64 = 30_000;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);

pub(crate) struct Uplink {
    identity: Arc<Identity>,
    options: Options,
    buffer: Handle,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    version: Version,
    /// When to send what was sealed: on the clock, spread by the agent's id.
    due: Option<Sleep>,
    /// Everything sealed is to be sent now.
    drain: bool,
    /// The recorder has ended: send what is left, then end.
    stopping: bool,
    /// A stop has taken as long as it may: end with what is not receipted still in the outbox.
    leave: CancellationToken,
    /// Keeps a simulated clock while proofs that are due are on their way.
    holds: Vec<Hold>,
    flying: BTreeMap<EntryId, (u64, Stopwatch)>,
    sent: u64,
    refused: BTreeMap<EntryId, Stopwatch>,
    wanted: Option<Wanted>,
}

/// What the ledger asked for last.
struct Wanted {
    /// The last sequence that it holds.
    have: u64,
    since: Stopwatch,
    /// Asked for the same once more, after everything was sent.
    again: bool,
}

/// Under which the store keeps the last receipt of a log that is not shown to go on from the one seen before.
const OTHER_LOG: &str = "other_log";

/// Whether a checkpoint goes on from the one that was checked before, by one of these proofs.
fn goes_on(before: &wire::Anchor, after: &Head, consistency: &[Consistency]) -> Result<(), ReceiptError> {
    let wrong = ReceiptError::NotConsistent { before: before.size, size: after.size };
    let root = before.hash.as_slice().try_into().map_err(|_| wrong.clone())?;
    let seen = Head { origin: after.origin.clone(), size: before.size, root };
    let path = match consistency.iter().find(|proof| proof.from == before.size) {
        Some(proof) => proof.path.as_slice(),
        None if before.size == after.size => &[],
        None => return Err(wrong),
    };
    check_consistency(&seen, after, path)
}

/// Why a session ended.
enum End {
    Lost(Lost),
    /// Nothing is left to send, or no time to send it in.
    Done,
}

impl Uplink {
    pub(crate) fn new(
        identity: Arc<Identity>,
        broker: Option<BrokerAddress>,
        buffer: Handle,
        clock: Arc<dyn Clock>,
        shared: Arc<Shared>,
        leave: CancellationToken,
    ) -> Self {
        let options = Options {
            broker: broker.unwrap_or_else(|| identity.broker.clone()),
            client_id: identity.agent.to_string(),
            tls: Arc::clone(&identity.tls),
            will_topic: identity.agent.topic_status(),
            will: Presence::Lost.bytes().to_vec(),
        };
        Self {
            identity,
            options,
            buffer,
            clock,
            shared,
            version: Version::Five,
            due: None,
            drain: true,
            stopping: false,
            leave,
            holds: Vec::new(),
            flying: BTreeMap::new(),
            sent: 0,
            refused: BTreeMap::new(),
            wanted: None,
        }
    }

    /// Sends until the recorder has ended and the outbox is empty, or until told to leave.
    pub(crate) async fn run(mut self, mut woken: mpsc::Receiver<Hold>) -> anyhow::Result<()> {
        let seed =
            u64::from_be_bytes(self.identity.agent.0[..8].try_into().expect("an agent id has 16 bytes"));
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), seed);
        loop {
            let connected = match self.session(&mut woken).await? {
                (End::Done, _) => return Ok(()),
                (End::Lost(lost), connected) => {
                    if lost.try_other_version && !connected {
                        self.version = self.version.other();
                    }
                    let words = daemon::chain(&lost);
                    if connected || backoff.tries() == 0 {
                        warn!(broker = %self.options.broker.host, error = %words, "not connected");
                    }
                    self.shared.link(|link| {
                        link.connected = false;
                        link.error = Some(words);
                    });
                    connected
                }
            };
            if connected {
                backoff.reset();
            }
            // What is due stays due: everything without a receipt is sent at the next connection.
            self.holds.clear();
            self.flying.clear();
            self.drain = true;
            self.wait(backoff.next_delay(), &mut woken).await;
        }
    }

    /// Waits between connections, taking wake-ups so that nobody waits for a line that is down.
    async fn wait(&mut self, delay: Duration, woken: &mut mpsc::Receiver<Hold>) {
        let delay = if self.stopping { delay.min(Duration::from_secs(1)) } else { delay };
        let sleep = tokio::time::sleep(delay);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return,
                () = self.leave.cancelled() => return,
                hold = woken.recv(), if !self.stopping => self.stopping = hold.is_none(),
            }
        }
    }

    /// One connection. Says whether it ever worked.
    async fn session(&mut self, woken: &mut mpsc::Receiver<Hold>) -> anyhow::Result<(End, bool)> {
        let mut line = Line::new(&self.options, self.version);
        let leave = self.leave.clone();
        let connected = tokio::select! {
            biased;
            () = leave.cancelled() => {
                info!("stopped without the broker: what is left is sent at the next start");
                return Ok((End::Done, false));
            }
            connected = tokio::time::timeout(CONNECT, self.connect(&mut line, woken)) => connected,
        };
        match connected {
            Ok(Ok(())) => {}
            Ok(Err(lost)) => return Ok((End::Lost(lost), false)),
            Err(_) => return Ok((End::Lost(Lost::late(CONNECT)), false)),
        }
        info!(broker = %self.options.broker.host, mqtt = self.version.name(), "connected");
        let version = self.version.name().to_owned();
        self.shared.link(|link| {
            link.connected = true;
            link.mqtt = Some(version);
            link.error = None;
        });
        self.sent = 0;
        let end = self.converse(&mut line, woken).await?;
        Ok((end, true))
    }

    async fn connect(&mut self, line: &mut Line, woken: &mut mpsc::Receiver<Hold>) -> Result<(), Lost> {
        loop {
            let happened = tokio::select! {
                happened = line.poll() => happened?,
                hold = woken.recv(), if !self.stopping => {
                    self.stopping = hold.is_none();
                    continue;
                }
            };
            match happened {
                Happened::Connected => {
                    line.subscribe(&self.identity.agent.topic_down()).map_err(|_| Lost::busy())?;
                }
                // Answers cannot be missed from here on: now sending makes sense.
                Happened::Subscribed => {
                    return line
                        .publish(&self.options.will_topic, true, Presence::Online.bytes().to_vec())
                        .map_err(|_| Lost::busy());
                }
                Happened::Message { .. } | Happened::Denied(_) | Happened::Nothing => {}
            }
        }
    }

    async fn converse(&mut self, line: &mut Line, woken: &mut mpsc::Receiver<Hold>) -> anyhow::Result<End> {
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut patience = tokio::time::interval(Duration::from_secs(1));
        let mut queue: Vec<Outgoing> = Vec::new();
        let mut answers: Vec<Answer> = Vec::new();
        loop {
            if self.drain && queue.is_empty() && self.flying.len() < IN_FLIGHT {
                queue = self.fetch().await?;
                if queue.is_empty() && self.flying.is_empty() {
                    self.drain = false;
                    self.holds.clear();
                    if self.stopping {
                        return Ok(self.farewell(line).await);
                    }
                }
            }
            let paced = self.flying.len() >= UNPACED;
            if !paced && self.send_next(line, &mut queue).is_err() {
                return Ok(End::Lost(Lost::busy()));
            }
            let may_send = !queue.is_empty() && self.flying.len() < IN_FLIGHT;
            tokio::select! {
                biased;
                happened = line.poll() => match happened {
                    Ok(Happened::Message { topic, payload }) => {
                        self.hear(&topic, &payload, &mut answers);
                        self.digest(&mut answers).await?;
                    }
                    Ok(Happened::Denied(reason)) => {
                        let words = format!("the broker denies publishing to our own topic: {reason}");
                        warn!(reason, "publish denied by the broker");
                        self.shared.link(|link| link.error = Some(words));
                    }
                    Ok(Happened::Connected | Happened::Subscribed | Happened::Nothing) => {}
                    Err(lost) => return Ok(End::Lost(lost)),
                },
                hold = woken.recv(), if !self.stopping => self.wake(hold).await,
                turn = sleep_of(&mut self.due), if self.due.is_some() => {
                    self.due = None;
                    self.drain = true;
                    self.holds.push(turn);
                }
                _ = pace.tick(), if may_send => {
                    if self.send_next(line, &mut queue).is_err() {
                        return Ok(End::Lost(Lost::busy()));
                    }
                }
                _ = patience.tick() => self.check_patience(&mut queue),
                () = self.leave.cancelled() => {
                    info!("stopped with proofs unanswered: they are sent again at the next start");
                    return Ok(self.farewell(line).await);
                }
            }
        }
    }

    /// Something was sealed: it is sent at this agent's own moment. A closed channel means: send all, then end.
    async fn wake(&mut self, hold: Option<Hold>) {
        let Some(hold) = hold else {
            self.stopping = true;
            self.drain = true;
            return;
        };
        if self.due.is_none() {
            let at = self.clock.stamp().wall_ms.saturating_add(self.identity.agent.send_offset_ms());
            let mut due = self.clock.sleep_until(at);
            // Polled once so that the wait is registered before the seal's hold is let go.
            if let std::task::Poll::Ready(turn) = futures::poll!(&mut due) {
                self.drain = true;
                self.holds.push(turn);
            } else {
                self.due = Some(due);
            }
        }
        drop(hold);
    }

    async fn fetch(&mut self) -> anyhow::Result<Vec<Outgoing>> {
        let (limit, after) = (IN_FLIGHT, self.sent);
        let mut proofs = self.buffer.ask(move |buffer| buffer.unreceipted(limit, after)).await??;
        self.tell_missing(proofs.first());
        // Without a receipt nothing later can be placed either: a refused proof is the last one that is tried.
        if let Some(at) = proofs.iter().position(|proof| self.is_refused(proof.entry)) {
            proofs.truncate(at);
        }
        proofs.reverse();
        Ok(proofs)
    }

    /// Says on the status when the ledger wants what this gateway does not have any more.
    fn tell_missing(&self, first: Option<&Outgoing>) {
        let (Some(Wanted { have, again: true, .. }), Some(first)) = (&self.wanted, first) else { return };
        if self.sent == *have && first.seq > have + 1 {
            let words = format!(
                "the ledger wants sequence {}, and this gateway has none before {}: enrol it as a replacement",
                have + 1,
                first.seq
            );
            warn!(problem = %words, "nothing more can be recorded");
            self.shared.link(|link| link.refusal = Some(words));
        }
    }

    fn is_refused(&self, entry: EntryId) -> bool {
        self.refused.get(&entry).is_some_and(|since| since.elapsed() < REFUSED)
    }

    fn send_next(&mut self, line: &Line, queue: &mut Vec<Outgoing>) -> Result<(), crate::mqtt::Busy> {
        if self.flying.len() >= IN_FLIGHT {
            return Ok(());
        }
        let Some(proof) = queue.pop() else { return Ok(()) };
        let seen = self.shared.anchor().map_or(0, |anchor| anchor.size);
        let parcel = Parcel::encode(&proof.envelope, &proof.use_rows, seen);
        line.publish(&self.identity.agent.topic_up(), false, parcel)?;
        debug!(seq = proof.seq, "sent");
        self.sent = self.sent.max(proof.seq);
        self.flying.insert(proof.entry, (proof.seq, Stopwatch::start()));
        Ok(())
    }

    fn check_patience(&mut self, queue: &mut Vec<Outgoing>) {
        let patience = if self.stopping { IMPATIENCE } else { PATIENCE };
        if self.flying.values().any(|(_, since)| since.elapsed() >= patience) {
            debug!(flying = self.flying.len(), "no receipt: sending again");
            self.send_again(queue);
            self.holds.clear();
        }
        if self.refused.values().any(|since| since.elapsed() >= REFUSED) {
            self.refused.clear();
            self.drain = true;
        }
    }

    fn send_again(&mut self, queue: &mut Vec<Outgoing>) {
        self.flying.clear();
        queue.clear();
        self.sent = 0;
        self.drain = true;
    }

    fn hear(&mut self, topic: &str, payload: &[u8], answers: &mut Vec<Answer>) {
        if topic != self.identity.agent.topic_down() {
            warn!(topic, "message on a topic that is not ours");
            return;
        }
        match Answer::parse(payload) {
            Ok(answer) => answers.push(answer),
            Err(error) => warn!(%error, "unreadable answer"),
        }
    }

    /// Acts on the answers: forgets what has a good receipt, all in one transaction.
    async fn digest(&mut self, answers: &mut Vec<Answer>) -> anyhow::Result<()> {
        let now_ms = self.clock.stamp().wall_ms;
        let mut good = BTreeMap::new();
        for answer in answers.drain(..) {
            match answer {
                Answer::Receipt { entry, server_ms, receipt, consistency } => {
                    match self.checked(entry, &receipt, &consistency, (now_ms, server_ms)) {
                        Ok(()) => drop(good.insert(entry, receipt.encode_to_vec())),
                        Err(error) => self.note_bad(entry, &receipt, &error).await?,
                    }
                }
                Answer::Refusal { entry, name, text, .. } => {
                    self.note_refusal(entry, name, text, now_ms).await?
                }
                Answer::Want { have, .. } => self.note_want(have),
            }
        }
        if good.is_empty() {
            return Ok(());
        }
        self.shared.link(|link| link.refusal = None);
        let entries: Vec<EntryId> = good.keys().copied().collect();
        match self.buffer.ask(move |buffer| buffer.all_receipted(&good, now_ms)).await? {
            Ok(_) => {
                for entry in entries {
                    self.flying.remove(&entry);
                }
            }
            // They stay on their way, and are sent and answered again when nothing comes of it.
            Err(BufferError::Full) => warn!(receipts = entries.len(), "no space for receipts: asking again"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Sends from where the ledger stands. Asked for the same again, it waits as for a receipt: what it can send is on
    /// its way, and what it does not have any more comes no sooner.
    fn note_want(&mut self, have: u64) {
        // Nobody signed this: more than was sent it cannot hold.
        let have = have.min(self.sent);
        let same = self.wanted.as_ref().filter(|wanted| wanted.have == have);
        if same.is_some_and(|wanted| wanted.since.elapsed() < PATIENCE) {
            return;
        }
        debug!(have, "the ledger asks for more");
        self.wanted = Some(Wanted { have, since: Stopwatch::start(), again: same.is_some() });
        self.flying.clear();
        self.sent = have;
        self.drain = true;
    }

    /// Whether the receipt holds: in a log that goes on from the one that was seen before.
    fn checked(
        &self,
        entry: EntryId,
        receipt: &wire::Receipt,
        consistency: &[Consistency],
        (now_ms, server_ms): (i64, i64),
    ) -> Result<(), ReceiptError> {
        let checked = check_receipt(receipt, entry, &self.identity.log_vkey)?;
        let after = Head { origin: checked.origin, size: checked.size, root: checked.root };
        if let Some(before) = self.shared.anchor() {
            goes_on(&before, &after, consistency)?;
        }
        let anchor = wire::Anchor { hash: after.root.to_vec(), size: after.size };
        // What the log signed is compared, and only in the first answer: a repeated one has the time of old.
        let received_ms = checked.entry.recv_ms;
        let first = self.flying.contains_key(&entry)
            && (0..=FIRST_ANSWER_MS).contains(&server_ms.saturating_sub(received_ms));
        self.shared.compared(anchor, first.then(|| now_ms.saturating_sub(received_ms)));
        Ok(())
    }

    /// A receipt that shows nothing: the proof is kept and sent again. One that contradicts what the log signed before
    /// is kept too: with the receipts before it, it shows to anybody that there are two logs.
    async fn note_bad(
        &mut self,
        entry: EntryId,
        receipt: &wire::Receipt,
        error: &ReceiptError,
    ) -> anyhow::Result<()> {
        warn!(%entry, %error, "a receipt that shows nothing: the proof is kept");
        let words = format!("receipt of {entry} is not good: {error}");
        self.shared.link(|link| link.refusal = Some(words));
        if !matches!(error, ReceiptError::NotConsistent { .. }) {
            return Ok(());
        }
        let bytes = receipt.encode_to_vec();
        match self.buffer.ask(move |buffer| buffer.set_state(OTHER_LOG, &bytes)).await? {
            Ok(()) => Ok(()),
            Err(BufferError::Full) => {
                warn!(%entry, "no space to keep the receipt that shows a second log: the next one is tried again");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn note_refusal(
        &mut self,
        entry: Option<EntryId>,
        name: String,
        text: String,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        let words = format!("{name}: {text}").chars().take(300).collect::<String>();
        warn!(refusal = %words, "the ledger refused a proof");
        self.shared.link(|link| link.refusal = Some(words));
        // Nothing after a refused proof can be recorded: what flies is landed.
        let refused: BTreeSet<EntryId> = entry.into_iter().collect();
        self.flying.retain(|entry, _| !refused.contains(entry));
        for entry in refused {
            self.refused.insert(entry, Stopwatch::start());
            let (name, text) = (name.clone(), text.clone());
            match self.buffer.ask(move |buffer| buffer.refused(entry, &name, &text, now_ms)).await? {
                Ok(()) | Err(BufferError::Full) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The last word of an orderly stop. Whether it arrives is not waited for beyond a second.
    async fn farewell(&mut self, line: &mut Line) -> End {
        let stopped = Presence::Stopped.bytes().to_vec();
        let said = line.publish(&self.options.will_topic, true, stopped).and_then(|()| line.disconnect());
        if said.is_ok() {
            let gone = async { while line.poll().await.is_ok() {} };
            if tokio::time::timeout(Duration::from_secs(1), gone).await.is_err() {
                debug!("the broker did not close");
            }
        }
        self.shared.link(|link| link.connected = false);
        End::Done
    }
}

impl Lost {
    fn busy() -> Self {
        Self::because("the client's queue is full".to_owned())
    }

    fn late(limit: Duration) -> Self {
        Self::because(format!("no connection within {} s", limit.as_secs()))
    }
}

/// Resolves with the hold of the wait; never when there is none.
async fn sleep_of(due: &mut Option<Sleep>) -> Hold {
    match due {
        Some(due) => due.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_of_a_log_that_is_not_shown_to_go_on_from_what_was_seen_is_no_good_one() {
        let anchor = |size, root: u8| wire::Anchor { size, hash: vec![root; 32] };
        let head = |size, root: u8| Head { origin: "test.log".to_owned(), size, root: [root; 32] };
        assert_eq!(goes_on(&anchor(5, 1), &head(5, 1), &[]), Ok(()));
        let wrong = [
            // Another root of as many entries, fewer entries, more of them without a proof or with that of another size.
            (anchor(5, 1), head(5, 2), vec![]),
            (anchor(5, 1), head(4, 1), vec![]),
            (anchor(5, 1), head(6, 1), vec![]),
            (anchor(5, 1), head(6, 1), vec![Consistency { from: 4, path: vec![[1; 32]] }]),
            (anchor(5, 1), head(6, 1), vec![Consistency { from: 5, path: vec![[1; 32]; 3] }]),
            (anchor(5, 1), head(5, 1), vec![Consistency { from: 5, path: vec![[1; 32]] }]),
        ];
        for (before, after, consistency) in wrong {
            let error = ReceiptError::NotConsistent { before: before.size, size: after.size };
            assert_eq!(goes_on(&before, &after, &consistency), Err(error));
        }
    }
}
