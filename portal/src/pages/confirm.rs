//! A firm's representative confirms a gateway: a form, and what became of it.

use askama::Template;

use crate::page::Page;
use crate::source::Confirming;

/// The page.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage {
    page: Page,
    answer: Option<AnswerPart>,
}

struct AnswerPart {
    done: bool,
    says: &'static str,
    /// The gateway and its firm's page.
    gateway: Option<(String, String)>,
}

impl ConfirmPage {
    pub(crate) fn new(page: Page, answer: Option<&Confirming>) -> Self {
        let w = page.w;
        let answer = answer.map(|answer| {
            let (done, says) = match answer {
                Confirming::Done { .. } => (true, w.confirm_done),
                Confirming::Name => (false, w.confirm_name_wrong),
                Confirming::Code => (false, w.confirm_code_wrong),
                Confirming::Words => (false, w.confirm_words_wrong),
                Confirming::Revoked => (false, w.confirm_revoked),
                Confirming::NotHere => (false, w.confirm_not_here),
            };
            let gateway = match answer {
                Confirming::Done { agent, firm } => Some((agent.to_string(), format!("/firms/{firm}"))),
                Confirming::Name
                | Confirming::Code
                | Confirming::Words
                | Confirming::Revoked
                | Confirming::NotHere => None,
            };
            AnswerPart { done, says, gateway }
        });
        Self { page, answer }
    }
}
