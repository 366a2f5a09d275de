//! The chain's smaller kinds on the whole road: what somebody says of a time, typed on a gateway that runs, reaches the
//! city's pages as a statement, and nothing else is changed by it; and another
//! signing key takes over while the chain goes on, whatever a crash leaves of that.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, ensure};
use jiff::civil::date;
use ledger::Finding;
use proof::bundle::{Files, Writer};
use proof::envelope::ROTATE;
use proof::payload::Header;
use proof::wire::label::About;
use proof::{EntryId, Envelope, Payload, SigningKey, rotation, wire};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tests::chain::Chain;
use tests::http::{get, get_json};
use tests::plant::firm::{Firm, demo_firms};
use tests::process::{Ended, run, until};
use tests::site::{Site, seconds};
use verifier::Verdict;
use verifier::bundle::{Known, Mark, Report, check};

/// Files of a bundle by their names.
type Content = BTreeMap<String, Vec<u8>>;

fn firm() -> Firm {
    demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0)
}

/// A command of the agent, as typed on the gateway.
async fn typed(site: &Site, args: &[&str]) -> anyhow::Result<Ended> {
    run("inuse-agent", args, site.agent_config()).await
}

fn labels(chain: &Chain) -> Vec<(u64, &wire::Label)> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "one kind is asked for")]
    fn label(payload: &Payload) -> Option<&wire::Label> {
        match payload {
            Payload::Label(label) => Some(label),
            _ => None,
        }
    }
    let both = chain.payloads.iter().zip(&chain.entries);
    both.filter_map(|(payload, entry)| Some((entry.seq, label(payload)?))).collect()
}

/// Wishes that wait at the gateway.
fn waiting(site: &Site) -> anyhow::Result<Vec<String>> {
    let Ok(folder) = fs::read_dir(site.state().join("wishes")) else { return Ok(Vec::new()) };
    folder.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_label_is_said_at_once_and_nothing_is_left() -> anyhow::Result<()> {
    let site = Site::start(firm()).await?;
    let long = "停".repeat(201);
    let args = ["label", "--from", "2026-02-30", "--to", "today", "--cause", "Q", "--by", "me"];
    let args: Vec<_> = args.into_iter().chain(["--text", &long, "--name", "a\nb", "--source", "x"]).collect();
    let ended = typed(&site, &args).await?;
    assert_eq!((ended.code, ended.out.as_str()), (Some(64), ""), "{}", ended.err);
    for path in ["--from", "--to", "--cause", "--by", "--text", "--name", "--source"] {
        assert!(ended.err.lines().any(|line| line.contains(&format!("{path}: "))), "{path} in {}", ended.err);
    }
    let base = ["label", "--cause", "H", "--by", "firm"];
    for (more, path) in [
        (["--from", "2026-07-23", "--to", "2026-07-22"], "--to"),
        (["--from", "2026-07-22T10:00", "--to", "2026-07-22T10:00"], "--to"),
        (["--seqs", "9-3", "--text", ""], "--seqs"),
        (["--seqs", "0-3", "--text", ""], "--seqs"),
        (["--seqs", "nine", "--text", ""], "--seqs"),
    ] {
        let args: Vec<_> = base.into_iter().chain(more).collect();
        let ended = typed(&site, &args).await?;
        assert_eq!(ended.code, Some(64), "{more:?}: {}", ended.err);
        assert!(ended.err.contains(&format!("{path}: ")), "{more:?}: {}", ended.err);
    }
    let args: Vec<_> = base.into_iter().chain(["--seqs", "1-900"]).collect();
    let ended = typed(&site, &args).await?;
    assert!(ended.code == Some(1) && ended.err.contains("the chain goes to number"), "{}", ended.err);
    assert_eq!(waiting(&site)?, Vec::<String>::new());
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_typed_while_the_agent_runs_stands_in_the_chain_once_and_changes_no_verdict()
-> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(1, 0, 0)).await?;
    // Two hours of which nothing is known but that the power was cut, and a label about them.
    site.cut_power("boot 2")?;
    site.run_to(seconds(3, 0, 0)).await?;
    site.start_gateway().await?;
    site.run_to(seconds(3, 35, 0)).await?;
    site.outbox_empties().await?;
    let portal = site.city()?.portal();
    let before = get_json(portal, &format!("/api/firms/{id}")).await?;

    let said = ["label", "--cause", "H", "--text", "检修停产", "--by", "firm", "--name", "王工"];
    let time = ["--from", "2026-07-22T01:00", "--to", "2026-07-22T03:00"];
    let args: Vec<_> = said.into_iter().chain(time).collect();
    let ended = typed(&site, &args).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended.out.contains("at its next flush") && ended.out.contains("changes no record"),
        "{}",
        ended.out
    );
    assert_eq!(waiting(&site)?.len(), 1);
    site.run_to(seconds(3, 45, 0)).await?;
    site.outbox_empties().await?;
    assert_eq!(waiting(&site)?, Vec::<String>::new());

    // Of a stopped agent it waits for the next start; a crash right after leaves it in the chain once.
    site.stop_gateway().await?;
    let ended = typed(&site, &["label", "--cause", "X", "--by", "provider", "--seqs", "1-2"]).await?;
    assert!(ended.out.contains("at its next start"), "{} {}", ended.out, ended.err);
    let left = waiting(&site)?.pop().context("a wish")?;
    let kept = fs::read(site.state().join("wishes").join(&left))?;
    site.run_to(seconds(3, 55, 0)).await?;
    site.start_gateway().await?;
    until("the label is in the chain", || async { Ok(waiting(&site)?.is_empty().then_some(())) }).await?;
    site.crash_gateway()?;
    fs::write(site.state().join("wishes").join(&left), kept)?;
    site.run_to(seconds(4, 5, 0)).await?;
    site.start_gateway().await?;
    site.run_to(seconds(4, 25, 0)).await?;
    site.outbox_empties().await?;
    assert_eq!(waiting(&site)?, Vec::<String>::new());

    let chain = site.chain()?;
    chain.ensure_followed(&[Finding::LateLabel])?;
    chain.ensure_covered()?;
    let labels = labels(&chain);
    let [(_, first), (_, second)] = labels.as_slice() else { anyhow::bail!("{} labels", labels.len()) };
    let from_ms = site.moment(seconds(1, 0, 0));
    let time = wire::TimeSpan { from_ms, to_ms: from_ms + 2 * 3_600_000 };
    assert_eq!(
        (first.about, first.text.as_str(), first.name.as_str()),
        (Some(About::Time(time)), "检修停产", "王工")
    );
    assert_eq!((first.by(), second.by()), (wire::Speaker::Firm, wire::Speaker::Provider));
    assert_eq!(second.about, Some(About::Seqs(wire::SeqSpan { from: 1, to: 2 })));

    let shown = until("the pages show both labels", || async {
        let firm = get_json(portal, &format!("/api/firms/{id}")).await?;
        Ok((firm["chain"]["labels"] == 2).then_some(firm))
    })
    .await?;
    let said = &shown["chain"]["said"];
    ensure!(said[0]["text"] == "检修停产" && said[0]["late"] == false, "{said}");
    for unchanged in ["unknown_kinds", "conflicts", "findings"] {
        let (is, was) = (&shown["chain"][unchanged], &before["chain"][unchanged]);
        assert!(!was.is_null() && is == was, "{unchanged}: {was} {is}");
    }
    for unchanged in ["headline", "flags", "use_level"] {
        assert!(!before[unchanged].is_null() && shown[unchanged] == before[unchanged], "{unchanged}");
    }
    let (_, page) = get(portal, &format!("/firms/{id}?lang=zh")).await?;
    let page = String::from_utf8(page)?;
    let gap = page.split("<tr>").find(|row| row.contains("断电或重启") && row.contains("检修停产"));
    assert!(gap.is_some(), "the power cut stays a power cut, with the label beside it");
    site.end().await
}

/// What of a rotation stands where: the agent's key files, and the chain.
fn rotations(chain: &Chain) -> Vec<u64> {
    let rotate = |(payload, entry): (&Payload, &ledger::Entry)| {
        matches!(payload, Payload::Rotate(_)).then_some(entry.seq)
    };
    chain.payloads.iter().zip(&chain.entries).filter_map(rotate).collect()
}

/// Each entry is signed by the key of its epoch, and epochs change where a rotation says so and nowhere else.
fn ensure_signed(site: &Site, chain: &Chain) -> anyhow::Result<()> {
    let readers = ledger::Readers::open(&site.data().join("ledger.sqlite"), 1)?;
    let keys = readers.read_blocking(|ledger| ledger.keys(site.agent()))?;
    let mut epoch = 1;
    for (payload, entry) in chain.payloads.iter().zip(&chain.entries) {
        ensure!(entry.epoch == epoch, "entry {} is of epoch {}, not {epoch}", entry.seq, entry.epoch);
        let key = keys.iter().find(|key| key.epoch == epoch).context("a key of each epoch")?;
        ensure!(entry.seq >= key.from_seq, "entry {} before its key's first, {}", entry.seq, key.from_seq);
        Envelope::parse(&entry.envelope)?.verify(&key.key)?;
        epoch += u32::from(matches!(payload, Payload::Rotate(_)));
    }
    ensure!(keys.last().is_some_and(|key| key.epoch == epoch), "the ledger's key is the last one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_in_the_chain_once_whatever_a_crash_leaves_of_it() -> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(0, 35, 0)).await?;
    let state = site.state();
    let wishes = state.join("wishes");
    let wait_until_taken = |what: &'static str| {
        let wishes = wishes.clone();
        until(what, move || {
            let left = fs::read_dir(&wishes).map(Iterator::count).unwrap_or(0);
            async move { Ok((left == 0).then_some(())) }
        })
    };

    // While the server is away: the old key stays, and there is no second rotation.
    site.stop_server().await?;
    let ended = typed(&site, &["rotate-key"]).await?;
    assert!(ended.code == Some(0) && ended.out.contains("at its next flush"), "{} {}", ended.out, ended.err);
    let wish = waiting(&site)?.pop().context("a wish")?;
    site.run_to(seconds(0, 37, 0)).await?;
    wait_until_taken("the rotation is taken").await?;
    assert!(state.join("agent.key").exists() && state.join("agent-2.key").exists());
    let ended = typed(&site, &["rotate-key"]).await?;
    assert!(ended.code == Some(1) && ended.err.contains("has no receipt yet"), "{} {}", ended.out, ended.err);

    // A crash with the entry stored and nothing after it: the wish is there still, and the file is not.
    site.crash_gateway()?;
    fs::write(wishes.join(&wish), b"")?;
    fs::remove_file(state.join("rotations.json"))?;
    site.run_to(seconds(0, 45, 0)).await?;
    site.start_gateway().await?;
    wait_until_taken("the wish is known as done").await?;
    assert!(state.join("rotations.json").exists());

    // A crash before the entry was signed: the key of its own epoch signs it.
    site.crash_gateway()?;
    {
        let store = rusqlite::Connection::open(state.join("buffer.db"))?;
        let (seq, envelope): (i64, Vec<u8>) =
            store.query_row("SELECT seq, envelope FROM proofs WHERE kind = 'rotate'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let payload = Envelope::parse(&envelope)?.payload().to_vec();
        let unsigned = "UPDATE proofs SET envelope = NULL, payload = ?2 WHERE seq = ?1";
        assert_eq!(store.execute(unsigned, (seq, payload))?, 1);
    }
    site.run_to(seconds(0, 55, 0)).await?;
    site.start_gateway().await?;
    site.start_server().await?;
    site.run_to(seconds(1, 30, 0)).await?;
    site.outbox_empties().await?;
    site.run_to(seconds(1, 35, 0)).await?;
    assert!(!state.join("agent.key").exists(), "receipted: the old key is gone");

    // Again, of a stopped agent, with the key made and nothing else.
    site.stop_gateway().await?;
    let ended = typed(&site, &["rotate-key"]).await?;
    assert!(ended.code == Some(0) && ended.out.contains("at its next start"), "{} {}", ended.out, ended.err);
    let made = format!("{}\n", "5a".repeat(32));
    fs::write(state.join("agent-3.key"), &made)?;
    site.run_to(seconds(1, 45, 0)).await?;
    site.start_gateway().await?;
    site.run_to(seconds(2, 15, 0)).await?;
    site.outbox_empties().await?;
    assert_eq!(
        fs::read_to_string(state.join("agent-3.key"))?,
        made,
        "the key that was made is the key that is used"
    );

    let chain = site.chain()?;
    chain.ensure_followed(&[])?;
    chain.ensure_covered()?;
    assert_eq!(rotations(&chain).len(), 2, "{:?}", rotations(&chain));
    ensure_signed(&site, &chain)?;
    let shown = typed(&site, &["show", "2026-07-22T00:25", "--json"]).await?;
    let shown: serde_json::Value = serde_json::from_str(&shown.out)?;
    assert_eq!(shown["windows"][0]["signed"], true, "a window of the first key is still ours");
    let firm = get_json(site.city()?.portal(), &format!("/api/firms/{id}")).await?;
    let chain = &firm["chain"];
    assert_eq!((&chain["unknown_kinds"], &chain["conflicts"]), (&0.into(), &0.into()));
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_follows_a_rotation_from_the_chain_itself_and_believes_no_other_key() -> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(0, 25, 0)).await?;
    let old = SigningKey::from_seed(&daemon::files::secret(&site.state().join("agent.key"))?);
    let label = ["label", "--cause", "H", "--by", "firm", "--from", "2026-07-21", "--to", "2026-07-21"];
    for args in [&["rotate-key"][..], &label] {
        let ended = typed(&site, args).await?;
        ensure!(ended.code == Some(0), "{}", ended.err);
    }
    site.run_to(seconds(1, 5, 0)).await?;
    site.outbox_empties().await?;
    let new = SigningKey::from_seed(&daemon::files::secret(&site.state().join("agent-2.key"))?);
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("firm.inuse");
    let config = site.data().with_file_name("server.toml");
    let made = run("inuse-server", &["bundle", id, "--out", &out.display().to_string()], &config).await?;
    ensure!(made.code == Some(0), "{made:?}");
    let origin = site.city()?.config().origin.clone();
    let log = server::log_key::open(&site.data(), &origin)?;

    let bundle = fs::read(&out)?;
    let report = check(&bundle, Known::LogKey(log.verifier()));
    assert_eq!(report.verdict, Verdict::Valid, "{:#?}", report.lines);
    let says = |report: &Report, mark: Mark, text: &str| {
        report.lines.iter().any(|line| line.mark == mark && line.en.contains(text) && !line.zh.is_empty())
    };
    let taken = format!("on key {} of epoch 2 signs", new.verify_key().kid());
    assert!(says(&report, Mark::Holds, &taken), "{:#?}", report.lines);
    for count in [" 1 labels, ", " 1 rotations of its key"] {
        assert!(says(&report, Mark::Says, count), "{count}: {:#?}", report.lines);
    }

    // What the one who signs bundles changes is said all the same.
    let files = Files::read(&bundle)?;
    let file = |name: &str| Some((name.to_owned(), files.get(&bundle, name)?.to_vec()));
    let all: Content = files.names().filter_map(file).collect();
    let with = |change: &dyn Fn(&mut Content)| -> anyhow::Result<Report> {
        let mut files = all.clone();
        change(&mut files);
        let mut writer = Writer::new(Vec::new());
        for (name, bytes) in &files {
            writer.add(name, bytes)?;
        }
        Ok(check(&writer.end(|list| log.sign_bundle(list))?, Known::LogKey(log.verifier())))
    };
    let is_rotate = |bytes: &[u8]| Envelope::parse(bytes).is_ok_and(|envelope| envelope.kind() == ROTATE);
    let (name, rotate) = all.iter().find(|(_, bytes)| is_rotate(bytes)).context("the rotation")?;
    let envelope = Envelope::parse(rotate)?;
    let header = Header::parse(envelope.payload())?;
    let stranger = SigningKey::from_seed(&[9; 32]);
    let enrolment = format!("enrolment/{}", site.agent());
    let hex = |key: &SigningKey| data_encoding::HEXLOWER.encode(&key.verify_key().to_bytes());

    // Another key is put in the place: by somebody else, without its agreement, or by the enrolment's word alone.
    let raw = wire::Rotate::decode(envelope.payload())?;
    let unagreed = wire::Rotate { key: stranger.verify_key().to_bytes().to_vec(), ..raw };
    for forged in [
        Envelope::sign(&stranger, ROTATE, rotation::encode(&header, &stranger)),
        Envelope::sign(&old, ROTATE, rotation::encode(&header, &stranger)),
        Envelope::sign(&old, ROTATE, unagreed.encode_to_vec()),
    ] {
        let report = with(&|files| {
            files.remove(name);
            let place = proof::bundle::place(header.agent, header.seq, forged.id());
            files.insert(format!("envelopes/{place}.env"), forged.bytes().to_vec());
        })?;
        assert_eq!(report.verdict, Verdict::Invalid, "{:#?}", report.lines);
    }
    let report = with(&|files| {
        let text = String::from_utf8_lossy(&files[&enrolment]).replace(&hex(&new), &hex(&stranger));
        files.insert(enrolment.clone(), text.into_bytes());
    })?;
    assert!(report.verdict == Verdict::Invalid, "{:#?}", report.lines);
    assert!(
        says(&report, Mark::Wrong, "is not the one that its chain has put in place"),
        "{:#?}",
        report.lines
    );
    // The new key as the enrolled one: what the old key signed is then nobody's.
    let report = with(&|files| {
        let text = String::from_utf8_lossy(&files[&enrolment]).replace(&hex(&old), &hex(&new));
        files.insert(enrolment.clone(), text.into_bytes());
    })?;
    assert_eq!(report.verdict, Verdict::Invalid);
    // Without the rotation nothing shows whose the new key is.
    let report = with(&|files| {
        files.retain(|file, _| {
            file != name && *file != name.replace("envelopes/", "receipts/").replace(".env", ".tlog-proof")
        });
    })?;
    assert_eq!(report.verdict, Verdict::Incomplete, "{:#?}", report.lines);
    assert!(says(&report, Mark::Missing, "the rotation to epoch 2"), "{:#?}", report.lines);
    // Signed on by the old key, with its receipt's place taken: of an epoch that has ended.
    let next = all.iter().find_map(|(file, bytes)| {
        let envelope = Envelope::parse(bytes).ok().filter(|_| file.starts_with("envelopes/"))?;
        let header = Header::parse(envelope.payload())
            .ok()
            .filter(|next| next.prev == Envelope::parse(rotate).map(|r| r.id()).unwrap_or(EntryId::NONE))?;
        Some((file.clone(), header))
    });
    let (file, next) = next.context("what follows the rotation")?;
    let on = wire::AnyPayload { header: Some(Header { epoch: 1, ..next.clone() }.wire()) };
    let on = Envelope::sign(&old, "later_kind", on.encode_to_vec());
    let report = with(&|files| {
        files.remove(&file);
        let place = proof::bundle::place(next.agent, next.seq, on.id());
        files.insert(format!("envelopes/{place}.env"), on.bytes().to_vec());
    })?;
    assert!(report.verdict == Verdict::Invalid, "{:#?}", report.lines);
    assert!(says(&report, Mark::Wrong, "the key in force there is of epoch 2"), "{:#?}", report.lines);
    site.stop_gateway().await?;
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_opened_on_the_gateway_is_named_in_its_chain_once() -> anyhow::Result<()> {
    let mut site = Site::start(firm()).await?;
    site.run_to(seconds(0, 25, 0)).await?;
    let file = site.state().with_file_name("leaf.opening");
    let out = file.display().to_string();
    let shown = typed(&site, &["show", "--seq", "2", "--leaf", "0", "--out", &out]).await?;
    ensure!(shown.code == Some(0), "{shown:?}");
    assert_eq!(waiting(&site)?.len(), 1);
    site.run_to(seconds(0, 35, 0)).await?;
    site.outbox_empties().await?;
    assert!(waiting(&site)?.is_empty());
    let chain = site.chain()?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "one kind is asked for")]
    let opened: Vec<_> = chain
        .payloads
        .iter()
        .filter_map(|payload| match payload {
            Payload::Opened(opened) => Some((opened.seq, opened.index, opened.digest.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [(2, 0, Sha256::digest(fs::read(&file)?).to_vec())]);
    site.stop_gateway().await?;
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_days_sums_stand_in_the_chain_and_come_out_again_of_the_raw_data() -> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    // Into the second day, and a stop in order.
    site.run_to(seconds(24, 25, 0)).await?;
    site.stop_gateway().await?;
    site.start_gateway().await?;
    site.run_to(seconds(24, 45, 0)).await?;
    site.outbox_empties().await?;
    let chain = site.chain()?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "one kind is asked for")]
    let digests: Vec<(u64, wire::Digest)> = chain
        .payloads
        .iter()
        .zip(&chain.entries)
        .filter_map(|(payload, entry)| match payload {
            Payload::Digest(digest) => Some((entry.seq, (**digest).clone())),
            _ => None,
        })
        .collect();
    let (seq, digest) = digests.first().context("a day of work has sums")?;
    let day: Vec<_> = chain.windows().filter(|window| window.start_ms < site.moment(86_400)).collect();
    assert_eq!((digest.windows as usize, digest.without_raw), (day.len(), 0));
    let documents = digest.rows.iter().filter(|row| row.code == 2).map(|row| row.denominator).sum::<u64>();
    assert!(documents > 0, "{digest:?}");
    assert!(digests.len() > 1, "what was after midnight is summed up at the stop: {digests:?}");
    for (later, of) in &digests[1..] {
        assert!(of.from_seq > *seq && of.to_seq < *later, "no window is summed up twice: {digests:?}");
    }
    let again = typed(&site, &["sums", &seq.to_string()]).await?;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.out.contains("the same, computed again from the raw data"), "{}", again.out);
    let none = typed(&site, &["sums", "2"]).await?;
    assert!(none.code == Some(1) && none.err.contains("and no digest"), "{none:?}");
    let page = format!("/firms/{id}/windows/{}/{seq}", site.agent());
    let (_, page) = get(site.city()?.portal(), &page).await?;
    assert!(String::from_utf8_lossy(&page).contains("日汇总"));
    site.end().await
}
