//! Questions and answers, one line each, in Chinese or English: on a terminal, from a file, or on a page.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "setup-page")]
use super::page::Page;

/// What is wrong with an answer, in both languages.
pub(super) type Wrong = (&'static str, &'static str);

/// The language of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// Chinese.
    Zh,
    /// English.
    En,
}

/// Where answers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// Standard input, a terminal or a pipe.
    Input,
    /// A file, one answer a line.
    File(PathBuf),
    /// A browser, for which a page is served at this address.
    #[cfg(feature = "setup-page")]
    Page(std::net::SocketAddr),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// Ctrl-C.
    #[error("stopped")]
    Stopped,
    /// No more answers come.
    #[error("the answers have ended")]
    Answers,
    /// The answer was no.
    #[error("declined")]
    Declined,
}

impl Ended {
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Stopped => {
                ("\n已退出。没有写完的文件都没有写。", "\nstopped. No file was left half written.")
            }
            Self::Answers => ("\n没有更多答案，已退出。", "\nno more answers: ended."),
            Self::Declined => ("什么都没有写。", "nothing was written."),
        }
    }
}

/// Whom we talk to.
pub(super) struct Console {
    lang: Lang,
    lines: mpsc::Receiver<String>,
    stop: CancellationToken,
    voice: Voice,
}

/// How they hear us.
enum Voice {
    /// On a terminal. Answers of a pipe or file are shown: nobody typed them here.
    Terminal { echo: bool },
    #[cfg(feature = "setup-page")]
    Page(Page),
}

impl Console {
    pub(super) async fn start(
        lang: Lang,
        answers: &Answers,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let (lines, echo) = match answers {
            Answers::Input => {
                let input = Box::new(std::io::BufReader::new(std::io::stdin()));
                (read(input)?, !std::io::stdin().is_terminal())
            }
            Answers::File(path) => {
                let file = std::fs::File::open(path);
                let file = file.with_context(|| format!("could not read {}", path.display()))?;
                (read(Box::new(std::io::BufReader::new(file)))?, true)
            }
            #[cfg(feature = "setup-page")]
            Answers::Page(at) => {
                let (page, lines) = Page::open(*at, lang, |url| print_address(lang, url)).await?;
                return Ok(Self { lang, lines, stop, voice: Voice::Page(page) });
            }
        };
        Ok(Self { lang, lines, stop, voice: Voice::Terminal { echo } })
    }

    /// Says good-bye; a page stays until it was left, unless everything was `stopped`.
    #[cfg_attr(not(feature = "setup-page"), expect(unused_variables, reason = "only a page stays"))]
    pub(super) async fn close(self, stopped: bool) -> anyhow::Result<()> {
        match self.voice {
            Voice::Terminal { .. } => Ok(()),
            #[cfg(feature = "setup-page")]
            Voice::Page(page) => page.close(!stopped, &self.stop).await,
        }
    }

    /// Says why it cannot go on, to whom nobody else will.
    #[cfg_attr(not(feature = "setup-page"), expect(unused_variables, reason = "only a page has to be told"))]
    pub(super) fn fail(&self, error: &anyhow::Error) {
        match &self.voice {
            // The program ends with it.
            Voice::Terminal { .. } => {}
            #[cfg(feature = "setup-page")]
            Voice::Page(page) => page.say(&format!("× {}", daemon::chain(&**error))),
        }
    }

    /// What a page offers to be printed; beside a terminal there is the file.
    #[cfg_attr(not(feature = "setup-page"), expect(unused_variables, reason = "only a page shows it"))]
    pub(super) fn offer(&self, record: &str) {
        match &self.voice {
            Voice::Terminal { .. } => {}
            #[cfg(feature = "setup-page")]
            Voice::Page(page) => page.record(record.to_owned()),
        }
    }

    /// The one of the two that is spoken.
    pub(super) fn pick<'a>(&self, zh: &'a str, en: &'a str) -> &'a str {
        match self.lang {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }

    /// Says something.
    pub(super) fn say(&self, zh: &str, en: &str) -> anyhow::Result<()> {
        let text = self.pick(zh, en);
        match &self.voice {
            Voice::Terminal { .. } => write(&format!("{text}\n")),
            // Whoever started it sees there what is done.
            #[cfg(feature = "setup-page")]
            Voice::Page(page) => {
                page.say(text);
                write(&format!("{text}\n"))
            }
        }
    }

    /// Asks until the answer is good. Without a default an empty answer is none.
    pub(super) async fn ask<T>(
        &mut self,
        zh: &str,
        en: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<T, Wrong>,
    ) -> anyhow::Result<T> {
        self.ask_of(self.pick(zh, en).to_owned(), default, &[], check).await
    }

    /// As [`Console::ask`]; with `options`, of which a page makes a list, as answer and meaning.
    async fn ask_of<T>(
        &mut self,
        text: String,
        default: Option<&str>,
        options: &[(String, String)],
        check: impl Fn(&str) -> Result<T, Wrong>,
    ) -> anyhow::Result<T> {
        loop {
            self.put(&text, default, options)?;
            let line = self.line().await?;
            let answer = if line.is_empty() { default.unwrap_or("") } else { &line };
            let wrong = if answer.is_empty() && default.is_none() {
                ("不能为空", "there must be an answer")
            } else {
                match check(answer) {
                    Ok(good) => return Ok(good),
                    Err(wrong) => wrong,
                }
            };
            self.say(&format!("  × {}", wrong.0), &format!("  ! {}", wrong.1))?;
        }
    }

    /// Any text; empty when nothing is said.
    pub(super) async fn text(&mut self, zh: &str, en: &str, default: &str) -> anyhow::Result<String> {
        self.ask(zh, en, Some(default), |text| Ok(text.to_owned())).await
    }

    /// Yes or no.
    pub(super) async fn yes(&mut self, zh: &str, en: &str, default: bool) -> anyhow::Result<bool> {
        let usual = if default { "y" } else { "n" };
        let text = self.pick(zh, en).to_owned();
        let options = [("y", self.pick("是", "yes")), ("n", self.pick("否", "no"))]
            .map(|(a, b)| (a.to_owned(), b.to_owned()));
        self.ask_of(text, Some(usual), &options, |text| match text {
            "y" | "Y" | "yes" | "是" => Ok(true),
            "n" | "N" | "no" | "否" => Ok(false),
            _ => Err(("请答 y 或 n", "answer y or n")),
        })
        .await
    }

    /// One of several, by its number.
    pub(super) async fn choose(
        &mut self,
        zh: &str,
        en: &str,
        options: &[(&str, &str)],
        default: usize,
    ) -> anyhow::Result<usize> {
        let labels: Vec<_> = (0..).zip(options).map(|(at, (zh, en))| (at, self.pick(zh, en))).collect();
        let options: Vec<_> =
            labels.iter().map(|(at, label)| (at.to_string(), (*label).to_owned())).collect();
        let title = self.pick(zh, en).to_owned();
        let text = match &self.voice {
            Voice::Terminal { .. } => {
                let list: String = options.iter().map(|(at, label)| format!("  {at}  {label}\n")).collect();
                write(&format!("{title}\n{list}"))?;
                self.pick("选择", "Which").to_owned()
            }
            #[cfg(feature = "setup-page")]
            Voice::Page(_) => title,
        };
        let usual = default.to_string();
        self.ask_of(text, Some(&usual), &options, |text| match text.parse::<usize>() {
            Ok(at) if at < options.len() => Ok(at),
            Ok(_) | Err(_) => Err(("没有这个编号", "there is no such number")),
        })
        .await
    }

    /// Puts a question.
    #[cfg_attr(not(feature = "setup-page"), expect(unused_variables, reason = "only a page makes a list"))]
    fn put(&self, text: &str, default: Option<&str>, options: &[(String, String)]) -> anyhow::Result<()> {
        match &self.voice {
            Voice::Terminal { .. } => {
                let shown = default.map_or_else(String::new, |default| format!(" [{default}]"));
                write(&format!("{text}{shown}: "))
            }
            #[cfg(feature = "setup-page")]
            Voice::Page(page) => {
                page.ask(super::page::Question {
                    text: text.to_owned(),
                    default: default.map(str::to_owned),
                    options: options.to_vec(),
                });
                Ok(())
            }
        }
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Ended::Stopped.into()),
            line = self.lines.recv() => {
                let line = line.ok_or(Ended::Answers)?;
                if let Voice::Terminal { echo: true } = self.voice {
                    write(&format!("{line}\n"))?;
                }
                Ok(line)
            }
        }
    }
}

/// The lines of an input, each as it comes.
fn read(mut input: Box<dyn std::io::BufRead + Send>) -> anyhow::Result<mpsc::Receiver<String>> {
    let (tx, lines) = mpsc::channel(1);
    // A thread, because nothing else can wait for a terminal without holding the end of the program up.
    std::thread::Builder::new().name("answers".to_owned()).spawn(move || {
        let mut line = String::new();
        while input.read_line(&mut line).is_ok_and(|count| count > 0) {
            if tx.blocking_send(line.trim().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    })?;
    Ok(lines)
}

#[cfg(feature = "setup-page")]
fn print_address(lang: Lang, url: &str) -> anyhow::Result<()> {
    write(&match lang {
        Lang::Zh => format!(
            "安装页面：{url}\n只有第一个打开它的浏览器能用，页面没有加密：只在本机或自己的网线上打开。Ctrl-C 随时退出。\n"
        ),
        Lang::En => format!(
            "the page: {url}\nThe first browser that opens it is the only one, and nothing is encrypted: open it on this \
             machine or over a cable of your own. Ctrl-C ends it at any time.\n"
        ),
    })
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
