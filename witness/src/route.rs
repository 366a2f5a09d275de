//! `add-checkpoint` over HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use daemon::Clock;
use proof::log::{ReceiptError, check_checkpoint};
use proof::policy::Cosigner;
use tracing::{error, info, warn};

use crate::memory::{Memory, Refused};
use crate::request::{BadRequest, MAX_BODY, Request};

/// A witness, ready to be asked.
pub struct Witness {
    cosigner: Cosigner,
    /// Verifier keys by the log's name.
    logs: BTreeMap<String, String>,
    /// One request at a time looks at it and changes it.
    memory: Mutex<Memory>,
    clock: Arc<dyn Clock>,
}

impl Witness {
    /// `logs` are verifier keys: what is before the first `+` is the log's name.
    pub fn new(cosigner: Cosigner, logs: &[String], memory: Memory, clock: Arc<dyn Clock>) -> Self {
        let name = |vkey: &String| vkey.split('+').next().unwrap_or_default().to_owned();
        let logs = logs.iter().map(|vkey| (name(vkey), vkey.clone())).collect();
        Self { cosigner, logs, memory: Mutex::new(memory), clock }
    }

    /// Its answer. Blocks for the disk.
    fn answer(&self, body: &[u8]) -> Response {
        let request = match Request::parse(body) {
            Ok(request) => request,
            Err(BadRequest(what)) => return (StatusCode::BAD_REQUEST, format!("{what}\n")).into_response(),
        };
        let origin = request.checkpoint.split('\n').next().unwrap_or_default();
        let Some(vkey) = self.logs.get(origin) else {
            return (StatusCode::NOT_FOUND, "this log is not known here\n").into_response();
        };
        let head = match check_checkpoint(request.checkpoint, vkey) {
            Ok(head) => head,
            Err(ReceiptError::NotTheLog) => {
                return (StatusCode::FORBIDDEN, "not signed by the log's key\n").into_response();
            }
            Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        };
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = memory.take((&head, request.checkpoint), (request.old, &request.path), vkey);
        let size_is = |latest: u64| {
            (StatusCode::CONFLICT, [(CONTENT_TYPE, "text/x.tlog.size")], format!("{latest}\n"))
                .into_response()
        };
        match taken {
            Err(error) => {
                error!(origin, error = daemon::chain(&error), "nothing can be cosigned");
                (StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot remember\n").into_response()
            }
            Ok(Err(Refused::Backwards)) => {
                (StatusCode::BAD_REQUEST, "the proof begins behind the checkpoint\n").into_response()
            }
            Ok(Err(Refused::Other { latest })) => size_is(latest),
            Ok(Err(Refused::Lie { latest })) => {
                error!(origin, size = latest, "the log has signed two histories: both checkpoints are kept");
                size_is(latest)
            }
            Ok(Err(Refused::NotShown)) => {
                warn!(origin, size = head.size, "a checkpoint that is not shown to go on from the last one");
                (StatusCode::UNPROCESSABLE_ENTITY, "the proof does not hold\n").into_response()
            }
            Ok(Ok(())) => {
                let time_s = u64::try_from(self.clock.stamp().wall_ms / 1000).unwrap_or(0);
                info!(origin, size = head.size, "cosigned");
                match self.cosigner.cosign(request.checkpoint, time_s) {
                    Some(line) => (StatusCode::OK, line).into_response(),
                    None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }
        }
    }
}

/// The routes of a witness, below its submission prefix.
pub fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let answer = tokio::task::spawn_blocking(move || witness.answer(&body)).await;
    answer.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
