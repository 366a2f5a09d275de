//! The page that says why there is no page: what was attempted, what to do, in both languages at once.

use askama::Template;

use crate::lang::Lang;
use crate::page::Page;

/// What went wrong, as far as it concerns the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    NoSuchPage,
    NoSuchFirm,
    NoSuchEntry,
    NotAnAddress,
    Method,
    Unavailable,
}

impl Problem {
    /// For programs.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::NoSuchPage => "no_such_page",
            Self::NoSuchFirm => "no_such_firm",
            Self::NoSuchEntry => "no_such_entry",
            Self::NotAnAddress => "not_an_address",
            Self::Method => "method_not_allowed",
            Self::Unavailable => "unavailable",
        }
    }

    const fn title(self, lang: Lang) -> &'static str {
        match self {
            Self::NoSuchPage => lang.pick("没有这个页面", "There is no such page"),
            Self::NoSuchFirm => lang.pick("没有这家企业", "There is no such firm"),
            Self::NoSuchEntry => lang.pick("台账中没有这条记录", "The ledger holds no such entry"),
            Self::NotAnAddress => lang.pick("地址不完整或有误", "The address cannot be read"),
            Self::Method => lang.pick("本页只供查看", "Pages can only be read"),
            Self::Unavailable => lang.pick("暂时无法读取台账", "The ledger cannot be read just now"),
        }
    }

    const fn advice(self, lang: Lang) -> &'static str {
        match self {
            Self::NoSuchPage | Self::NotAnAddress => lang.pick(
                "请核对地址，或从企业列表重新进入。",
                "Check the address, or start from the list of firms.",
            ),
            Self::NoSuchFirm => lang.pick(
                "请核对企业编号；新项目需先登记并启用网关。",
                "Check the id; a new project has to be registered and its gateway enrolled first.",
            ),
            Self::NoSuchEntry => lang.pick(
                "请核对网关与序号；用证可能尚未送达。",
                "Check gateway and sequence; the proof may not have arrived yet.",
            ),
            Self::Method => lang.pick("请用浏览器直接打开。", "Open it with a browser."),
            Self::Unavailable => lang.pick(
                "数据没有丢失。请稍后重试；仍不行请联系平台运营方。",
                "Nothing is lost. Try again later, then ask the platform's operator.",
            ),
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ProblemPage {
    page: Page,
    status: u16,
    attempted: String,
    title: &'static str,
    other_title: &'static str,
    advice: &'static str,
    other_advice: &'static str,
}

impl ProblemPage {
    pub(crate) fn new(page: Page, problem: Problem, status: u16, attempted: String) -> Self {
        let other = page.lang.other();
        Self {
            status,
            attempted,
            title: problem.title(page.lang),
            other_title: problem.title(other),
            advice: problem.advice(page.lang),
            other_advice: problem.advice(other),
            page,
        }
    }
}
