//! The pages through the router: what they say, in both languages, and what they refuse.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use prost::Message as _;
use tower::ServiceExt as _;

#[path = "../fixtures/madeup.rs"]
mod madeup;

struct Site {
    router: axum::Router,
    agent: String,
    opening: proof::Opening,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
    text: String,
}

impl Site {
    fn new() -> Self {
        Self::of(madeup::MadeUp::new())
    }

    fn of(source: madeup::MadeUp) -> Self {
        let (agent, opening) = (source.agent().to_string(), source.opening());
        Self { agent, opening, router: portal::router(Arc::new(source)) }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, bytes, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    fn every_page(&self) -> Vec<String> {
        let window = format!("/firms/hengtong/windows/{}/60", self.agent);
        let days = ["/firms/hengtong/days/2026-03-02", "/firms/hengtong/days/2026-04-30"].map(str::to_owned);
        let firms = ["hengtong", "ruida", "jinyuan", "xinhe", "lihua"].map(|id| format!("/firms/{id}"));
        let mut pages = vec!["/".to_owned(), window, "/opening".to_owned()];
        pages.extend(["/nowhere", "/firms/nobody"].map(str::to_owned));
        pages.extend(days);
        pages.extend(firms);
        pages
    }
}

/// What a reader sees: no tags, no attributes, no made-up names that are Chinese by nature.
fn visible(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        // Text marked as being in the other language is there on purpose.
        let (tag, after) = after.split_once('>').unwrap();
        rest = if tag.contains("lang=\"zh-CN\"") && !tag.starts_with("html") {
            after.split_once('<').map_or("", |(_, rest)| rest).split_once('>').map_or("", |(_, rest)| rest)
        } else {
            after
        };
    }
    text.push_str(rest);
    text
}

fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

#[tokio::test]
async fn every_page_is_whole_in_both_languages() {
    let site = Site::new();
    // What the project's file names in Chinese only stays as it is written there.
    let given = [
        "示例市",
        "城东区",
        "城西区",
        "高新区",
        "注塑机",
        "数控车床",
        "老式冲床",
        "新禾食品有限公司",
        "恒通精密部件有限公司",
    ];
    for path in site.every_page() {
        let zh = site.get(&path).await;
        assert!(
            zh.text.contains("<html lang=\"zh-CN\">") && zh.text.contains("不代替专家验收结论"),
            "{path}"
        );
        let en = site.get(&format!("{path}?lang=en")).await;
        assert_eq!(en.status, zh.status, "{path}");
        assert!(en.text.contains("<html lang=\"en\">"), "{path}");
        let mut text = visible(&en.text);
        for name in given {
            text = text.replace(name, "");
        }
        let left: String = text.chars().filter(|c| is_han(*c)).collect();
        assert!(left.is_empty(), "{path} in English still says {left}");
    }
}

#[tokio::test]
async fn an_opening_is_checked_against_the_window_received_and_says_what_it_shows_in_both_languages() {
    let site = Site::new();
    let page = async |opening: &proof::Opening, lang: &str| {
        let path = format!("/opening?text={}&lang={lang}", opening.text());
        let answer = site.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.text
    };
    let zh = page(&site.opening, "zh").await;
    for must in ["badge good", "相符", "报工单 MO-2026-0117", "未展示的字段数", "无独立见证", "/71?entry="]
    {
        assert!(zh.contains(must), "{must} is missing: {zh}");
    }
    assert!(!zh.contains("zhang.wei"), "a field that is not shown");
    let en = visible(&page(&site.opening, "en").await);
    assert!(en.contains("holds") && en.contains("committed to"), "{en}");
    let code = site.opening.text().replace("INUSE1:", "/OPENING/");
    assert!(site.get(&code).await.text.contains("badge good"));

    // Each of them, and none of them holds.
    let mut others = vec![site.opening.clone(); 5];
    others[0].fields[0].value[0] ^= 1;
    others[1].leaf.dt_ms += 1;
    others[2].entry.0[0] ^= 1;
    others[3].seq = 1_000;
    others[4].agent.0[0] ^= 1;
    let says = ["字段 0", "不是当时承诺的内容", "重新封存", "从未收到", "没有这台网关"];
    for (other, says) in others.iter().zip(says) {
        let page = page(other, "zh").await;
        assert!(page.contains("badge poor") && page.contains(says), "{says}: {page}");
        assert!(!page.contains("badge good"));
    }
    let torn = site.get("/opening?text=INUSE1:ABC").await.text;
    assert!(torn.contains("不是完整的开示文本"), "{torn}");
    let nothing = site.get("/opening").await.text;
    assert!(!nothing.contains("badge"), "nothing was given: {nothing}");
    let script = site.get("/opening?text=%3Cscript%3Ealert(1)%3C/script%3E").await.text;
    assert!(!script.contains("<script>alert"), "{script}");
}

#[tokio::test]
async fn firm_page_carries_what_must_be_printed_with_a_headline() {
    let page = Site::new().get("/firms/hengtong").await.text;
    for must in [
        "真实在用",
        "本结论为机器证据提示，不代替专家验收结论",
        "2026-03-04 – 2026-05-01",
        "提案，非政策规定",
        "2026.1",
        "支持在用的事实",
        "不支持的事实",
        "人工核对",
        "95% 区间",
        "无独立见证",
        "未声明",
        "断电或重启",
        "企业答复",
        "/firms/hengtong/days/2026-03-02",
        "老式冲床",
    ] {
        assert!(page.contains(must), "{must} is missing");
    }
    assert_eq!(
        page.matches("<figure>").count(),
        1 + 5 + 3,
        "overview, a calendar per module, a strip per source"
    );
}

#[tokio::test]
async fn names_from_outside_are_escaped_everywhere() {
    let site = Site::new();
    for path in [
        "/",
        "/firms/jinyuan",
        "/firms/jinyuan/days/2026-03-02",
        "/?name=%3Cscript%3Ealert(2)%3C%2Fscript%3E",
    ] {
        let page = site.get(path).await.text;
        assert!(!page.contains("<script>alert"), "{path}");
    }
    assert!(site.get("/firms/jinyuan").await.text.contains("&#60;script&#62;alert(1)"));
    let lost = site.get("/%3Cimg%20src=x%3E").await;
    assert!(!lost.text.contains("<img"));
}

#[tokio::test]
async fn what_is_not_there_is_said_in_both_languages_with_what_was_attempted() {
    let site = Site::new();
    let far = format!("/firms/hengtong/windows/{}/99999", site.agent);
    for (path, status, zh, en) in [
        ("/nowhere", 404, "没有这个页面", "There is no such page"),
        ("/firms/nobody", 404, "没有这家企业", "There is no such firm"),
        ("/firms/..%2f..%2fetc", 404, "没有这家企业", "There is no such firm"),
        ("/firms/hengtong/days/2026-02-30", 400, "地址不完整或有误", "The address cannot be read"),
        ("/firms/hengtong/days/20260302", 400, "地址不完整或有误", "The address cannot be read"),
        ("/firms/hengtong/windows/abc/1", 400, "地址不完整或有误", "The address cannot be read"),
        (&far, 404, "台账中没有这条记录", "The ledger holds no such entry"),
    ] {
        let page = site.get(path).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        assert!(page.text.contains(zh) && page.text.contains(en), "{path}");
        assert!(page.text.contains(&format!("GET {}", path.replace('"', "&quot;"))), "{path}");
    }
    let posted = site.ask(Request::post("/").body(Body::empty()).unwrap()).await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn language_is_remembered_only_when_asked_for_and_known() {
    let site = Site::new();
    let asked = site.get("/?lang=en").await;
    assert!(asked.headers["set-cookie"].to_str().unwrap().starts_with("lang=en;"));
    assert!(!site.get("/").await.headers.contains_key("set-cookie"));
    let unknown = site.get("/?lang=tlh").await;
    assert!(unknown.text.contains("企业列表") && !unknown.headers.contains_key("set-cookie"));
    let cookie = Request::get("/").header("cookie", "lang=en").body(Body::empty()).unwrap();
    assert!(site.ask(cookie).await.text.contains("<html lang=\"en\">"));
}

#[tokio::test]
async fn every_answer_forbids_what_is_not_ours() {
    let site = Site::new();
    for path in ["/", "/nowhere", "/assets/inuse.css", "/api/firms", "/healthz"] {
        let answer = site.get(path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
    for path in site.every_page() {
        let page = site.get(&path).await.text;
        assert!(
            !page.contains("style=\"") && !page.contains("onclick") && !page.contains("http://w."),
            "{path}"
        );
        assert!(
            !page.replace("http://www.w3.org/2000/svg", "").contains("http"),
            "{path} names another site"
        );
    }
}

#[tokio::test]
async fn riskiest_firm_comes_first_and_small_city_cells_are_withheld() {
    let site = Site::new();
    let page = site.get("/").await.text;
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    assert!(
        at("瑞达橡塑") < at("金源五金") && at("金源五金") < at("丽华纺织") && at("丽华纺织") < at("恒通精密")
    );
    assert!(page.contains("不单列") && page.contains("R3 突击使用嫌疑") && page.contains("有网关离线"));
    let filtered = site.get("/?headline=built_unused&district=%E9%AB%98%E6%96%B0%E5%8C%BA").await.text;
    assert!(filtered.contains("瑞达橡塑") && !filtered.contains("金源五金"));
    assert!(site.get("/?name=zzz").await.text.contains("没有符合条件的企业"));
    assert_eq!(site.get("/?page=99999999999999999999").await.status, StatusCode::OK);
}

#[tokio::test]
async fn downloads_are_the_exact_bytes_and_check_offline() {
    let site = Site::new();
    let path = format!("/firms/hengtong/windows/{}/60", site.agent);
    let page = site.get(&path).await.text;
    assert!(page.contains("回执成立") && page.contains("inuse-verify") && page.contains("log.example/inuse"));
    let envelope = site.get(&format!("{path}/envelope.bin")).await;
    let receipt = site.get(&format!("{path}/receipt.bin")).await;
    assert!(envelope.headers["content-disposition"].to_str().unwrap().contains("envelope.bin"));
    let envelope = proof::Envelope::parse(&envelope.bytes).unwrap();
    let receipt = proof::wire::Receipt::decode(receipt.bytes.as_slice()).unwrap();
    let key = ledger::LogKey::from_seed("log.example/inuse", &[7; 32]).unwrap().0.verifier().to_owned();
    let checked = proof::log::check_receipt(&receipt, envelope.id(), &key).unwrap();
    assert_eq!(checked.entry.seq, 60);
}

#[tokio::test]
async fn a_rewritten_history_stands_on_the_windows_page_and_on_the_days() {
    let site = Site::new();
    let page = site.get(&format!("/firms/hengtong/windows/{}/60", site.agent)).await.text;
    assert!(page.contains("历史记录改动") && page.contains("已读内容被修改，位置 24000 – 24310"));
    let page = site.get(&format!("/firms/hengtong/windows/{}/61", site.agent)).await.text;
    assert!(!page.contains("历史记录改动"));
    let day = site.get("/firms/hengtong/days/2026-03-02?lang=en").await.text;
    assert!(day.contains("edited below what had been read, position 24000 – 24310"));
}

#[tokio::test]
async fn use_rows_are_listed_by_pseudonym_not_by_count() {
    let site = Site::new();
    let page = site.get(&format!("/firms/hengtong/windows/{}/60", site.agent)).await.text;
    let first = page.find("08").unwrap();
    assert!(first > 0 && page.contains("不对人员排名"));
    let pseudonyms: Vec<&str> = page
        .match_indices("<tr><td class=\"mono\">")
        .map(|(at, tag)| &page[at + tag.len()..at + tag.len() + 16])
        .collect();
    assert_eq!(pseudonyms.len(), 2);
    assert!(pseudonyms.is_sorted(), "{pseudonyms:?}");
}

#[tokio::test]
async fn programs_get_the_same_facts_as_json() {
    let site = Site::new();
    let firms: serde_json::Value = serde_json::from_str(&site.get("/api/firms").await.text).unwrap();
    assert_eq!(firms["matched"], 5);
    assert_eq!(firms["firms"][0]["headline"], "built_unused");
    let firm: serde_json::Value = serde_json::from_str(&site.get("/api/firms/hengtong").await.text).unwrap();
    assert_eq!(firm["use_level"], "U3");
    assert_eq!(firm["assessment"]["metrics"][0]["id"], "M01");
    assert_eq!(firm["assessment"]["days"].as_array().unwrap().len(), 61);
    let lost = site.get("/api/firms/nobody").await;
    assert_eq!((lost.status, lost.text.contains("no_such_firm")), (StatusCode::NOT_FOUND, true));
    assert_eq!(site.get("/healthz").await.text, "ok\n");
}

#[tokio::test]
async fn who_has_cosigned_stands_beside_what_the_checkpoint_covers_and_beside_nothing_else() {
    let pages = async |size: u64| {
        let mut source = madeup::MadeUp::new();
        let by = vec![("university".to_owned(), 1_772_500_000)];
        source.log.cosigned = Some(portal::Cosigned { size, note: String::new(), by });
        let site = Site::of(source);
        let window = site.get(&format!("/firms/hengtong/windows/{}/60", site.agent)).await;
        (site.get("/firms/hengtong").await.text, window.text)
    };
    let line = "独立见证联署的检查点 · 树大小 100000 · university 2026-03-03 09:06";
    let (firm, window) = pages(100_000).await;
    assert!(firm.contains(line) && !firm.contains("无独立见证"), "{firm}");
    assert!(window.contains(line) && !window.contains("无独立见证"), "{window}");
    let (firm, window) = pages(10).await;
    assert!(firm.contains("树大小 10 · university"), "{firm}");
    assert!(window.contains("无独立见证") && !window.contains("university"), "recorded after it: {window}");
}

/// A label beside a gap of which nobody declared anything leaves the gap what it is.
#[tokio::test]
async fn a_label_stands_beside_the_silence_it_is_about_as_somebodys_statement_and_not_in_its_place() {
    let site = Site::new();
    let zh = site.get("/firms/hengtong?lang=zh").await.text;
    let row = zh.split("<tr>").find(|row| row.contains("未声明")).unwrap();
    assert!(row.contains("原因不明"), "the silence stays one that nobody declared: {row}");
    assert!(row.contains("企业") && row.contains("人工停止 (H)") && row.contains("检修停产"), "{row}");
    assert!(zh.contains("不删除、不改变任何记录、缺口与评定") && zh.contains("王工") && zh.contains("迟交"));
    assert!(
        zh.contains("&#60;b&#62;补充说明&#60;/b&#62;") && !zh.contains("<b>补充说明"),
        "a text is no mark-up"
    );
    let en = site.get("/firms/hengtong?lang=en").await.text;
    let row = en.split("<tr>").find(|row| row.contains("undeclared")).unwrap();
    assert!(
        row.contains("the firm") && row.contains("stopped by hand (H)") && row.contains(">late<"),
        "{row}"
    );
    assert!(en.contains("it deletes and changes no record, no gap and no verdict"));
    let api = site.get("/api/firms/hengtong").await.text;
    let api: serde_json::Value = serde_json::from_str(&api).unwrap();
    let said = api["chain"]["said"].as_array().or(api["said"].as_array()).unwrap();
    assert_eq!((said[0]["late"].as_bool(), said[1]["late"].as_bool()), (Some(false), Some(true)));
    assert_eq!((&said[0]["by"], &said[0]["cause"]), (&"firm".into(), &"H".into()));
}
