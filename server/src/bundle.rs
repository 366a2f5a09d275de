//! Makes the evidence bundle of a firm: what `inuse-verify` checks without a network.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use daemon::Clock;
use ledger::{Agent, AgentKey, Entry, Read as _, Reader, Readers};
use portal::Source as _;
use proof::bundle::{Enrolment, Rotated, Writer, act_place, names, place};
use proof::envelope::ROTATE;
use proof::log::receipt_text;
use proof::policy::Policy;
use proof::{EntryId, Opening};

use crate::compose::{self, LEDGER};
use crate::config::ServerConfig;
use crate::log_key;
use crate::pages::Pages;
use crate::witnesses;

/// Entries read at a time.
const BATCH: u32 = 2_000;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Envelopes, each with its receipt.
    pub envelopes: usize,
    /// Openings.
    pub openings: usize,
    /// The file's length, bytes.
    pub bytes: u64,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { envelopes, openings, bytes } = self;
        writeln!(f, "{envelopes} envelopes with their receipts, {openings} openings, {bytes} bytes")
    }
}

/// Writes the bundle of a firm into a new file. The same ledger, assessment and openings give the same bytes.
///
/// # Errors
/// When there is no such firm, an opening is of none of its windows, or something cannot be read or written; the file
/// is not left behind then.
pub fn make(
    config: &ServerConfig,
    firm: &str,
    openings: &[PathBuf],
    out: &Path,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Made> {
    let path = config.data.join(LEDGER);
    ensure!(path.exists(), "there is no ledger at {}", path.display());
    let key = log_key::open(&config.data, &config.origin)?;
    let assessment = assessment(config, firm, &path, key.verifier(), clock)?;
    let reader = Reader::open(&path)?;
    let file = OpenOptions::new().write(true).create_new(true).open(out);
    let file = file.with_context(|| format!("could not make {}", out.display()))?;
    let (policy, cosigned) = match compose::policy(config, key.verifier())? {
        Some(policy) => {
            let cosigned = witnesses::cosigned(&config.data, &policy)?;
            (policy, cosigned.map(|cosigned| (cosigned.size, cosigned.note)))
        }
        None => (Policy::without_witnesses(key.verifier()), None),
    };
    let made = reader.at_once(|reader| {
        let newest = reader.checkpoint()?;
        if let Some((size, _)) = cosigned.as_ref().filter(|(size, _)| *size > newest.size) {
            bail!("witnesses have cosigned {size} entries of this log, and the ledger has {}: it is an older copy", newest.size);
        }
        let checkpoint = cosigned.unwrap_or((newest.size, newest.note));
        let agents = reader.agents(Some(firm))?;
        let contents = Contents { reader, agents, assessment, openings, policy, checkpoint };
        contents.write(file, |list| key.sign_bundle(list))
    });
    made.inspect_err(|_| {
        // What was begun is of no use to anybody.
        drop(std::fs::remove_file(out));
    })
    .with_context(|| format!("could not make {}", out.display()))
}

fn assessment(
    config: &ServerConfig,
    firm: &str,
    ledger: &Path,
    log_vkey: &str,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<String> {
    let readers = Readers::open(ledger, 1)?;
    let pages = Pages::build(config, &readers, log_vkey, clock)?;
    pages.refresh()?;
    let Some(firm) = pages.firm(firm)? else {
        bail!("there is no firm `{firm}` in {}", config.projects.display())
    };
    Ok(portal::assessment_json(&firm)?)
}

struct Contents<'a> {
    reader: &'a Reader,
    agents: Vec<Agent>,
    assessment: String,
    openings: &'a [PathBuf],
    policy: Policy,
    /// Size and note of the one checkpoint of all receipts. What was recorded after it is not in the bundle.
    checkpoint: (u64, String),
}

impl Contents<'_> {
    /// Files in the order of their names.
    fn write(self, file: File, sign: impl FnOnce(&str) -> String) -> anyhow::Result<Made> {
        let mut agents: BTreeMap<String, &Agent> = BTreeMap::new();
        agents.extend(self.agents.iter().map(|agent| (agent.id.to_string(), agent)));
        ensure!(!agents.is_empty(), "the firm has no gateway");
        let openings = self.opened(&agents)?;
        let mut bundle = Writer::new(BufWriter::new(file));
        bundle.add(names::README, README.as_bytes())?;
        for agent in agents.values() {
            self.acts(agent, &mut bundle)?;
        }
        for (name, agent) in &agents {
            let enrolment = self.enrolment(agent)?;
            bundle.add(&format!("{}{name}", names::ENROLMENT), enrolment.text().as_bytes())?;
        }
        let mut receipts = BTreeMap::new();
        for agent in agents.values() {
            for entry in self.entries(agent)? {
                let name = place(agent.id, entry.seq, entry.entry);
                bundle.add(&format!("{}{name}.env", names::ENVELOPES), &entry.envelope)?;
                receipts.insert(name, entry.entry);
            }
        }
        for (name, bytes) in &openings {
            bundle.add(&format!("{}{name}", names::OPENINGS), bytes)?;
        }
        bundle.add(names::POLICY, self.policy.text().as_bytes())?;
        for (name, entry) in &receipts {
            let text = self.receipt(*entry)?;
            bundle.add(&format!("{}{name}.tlog-proof", names::RECEIPTS), text.as_bytes())?;
        }
        bundle.add(names::VERDICT, self.assessment.as_bytes())?;
        let file = bundle.end(sign)?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(Made { envelopes: receipts.len(), openings: openings.len(), bytes: file.metadata()?.len() })
    }

    /// What stands in the log about a gateway: that it enrolled, who confirmed it, that it was revoked.
    fn acts(&self, agent: &Agent, bundle: &mut Writer<impl std::io::Write>) -> anyhow::Result<()> {
        for recorded in self.reader.acts(agent.id)? {
            if recorded.index >= self.checkpoint.0 {
                continue;
            }
            let name = format!("{}{}", names::ACTS, act_place(agent.id, recorded.index, recorded.act.kind()));
            bundle.add(&format!("{name}.act"), &recorded.bytes)?;
            bundle.add(&format!("{name}.tlog-proof"), self.receipt(recorded.act.id())?.as_bytes())?;
        }
        Ok(())
    }

    /// How a gateway was enrolled, and the keys that took over by entries that are in the bundle.
    fn enrolment(&self, agent: &Agent) -> anyhow::Result<Enrolment> {
        let keys = self.reader.keys(agent.id)?;
        let (first, others) = keys.split_first().with_context(|| format!("{} has no key", agent.id))?;
        let mut rotated = Vec::new();
        for AgentKey { epoch, key, from_seq } in others {
            let by = self.reader.entries_of(agent.id, from_seq.saturating_sub(1))?;
            if by.iter().any(|entry| entry.kind == ROTATE && entry.index < self.checkpoint.0) {
                rotated.push(Rotated { epoch: *epoch, key: key.to_bytes(), from_seq: *from_seq });
            }
        }
        Ok(Enrolment {
            agent: agent.id,
            project: agent.project.clone(),
            key: first.key.to_bytes(),
            epoch: first.epoch,
            enrolled_ms: agent.enrolled_ms,
            rotated,
            revoked_ms: agent.revoked.as_ref().map(|revoked| revoked.at_ms),
        })
    }

    /// All entries of a gateway, in the order of their names: by sequence, then by id.
    fn entries(&self, agent: &Agent) -> anyhow::Result<Vec<Entry>> {
        let (mut entries, mut from) = (Vec::new(), 0);
        loop {
            let batch = self.reader.entries(Some(agent.id), from, BATCH)?;
            let Some(last) = batch.last() else { break };
            from = last.index + 1;
            let covered = batch.into_iter().filter(|entry| entry.index < self.checkpoint.0);
            entries.extend(covered.map(|entry| Entry { use_rows: None, ..entry }));
        }
        entries.sort_by_key(|entry| (entry.seq, entry.entry));
        Ok(entries)
    }

    fn receipt(&self, entry: EntryId) -> anyhow::Result<String> {
        let (size, note) = &self.checkpoint;
        let found = self.reader.receipt_under(entry, (*size, note))?;
        let found = found.with_context(|| format!("entry {entry} is gone from the ledger"))?;
        Ok(receipt_text(&found.receipt))
    }

    /// The openings by the place of their leaf.
    fn opened(&self, agents: &BTreeMap<String, &Agent>) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let mut openings = BTreeMap::new();
        for path in self.openings {
            let doing = || format!("{} is no opening of this firm", path.display());
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(proof::bundle::MAX_FILE).read_to_end(&mut bytes))
                .with_context(|| format!("cannot read {}", path.display()))?;
            let opening = Opening::read(&bytes).with_context(doing)?;
            let known = agents.contains_key(&opening.agent.to_string());
            let entries = self.reader.entries_of(opening.agent, opening.seq)?;
            let entry = entries.iter().find(|entry| known && entry.entry == opening.entry);
            let entry =
                entry.context("its window was not received from a gateway of it").with_context(doing)?;
            opening.check(&proof::Envelope::parse(&entry.envelope)?).with_context(doing)?;
            let name = place(opening.agent, opening.seq, opening.entry).replace('/', "-");
            openings.insert(format!("{name}-{:07}.opening", opening.index), opening.encode());
        }
        Ok(openings)
    }
}

const README: &str = include_str!("bundle/README.txt");
