//! A real browser, headless, driven as people click: Debian's Chromium by its driver's WebDriver protocol.
//!
//! Plain HTTP and JSON over a socket (W3C WebDriver); only what the tests of the pages need. The browser's profile is
//! new each time and goes with it.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::foreign::needed;
use crate::process::PATIENCE;

/// Key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser with one window.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts driver and browser; the window is so large.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(width: u32, height: u32) -> anyhow::Result<Self> {
        let mut driver = Command::new(needed("INUSE_CHROMEDRIVER")?)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("could not start the driver")?;
        let mut lines = BufReader::new(driver.stdout.take().context("a piped standard output")?).lines();
        let port = async {
            while let Some(line) = lines.next_line().await? {
                let port = line
                    .rsplit_once("started successfully on port ")
                    .map(|(_, port)| port.trim_end_matches('.'));
                if let Some(port) = port {
                    return Ok(port.parse::<u16>()?);
                }
            }
            bail!("the driver ended without a word")
        };
        let port = tokio::time::timeout(PATIENCE, port).await.context("the driver says nothing")??;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let profile = tempfile::tempdir()?;
        let options = json!({
            "binary": needed("INUSE_CHROMIUM")?,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                format!("--window-size={width},{height}"),
                format!("--user-data-dir={}", profile.path().display()),
            ],
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let made = call(address, "POST", "/session", Some(wanted)).await?;
        let session = made["sessionId"].as_str().context("a session has an id")?.to_owned();
        Ok(Self { driver, address, session, _profile: profile })
    }

    async fn ask(&self, method: &str, what: &str, body: Option<Value>) -> anyhow::Result<Value> {
        call(self.address, method, &format!("/session/{}/{what}", self.session), body).await
    }

    /// Opens an address and waits until the page is loaded.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.ask("POST", "url", Some(json!({ "url": url }))).await.map(drop)
    }

    /// The address of the page that is shown.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn url(&self) -> anyhow::Result<String> {
        Ok(self.ask("GET", "url", None).await?.as_str().context("an address")?.to_owned())
    }

    /// Clicks the first element that this CSS selector names, and waits for the page it leads to.
    ///
    /// # Errors
    /// When there is no such element, or it cannot be clicked.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let element = self.element(selector).await?;
        self.ask("POST", &format!("element/{element}/click"), Some(json!({}))).await.map(drop)
    }

    /// Types into the first element of this selector; into one that takes a file, the file's path.
    ///
    /// # Errors
    /// When there is no such element, or nothing can be typed into it.
    pub async fn types(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let element = self.element(selector).await?;
        self.ask("POST", &format!("element/{element}/value"), Some(json!({ "text": text }))).await.map(drop)
    }

    /// The text that a person reads in the first element of this selector.
    ///
    /// # Errors
    /// When there is no such element.
    pub async fn text(&self, selector: &str) -> anyhow::Result<String> {
        let element = self.element(selector).await?;
        let text = self.ask("GET", &format!("element/{element}/text"), None).await?;
        Ok(text.as_str().context("a text")?.to_owned())
    }

    async fn element(&self, selector: &str) -> anyhow::Result<String> {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found =
            self.ask("POST", "element", Some(wanted)).await.with_context(|| format!("no `{selector}`"))?;
        Ok(found[ELEMENT].as_str().context("an element has an id")?.to_owned())
    }

    /// What a script in the page returns.
    ///
    /// # Errors
    /// When it fails.
    pub async fn script(&self, script: &str) -> anyhow::Result<Value> {
        self.ask("POST", "execute/sync", Some(json!({ "script": script, "args": [] }))).await
    }

    /// A picture of the whole page as base64 of a PNG.
    ///
    /// # Errors
    /// When the browser does not give one.
    pub async fn picture(&self) -> anyhow::Result<String> {
        let wanted = json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true } });
        let taken = self.ask("POST", "goog/cdp/execute", Some(wanted)).await?;
        Ok(taken["data"].as_str().context("a picture")?.to_owned())
    }

    /// What the console has said since the last time it was asked, policy violations and failed requests included.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn console(&self) -> anyhow::Result<Vec<String>> {
        let said = self.ask("POST", "se/log", Some(json!({ "type": "browser" }))).await?;
        let line = |entry: &Value| format!("{}: {}", entry["level"], entry["message"]);
        Ok(said.as_array().into_iter().flatten().map(line).collect())
    }

    /// The addresses its pages have asked for since the last time it was asked.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn requests(&self) -> anyhow::Result<Vec<String>> {
        let said = self.ask("POST", "se/log", Some(json!({ "type": "performance" }))).await?;
        let mut urls = Vec::new();
        for entry in said.as_array().into_iter().flatten() {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap_or("null"))?;
            let event = &event["message"];
            if event["method"] == "Network.requestWillBeSent" {
                urls.push(event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(urls)
    }

    /// Closes the window and ends the driver.
    ///
    /// # Errors
    /// When the browser does not close.
    pub async fn close(mut self) -> anyhow::Result<()> {
        call(self.address, "DELETE", &format!("/session/{}", self.session), None).await?;
        Ok(self.driver.kill().await?)
    }
}

/// One command to the driver; returns its value.
async fn call(driver: SocketAddr, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let body = body.map_or_else(String::new, |body| body.to_string());
    let exchange = async {
        let mut stream = TcpStream::connect(driver).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        answer(&mut stream).await
    };
    let (status, body) =
        tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("no answer to {path}"))??;
    let mut said: Value = serde_json::from_slice(&body).with_context(|| format!("{path}: not JSON"))?;
    let value = said["value"].take();
    ensure!(status == 200, "{method} {path}: {}: {}", value["error"], value["message"]);
    Ok(value)
}

/// Status and body. The driver keeps a connection open that it was asked to close, so the length decides.
async fn answer(stream: &mut TcpStream) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut status, mut length) = (None, 0_u64);
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line).await? > 0, "the answer breaks off");
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    ensure!(length <= 64 << 20, "an answer of {length} bytes");
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).await?;
    Ok((status.context("an answer without status")?, body))
}
