//! Which language a reader gets: Chinese unless asked otherwise, by `?lang=` or by the cookie that remembers it.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// Chinese, simplified.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The language of a code; anything unknown is nobody's wish.
    pub fn of_code(code: &str) -> Option<Self> {
        match code {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// What the request asks for: the query first, then the cookie, else Chinese.
    pub fn of_request(query: Option<&str>, headers: &HeaderMap) -> Self {
        query.and_then(Self::of_code).or_else(|| of_cookie(headers)).unwrap_or_default()
    }

    /// The code in `?lang=` and in the cookie.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// For `<html lang>`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Zh => Self::En,
            Self::En => Self::Zh,
        }
    }

    /// Whichever of the two texts is in this language.
    pub const fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

/// The first `lang` of the cookie headers, if it is one we know.
fn of_cookie(headers: &HeaderMap) -> Option<Lang> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| Lang::of_code(pair.trim().strip_prefix("lang=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, text.parse().unwrap());
        headers
    }

    #[test]
    fn chinese_unless_asked_and_the_query_beats_the_cookie() {
        assert_eq!(Lang::of_request(None, &HeaderMap::new()), Lang::Zh);
        assert_eq!(Lang::of_request(None, &cookie("a=b; lang=en")), Lang::En);
        assert_eq!(Lang::of_request(Some("zh"), &cookie("lang=en")), Lang::Zh);
    }

    #[test]
    fn unknown_language_is_nobodys_wish() {
        assert_eq!(Lang::of_request(Some("fr"), &HeaderMap::new()), Lang::Zh);
        assert_eq!(Lang::of_request(Some("<script>"), &cookie("lang=en")), Lang::En);
        assert_eq!(Lang::of_request(None, &cookie("lang=\"en\"; slang=en")), Lang::Zh);
    }
}
