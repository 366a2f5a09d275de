//! One request: who reads, in which language, with which wishes, and how its answer or refusal is written.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tracing::error;

use super::download;
use crate::lang::Lang;
use crate::page::Page;
use crate::pages::{Problem, ProblemPage};
use crate::source::{Source, SourceError};

pub(super) type Shared = Arc<dyn Source>;

/// Everything any address may ask with; what a page does not know it ignores. Bounded where it is used.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wishes {
    lang: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) district: Option<String>,
    pub(crate) headline: Option<String>,
    pub(crate) page: Option<String>,
    pub(crate) entry: Option<String>,
    pub(crate) text: Option<String>,
}

/// What a request asked, apart from where.
pub(super) struct Asked {
    lang: Lang,
    /// The language was asked for in the address: remember it.
    remember: bool,
    method: Method,
    path: String,
    query: String,
    pub(super) wishes: Wishes,
}

/// Most characters of an address that a page repeats: an opening is the longest thing in one.
const MOST: usize = 8_000;

impl Asked {
    fn new(parts: &Parts) -> Self {
        let Query(wishes) = Query::<Wishes>::try_from_uri(&parts.uri).unwrap_or_default();
        let raw = parts.uri.query().unwrap_or_default();
        let rest: Vec<&str> = raw.split('&').filter(|p| !p.is_empty() && !p.starts_with("lang=")).collect();
        Self {
            lang: Lang::of_request(wishes.lang.as_deref(), &parts.headers),
            remember: wishes.lang.as_deref().and_then(Lang::of_code).is_some(),
            method: parts.method.clone(),
            path: parts.uri.path().chars().take(MOST).collect(),
            query: rest.join("&").chars().take(MOST).collect(),
            wishes,
        }
    }

    /// The frame of the page.
    pub(super) fn page(&self, source: &dyn Source) -> Page {
        Page::new(self.lang, &self.path, &self.query, source.now_ms())
    }
}

/// What a page answers when all is well.
pub(super) enum Answer {
    /// A page.
    Html(String),
    /// A file to keep.
    File {
        /// What it is called.
        name: &'static str,
        /// Its bytes, exactly.
        bytes: Vec<u8>,
    },
    /// JSON.
    Json(String),
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Html(html) => html_answer(StatusCode::OK, html),
            Self::File { name, bytes } => download(name, bytes),
            Self::Json(json) => ([(CONTENT_TYPE, "application/json; charset=utf-8")], json).into_response(),
        }
    }
}

/// Why there is no page. Inner errors go to the log, not to the reader.
#[derive(Debug)]
pub(super) enum Refused {
    NoSuchPage,
    NoSuchFirm,
    NoSuchEntry,
    NotAnAddress(&'static str),
    Method,
    Source(SourceError),
    Render(askama::Error),
    Json(serde_json::Error),
    Panicked,
}

impl From<SourceError> for Refused {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<askama::Error> for Refused {
    fn from(error: askama::Error) -> Self {
        Self::Render(error)
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<PathRejection> for Refused {
    fn from(_: PathRejection) -> Self {
        Self::NotAnAddress("text")
    }
}

impl Refused {
    fn problem(&self) -> (StatusCode, Problem) {
        match self {
            Self::NoSuchPage => (StatusCode::NOT_FOUND, Problem::NoSuchPage),
            Self::NoSuchFirm => (StatusCode::NOT_FOUND, Problem::NoSuchFirm),
            Self::NoSuchEntry => (StatusCode::NOT_FOUND, Problem::NoSuchEntry),
            Self::NotAnAddress(_) => (StatusCode::BAD_REQUEST, Problem::NotAnAddress),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, Problem::Method),
            Self::Source(_) | Self::Render(_) | Self::Json(_) | Self::Panicked => {
                (StatusCode::SERVICE_UNAVAILABLE, Problem::Unavailable)
            }
        }
    }

    /// The part of the address that was wrong.
    fn part(&self) -> Option<&'static str> {
        match self {
            Self::NotAnAddress(part) => Some(part),
            Self::NoSuchPage
            | Self::NoSuchFirm
            | Self::NoSuchEntry
            | Self::Method
            | Self::Source(_)
            | Self::Render(_)
            | Self::Json(_)
            | Self::Panicked => None,
        }
    }

    fn log(&self, path: &str) {
        match self {
            Self::Source(error) => {
                error!(path, error = %daemon::chain(error), "cannot read what a page needs")
            }
            Self::Render(error) => error!(path, %error, "cannot render a page"),
            Self::Json(error) => error!(path, %error, "cannot write an answer"),
            Self::Panicked => error!(path, "a page panicked"),
            Self::NoSuchPage
            | Self::NoSuchFirm
            | Self::NoSuchEntry
            | Self::NotAnAddress(_)
            | Self::Method => {}
        }
    }
}

/// A request on its way to an answer.
pub(super) struct Visit {
    source: Shared,
    asked: Arc<Asked>,
}

impl FromRequestParts<Shared> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, source: &Shared) -> Result<Self, Infallible> {
        Ok(Self { source: Arc::clone(source), asked: Arc::new(Asked::new(parts)) })
    }
}

impl Visit {
    /// Makes the page off the server's own threads, because it may read a store; a refusal becomes a page too.
    pub(super) async fn answer<F>(self, make: F) -> Response
    where
        F: FnOnce(&dyn Source, &Asked) -> Result<Answer, Refused> + Send + 'static,
    {
        let asked = Arc::clone(&self.asked);
        let now_ms = self.source.now_ms();
        let mut response = match self.make(make).await {
            Ok(answer) => answer.into_response(),
            Err(refused) => asked.refuse(&refused, now_ms),
        };
        if asked.remember {
            let cookie =
                format!("lang={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly", asked.lang.code());
            if let Ok(value) = HeaderValue::from_str(&cookie) {
                response.headers_mut().insert(SET_COOKIE, value);
            }
        }
        response
    }

    /// The same for programs: a refusal is JSON too.
    pub(super) async fn answer_json<F>(self, make: F) -> Response
    where
        F: FnOnce(&dyn Source, &Asked) -> Result<String, Refused> + Send + 'static,
    {
        let path = self.asked.path.clone();
        match self.make(|source, asked| make(source, asked).map(Answer::Json)).await {
            Ok(answer) => answer.into_response(),
            Err(refused) => {
                let (status, problem) = refused.problem();
                let text = serde_json::json!({ "error": problem.code(), "attempted": path }).to_string();
                (status, Answer::Json(text)).into_response()
            }
        }
    }

    async fn make<F>(self, make: F) -> Result<Answer, Refused>
    where
        F: FnOnce(&dyn Source, &Asked) -> Result<Answer, Refused> + Send + 'static,
    {
        let path = self.asked.path.clone();
        let made = tokio::task::spawn_blocking(move || make(&*self.source, &self.asked)).await;
        let made = made.unwrap_or(Err(Refused::Panicked));
        if let Err(refused) = &made {
            refused.log(&path);
        }
        made
    }
}

impl Asked {
    fn refuse(&self, refused: &Refused, now_ms: i64) -> Response {
        let (status, problem) = refused.problem();
        let part = refused.part().map(|part| format!(" ({part})")).unwrap_or_default();
        let path: String = self.path.chars().take(200).collect();
        let attempted = format!("{} {path}{part}", self.method);
        let page = Page::new(self.lang, &self.path, &self.query, now_ms);
        match ProblemPage::new(page, problem, status.as_u16(), attempted).render() {
            Ok(html) => html_answer(status, html),
            Err(error) => {
                error!(%error, "cannot render the error page");
                (status, problem.code()).into_response()
            }
        }
    }
}

fn html_answer(status: StatusCode, html: String) -> Response {
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}
