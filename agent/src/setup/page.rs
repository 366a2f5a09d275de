//! The wizard's questions as a local page, one after the other, to one browser.
//!
//! # Promises
//!
//! It listens at the one address that the installer named. The address that the terminal prints carries a token that is
//! good once: the browser that brings it gets a cookie, and every other is turned away. A question is answered once; a
//! form that was sent twice or comes from another page does nothing. No script and nothing from elsewhere.
//!
//! Deliberately absent: questions of its own (it shows what [`super::ask::Console`] asks), and TLS: nobody could check
//! the certificate of a gateway that has none yet, so it belongs on this machine or on a cable of the installer's own.

mod html;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use data_encoding::HEXLOWER;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::ask::Lang;

/// Connections at once; a browser opens some six.
const MOST: usize = 8;
/// Largest form, bytes.
const MAX_FORM: usize = 16 * 1024;
/// How long one request may take to arrive.
const ARRIVES: Duration = Duration::from_secs(10);
/// How long a browser waits for a question before it asks again.
const WAITS: Duration = Duration::from_secs(2);
/// How long what is being answered may take when all is over.
const GRACE: Duration = Duration::from_secs(4);
const COOKIE: &str = "inuse-setup";

/// A question as a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) default: Option<String>,
    /// Where it is one of several: what is answered, and what it means.
    pub(super) options: Vec<(String, String)>,
}

/// What stands on the page now.
#[derive(Debug, Default)]
struct State {
    said: Vec<String>,
    /// Where that begins which was said since the last answer.
    fresh: usize,
    asked: Option<Question>,
    /// Of the question, from 1.
    number: u64,
    record: Option<String>,
    ended: bool,
}

/// The page, as the wizard writes it and the browser reads it.
#[derive(Debug, Default)]
struct Sheet {
    state: Mutex<State>,
    changed: Notify,
}

impl Sheet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }
}

/// A page that is being served.
pub(super) struct Page {
    sheet: Arc<Sheet>,
    tasks: daemon::Tasks,
    /// Fires when the browser has seen the end.
    left: CancellationToken,
    stop: CancellationToken,
}

impl Page {
    /// Listens, prints the address with its token by `print`, and returns where answers will come.
    pub(super) async fn open(
        at: SocketAddr,
        lang: Lang,
        print: impl FnOnce(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<String>)> {
        ensure!(
            !at.ip().is_unspecified(),
            "{at} would be every network of this gateway: name the address of the one that you are on"
        );
        let listener = TcpListener::bind(at).await.with_context(|| format!("could not listen on {at}"))?;
        let at = listener.local_addr()?;
        let token = secret()?;
        let (answers, lines) = mpsc::channel(1);
        let (sheet, left, stop) =
            (Arc::new(Sheet::default()), CancellationToken::new(), CancellationToken::new());
        let desk = Arc::new(Desk {
            // As browsers write it, who leave HTTP's own port out.
            host: at.to_string().strip_suffix(":80").map_or_else(|| at.to_string(), str::to_owned),
            lang,
            sheet: Arc::clone(&sheet),
            token: Sha256::digest(&token).into(),
            taken: AtomicBool::new(false),
            session: secret()?,
            answers,
            left: left.clone(),
        });
        let mut tasks = daemon::Tasks::new();
        tasks.spawn("page", serve(listener, desk, stop.clone()));
        print(&format!("http://{at}/{token}"))?;
        Ok((Self { sheet, tasks, left, stop }, lines))
    }

    pub(super) fn say(&self, text: &str) {
        self.sheet.change(|state| state.said.push(text.to_owned()));
    }

    pub(super) fn ask(&self, question: Question) {
        self.sheet.change(|state| {
            state.asked = Some(question);
            state.number += 1;
        });
    }

    /// What can be printed from the page.
    pub(super) fn record(&self, html: String) {
        self.sheet.change(|state| state.record = Some(html));
    }

    /// Shows the end; where `wait` says so, until the browser has left the page or `stop` fires.
    pub(super) async fn close(self, wait: bool, stop: &CancellationToken) -> anyhow::Result<()> {
        self.sheet.change(|state| (state.asked, state.ended) = (None, true));
        if wait {
            tokio::select! {
                () = self.left.cancelled() => {}
                () = stop.cancelled() => {}
            }
        }
        self.stop.cancel();
        self.tasks.finish(GRACE * 2).await
    }
}

/// 128 bits that nobody guesses.
fn secret() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(HEXLOWER.encode(&bytes))
}

async fn serve(listener: TcpListener, desk: Arc<Desk>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(()) = open.next(), if !open.is_empty() => {}
            accepted = listener.accept(), if open.len() < MOST => {
                if let Ok((stream, _)) = accepted {
                    open.push(connection(stream, Arc::clone(&desk)));
                }
            }
        }
    }
    // What is being answered is answered.
    let rest = async { while open.next().await.is_some() {} };
    if tokio::time::timeout(GRACE, rest).await.is_err() {
        tracing::debug!("a browser was cut off");
    }
    Ok(())
}

async fn connection(stream: TcpStream, desk: Arc<Desk>) {
    let answer = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a browser went away");
    }
}

/// Who answers browsers.
struct Desk {
    host: String,
    lang: Lang,
    sheet: Arc<Sheet>,
    /// SHA-256 of the token, so that comparing tells nothing of it.
    token: [u8; 32],
    taken: AtomicBool,
    session: String,
    answers: mpsc::Sender<String>,
    left: CancellationToken,
}

type Answer = Response<Full<Bytes>>;

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        // A name that leads here by somebody else's wish is not ours, nor is another page's form.
        let ours = header("host") == Some(&self.host)
            && header("origin").is_none_or(|origin| origin.strip_prefix("http://") == Some(&self.host));
        if !ours {
            return self.refused(StatusCode::FORBIDDEN);
        }
        let path = request.uri().path().to_owned();
        let known = header("cookie").is_some_and(|cookies| {
            let mine = format!("{COOKIE}={}", self.session);
            cookies.split(';').any(|cookie| cookie.trim() == mine)
        });
        let get = request.method() == Method::GET;
        if get && <[u8; 32]>::from(Sha256::digest(path.trim_start_matches('/'))) == self.token {
            return self.welcome(known);
        }
        if !known {
            return self.refused(StatusCode::FORBIDDEN);
        }
        match (get, path.as_str()) {
            (true, "/") => self.page().await,
            (true, "/record") => match &self.sheet.state().record {
                Some(record) => html(StatusCode::OK, record.clone()),
                None => self.refused(StatusCode::NOT_FOUND),
            },
            (false, "/answer") => self.take(request).await,
            (false, "/end") => {
                self.left.cancel();
                html(StatusCode::OK, html::closed(self.lang))
            }
            _ => self.refused(StatusCode::NOT_FOUND),
        }
    }

    /// The first who brings the token is the one browser.
    fn welcome(&self, known: bool) -> Answer {
        if self.taken.swap(true, Ordering::AcqRel) && !known {
            return self.refused(StatusCode::FORBIDDEN);
        }
        let mut answer = to_the_page();
        let cookie = format!("{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/", self.session);
        answer.headers_mut().insert("set-cookie", cookie.parse().expect("a cookie of hexadecimal digits"));
        answer
    }

    /// The question, as soon as there is one.
    async fn page(&self) -> Answer {
        let asked = async {
            loop {
                let changed = self.sheet.changed.notified();
                let mut changed = std::pin::pin!(changed);
                // From here on no change is missed.
                changed.as_mut().enable();
                if self.sheet.state().asked.is_some() || self.sheet.state().ended {
                    return;
                }
                changed.await;
            }
        };
        let waiting = tokio::time::timeout(WAITS, asked).await.is_err();
        html(StatusCode::OK, html::page(self.lang, &self.sheet.state(), waiting))
    }

    /// Hands an answer to the wizard; that of an older question to nobody.
    async fn take(&self, request: Request<Incoming>) -> Answer {
        let body = Limited::new(request.into_body(), MAX_FORM).collect();
        let Ok(Ok(body)) = tokio::time::timeout(ARRIVES, body).await else {
            return self.refused(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes();
        let field = |name| html::field(&body, name);
        let (Some(number), Some(answer)) = (field("question"), field("answer")) else {
            return self.refused(StatusCode::BAD_REQUEST);
        };
        let asked = {
            let mut state = self.sheet.state();
            let same = number.parse() == Ok(state.number);
            let asked = state.asked.take_if(|_| same);
            if let Some(question) = &asked {
                let line = format!("{}: {answer}", question.text);
                state.said.push(line);
                state.fresh = state.said.len();
            }
            asked
        };
        if asked.is_some() {
            // One line: what else a form may hold is not an answer.
            let line = answer.lines().next().unwrap_or_default().trim().to_owned();
            if self.answers.send(line).await.is_err() {
                return self.refused(StatusCode::GONE);
            }
        }
        to_the_page()
    }

    fn refused(&self, status: StatusCode) -> Answer {
        html(status, html::refused(self.lang))
    }
}

fn to_the_page() -> Answer {
    let mut answer = html(StatusCode::SEE_OTHER, String::new());
    answer.headers_mut().insert("location", "/".parse().expect("a path"));
    answer
}

fn html(status: StatusCode, text: String) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8")
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer")
        .header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        )
        .body(Full::new(Bytes::from(text)))
        .expect("an answer of fixed headers")
}
