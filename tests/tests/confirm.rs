//! A gateway decides nothing before the firm and the city have both compared the six words of its key; each step
//! stands in the log.

use std::fs;
use std::sync::Arc;

use agent::Watched;
use anyhow::Context as _;
use collectors::manifest::Manifest;
use daemon::SystemClock;
use jiff::civil::date;
use ledger::{Read as _, Reader};
use proof::Deed;
use proof::log::check_receipt;
use serde_json::Value;
use tests::http::{get, post_form};
use tests::plant::firm::demo_firms;
use tests::process::{Program, run, until};
use tests::road::{City, begin_project, server_config};
use tests::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_the_installer_nor_one_party_alone_makes_a_gateway_count() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let any = "127.0.0.1:0";
    let city = City::start(server_config(folder.path(), any, any, any)?, Arc::new(SystemClock)).await?;
    let config = folder.path().join("server.toml");
    let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0);
    let token = begin_project(city.config(), &firm, &SystemClock)?;
    let state = folder.path().join("state");
    let enrolled = agent::enrol(&state, &city.enrolment().to_string(), &token, None).await?;
    let (agent, words) = (enrolled.agent.to_string(), enrolled.words);
    let page = async || {
        let (_, page) = get(city.portal(), &format!("/firms/{}", firm.id)).await?;
        anyhow::Ok(String::from_utf8(page)?)
    };
    let page = &page;
    let says = |what: &'static str| {
        until(what, move || async move { Ok(page().await?.contains(what).then_some(())) })
    };
    says("密钥待确认").await?;
    says("企业 未确认 · 城市 未确认").await?;
    assert!(
        !page().await?.contains(&words.zh()),
        "whoever is to compare the words reads them off the gateway"
    );
    let listed = run("inuse-server", &["agent", "list"], &config).await?;
    assert!(listed.out.contains("waits for the firm and the city"), "{listed:?}");

    // The firm, on its page.
    let code = run("inuse-server", &["project", "code", firm.id], &config).await?;
    assert_eq!(code.code, Some(0), "{code:?}");
    let code = code.out.trim();
    let confirm = async |code: &str, words: &str, name: &str| {
        let (status, page) =
            post_form(city.portal(), "/confirm", &[("code", code), ("words", words), ("name", name)]).await?;
        anyhow::ensure!(status == 200, "status {status}: {page}");
        anyhow::Ok(page)
    };
    for (typed, refusal) in [
        (("aaaa-aaaa-aaaa-aaaa", words.zh(), "王丽"), "确认码不对或已过期"),
        ((code, "健 放 律 卖 泰 邻".to_owned(), "王丽"), "六字指纹与本企业任何待确认网关都不符"),
        ((code, words.zh(), " "), "请填写确认人姓名"),
    ] {
        let page = confirm(typed.0, &typed.1, typed.2).await?;
        assert!(page.contains(refusal), "{refusal}: {page}");
    }
    let (status, _) = post_form(city.portal(), "/confirm", &[("code", &"a".repeat(5_000))]).await?;
    assert_ne!(status, 200, "a form is short");
    assert!(confirm(code, &words.en().to_uppercase(), "王丽 <b>").await?.contains("企业确认已写入日志"));
    says("企业 王丽 &#60;b&#62;").await?;
    says("密钥待确认").await?;

    // The city, by its command.
    let by_city = async |words: &str| {
        run("inuse-server", &["agent", "confirm", &agent, "--words", words, "--name", "陈强"], &config).await
    };
    let refused = by_city("健 放 律 卖 泰 邻").await?;
    assert!(refused.code == Some(1) && refused.err.contains("not the six words"), "{refused:?}");
    says("密钥待确认").await?;
    let confirmed = by_city(&words.zh()).await?;
    assert!(confirmed.out.contains("the firm (王丽 <b>) and the city (陈强)"), "{confirmed:?}");
    says("密钥已确认").await?;
    assert!(page().await?.contains(&words.zh()), "an expert compares them on site");

    // Revoked, it is confirmed no more; and the log has every step.
    let revoke = ["agent", "revoke", &agent, "--reason", "试点结束"];
    assert_eq!(run("inuse-server", &revoke, &config).await?.code, Some(0));
    assert!(confirm(code, &words.zh(), "王丽").await?.contains("该网关的密钥已停用"));
    let reader = Reader::open(&city.config().data.join("ledger.sqlite"))?;
    let acts = reader.acts(enrolled.agent)?;
    let kinds: Vec<_> = acts.iter().map(|recorded| recorded.act.kind()).collect();
    assert_eq!(kinds, ["enrol", "confirm", "confirm", "revoke"]);
    for recorded in &acts {
        let receipted = reader.find(recorded.act.id())?.context("an act has its receipt")?;
        check_receipt(&receipted.receipt, recorded.act.id(), city.log_vkey())?;
    }
    city.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_before_a_gateway_came_cannot_be_another_afterwards() -> anyhow::Result<()> {
    let site = Site::start(demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0)).await?;
    let baseline = async |more: &[&str]| {
        let args: Vec<_> = ["baseline", "--json"].into_iter().chain(more.iter().copied()).collect();
        let ended = run("inuse-agent", &args, site.agent_config()).await?;
        let said: Value = serde_json::from_str(&ended.out).with_context(|| ended.err.clone())?;
        anyhow::Ok((ended.code, said))
    };
    let (code, said) = baseline(&[]).await?;
    assert_eq!((code, &said["as_enrolled"]), (Some(0), &Value::Bool(true)), "{said}");
    let sources = said["baseline"]["sources"].as_array().context("sources")?;
    assert!(sources.iter().all(|source| source["error"].is_null()), "{said}");
    let digest = said["digest"].as_str().context("a digest")?;

    // The same stands in the log, on the page and in the bundle's report.
    let reader = Reader::open(&site.data().join("ledger.sqlite"))?;
    let enrolled = reader.acts(site.agent())?.into_iter().find_map(|recorded| match recorded.act.deed {
        Deed::Enrol(_, enrol) => Some(enrol.baseline),
        Deed::Confirm(..) | Deed::Revoke(..) | Deed::Beacon => None,
    });
    let enrolled: String = enrolled.context("enrolled")?.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(enrolled, digest);
    let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0).id;
    let portal = site.city()?.portal();
    until("the page has the hash", || async {
        let (_, page) = get(portal, &format!("/firms/{firm}")).await?;
        Ok(String::from_utf8_lossy(&page).contains(digest).then_some(()))
    })
    .await?;

    // Something is there that was not.
    let log = sources.iter().find_map(|source| {
        let facts = source["facts"].as_array()?;
        facts.iter().any(|fact| fact["name"] == "files").then(|| source["address"].as_str()).flatten()
    });
    let log = log.context("a log")?;
    fs::write(format!("{log}.1"), "2019-05-06 07:08:09 an older file\n")?;
    let (code, said) = baseline(&["--now"]).await?;
    let differences = said["differences"].as_array().context("differences")?;
    assert_eq!(code, Some(0), "{said}");
    assert!(differences.iter().any(|one| one["fact"] == "files"), "{said}");

    // Whoever writes history anew has another hash.
    let file = site.state().join("baseline.json");
    let text = fs::read_to_string(&file)?.replacen("\"made_ms\": 1", "\"made_ms\": 2", 1);
    fs::write(&file, text)?;
    let (code, said) = baseline(&[]).await?;
    assert_eq!((code, &said["as_enrolled"]), (Some(2), &Value::Bool(false)), "{said}");
    let said = run("inuse-agent", &["baseline"], site.agent_config()).await?.out;
    assert!(said.contains("ANOTHER hash was recorded at enrolment"), "{said}");
    site.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enrolment_whose_answer_was_lost_keeps_the_baseline_that_the_log_has() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let any = "127.0.0.1:0";
    let city = City::start(server_config(folder.path(), any, any, any)?, Arc::new(SystemClock)).await?;
    let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0);
    let token = begin_project(city.config(), &firm, &SystemClock)?;
    let (server, state) = (city.enrolment().to_string(), folder.path().join("state"));
    let enrol = async |log: &str, now_ms| {
        let text =
            format!("[[sources]]\nname = \"mes\"\n[sources.log]\npath = \"{log}\"\nparser = \"spring\"\n");
        let manifest = Manifest::parse("manifest.toml", &text, folder.path());
        let manifest = manifest.map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
        agent::enrol(&state, &server, &token, Some(Watched { manifest: &manifest, now_ms })).await?;
        anyhow::Ok(agent::baseline::kept(&state)?.context("a baseline")?)
    };
    let first = enrol("one.log", 1).await?;
    let lost = || fs::remove_file(state.join("enrolment.json"));
    lost()?;
    // Asked again with another manifest, and with a third: the log has the first.
    assert_eq!(enrol("another.log", 2).await?, first);
    lost()?;
    assert_eq!(enrol("a third.log", 3).await?, first);
    assert_eq!(agent::Identity::load(&state)?.baseline, data_encoding::HEXLOWER.encode(&first.digest));
    let files = fs::read_dir(&state)?.filter_map(Result::ok);
    let baselines = files.filter(|file| file.file_name().to_string_lossy().starts_with("baseline"));
    assert_eq!(baselines.count(), 1);
    city.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_says_who_installs_and_in_whose_place_and_complains_of_all_that_is_wrong_at_once()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let any = "127.0.0.1:0";
    let city = City::start(server_config(folder.path(), any, any, any)?, Arc::new(SystemClock)).await?;
    let config = folder.path().join("server.toml");
    let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0);
    let token = begin_project(city.config(), &firm, &SystemClock)?;
    let server = city.enrolment().to_string();
    let first = agent::enrol(&folder.path().join("first"), &server, &token, None).await?.agent;
    let add = |more: &[&str]| {
        [&["project", "add", firm.id], more].concat().into_iter().map(str::to_owned).collect()
    };
    let refused = async |args: Vec<String>| {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let refused = run("inuse-server", &args, &config).await?;
        anyhow::ensure!(refused.code != Some(0), "{refused:?}");
        anyhow::Ok(refused.err)
    };
    let long = "长".repeat(201);
    let said = refused(add(&["--installer", &long, "--replaces", "x", "--reason", " "])).await?;
    for part in ["--installer", "--replaces", "--reason"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let other = proof::AgentId([3; 16]).to_string();
    let said = refused(add(&["--replaces", &other, "--reason", "主板损坏"])).await?;
    assert!(said.contains("is no gateway of"), "{said}");

    let id = first.to_string();
    let good: Vec<String> = add(&["--installer", "某服务商", "--replaces", &id, "--reason", "主板损坏"]);
    let good: Vec<_> = good.iter().map(String::as_str).collect();
    let token = Program::shipped("inuse-server")?.output(&good, &config).await?;
    let second = agent::enrol(&folder.path().join("second"), &server, token.trim(), None).await?.agent;
    let acts = Reader::open(&city.config().data.join("ledger.sqlite"))?.acts(second)?;
    let proof::Deed::Enrol(_, enrol) = &acts[0].act.deed else { anyhow::bail!("{acts:?}") };
    assert_eq!((enrol.installer.as_str(), enrol.reason.as_str()), ("某服务商", "主板损坏"));
    assert_eq!(enrol.replaces, first.0);
    city.stop().await
}
