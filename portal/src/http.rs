//! From request to page: addresses, bounds, headers. The only file that knows HTTP.
//!
//! Every answer carries a content policy that allows our own style and script and nothing else. Nothing a request
//! says is believed before it was checked: names and numbers are bounded, queries are counted, and the only body that
//! is read is a short form.

mod visit;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::civil::Date;
use ledger::{Entry, Resource};
use proof::{AgentId, Opening};
use prost::Message as _;

use crate::api;
use crate::figures;
use crate::pages::{
    ConfirmPage, DayPage, EntryAsked, EntryPage, FirmPage, Given, Known, ListPage, OpeningPage,
};
use crate::source::{Firm, Source, Typed};
use visit::{Answer, Asked, Refused, Shared, Visit};

pub(crate) use visit::Wishes;

/// Longest form that is read, bytes.
const MAX_FORM: usize = 4 * 1024;

const STYLE: &str = include_str!("../assets/inuse.css");
const SCRIPT: &str = include_str!("../assets/inuse.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

type Parts<T> = Result<Path<T>, PathRejection>;

/// The portal's pages and API over this source.
pub fn router(source: Arc<dyn Source>) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/firms/{id}", get(firm))
        .route("/firms/{id}/days/{date}", get(day))
        .route("/firms/{id}/windows/{agent}/{seq}", get(entry))
        .route("/firms/{id}/windows/{agent}/{seq}/envelope.bin", get(envelope))
        .route("/firms/{id}/windows/{agent}/{seq}/receipt.bin", get(receipt))
        .route("/opening", get(opening))
        // As codes write it, whose letters are capitals.
        .route("/OPENING/{text}", get(opening_of_code))
        .route("/confirm", get(confirm).post(confirmed).layer(DefaultBodyLimit::max(MAX_FORM)))
        .route("/api/firms", get(api_firms))
        .route("/api/firms/{id}", get(api_firm))
        .route("/log/{*path}", get(resource))
        .route("/healthz", get(healthz))
        .route("/assets/inuse.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/assets/inuse.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        // Browsers ask for it unasked; a missing one would stand as an error in their console.
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_that_way)
        .layer(map_response(guard))
        .with_state(source)
}

/// The headers every answer carries.
async fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=3600")], text).into_response()
}

async fn list(visit: Visit) -> Response {
    visit
        .answer(|source, asked| {
            let page = ListPage::new(asked.page(source), &source.firms()?, &asked.wishes);
            Ok(Answer::Html(page.render()?))
        })
        .await
}

async fn firm(visit: Visit, parts: Parts<String>) -> Response {
    visit
        .answer(|source, asked| {
            let Path(id) = parts?;
            let firm = firm_of(source, &id)?;
            Ok(Answer::Html(FirmPage::new(asked.page(source), &firm, &source.log()?).render()?))
        })
        .await
}

async fn day(visit: Visit, parts: Parts<(String, String)>) -> Response {
    visit
        .answer(|source, asked| {
            let Path((id, date)) = parts?;
            let firm = firm_of(source, &id)?;
            let date = date_of(&date)?;
            let entries = source.day(firm.id(), date)?;
            Ok(Answer::Html(DayPage::new(asked.page(source), &firm, date, &entries).render()?))
        })
        .await
}

async fn entry(visit: Visit, parts: Parts<(String, String, String)>) -> Response {
    visit
        .answer(|source, asked| {
            let Path(parts) = parts?;
            let found = Found::new(source, &parts, asked.wishes.entry.as_deref())?;
            let receipt = source.receipt(found.shown().entry)?;
            let page = EntryPage::new(
                asked.page(source),
                &EntryAsked {
                    firm: &found.firm,
                    agent: found.agent,
                    entries: &found.entries,
                    shown: found.shown(),
                    receipt: receipt.as_ref(),
                    log: &source.log()?,
                },
            );
            Ok(Answer::Html(page.render()?))
        })
        .await
}

async fn envelope(visit: Visit, parts: Parts<(String, String, String)>) -> Response {
    visit
        .answer(|source, asked| {
            let Path(parts) = parts?;
            let found = Found::new(source, &parts, asked.wishes.entry.as_deref())?;
            Ok(Answer::File { name: "envelope.bin", bytes: found.shown().envelope.clone() })
        })
        .await
}

async fn receipt(visit: Visit, parts: Parts<(String, String, String)>) -> Response {
    visit
        .answer(|source, asked| {
            let Path(parts) = parts?;
            let found = Found::new(source, &parts, asked.wishes.entry.as_deref())?;
            let receipt = source.receipt(found.shown().entry)?.ok_or(Refused::NoSuchEntry)?;
            Ok(Answer::File { name: "receipt.bin", bytes: receipt.receipt.encode_to_vec() })
        })
        .await
}

async fn opening(visit: Visit) -> Response {
    visit
        .answer(|source, asked| {
            let text = asked.wishes.text.clone().unwrap_or_default();
            Ok(Answer::Html(opening_page(source, asked, &text)?))
        })
        .await
}

async fn confirm(visit: Visit) -> Response {
    visit.answer(|source, asked| Ok(Answer::Html(ConfirmPage::new(asked.page(source), None).render()?))).await
}

async fn confirmed(visit: Visit, form: Result<Form<Typed>, FormRejection>) -> Response {
    visit
        .answer(|source, asked| {
            let Form(typed) = form.map_err(|_| Refused::NotAnAddress("form"))?;
            let answer = source.confirm(&typed)?;
            Ok(Answer::Html(ConfirmPage::new(asked.page(source), Some(&answer)).render()?))
        })
        .await
}

async fn opening_of_code(visit: Visit, parts: Parts<String>) -> Response {
    visit
        .answer(|source, asked| {
            let Path(text) = parts?;
            Ok(Answer::Html(opening_page(source, asked, &format!("INUSE1:{text}"))?))
        })
        .await
}

/// The opening in this text, as far as the ledger knows its window.
fn opening_page(source: &dyn Source, asked: &Asked, text: &str) -> Result<String, Refused> {
    let page =
        |given: &Given<'_>| Ok(OpeningPage::new(asked.page(source), text, given, &source.log()?).render()?);
    if text.trim().is_empty() {
        return page(&Given::Nothing);
    }
    let opening = match Opening::read(text.as_bytes()) {
        Ok(opening) => opening,
        Err(_) => return page(&Given::Unreadable),
    };
    let of_firm = |firm: &Arc<Firm>| firm.gateways.iter().any(|gateway| gateway.agent == opening.agent);
    let firm = source.firms()?.into_iter().find(of_firm);
    let entries = match &firm {
        Some(firm) => source.entries(firm.id(), opening.agent, opening.seq)?,
        None => Vec::new(),
    };
    let receipt = source.receipt(opening.entry)?;
    let end_ms = entries.iter().find(|entry| entry.entry == opening.entry).and_then(|entry| entry.end_ms);
    let day = match (&firm, end_ms) {
        // That of its start: an end on the mark of midnight is the day's before.
        (Some(firm), Some(end_ms)) => match figures::date(end_ms.saturating_sub(1), firm.offset_minutes()) {
            Some(date) => source.day(firm.id(), date)?,
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    let (firm, opening) = (firm.as_deref(), Box::new(opening));
    let known = Known { opening, firm, entries: &entries, receipt: receipt.as_ref(), day: &day };
    page(&Given::Opening(known))
}

async fn api_firms(visit: Visit) -> Response {
    visit.answer_json(|source, asked| Ok(api::firms(&source.firms()?, &asked.wishes)?)).await
}

async fn api_firm(visit: Visit, parts: Parts<String>) -> Response {
    visit
        .answer_json(|source, _| {
            let Path(id) = parts?;
            let firm = firm_of(source, &id)?;
            Ok(api::firm(&firm)?)
        })
        .await
}

async fn healthz(State(source): State<Shared>) -> Response {
    match tokio::task::spawn_blocking(move || source.log()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n").into_response(),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "ledger cannot be read\n").into_response(),
    }
}

/// The log itself, for monitors and mirrors: C2SP tlog-tiles below `/log/`.
async fn resource(State(source): State<Shared>, parts: Parts<String>) -> Response {
    let Some(resource) = parts.ok().and_then(|Path(path)| Resource::at(&path)) else {
        return (StatusCode::NOT_FOUND, "no such resource of a log\n").into_response();
    };
    let kind = match resource {
        Resource::Checkpoint => "text/plain; charset=utf-8",
        Resource::Hashes { .. } | Resource::Entries { .. } => "application/octet-stream",
    };
    // A whole tile never changes; what grows is asked for again.
    let kept = if resource.is_final() { "public, max-age=31536000, immutable" } else { "no-cache" };
    match tokio::task::spawn_blocking(move || source.resource(resource)).await {
        Ok(Ok(Some(bytes))) => ([(CONTENT_TYPE, kind), (CACHE_CONTROL, kept)], bytes).into_response(),
        Ok(Ok(None)) => (StatusCode::NOT_FOUND, "the log is not that long\n").into_response(),
        Ok(Err(error)) => {
            tracing::error!(error = %daemon::chain(&error), "the log cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "ledger cannot be read\n").into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "ledger cannot be read\n").into_response(),
    }
}

async fn nowhere(visit: Visit) -> Response {
    visit.answer(|_, _| Err(Refused::NoSuchPage)).await
}

async fn not_that_way(visit: Visit) -> Response {
    visit.answer(|_, _| Err(Refused::Method)).await
}

/// The entries at one place of a chain, and the one that is shown.
struct Found {
    firm: Arc<Firm>,
    agent: AgentId,
    entries: Vec<Entry>,
    at: usize,
}

impl Found {
    fn new(
        source: &dyn Source,
        (id, agent, seq): &(String, String, String),
        wish: Option<&str>,
    ) -> Result<Self, Refused> {
        let firm = firm_of(source, id)?;
        let agent: AgentId = agent.parse().map_err(|_| Refused::NotAnAddress("agent"))?;
        let seq: u64 = seq.parse().map_err(|_| Refused::NotAnAddress("seq"))?;
        let entries = source.entries(firm.id(), agent, seq)?;
        let at = match wish {
            Some(id) => entries.iter().position(|entry| entry.entry.to_string() == id),
            None => (!entries.is_empty()).then_some(0),
        };
        Ok(Self { firm, agent, at: at.ok_or(Refused::NoSuchEntry)?, entries })
    }

    fn shown(&self) -> &Entry {
        &self.entries[self.at]
    }
}

/// The firm of an id that may stand in an address.
fn firm_of(source: &dyn Source, id: &str) -> Result<Arc<Firm>, Refused> {
    let fine = (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !fine {
        return Err(Refused::NoSuchFirm);
    }
    source.firm(id)?.ok_or(Refused::NoSuchFirm)
}

/// Exactly YYYY-MM-DD: the parser would take longer forms as well.
fn date_of(text: &str) -> Result<Date, Refused> {
    if text.len() != 10 {
        return Err(Refused::NotAnAddress("date"));
    }
    text.parse().map_err(|_| Refused::NotAnAddress("date"))
}

/// A file to keep, byte for byte.
fn download(name: &str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, disposition)], bytes)
        .into_response()
}
