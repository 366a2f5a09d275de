//! The pages in a real browser: what an expert clicks, sees and reads, in both languages, without the internet.

use std::path::Path;

use data_encoding::BASE64;
use jiff::civil::date;
use tests::browser::Browser;
use tests::http::get_json;
use tests::plant::firm::demo_firms;
use tests::process::until;
use tests::site::{Site, seconds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn an_expert_finds_the_firm_its_headline_and_its_heat_map_in_chromium() -> anyhow::Result<()> {
    let firm = demo_firms(date(2026, 7, 22), date(2026, 9, 20)).remove(0);
    let (id, name) = (firm.id, firm.name);
    let mut site = Site::start(firm).await?;
    site.run_to(seconds(2 * 24, 0, 0)).await?;
    site.stop_gateway().await?;
    let portal = site.city()?.portal();
    until("the portal has two days", || async {
        let firm = get_json(portal, &format!("/api/firms/{id}")).await?;
        Ok((firm["windows"].as_u64() >= Some(288)).then_some(firm))
    })
    .await?;
    let assessed = get_json(portal, &format!("/api/firms/{id}")).await?;
    let headline = |language: &str| assessed["headline_text"][language].as_str().unwrap_or("?").to_owned();

    let browser = Browser::start(1280, 1600).await?;
    browser.open(&format!("http://{portal}/")).await?;
    assert_eq!(browser.script("return document.documentElement.lang").await?, "zh-CN", "Chinese comes first");
    assert_eq!(browser.text("table.firms a.name").await?, name);
    keep(&browser, "list").await?;

    browser.click("table.firms a.name").await?;
    assert_eq!(browser.url().await?, format!("http://{portal}/firms/{id}"));
    assert_eq!(browser.text("h1").await?, name);
    let badge = browser.text(".verdict .badge.big").await?;
    assert!(badge.contains(&headline("zh")), "{badge} is not {}", headline("zh"));
    for side in [".sides .for li", ".sides .against li"] {
        assert!(!browser.text(side).await?.is_empty(), "{side} says nothing");
    }
    // Seen is what has an area on the screen and is painted with more than one colour.
    let drawn = "return [...document.querySelectorAll('figure svg')].filter(svg => \
        svg.getBoundingClientRect().width > 200 && svg.getBoundingClientRect().height > 20 && \
        new Set([...svg.querySelectorAll('rect')].map(rect => getComputedStyle(rect).fill)).size > 1).length";
    let drawn = browser.script(drawn).await?.as_u64().unwrap_or_default();
    // The overview, a calendar for each of four modules, a strip for each of two devices at the least.
    assert!(drawn >= 6, "only {drawn} drawings can be seen");
    keep(&browser, "firm").await?;

    browser.click("header nav a[hreflang]").await?;
    assert_eq!(browser.script("return document.documentElement.lang").await?, "en");
    let badge = browser.text(".verdict .badge.big").await?;
    assert!(badge.contains(&headline("en")), "{badge} is not {}", headline("en"));
    keep(&browser, "firm-english").await?;
    // The choice is remembered on the way down to one day and one window.
    browser.open(&format!("http://{portal}/firms/{id}/days/2026-07-23")).await?;
    assert_eq!(browser.script("return document.documentElement.lang").await?, "en");
    keep(&browser, "day").await?;
    browser.click("main a[href*='/windows/']").await?;
    assert!(browser.url().await?.contains("/windows/"));
    keep(&browser, "window").await?;

    assert_eq!(browser.console().await?, Vec::<String>::new(), "the console complains");
    let own = format!("http://{portal}/");
    let foreign: Vec<_> =
        browser.requests().await?.into_iter().filter(|url| !url.starts_with(&own)).collect();
    assert!(
        foreign.iter().all(|url| url.starts_with("data:") || url.starts_with("chrome")),
        "asked for {foreign:?}"
    );
    browser.close().await?;
    site.end().await
}

/// Keeps a picture of the page under the target directory, for people to look at.
async fn keep(browser: &Browser, name: &str) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder)?;
    let picture = browser.picture().await?;
    assert!(picture.len() > 20_000, "the picture of {name} is empty");
    Ok(std::fs::write(folder.join(format!("{name}.png")), BASE64.decode(picture.as_bytes())?)?)
}
