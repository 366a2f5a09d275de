//! The evidence bundle: made by the server, checked by the verifier without it. Nothing that was changed in it is
//! accepted, whoever changed it, and what is missing is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use data_encoding::BASE64;
use jiff::civil::date;
use ledger::LogKey;
use proof::bundle::{Files, Writer};
use proof::policy::Policy;
use server::witnesses::Witnesses;
use tests::browser::Browser;
use tests::foreign::needed;
use tests::plant::firm::demo_firms;
use tests::process::{Ended, Program, free_address, run, until};
use tests::site::{Site, seconds};
use verifier::Verdict;
use verifier::bundle::{Known, Mark, Report, check};

/// A firm's night, and its bundle.
struct Made {
    site: Site,
    bundle: Vec<u8>,
    key: LogKey,
    folder: tempfile::TempDir,
}

impl Made {
    /// Of the first minutes, with an opening.
    async fn after(secs: i64) -> anyhow::Result<Self> {
        let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0);
        let id = firm.id;
        let mut site = Site::start(firm).await?;
        site.run_to(secs).await?;
        site.outbox_empties().await?;
        let folder = tempfile::tempdir()?;
        let opening = folder.path().join("leaf.opening");
        let out = opening.display().to_string();
        let args = ["show", "--seq", "2", "--leaf", "0", "--out", &out];
        let shown = run("inuse-agent", &args, site.agent_config()).await?;
        anyhow::ensure!(shown.code == Some(0), "{shown:?}");
        let config = site.data().with_file_name("server.toml");
        let bundle = folder.path().join("firm.inuse");
        let made = async |name: &str| {
            let out = folder.path().join(name).display().to_string();
            run(
                "inuse-server",
                &["bundle", id, "--out", &out, "--opening", &opening.display().to_string()],
                &config,
            )
            .await
        };
        let first = made("firm.inuse").await?;
        anyhow::ensure!(first.code == Some(0) && first.out.contains("1 openings"), "{first:?}");
        let again = made("firm.inuse").await?;
        anyhow::ensure!(again.code == Some(1), "a file that exists is not written over: {again:?}");
        let origin = site.city()?.config().origin.clone();
        let key = server::log_key::open(&site.data(), &origin)?;
        let bundle = fs::read(bundle)?;
        Ok(Self { site, bundle, key, folder })
    }

    fn files(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let files = Files::read(&self.bundle)?;
        let file = |name: &str| Some((name.to_owned(), files.get(&self.bundle, name)?.to_vec()));
        Ok(files.names().filter_map(file).collect())
    }

    /// What the log's own key says is the bundle, with other files.
    fn with(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> anyhow::Result<Report> {
        let mut files = self.files()?;
        change(&mut files);
        let mut writer = Writer::new(Vec::new());
        for (name, bytes) in &files {
            writer.add(name, bytes)?;
        }
        let bundle = writer.end(|list| self.key.sign_bundle(list))?;
        Ok(check(&bundle, Known::LogKey(self.key.verifier())))
    }

    async fn verify(&self, args: &[&str]) -> anyhow::Result<Ended> {
        let bundle = self.folder.path().join("firm.inuse");
        let args: Vec<_> =
            [bundle.to_str().context("a name")?].into_iter().chain(args.iter().copied()).collect();
        Program::shipped("inuse-verify")?.run_alone(&args).await
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.site.stop_gateway().await?;
        self.site.end().await
    }
}

fn says(report: &Report, mark: Mark, text: &str) -> bool {
    report.lines.iter().any(|line| line.mark == mark && line.en.contains(text) && !line.zh.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firms_bundle_is_valid_offline_with_the_logs_key_and_not_without_it() -> anyhow::Result<()> {
    let made = Made::after(seconds(3, 5, 0)).await?;
    let key = made.key.verifier().to_owned();
    let valid = made.verify(&["--log-key", &key]).await?;
    assert!(valid.code == Some(0) && valid.out.contains("有效 VALID"), "{valid:?}");
    for words in [
        "信封 19 份由注册密钥签名，回执 19 份成立",
        "密钥由企业（企业代表 ",
        "与城市（平台运营 ",
        "序号 1 至 19 前后相接",
        "开示 1 份",
        "无法得知 观测本身是否真实",
    ] {
        assert!(valid.out.contains(words), "{words}: {}", valid.out);
    }
    let english = made.verify(&["--log-key", &key, "--lang", "en"]).await?;
    assert!(
        english.out.contains("19 envelopes are signed by enrolled keys, 19 receipts hold"),
        "{}",
        english.out
    );
    let without = made.verify(&[]).await?;
    assert!(without.code == Some(2) && without.out.contains("不完整 INCOMPLETE"), "{without:?}");
    let (other, _) = LogKey::from_seed(made.key.origin(), &[9; 32])?;
    let wrong = made.verify(&["--log-key", other.verifier()]).await?;
    assert!(wrong.code == Some(1) && wrong.out.contains("不是另行给出的那一个"), "{wrong:?}");
    let usage = made.verify(&["--key", &"00".repeat(32)]).await?;
    assert_eq!(usage.code, Some(64), "{usage:?}");
    assert_eq!(made.with(|_| {})?.verdict, Verdict::Valid, "made again it is the same");

    // Nothing of it holds for a firm that does not exist.
    let config = made.site.data().with_file_name("server.toml");
    let nobody = made.folder.path().join("nobody.inuse");
    let refused =
        run("inuse-server", &["bundle", "nobody", "--out", &nobody.display().to_string()], &config).await?;
    assert!(refused.code == Some(1) && refused.err.contains("there is no firm `nobody`"), "{refused:?}");
    assert!(!nobody.exists());
    made.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_a_bundle_can_be_another() -> anyhow::Result<()> {
    let made = Made::after(seconds(0, 25, 0)).await?;
    let key = made.key.verifier().to_owned();
    assert_eq!(check(&made.bundle, Known::LogKey(&key)).verdict, Verdict::Valid);
    let mut bundle = made.bundle.clone();
    for at in 0..bundle.len() {
        for bit in [0x01, 0x20, 0x80] {
            bundle[at] ^= bit;
            let report = check(&bundle, Known::LogKey(&key));
            assert_eq!(report.verdict, Verdict::Invalid, "byte {at}, bit {bit:02x}: {:?}", report.lines);
            bundle[at] ^= bit;
        }
    }
    made.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_one_who_signs_bundles_leaves_out_or_puts_in_is_said_all_the_same() -> anyhow::Result<()> {
    let made = Made::after(seconds(1, 5, 0)).await?;
    let files = made.files()?;
    let below = |folder: &str| -> Vec<String> {
        files.keys().filter(|name| name.starts_with(folder)).cloned().collect()
    };
    let (envelopes, receipts) = (below("envelopes/"), below("receipts/"));
    assert_eq!((envelopes.len(), receipts.len()), (7, 7));
    let enrolment = below("enrolment/").remove(0);
    let opening = below("openings/").remove(0);

    let missing = |report: &Report, text: &str| {
        assert_eq!(report.verdict, Verdict::Incomplete, "{:?}", report.lines);
        assert!(says(report, Mark::Missing, text), "{text}: {:?}", report.lines);
    };
    missing(
        &made.with(|files| {
            files.remove(&envelopes[3]);
            files.remove(&receipts[3]);
        })?,
        "lacks sequences 4 to 4",
    );
    missing(&made.with(|files| drop(files.remove(&receipts[3])))?, "has no receipt");
    missing(&made.with(|files| drop(files.remove("verdict.json")))?, "verdict.json is not there");
    missing(&made.with(|files| drop(files.remove("README.txt")))?, "README.txt is not there");
    let report = made.with(|files| {
        files.remove(&envelopes[0]);
        files.remove(&receipts[0]);
    })?;
    assert!(says(&report, Mark::Says, "begins at sequence 2"), "{:?}", report.lines);

    let wrong = |report: &Report, text: &str| {
        assert_eq!(report.verdict, Verdict::Invalid, "{:?}", report.lines);
        assert!(says(report, Mark::Wrong, text), "{text}: {:?}", report.lines);
    };
    wrong(&made.with(|files| drop(files.remove(&envelopes[3])))?, "has no envelope");
    wrong(
        &made.with(|files| {
            let swapped = files[&receipts[4]].clone();
            files.insert(receipts[3].clone(), swapped);
        })?,
        "receipt is for another entry",
    );
    wrong(
        &made.with(|files| {
            let other = files[&envelopes[4]].clone();
            files.insert(envelopes[3].clone(), other);
        })?,
        "its name is not that of its content",
    );
    let acts = below("acts/");
    assert_eq!(acts.len(), 6, "enrolled, confirmed by two, each with its receipt: {acts:?}");
    let without = |act: usize| {
        made.with(|files| {
            files.remove(&acts[act]);
            files.remove(&acts[act + 1]);
        })
    };
    missing(&without(0)?, "it is the server's word");
    missing(&without(2)?, "the firm not yet");
    missing(&without(4)?, "the city not yet");
    wrong(&made.with(|files| drop(files.remove(&acts[0])))?, "has no act");
    wrong(&made.with(|files| drop(files.remove(&acts[1])))?, "it has no receipt");
    wrong(
        &made.with(|files| {
            let swapped = files[&acts[5]].clone();
            files.insert(acts[3].clone(), swapped);
        })?,
        "receipt is for another entry",
    );
    wrong(
        &made.with(|files| {
            // Who confirms for the other as well.
            let mut act = proof::Act::parse("confirm", &files[&acts[2]]).unwrap_or_else(|_| unreachable!());
            if let proof::Deed::Confirm(_, confirm) = &mut act.deed {
                confirm.party = proof::Party::City.into();
            }
            files.insert(acts[2].clone(), act.encode());
        })?,
        "receipt is for another entry",
    );
    wrong(
        &made.with(|files| {
            let text = String::from_utf8(files[&enrolment].clone()).unwrap_or_default();
            let other = text.replace("project shifan", "project another");
            files.insert(enrolment.clone(), other.into_bytes());
        })?,
        "is not the one in the log",
    );
    wrong(&made.with(|files| drop(files.remove(&enrolment)))?, "its gateway's enrolment is not there");
    wrong(
        &made.with(|files| {
            let text = String::from_utf8(files[&enrolment].clone()).unwrap_or_default();
            let key = text.lines().nth(2).unwrap_or_default().to_owned();
            let other = proof::SigningKey::from_seed(&[1; 32]).verify_key().to_bytes();
            let other = format!("key {}", data_encoding::HEXLOWER.encode(&other));
            files.insert(enrolment.clone(), text.replace(&key, &other).into_bytes());
        })?,
        "signature",
    );
    wrong(
        &made.with(|files| drop(files.insert("notes.txt".to_owned(), b"trust me".to_vec())))?,
        "is no file of a bundle",
    );
    wrong(
        &made.with(|files| {
            let (other, _) =
                LogKey::from_seed(made.key.origin(), &[9; 32]).unwrap_or_else(|_| unreachable!());
            files
                .insert("policy".to_owned(), format!("log {}\nquorum none\n", other.verifier()).into_bytes());
        })?,
        "is not the one that was given",
    );
    wrong(
        &made.with(|files| {
            files.remove(&envelopes[1]);
            files.remove(&receipts[1]);
        })?,
        "its window is not in the bundle",
    );
    wrong(
        &made.with(|files| {
            let bytes = files.get_mut(&opening).map(|bytes| bytes.len()).unwrap_or_default();
            if let Some(file) = files.get_mut(&opening) {
                file[bytes - 1] ^= 1;
            }
        })?,
        "does not hold",
    );
    wrong(
        &made.with(|files| drop(files.insert("policy".to_owned(), b"log\n".to_vec())))?,
        "policy is missing or not understood",
    );
    made.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_says_whether_enough_witnesses_have_cosigned_its_checkpoint() -> anyhow::Result<()> {
    let made = Made::after(seconds(0, 35, 0)).await?;
    let folder = made.folder.path();
    let vkey = made.key.verifier().to_owned();
    let witness = folder.join("w.toml");
    let listen = free_address()?;
    let text = format!("data = \"w\"\nname = \"w.example\"\nlisten = \"{listen}\"\nlogs = [\"{vkey}\"]\n");
    fs::write(&witness, text)?;
    let public = run("inuse-witness", &["key"], &witness).await?.out;
    let policy = format!("log {vkey}\nwitness w {} http://{listen}\nquorum w\n", public.trim());
    let policy_file = folder.join("city.policy");
    fs::write(&policy_file, &policy)?;
    // The server's configuration with the policy.
    let config = made.site.data().with_file_name("server.toml");
    let witnessed = config.with_file_name("witnessed.toml");
    let line = format!("[log]\nwitnesses = \"{}\"\n", policy_file.display());
    fs::write(&witnessed, fs::read_to_string(&config)?.replace("[log]\n", &line))?;
    let bundle = async |name: &str| {
        let out = folder.join(name);
        let text = out.display().to_string();
        let made = run("inuse-server", &["bundle", "shifan", "--out", &text], &witnessed).await?;
        anyhow::ensure!(made.code == Some(0), "{made:?}");
        let policy = policy_file.display().to_string();
        let said = Program::shipped("inuse-verify")?.run_alone(&[&text, "--policy", &policy]).await?;
        anyhow::Ok((said, fs::read(out)?))
    };

    let (said, _) = bundle("alone.inuse").await?;
    assert!(said.code == Some(2) && said.out.contains("1 个独立见证中的 0 个联署"), "{said:?}");

    let mut process = Program::shipped("inuse-witness")?.start(&witness)?;
    process.listens(&listen).await?;
    let read = Policy::parse(&policy).map_err(|wrong| anyhow::anyhow!("{wrong:?}"))?;
    let readers = ledger::Readers::open(&made.site.data().join("ledger.sqlite"), 1)?;
    let mut asks = Witnesses::new(read.clone(), readers, &made.site.data())?;
    let kept = asks.round().await?.context("the witness has cosigned")?;
    assert_eq!(kept.by.len(), 1);
    process.terminate().await?;
    let (said, bytes) = bundle("witnessed.inuse").await?;
    assert!(said.code == Some(0) && said.out.contains("1 个独立见证中的 1 个联署"), "{said:?}");
    assert!(said.out.contains("日志公钥与见证策略与另行给出的一致"), "{said:?}");

    // The log's key alone does not say whose the witnesses are; another policy is another one.
    let report = check(&bytes, Known::LogKey(&vkey));
    assert!(says(&report, Mark::Says, "the witnesses' keys are the bundle's own word"), "{:?}", report.lines);
    let none = Policy::without_witnesses(&vkey);
    let report = check(&bytes, Known::Policy(&none));
    assert!(
        report.verdict == Verdict::Invalid && says(&report, Mark::Wrong, "is not the one that was given")
    );
    // Nor is a bundle whose maker left its witnesses out.
    let report = check(&made.bundle, Known::Policy(&read));
    assert_eq!(report.verdict, Verdict::Invalid, "{:?}", report.lines);

    let wrong = folder.join("wrong.policy");
    fs::write(&wrong, "quorum x\nhello\n")?;
    let (bundle, wrong) = (folder.join("witnessed.inuse").display().to_string(), wrong.display().to_string());
    let usage = Program::shipped("inuse-verify")?.run_alone(&[&bundle, "--policy", &wrong]).await?;
    assert!(
        usage.code == Some(64) && usage.err.contains("line 1") && usage.err.contains("line 2"),
        "{usage:?}"
    );
    made.end().await
}

/// The page of the verifier in a browser, opened as a file.
struct Page(Browser);

impl Page {
    async fn open() -> anyhow::Result<Self> {
        let browser = Browser::start(1280, 1400).await?;
        let page = Self(browser);
        page.open_anew().await?;
        Ok(page)
    }

    async fn open_anew(&self) -> anyhow::Result<()> {
        // What stands behind `#` is read by nobody.
        let address = format!("file://{}#http://example.com/x.inuse", needed("INUSE_PAGE")?.display());
        self.0.open("about:blank").await?;
        self.0.open(&address).await?;
        assert_eq!(self.settles().await?, "ready");
        Ok(())
    }

    /// What the page has come to.
    async fn settles(&self) -> anyhow::Result<String> {
        let state = "return document.body.dataset.state";
        until("the page has an answer", || async {
            let state = self.0.script(state).await?.as_str().unwrap_or_default().to_owned();
            Ok((!["", "starting", "busy"].contains(&state.as_str())).then_some(state))
        })
        .await
    }

    /// Gives it a file and what is known of the log, and has it checked.
    async fn check(&self, file: &Path, known: &str) -> anyhow::Result<String> {
        self.0.types("#bundle", file.to_str().context("a name")?).await?;
        self.0.script("document.getElementById('known').value = ''").await?;
        self.0.types("#known", known).await?;
        self.0.click("#check").await?;
        Ok(match self.settles().await?.as_str() {
            "failed" => self.0.text("#state").await?,
            state => state.to_owned(),
        })
    }

    /// What a person reads of the report.
    async fn reads(&self) -> anyhow::Result<(String, Vec<(String, String)>)> {
        let rows = "return [...document.querySelectorAll('#lines tr')].map(row => \
            [...row.cells].map(cell => cell.innerText))";
        let rows = self.0.script(rows).await?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let rows =
            rows.as_array().context("rows")?.iter().map(|row| (text(&row[0]), text(&row[1]))).collect();
        Ok((self.0.text("#verdict").await?, rows))
    }

    async fn shows_no_verdict(&self) -> anyhow::Result<bool> {
        Ok(self.0.script("return document.getElementById('report').hidden").await? == true)
    }

    async fn keep(&self, name: &str) -> anyhow::Result<()> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        fs::create_dir_all(&folder)?;
        let picture = BASE64.decode(self.0.picture().await?.as_bytes())?;
        Ok(fs::write(folder.join(format!("verify-{name}.png")), picture)?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and the page: cargo xtask test"]
async fn the_page_of_wasm_says_in_chromium_what_the_library_says() -> anyhow::Result<()> {
    let made = Made::after(seconds(0, 35, 0)).await?;
    let key = made.key.verifier().to_owned();
    let folder = made.folder.path();
    let policy = Policy::without_witnesses(&key);
    let (other, _) = LogKey::from_seed(made.key.origin(), &[9; 32])?;
    let mut changed = made.bundle.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let mut files = made.files()?;
    files.remove("verdict.json");
    let mut writer = Writer::new(Vec::new());
    for (name, bytes) in &files {
        writer.add(name, bytes)?;
    }
    let lacking = writer.end(|list| made.key.sign_bundle(list))?;

    let page = Page::open().await?;
    let cases = [
        ("valid", &made.bundle, Known::LogKey(&key), key.clone(), Verdict::Valid),
        ("by policy", &made.bundle, Known::Policy(&policy), policy.text(), Verdict::Valid),
        ("changed", &changed, Known::LogKey(&key), key.clone(), Verdict::Invalid),
        ("lacking", &lacking, Known::LogKey(&key), key.clone(), Verdict::Incomplete),
        ("without key", &made.bundle, Known::Nothing, String::new(), Verdict::Incomplete),
        (
            "other key",
            &made.bundle,
            Known::LogKey(other.verifier()),
            other.verifier().to_owned(),
            Verdict::Invalid,
        ),
    ];
    for (name, bundle, known, given, verdict) in cases {
        let path = folder.join(format!("{name}.inuse"));
        fs::write(&path, bundle)?;
        assert_eq!(page.check(&path, &given).await?, "done", "{name}");
        let report = check(bundle, known);
        assert_eq!(report.verdict, verdict, "{name}: {:?}", report.lines);
        let zh = report.lines.iter().map(|line| (line.mark.zh(), line.zh.as_str()));
        let en = report.lines.iter().map(|line| (line.mark.en(), line.en.as_str()));
        let own = |(mark, text): (&str, &str)| (mark.to_owned(), text.to_owned());
        let signless = |rows: Vec<(String, String)>| -> Vec<_> {
            // The sign stands before the word.
            let word = |mark: String| mark.chars().skip(1).collect::<String>().trim().to_owned();
            rows.into_iter().map(|(mark, text)| (word(mark), text)).collect()
        };
        let (said, rows) = page.reads().await?;
        assert!(said.ends_with(&verdict.to_string()), "{name}: {said}");
        assert_eq!(signless(rows), zh.map(own).collect::<Vec<_>>(), "{name}");
        page.keep(name).await?;
        page.0.click("#language").await?;
        let (_, rows) = page.reads().await?;
        assert_eq!(signless(rows), en.map(own).collect::<Vec<_>>(), "{name}");
        page.keep(&format!("{name}-english")).await?;
        page.0.click("#language").await?;
        let digest = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(bundle));
        let facts = page.0.text("#facts").await?;
        assert!(facts.contains(&digest) && facts.contains(&format!("{name}.inuse")), "{facts}");
    }

    // A verdict does not stay beside another key, and what cannot be checked has none.
    page.0.types("#known", "x").await?;
    assert!(page.shows_no_verdict().await?);
    let bundle = folder.join("valid.inuse");
    let said = page.check(&bundle, "quorum x").await?;
    assert!(said.contains("未能核对") && said.contains("line 1") && page.shows_no_verdict().await?, "{said}");
    page.keep("failed").await?;
    let huge = folder.join("huge.inuse");
    fs::File::create(&huge)?.set_len((256 << 20) + 1)?;
    assert!(page.check(&huge, &key).await?.contains("256 MiB") && page.shows_no_verdict().await?);
    let envelope = files.iter().find(|(name, _)| name.starts_with("envelopes/")).context("an envelope")?.1;
    fs::write(folder.join("one.env"), envelope)?;
    let said = page.check(&folder.join("one.env"), &key).await?;
    assert!(said.contains("单个信封") && page.shows_no_verdict().await?);

    // A module that traps: one page of memory, and functions of one instruction, `unreachable`.
    let mut traps =
        b"\0asm\x01\0\0\0\x01\x06\x01\x60\x01\x7f\x01\x7f\x03\x02\x01\0\x05\x03\x01\0\x01".to_vec();
    let mut exports = vec![3, 6];
    exports.extend(b"memory\x02\0");
    for name in ["inuse_known", "inuse_bundle"] {
        exports.push(u8::try_from(name.len())?);
        exports.extend(name.as_bytes());
        exports.extend([0, 0]);
    }
    traps.extend([7, u8::try_from(exports.len())?]);
    traps.extend(exports);
    traps.extend(b"\x0a\x05\x01\x03\0\0\x0b");
    let trap = format!("document.getElementById('program').textContent = '{}'", BASE64.encode(&traps));
    page.0.script(&trap).await?;
    let said = page.check(&bundle, &key).await?;
    assert!(said.contains("RuntimeError") && page.shows_no_verdict().await?, "{said}");
    page.open_anew().await?;
    assert_eq!(page.check(&bundle, &key).await?, "done");

    // Dropped on the page instead of chosen.
    let drop = format!(
        "const all = new DataTransfer(); \
         all.items.add(new File([Uint8Array.from(atob('{}'), c => c.charCodeAt(0))], '掉落.inuse')); \
         document.dispatchEvent(new DragEvent('drop', {{ dataTransfer: all, cancelable: true }}))",
        BASE64.encode(&changed)
    );
    page.0.script(&drop).await?;
    assert!(page.shows_no_verdict().await?);
    page.0.click("#check").await?;
    assert_eq!(page.settles().await?, "done");
    assert!(page.reads().await?.0.contains("INVALID") && page.0.text("#facts").await?.contains("掉落.inuse"));

    // The module asks for nothing, and the page for nothing but itself, which a script of somebody else's could not change.
    let imports = "const text = atob(document.getElementById('program').textContent); \
        return WebAssembly.Module.imports(new WebAssembly.Module(Uint8Array.from(text, c => c.charCodeAt(0)))).length";
    assert_eq!(page.0.script(imports).await?, 0);
    assert_eq!(page.0.console().await?, Vec::<String>::new(), "the console complains");
    let asked = page.0.requests().await?;
    let is_own =
        |url: &String| ["file:", "blob:", "about:", "data:", "chrome"].iter().any(|own| url.starts_with(own));
    assert!(asked.iter().all(is_own), "asked for {asked:?}");
    let refused = "return fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')";
    assert_eq!(page.0.script(refused).await?, "refused");
    assert!(page.0.console().await?.iter().any(|line| line.contains("Content Security Policy")));
    page.0.close().await?;
    made.end().await
}
