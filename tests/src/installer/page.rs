//! A browser without scripts that reads the wizard's page and sends its forms, over plain HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use daemon::Stopwatch;

use crate::process::{PATIENCE, program};

/// Who reads the page.
pub struct Reader {
    wizard: Child,
    host: String,
    /// The address as the terminal has it, with its token.
    path: String,
    cookie: String,
    /// What was shown, in order, and how much of it was read.
    shown: String,
    read: usize,
    /// Lines that have been shown since the last answer, and the number of the question that has.
    lines: usize,
    question: Option<String>,
}

/// What a server answers.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Lines of the head.
    pub head: String,
    /// The page.
    pub body: String,
}

impl Reader {
    pub(super) fn opens(config: &Path, lang: &str) -> anyhow::Result<Self> {
        let mut wizard = Command::new(program("inuse-agent")?)
            .args(["setup", "--page", "127.0.0.1:0", "--lang", lang, "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(wizard.stdout.take().context("a piped standard output")?).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("http://")?.1.to_owned()))
            .context("no address")?;
        // It goes on saying what it does.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let (host, path) = url.split_once('/').context("an address with a token")?;
        let mut reader = Self {
            wizard,
            host: host.to_owned(),
            path: format!("/{path}"),
            cookie: String::new(),
            shown: String::new(),
            read: 0,
            lines: 0,
            question: None,
        };
        let welcome = reader.request("GET", &reader.path, "", None)?;
        ensure!(welcome.status == 303, "the token is not taken: {}", welcome.head);
        let cookie = welcome.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        reader.cookie = cookie.context("no cookie")?.split(';').next().unwrap_or_default().to_owned();
        Ok(reader)
    }

    /// Asks as another browser would, that has the address too.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn as_another(&self, path: Option<&str>) -> anyhow::Result<Answer> {
        self.request("GET", path.unwrap_or(&self.path), "", None)
    }

    /// Sends the form of the question before once more, or from another page.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn posts(&self, question: &str, answer: &str, origin: Option<&str>) -> anyhow::Result<Answer> {
        let mut head = format!("Cookie: {}\r\n", self.cookie);
        if let Some(origin) = origin {
            head.push_str(&format!("Origin: {origin}\r\n"));
        }
        self.request("POST", "/answer", &head, Some(&format!("question={question}&answer={}", coded(answer))))
    }

    /// The number of the question that is shown.
    pub fn question(&self) -> Option<&str> {
        self.question.as_deref()
    }

    /// A page of the wizard.
    ///
    /// # Errors
    /// When it is not there.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.request("GET", path, &format!("Cookie: {}\r\n", self.cookie), None)?;
        ensure!(answer.status == 200, "{path}: {}", answer.head);
        Ok(answer.body)
    }

    pub(super) fn answers(&mut self, answer: &str) -> anyhow::Result<()> {
        let question = self.question.take().context("no question")?;
        let page = self.get("/")?;
        // What an empty answer means to a person stands in the form already.
        let usual = page.lines().find(|line| line.contains("type=\"text\"") || line.contains(" checked>"));
        let usual = usual.and_then(|line| line.split_once(" value=\"")?.1.split('"').next());
        let answer = if answer.is_empty() { plain(usual.unwrap_or_default()) } else { answer.to_owned() };
        let taken = self.posts(&question, &answer, None)?;
        ensure!(taken.status == 303, "{}", taken.head);
        self.lines = 0;
        Ok(())
    }

    pub(super) fn reads(&mut self, text: &str) -> anyhow::Result<String> {
        let began = Stopwatch::start();
        loop {
            if let Some(at) = self.shown[self.read..].find(text) {
                let before = self.shown[self.read..self.read + at].to_owned();
                self.read += at + text.len();
                return Ok(before);
            }
            ensure!(began.elapsed() < PATIENCE, "not shown after {:?}", &self.shown[self.read..]);
            self.looks()?;
        }
    }

    pub(super) fn leaves(&mut self) -> anyhow::Result<()> {
        let began = Stopwatch::start();
        while !self.get("/")?.contains("action=\"/end\"") {
            ensure!(began.elapsed() < PATIENCE, "it goes on");
        }
        let left = self.request("POST", "/end", &format!("Cookie: {}\r\n", self.cookie), Some(""))?;
        ensure!(left.status == 200, "{}", left.head);
        let ended = self.wizard.wait()?;
        ensure!(ended.success(), "the wizard ended with {ended}");
        Ok(())
    }

    /// Takes what is new on the page, which the server gives when there is something to see.
    fn looks(&mut self) -> anyhow::Result<()> {
        let page = self.get("/")?;
        let said = page.split_once("<pre>").and_then(|(_, rest)| Some(rest.split_once("</pre>")?.0));
        let said: Vec<_> = said.unwrap_or_default().lines().collect();
        for line in said.iter().skip(self.lines) {
            self.shown.push_str(&format!("{}\n", plain(line)));
        }
        self.lines = self.lines.max(said.len());
        let between =
            |line: &str, from: &str, to: &str| Some(plain(line.split_once(from)?.1.split_once(to)?.0));
        let number = page.lines().find_map(|line| between(line, "name=\"question\" value=\"", "\""));
        if number.is_some() && number != self.question {
            let text = page.lines().find_map(|line| between(line, "<h2>", "</h2>")).context("no text")?;
            self.shown.push_str(&text);
            for line in page.lines().filter(|line| line.contains("type=\"radio\"")) {
                let value = between(line, "value=\"", "\"").unwrap_or_default();
                let label = line.split_once("> ").map_or("", |(_, rest)| rest.trim_end_matches("</label>"));
                self.shown.push_str(&format!("\n  {value}  {}", plain(label)));
            }
            if let Some(usual) = page
                .lines()
                .find(|line| line.contains("type=\"text\""))
                .and_then(|line| between(line, " value=\"", "\""))
            {
                self.shown.push_str(&format!(" [{usual}]"));
            }
            self.shown.push_str(": ");
            self.question = number;
        }
        Ok(())
    }

    fn request(&self, method: &str, path: &str, head: &str, form: Option<&str>) -> anyhow::Result<Answer> {
        let mut line = TcpStream::connect(&self.host)?;
        line.set_read_timeout(Some(PATIENCE))?;
        let form = form.map_or_else(String::new, |form| {
            format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
                form.len()
            )
        });
        let end = if form.is_empty() { "\r\n" } else { "" };
        write!(line, "{method} {path} HTTP/1.1\r\nHost: {}\r\n{head}{form}{end}", self.host)?;
        let mut text = String::new();
        line.read_to_string(&mut text)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { bail!("no answer: {text}") };
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A test that fails leaves nothing running; one that ends well has waited for the end.
        if self.wizard.kill().is_ok() {
            self.wizard.wait().ok();
        }
    }
}

/// A text without markup.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&amp;", "&")
}

/// As browsers send it.
fn coded(text: &str) -> String {
    let coded = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(coded).collect()
}
