//! The past, opened on site: what is found on the gateway stands in the window the city received then; and what
//! somebody with root did to it since is shown as what it is, on the gateway, on the city's page and offline.

use std::fs;
use std::path::Path;

use agent::past::{self, State};
use anyhow::{Context as _, ensure};
use buffer::{Bookmarks, Bounds, Buffer, Flushed, OpenWindow, Raw};
use jiff::civil::date;
use ledger::Finding;
use proof::payload::Header;
use proof::pseudonym::PseudonymKey;
use proof::wire::Outcome;
use proof::{Envelope, Payload, SigningKey, What, Windows, raw, wire};
use prost::Message as _;
use serde_json::Value;
use tests::http::{get, get_json};
use tests::plant::firm::{Firm, demo_firms};
use tests::process::{Ended, run, until};
use tests::site::{Site, seconds};
use verifier::{Answer, Evidence, Verdict, verify};

fn firm() -> Firm {
    demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0)
}

/// `inuse-agent show`, as typed on the gateway.
async fn show(site: &Site, args: &[&str]) -> anyhow::Result<Ended> {
    let args: Vec<_> = ["show"].into_iter().chain(args.iter().copied()).collect();
    run("inuse-agent", &args, site.agent_config()).await
}

async fn show_json(site: &Site, args: &[&str]) -> anyhow::Result<(Value, Option<i32>)> {
    let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
    let ended = show(site, &args).await?;
    let told = serde_json::from_str(&ended.out).with_context(|| format!("{args:?}: {}", ended.err))?;
    Ok((told, ended.code))
}

/// The city's page about an opening.
async fn page_of(site: &Site, text: &str) -> anyhow::Result<String> {
    let (status, page) = get(site.city()?.portal(), &format!("/opening?text={text}&lang=zh")).await?;
    ensure!(status == 200, "{status}");
    Ok(String::from_utf8(page)?)
}

/// What an expert checks at home: the opening, with the envelope and receipt that the city gives for its place.
async fn offline(site: &Site, firm: &str, seq: u64, opening: &[u8]) -> anyhow::Result<Answer> {
    let portal = site.city()?.portal();
    let place = format!("/firms/{firm}/windows/{}/{seq}", site.agent());
    let (_, envelope) = get(portal, &format!("{place}/envelope.bin")).await?;
    let (_, receipt) = get(portal, &format!("{place}/receipt.bin")).await?;
    let key = agent_key(site)?.verify_key().to_bytes();
    Ok(verify(&Evidence {
        envelope: &envelope,
        receipt: Some(&receipt),
        key: Some(&key),
        log_key: Some(site.log_vkey()),
        use_rows: None,
        opening: Some(opening),
    }))
}

/// Waits until everything sealed has its receipt, and the city's pages know of it.
async fn all_is_shown(site: &Site, firm: &str) -> anyhow::Result<()> {
    site.outbox_empties().await?;
    let windows = u64::try_from(site.chain()?.windows().count())?;
    let portal = site.city()?.portal();
    until("the pages show all windows", || async {
        let firm = get_json(portal, &format!("/api/firms/{firm}")).await?;
        Ok((firm["windows"].as_u64() == Some(windows)).then_some(()))
    })
    .await
}

fn secret(path: &Path) -> anyhow::Result<[u8; 32]> {
    let bytes = data_encoding::HEXLOWER.decode(fs::read_to_string(path)?.trim().as_bytes())?;
    Ok(bytes.as_slice().try_into()?)
}

fn agent_key(site: &Site) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_seed(&secret(&site.state().join("agent.key"))?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_of_the_past_stands_in_the_window_received_then_on_the_page_and_offline()
-> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(10, 35, 0)).await?;
    all_is_shown(&site, id).await?;

    let (day, code) = show_json(&site, &["2026-07-22"]).await?;
    assert_eq!((code, &day["missing"]), (Some(0), &Value::Array(Vec::new())), "a day without a hole");
    let windows = day["entries"].as_array().context("entries")?;
    assert_eq!(windows.iter().filter(|entry| entry["kind"] == "window").count(), 63, "six an hour");

    // A record, by a text that stands in it; and a poll cycle, by its minute.
    let (found, _) = show_json(&site, &["2026-07-22T09:55"]).await?;
    let window = &found["windows"][0];
    assert_eq!((&window["state"], &window["signed"]), (&Value::from("holds"), &Value::from(true)));
    let leaves = window["leaves"].as_array().context("leaves")?;
    let cycle = leaves.iter().find(|leaf| leaf["what"]["readings"].is_array()).context("a poll cycle")?;
    opens(&site, id, window, cycle, &[]).await?;

    let mut opened = 0;
    for minute in 0..60 {
        let (found, _) = show_json(&site, &[&format!("2026-07-22T09:{minute:02}")]).await?;
        let window = &found["windows"][0];
        let leaves = window["leaves"].as_array().context("leaves")?;
        let Some(leaf) = leaves.iter().find(|leaf| leaf["what"]["record"].is_object()) else { continue };
        opens(&site, id, window, leaf, &["--fields", "all"]).await?;
        // Without a field named, none is shown.
        let (seq, at) = (window["seq"].to_string(), leaf["leaf"].to_string());
        let (told, _) = show_json(&site, &["--seq", &seq, "--leaf", &at]).await?;
        let text = told["opening"].as_str().context("an opening")?;
        let opening = proof::Opening::read(text.as_bytes())?;
        assert!(opening.fields.is_empty());
        let page = page_of(&site, text).await?;
        assert!(page.contains("相符") && page.contains("未展示的字段数"), "{page}");
        // By what stands in it, on its whole day.
        let field = &leaf["what"]["record"]["fields"][1][1];
        let field = field.as_str().context("a field")?;
        let (again, _) = show_json(&site, &["2026-07-22", "--find", field]).await?;
        let again: Vec<_> = again["windows"].as_array().context("windows")?.iter().collect();
        assert!(again.iter().any(|found| found["seq"] == window["seq"]), "{field} is found in its window");
        opened += 1;
        if opened == 3 {
            break;
        }
    }
    assert_eq!(opened, 3, "people work in the morning");
    site.stop_gateway().await?;
    site.end().await
}

/// Opens a leaf to a file and a text; both hold, and nothing that is not what was committed to does.
async fn opens(site: &Site, firm: &str, window: &Value, leaf: &Value, more: &[&str]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (file, drawing) = (folder.path().join("leaf.opening"), folder.path().join("code.svg"));
    let seq = window["seq"].as_u64().context("a number")?;
    let (number, at) = (seq.to_string(), leaf["leaf"].to_string());
    let (out, svg) = (file.display().to_string(), drawing.display().to_string());
    let mut args = vec!["--seq", &number, "--leaf", &at, "--out", &out, "--svg", &svg];
    args.extend(more);
    let (told, code) = show_json(site, &args).await?;
    assert_eq!(code, Some(0));
    let text = told["opening"].as_str().context("an opening")?.to_owned();
    let bytes = fs::read(&file)?;
    assert_eq!(proof::Opening::read(text.as_bytes())?.encode(), bytes);
    assert!(fs::read_to_string(&drawing)?.contains("<svg"));

    let page = page_of(site, &text).await?;
    assert!(page.contains("badge good") && page.contains("相符"), "{page}");
    let code = text.strip_prefix("INUSE1:").context("a prefix")?;
    let (status, of_code) = get(site.city()?.portal(), &format!("/OPENING/{code}")).await?;
    assert!(status == 200 && String::from_utf8(of_code)?.contains("badge good"));
    for given in [bytes.as_slice(), text.as_bytes()] {
        let answer = offline(site, firm, seq, given).await?;
        assert_eq!(answer.verdict, Verdict::Valid, "{:?}", answer.steps);
    }
    // Another value in the place of the one that was committed to.
    let mut other = proof::Opening::read(text.as_bytes())?;
    match other.leaf.what.as_mut().context("a leaf")? {
        wire::leaf::What::Readings(row) => row.points[0].raw[0] ^= 1,
        wire::leaf::What::Record(_) => other.fields[0].value[0] ^= 1,
        wire::leaf::What::Range(_) | wire::leaf::What::Backfill(_) => anyhow::bail!("neither"),
    }
    let page = page_of(site, &other.text()).await?;
    assert!(page.contains("badge poor") && page.contains("不符"), "{page}");
    assert_eq!(offline(site, firm, seq, &other.encode()).await?.verdict, Verdict::Invalid);
    Ok(())
}

/// The raw data of a window with one reading changed, as somebody with root and this program's source would write it.
fn forged(state: &Path, seq: u64) -> anyhow::Result<Vec<u8>> {
    let (store, _) = Buffer::open(&state.join("buffer.db"), Bounds::default(), 0)?;
    let Some(Raw::Kept(kept)) = store.window_raw(seq)? else { anyhow::bail!("no raw data of {seq}") };
    store.close()?;
    let mut chunks = raw::decode(&kept.chunks)?;
    let reading = chunks.observations.iter_mut().find_map(|observation| match &mut observation.what {
        What::Cycle(readings) => readings.iter_mut().find(|reading| !reading.raw.is_empty()),
        What::Records(_) | What::Kept(_) | What::Silent(_) => None,
    });
    let reading = reading.context("a reading")?;
    reading.raw[0] ^= 1;
    Ok(raw::encode(Some(&chunks.opening), chunks.opening.wall_ms, &chunks.observations))
}

/// Puts this chunk in the place of a window's raw data.
fn replace_raw(state: &Path, seq: u64, chunk: &[u8]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let made = folder.path().join("made.db");
    let (mut store, _) = Buffer::open(&made, Bounds::default(), 0)?;
    let part = OpenWindow {
        start_ms: 1,
        mono_start_ms: 0,
        part: 0,
        chunk: chunk.to_vec(),
        bookmarks: Bookmarks::new(),
        flushed_ms: 1,
    };
    ensure!(store.flush(&part)? == Flushed::Stored, "no room");
    store.close()?;
    let read = "SELECT plain, packed FROM chunks";
    let (plain, packed): (i64, Vec<u8>) =
        rusqlite::Connection::open(&made)?.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let db = rusqlite::Connection::open(state.join("buffer.db"))?;
    let window: i64 = db.query_row("SELECT window FROM raw WHERE seq = ?1", [seq], |row| row.get(0))?;
    let first = window * 65_536;
    db.execute("DELETE FROM chunks WHERE id > ?1 AND id < ?2", [first, first + 65_536])?;
    db.execute("UPDATE chunks SET plain = ?2, packed = ?3 WHERE id = ?1", (first, plain, packed))?;
    db.execute("UPDATE raw SET parts = 1 WHERE seq = ?1", [seq])?;
    Ok(())
}

/// Seals the window again over this raw data, with the gateway's own key and in the same place of the chain.
fn seal_again(site: &Site, seq: u64, chunk: &[u8]) -> anyhow::Result<()> {
    let project = secret(&site.state().join("project.key"))?;
    let chunks = raw::decode(&[chunk.to_vec()])?;
    let leaves = Windows::past(&chunks, PseudonymKey::new(project));
    let root = leaves.context("leaves")?.root();
    let db = rusqlite::Connection::open(site.state().join("buffer.db"))?;
    let read = "SELECT envelope FROM proofs WHERE seq = ?1";
    let envelope: Vec<u8> = db.query_row(read, [seq], |row| row.get(0))?;
    let Payload::Window(mut window) = Payload::parse("window", Envelope::parse(&envelope)?.payload())? else {
        anyhow::bail!("no window")
    };
    window.root = root.to_vec();
    let again = Envelope::sign(&agent_key(site)?, "window", window.encode_to_vec());
    db.execute(
        "UPDATE proofs SET envelope = ?2, entry = ?3 WHERE seq = ?1",
        (seq, again.bytes(), again.id().0),
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_to_the_past_by_somebody_with_root_is_shown_as_what_it_is() -> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(3, 5, 0)).await?;
    site.outbox_empties().await?;
    let (day, _) = show_json(&site, &["2026-07-22"]).await?;
    let number = |hour: i64, minute: i64| {
        let start_ms = site.moment(seconds(hour, minute, 0));
        let entries = day["entries"].as_array().into_iter().flatten();
        let mut of_time = entries.filter(|entry| entry["start_ms"] == start_ms);
        of_time.next().and_then(|entry| entry["seq"].as_u64()).context("a window of that time")
    };
    let (altered, deleted, resealed, emptied) =
        (number(1, 0)?, number(1, 30)?, number(2, 0)?, number(2, 30)?);
    site.stop_gateway().await?;

    let state = site.state();
    replace_raw(&state, altered, &forged(&state, altered)?)?;
    let chunk = forged(&state, resealed)?;
    replace_raw(&state, resealed, &chunk)?;
    seal_again(&site, resealed, &chunk)?;
    let db = rusqlite::Connection::open(state.join("buffer.db"))?;
    for table in ["proofs", "raw"] {
        db.execute(&format!("DELETE FROM {table} WHERE seq = ?1"), [deleted])?;
    }
    db.execute("DELETE FROM raw WHERE seq = ?1", [emptied])?;
    drop(db);
    site.start_gateway().await?;
    site.run_to(seconds(4, 5, 0)).await?;
    all_is_shown(&site, id).await?;

    // On the gateway.
    let (day, code) = show_json(&site, &["2026-07-22"]).await?;
    assert_eq!(
        (&day["missing"], code),
        (&Value::from(vec![vec![deleted, deleted]]), Some(2)),
        "the deleted window is a hole"
    );
    let of = async |seq: u64| show_json(&site, &["--seq", &seq.to_string()]).await;
    let (window, code) = of(altered).await?;
    assert_eq!((&window["windows"][0]["state"], code), (&Value::from("altered"), Some(2)));
    let gone = show(&site, &["--seq", &deleted.to_string()]).await?;
    assert!(gone.code == Some(1) && gone.err.contains("somebody took it away"), "{gone:?}");
    let (window, code) = of(emptied).await?;
    assert_eq!((&window["windows"][0]["state"], code), (&Value::from("missing"), Some(2)));
    let (window, code) = of(resealed).await?;
    let said = window["windows"][0]["receipt"]["error"].as_str().context("a bad receipt")?;
    assert_eq!(code, Some(2), "{said}");
    let refused = show(&site, &["--seq", &altered.to_string(), "--leaf", "0"]).await?;
    assert!(refused.code == Some(2) && refused.out.contains("ALTERED"), "{refused:?}");

    // The window that was sealed again opens by itself, and stands against what the city received.
    let (told, code) = show_json(&site, &["--seq", &resealed.to_string(), "--leaf", "0"]).await?;
    assert_eq!(code, Some(2));
    let text = told["opening"].as_str().context("an opening")?;
    let page = page_of(&site, text).await?;
    assert!(page.contains("badge poor") && page.contains("重新封存"), "{page}");
    let answer = offline(&site, id, resealed, text.as_bytes()).await?;
    assert_eq!(answer.verdict, Verdict::Invalid, "{:?}", answer.steps);

    // A gateway of which nothing was received.
    let mut strange = proof::Opening::read(text.as_bytes())?;
    strange.agent.0[0] ^= 1;
    assert!(page_of(&site, &strange.text()).await?.contains("没有这台网关"));
    let mut strange = proof::Opening::read(text.as_bytes())?;
    strange.seq = 1_000_000;
    assert!(page_of(&site, &strange.text()).await?.contains("从未收到"));
    assert!(page_of(&site, &text[..text.len() / 2]).await?.contains("不是完整的开示文本"));
    site.stop_gateway().await?;
    site.end().await
}

/// The raw data of a window with every account renamed, each to one of its own: no leaf of it changes. `None` where it has
/// no accounts.
fn renamed(state: &Path, seq: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let (store, _) = Buffer::open(&state.join("buffer.db"), Bounds::default(), 0)?;
    let raw = store.window_raw(seq)?;
    store.close()?;
    let Some(Raw::Kept(kept)) = raw else { return Ok(None) };
    let mut chunks = raw::decode(&kept.chunks)?;
    let mut accounts = 0;
    for observation in &mut chunks.observations {
        let What::Records(records) = &mut observation.what else { continue };
        for account in records.records.iter_mut().filter_map(|record| record.account.as_mut()) {
            account.push('2');
            accounts += 1;
        }
    }
    let encoded = || raw::encode(Some(&chunks.opening), chunks.opening.wall_ms, &chunks.observations);
    Ok((accounts > 0).then(encoded))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_not_said_to_be_the_same_where_accounts_or_the_digest_were_changed_afterwards()
-> anyhow::Result<()> {
    let mut site = Site::start(firm()).await?;
    site.run_to(seconds(10, 5, 0)).await?;
    // A stop in order sums up what there is.
    site.stop_gateway().await?;
    site.start_gateway().await?;
    site.run_to(seconds(10, 25, 0)).await?;
    site.outbox_empties().await?;
    let chain = site.chain()?;
    let mut entries = chain.entries.iter().zip(&chain.payloads);
    let digest = entries.find_map(|(entry, payload)| match payload {
        Payload::Digest(digest) => Some((entry.seq, (**digest).clone())),
        Payload::Window(_)
        | Payload::Manifest(_)
        | Payload::Outage(_)
        | Payload::Label(_)
        | Payload::Opened(_)
        | Payload::Rotate(_)
        | Payload::Unknown(_) => None,
    });
    let (seq, digest) = digest.context("sums")?;
    let sums = async |site: &Site| run("inuse-agent", &["sums", &seq.to_string()], site.agent_config()).await;
    let told = sums(&site).await?;
    ensure!(told.code == Some(0) && told.out.contains("the same"), "{told:?}");

    site.stop_gateway().await?;
    let state = site.state();
    let windows = (digest.from_seq..=digest.to_seq).map(|window| Ok((window, renamed(&state, window)?)));
    let windows = windows.collect::<anyhow::Result<Vec<_>>>()?;
    let named = windows.into_iter().find_map(|(window, chunk)| Some((window, chunk?)));
    let (window, chunk) = named.context("a window with accounts")?;
    replace_raw(&state, window, &chunk)?;
    site.start_gateway().await?;
    let told = sums(&site).await?;
    let altered = format!("raw data is not what was committed to: windows [{window}]");
    assert!(told.code == Some(2) && told.out.contains(&altered), "{told:?}");

    site.stop_gateway().await?;
    let other = wire::Digest { without_raw: digest.without_raw + 1, ..digest };
    let again = Envelope::sign(&agent_key(&site)?, "digest", other.encode_to_vec());
    rusqlite::Connection::open(state.join("buffer.db"))?.execute(
        "UPDATE proofs SET envelope = ?2, entry = ?3 WHERE seq = ?1",
        (seq, again.bytes(), again.id().0),
    )?;
    site.start_gateway().await?;
    let told = sums(&site).await?;
    assert!(told.code == Some(2) && told.out.contains(&format!("entries [{seq}]")), "{told:?}");
    site.stop_gateway().await?;
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_a_clock_that_was_set_back_open_with_the_time_they_were_received_beside()
-> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(3, 5, 0)).await?;
    site.set_gateway_clock(-7_200);
    site.run_to(seconds(4, 5, 0)).await?;
    all_is_shown(&site, id).await?;
    // The minute of the past has two windows now: the one of then, and the one that claims to be of then.
    let (found, _) = show_json(&site, &["2026-07-22T01:35"]).await?;
    let windows = found["windows"].as_array().context("windows")?;
    assert_eq!(windows.len(), 2, "{windows:?}");
    let received = |window: &Value| {
        let end_ms = window["start_ms"].as_i64()? + window["length_ms"].as_i64()?;
        Some(window["receipt"]["recv_ms"].as_i64()? - end_ms)
    };
    assert!(received(&windows[0]).context("a receipt")? < 10 * 60_000, "then");
    assert!(
        received(&windows[1]).context("a receipt")? > 100 * 60_000,
        "two hours after it claims to have ended"
    );
    let seq = windows[1]["seq"].as_u64().context("a number")?;
    let chain = site.chain()?;
    let back = chain.entries.iter().find(|entry| entry.findings.contains(&Finding::ClockBack));
    assert!(back.context("the step back is a finding")?.seq < seq);
    let text = show(&site, &["2026-07-22T01:35"]).await?.out;
    assert!(text.contains("min after its end"), "{text}");
    // Its opening holds, and the page says beside that another window is of that time, and that the clock was off.
    let (told, _) = show_json(&site, &["--seq", &seq.to_string(), "--leaf", "0"]).await?;
    let page = page_of(&site, told["opening"].as_str().context("an opening")?).await?;
    let then = windows[0]["seq"].to_string();
    assert!(page.contains("badge good") && page.contains("网关时钟与服务器相差 −2 h"), "{page}");
    assert!(page.contains(&format!("同一时段另有窗口，须一并查看，序号 {then}")), "{page}");
    site.stop_gateway().await?;
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_with_a_copied_key_forks_the_chain_and_openings_of_either_say_so()
-> anyhow::Result<()> {
    let firm = firm();
    let id = firm.id;
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(1, 5, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;
    let (state, copy) = (site.state(), site.state().with_extension("copy"));
    copy_folder(&state, &copy)?;
    site.start_gateway().await?;
    site.run_to(seconds(2, 5, 0)).await?;
    site.outbox_empties().await?;
    site.stop_gateway().await?;

    // The other one runs for an hour, from the same place on.
    let own = site.state().with_extension("own");
    fs::rename(&state, &own)?;
    fs::rename(&copy, &state)?;
    site.start_gateway().await?;
    site.run_to(seconds(3, 5, 0)).await?;
    all_is_shown(&site, id).await?;
    let chain = site.chain()?;
    let forked: Vec<_> = chain.entries.iter().filter(|entry| entry.outcome == Outcome::Conflict).collect();
    assert!(!forked.is_empty(), "two gateways of one key cannot both stand in one place");
    let fork = forked[0];
    let header = Header::parse(Envelope::parse(&fork.envelope)?.payload())?;
    let both: Vec<_> = chain.entries.iter().filter(|entry| entry.seq == header.seq).collect();
    assert_eq!(both.len(), 2, "both sides are kept");

    let socket = state.join("status.sock");
    let identity = agent::Identity::load(&state)?;
    let gateway = past::Gateway { socket, identity, state_dir: state };
    // The last two hours have a window of either.
    let twice = |entry: &&ledger::Entry| {
        entry.kind == "window" && chain.entries.iter().filter(|other| other.seq == entry.seq).count() == 2
    };
    let windows = chain.entries.iter().filter(twice);
    let mut opened = 0;
    for entry in windows {
        let past = gateway.window(entry.seq).await?;
        assert_eq!(past.state, State::Holds);
        if past.envelope.id() != entry.entry {
            continue;
        }
        let Some(opening) = gateway.opening(&past, 0, &[]) else { continue };
        let page = page_of(&site, &opening.text()).await?;
        assert!(page.contains("分叉"), "{page}");
        opened += 1;
    }
    assert!(opened > 0, "no window of the fork has a leaf");
    let text = show(&site, &["--seq", &header.seq.to_string()]).await?;
    assert!(fork.kind != "window" || text.out.contains("CONFLICT"), "{text:?}");
    site.stop_gateway().await?;
    site.end().await
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()))?;
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
