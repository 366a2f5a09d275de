//! Several out of many: a numbered list, page by page, by numbers.

use super::ask::{Console, Wrong};

/// Lines shown at once.
const PAGE: usize = 30;

/// What the installer wants with the list.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Take(Vec<usize>),
    Only(String),
    More,
    Done,
}

/// Which of these lines, in the order in which they were named; none when none was wanted. Numbers stay the same
/// whatever is shown.
pub(super) async fn several(console: &mut Console, lines: &[String]) -> anyhow::Result<Vec<usize>> {
    let mut taken: Vec<usize> = Vec::new();
    let mut word = String::new();
    let mut from = 0;
    let mut show = true;
    loop {
        let shown: Vec<_> = (0..lines.len()).filter(|at| lines[*at].contains(&word)).collect();
        let page = shown.get(from..).unwrap_or_default();
        if show {
            for at in page.iter().take(PAGE) {
                let line = format!("  {:>3}  {}", at + 1, lines[*at]);
                console.say(&line, &line)?;
            }
            let left = page.len().saturating_sub(PAGE);
            if left > 0 {
                console.say(&format!("  ……后面还有 {left} 行"), &format!("  … {left} more lines"))?;
            }
        }
        let usual = if taken.is_empty() && page.len() > PAGE { ">" } else { "-" };
        let wish = console
            .ask(
                "选哪些（编号如 1,3-5；/词 只看含有它的；> 看后面的；- 表示完成）",
                "Which (numbers such as 1,3-5; /word shows those with it; > shows more; - when done)",
                Some(usual),
                |text| wish(text, lines.len()),
            )
            .await?;
        show = true;
        match wish {
            Wish::Take(numbers) => {
                taken.extend(numbers);
                let mut seen = std::collections::BTreeSet::new();
                taken.retain(|at| seen.insert(*at));
                let count = taken.len();
                console.say(&format!("  已选 {count} 个"), &format!("  {count} chosen"))?;
                show = false;
            }
            Wish::Only(text) => (word, from) = (text, 0),
            Wish::More if page.len() > PAGE => from += PAGE,
            Wish::More => from = 0,
            Wish::Done => return Ok(taken),
        }
    }
}

fn wish(text: &str, count: usize) -> Result<Wish, Wrong> {
    if let Some(word) = text.strip_prefix('/') {
        return Ok(Wish::Only(word.to_owned()));
    }
    match text {
        "-" => return Ok(Wish::Done),
        ">" => return Ok(Wish::More),
        _ => {}
    }
    let mut numbers = Vec::new();
    for part in text.split([',', '，', '、', ' ']).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<usize>().ok().filter(|at| (1..=count).contains(at));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(("没有这个编号", "there is no such number"));
        };
        numbers.extend(first - 1..last);
    }
    Ok(Wish::Take(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_of_the_list_and_nothing_else() {
        for (text, wanted) in [
            ("1", Wish::Take(vec![0])),
            ("2-4，1", Wish::Take(vec![1, 2, 3, 0])),
            ("4-2", Wish::Take(vec![])),
            ("/电 能", Wish::Only("电 能".to_owned())),
            (">", Wish::More),
            ("-", Wish::Done),
        ] {
            assert_eq!(wish(text, 4), Ok(wanted), "{text}");
        }
        for text in ["0", "5", "1-5", "a", "1--2", "-1"] {
            assert!(wish(text, 4).is_err(), "{text}");
        }
    }
}
