//! The page's text, and the fields of its forms. Pure.

use std::fmt::Write as _;

use super::{Question, State};
use crate::setup::ask::Lang;
use crate::setup::record::escaped;

const STYLE: &str = "body{font:16px/1.5 'Noto Sans CJK SC','Microsoft YaHei',sans-serif;max-width:46em;margin:1em auto;\
padding:0 1em}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.6em;font-size:14px}\
input[type=text]{width:100%;font:inherit;padding:.3em;box-sizing:border-box}label{display:block}button{font:inherit;\
padding:.3em 1.5em;margin-top:.6em}h2{font-size:18px}";

/// What the browser is shown: what was said since the last answer, the question, and all that was said before.
/// A page that waits asks again by itself.
pub(super) fn page(lang: Lang, state: &State, waiting: bool) -> String {
    let refresh = if waiting { "<meta http-equiv=\"refresh\" content=\"1\">" } else { "" };
    let (before, fresh) = state.said.split_at(state.fresh.min(state.said.len()));
    let mut body = format!("<pre>{}</pre>\n", escaped(&fresh.join("\n")));
    if let Some(question) = &state.asked {
        form(&mut body, lang, question, state.number);
    } else if state.ended {
        let (record, end) =
            pick(lang, ("打开安装记录（可打印）", "结束"), ("Open the installation record", "Finish"));
        if state.record.is_some() {
            push(&mut body, format_args!("<p><a href=\"/record\">{record}</a></p>\n"));
        }
        push(
            &mut body,
            format_args!("<form method=\"post\" action=\"/end\"><button autofocus>{end}</button></form>\n"),
        );
    } else {
        push(&mut body, format_args!("<p>{}</p>\n", pick(lang, "请稍候……", "One moment …")));
    }
    if !before.is_empty() {
        let title = pick(lang, "此前", "Before");
        let before = escaped(&before.join("\n"));
        push(&mut body, format_args!("<details><summary>{title}</summary><pre>{before}</pre></details>\n"));
    }
    whole(lang, refresh, &body)
}

fn form(body: &mut String, lang: Lang, question: &Question, number: u64) {
    push(
        body,
        format_args!(
            "<form method=\"post\" action=\"/answer\" autocomplete=\"off\">\n<input type=\"hidden\" name=\"question\" \
             value=\"{number}\">\n<h2>{}</h2>\n",
            escaped(&question.text)
        ),
    );
    let default = question.default.as_deref().unwrap_or_default();
    if question.options.is_empty() {
        push(
            body,
            format_args!("<input type=\"text\" name=\"answer\" value=\"{}\" autofocus>\n", escaped(default)),
        );
    }
    for (value, label) in &question.options {
        let checked = if value == default { " checked" } else { "" };
        push(
            body,
            format_args!(
                "<label><input type=\"radio\" name=\"answer\" value=\"{}\"{checked}> {}</label>\n",
                escaped(value),
                escaped(label)
            ),
        );
    }
    push(body, format_args!("<button>{}</button>\n</form>\n", pick(lang, "继续", "Go on")));
}

/// What somebody sees who is not the one browser, or asks for what is not there.
pub(super) fn refused(lang: Lang) -> String {
    let words = pick(
        lang,
        "这里没有可看的。安装页面只给第一个打开终端中网址的浏览器；换浏览器请重新运行 inuse-agent setup。",
        "There is nothing to see. The page is for the first browser that opened the address in the terminal; for another \
         run inuse-agent setup again.",
    );
    whole(lang, "", &format!("<p>{words}</p>\n"))
}

/// What is shown when all is over.
pub(super) fn closed(lang: Lang) -> String {
    let words = pick(lang, "已结束，可以关闭此页。", "It is finished. You can close this page.");
    whole(lang, "", &format!("<p>{words}</p>\n"))
}

fn whole(lang: Lang, head: &str, body: &str) -> String {
    let (code, title) = pick(lang, ("zh-CN", "在用 安装向导"), ("en", "inuse setup"));
    format!(
        "<!DOCTYPE html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\">{head}<title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n{body}</body></html>\n"
    )
}

fn pick<T>(lang: Lang, zh: T, en: T) -> T {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// A field of a form as browsers send it (application/x-www-form-urlencoded).
pub(super) fn field(body: &[u8], name: &str) -> Option<String> {
    body.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..at] == *name.as_bytes()).then(|| decoded(&pair[at + 1..]))
    })
}

fn decoded(text: &[u8]) -> String {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let pair = digit(text.get(at + 1)).zip(digit(text.get(at + 2)));
        match (byte, pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok())) {
            (b'%', Some(coded)) => {
                bytes.push(coded);
                at += 2;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let body = "question=7&answer=%E5%86%B2%E5%8E%8B+1%2B%26%3d%zz%4".as_bytes();
        assert_eq!(field(body, "answer").as_deref(), Some("冲压 1+&=%zz%4"));
        assert_eq!(field(body, "question").as_deref(), Some("7"));
        assert_eq!(field(body, "token"), None);
        assert_eq!(field(b"", "answer"), None);
    }

    #[test]
    fn what_a_device_says_is_text_and_never_markup() {
        let evil = "\"><script>alert(1)</script>";
        let question = Question {
            text: evil.into(),
            default: Some(evil.into()),
            options: vec![(evil.into(), evil.into())],
        };
        let mut state =
            State { said: vec![evil.into(); 3], fresh: 1, asked: Some(question), ..State::default() };
        assert!(!page(Lang::Zh, &state, false).contains("<script"));
        state.asked.as_mut().unwrap().options.clear();
        let page = page(Lang::Zh, &state, true);
        assert!(!page.contains("<script") && page.contains("http-equiv=\"refresh\""), "{page}");
        assert!(!page.contains("http:") && !page.contains("https:"), "nothing comes from elsewhere");
    }
}
