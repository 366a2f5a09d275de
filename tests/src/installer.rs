//! A person who runs `inuse-agent setup`, at a terminal or with a browser, for tests.
//!
//! Waits for questions and answers them, as the person would; what is not asked within [`PATIENCE`] fails the test.

mod page;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use rexpect::session::{PtySession, spawn_command};

use crate::process::{PATIENCE, program};
pub use page::Reader;

/// A person who answers the wizard.
pub struct Installer {
    means: Means,
}

enum Means {
    Terminal(PtySession),
    Browser(Box<Reader>),
}

impl Installer {
    /// Starts the wizard in a terminal.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn begins(config: &Path, lang: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(program("inuse-agent")?);
        command.arg("setup").arg("--config").arg(config).args(["--lang", lang]);
        let patience = u64::try_from(PATIENCE.as_millis())?;
        Ok(Self { means: Means::Terminal(spawn_command(command, Some(patience))?) })
    }

    /// Starts the wizard and opens its page.
    ///
    /// # Errors
    /// When the program cannot be started, or the page not opened.
    pub fn opens_the_page(config: &Path, lang: &str) -> anyhow::Result<Self> {
        Ok(Self { means: Means::Browser(Box::new(Reader::opens(config, lang)?)) })
    }

    /// The browser, where there is one.
    pub fn browser(&mut self) -> Option<&mut Reader> {
        match &mut self.means {
            Means::Terminal(_) => None,
            Means::Browser(reader) => Some(reader),
        }
    }

    /// Waits for a question, and answers it.
    ///
    /// # Errors
    /// When it is not asked.
    pub fn told(&mut self, question: &str, answer: &str) -> anyhow::Result<()> {
        self.reads(question)?;
        self.reads(": ")?;
        match &mut self.means {
            Means::Terminal(terminal) => {
                terminal.send_line(answer)?;
                Ok(())
            }
            Means::Browser(reader) => reader.answers(answer),
        }
    }

    /// Waits for a text; returns what came before it.
    ///
    /// # Errors
    /// When it does not come.
    pub fn reads(&mut self, text: &str) -> anyhow::Result<String> {
        let before = match &mut self.means {
            Means::Terminal(terminal) => {
                // The crate takes each byte for a character.
                let bytes: String = text.bytes().map(char::from).collect();
                terminal.exp_string(&bytes).map_err(anyhow::Error::from).map(|before| {
                    let bytes: Vec<_> =
                        before.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
                    String::from_utf8_lossy(&bytes).into_owned()
                })
            }
            Means::Browser(reader) => reader.reads(text),
        };
        before.with_context(|| format!("while waiting for `{text}`"))
    }

    /// Finds the number that stands before a line of a list.
    ///
    /// # Errors
    /// When there is no such line, or it has no number.
    pub fn number_of(&mut self, line: &str) -> anyhow::Result<String> {
        let before = self.reads(line)?;
        let number = before.lines().last().unwrap_or_default().split_whitespace().next();
        let number = number.filter(|number| number.parse::<u32>().is_ok());
        Ok(number.with_context(|| format!("no number before `{line}`"))?.to_owned())
    }

    /// Presses Ctrl-C.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn interrupts(&mut self) -> anyhow::Result<()> {
        match &mut self.means {
            Means::Terminal(terminal) => Ok(terminal.send_control('c')?),
            Means::Browser(_) => bail!("a browser has no Ctrl-C"),
        }
    }

    /// Waits for the end of the program; a page is left.
    ///
    /// # Errors
    /// When it goes on, or ends badly behind a page.
    pub fn ends(&mut self) -> anyhow::Result<()> {
        match &mut self.means {
            Means::Terminal(terminal) => {
                terminal.exp_eof()?;
                Ok(())
            }
            Means::Browser(reader) => reader.leaves(),
        }
    }

    /// Says in Chinese who is there and where, up to the first source. The state is kept in `state` beside the files.
    ///
    /// # Errors
    /// When something else is asked.
    pub fn introduces_himself(&mut self) -> anyhow::Result<()> {
        self.told("企业名称", "江门市<示范>五金厂")?;
        self.told("服务商", "某软件公司")?;
        self.told("实施人员", "王工")?;
        self.told("状态目录", "state")?;
        self.told("UTC", "")
    }

    /// Has everything written, enrols later, and takes the installation record.
    ///
    /// # Errors
    /// When something else is asked.
    pub fn finishes_without_enrolling(&mut self) -> anyhow::Result<()> {
        self.told("添加什么", "0")?;
        self.told("写入配置文件", "")?;
        self.told("入网地址", "-")?;
        self.told("安装记录", "")?;
        self.reads("签字")?;
        self.ends()
    }
}
