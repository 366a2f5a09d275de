//! The HTTP side of enrolment: bytes in, JSON out.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use tracing::{error, warn};

use super::{Enrolment, Refusal, Request};

/// Longest request in bytes.
const MAX_BODY: usize = 64 * 1024;

/// `POST /enrol` and nothing else.
pub fn router(enrolment: Arc<Enrolment>) -> Router {
    Router::new()
        .route("/enrol", post(enrol))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .fallback(async || {
            said(
                StatusCode::NOT_FOUND,
                &Said { name: "not_found", text: "there is only POST /enrol".to_owned() },
            )
        })
        .with_state(enrolment)
}

#[derive(Serialize)]
struct Said {
    name: &'static str,
    text: String,
}

async fn enrol(State(enrolment): State<Arc<Enrolment>>, body: Result<Bytes, BytesRejection>) -> Response {
    match answer(&enrolment, body).await {
        Ok(granted) => said(StatusCode::OK, &granted),
        Err(refusal) => {
            if let Refusal::Failed(failure) = &refusal {
                error!(error = daemon::chain(failure), "enrolment failed");
            } else {
                warn!(name = refusal.name(), reason = %refusal, "enrolment refused");
            }
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            said(status, &Said { name: refusal.name(), text: refusal.to_string() })
        }
    }
}

async fn answer(
    enrolment: &Enrolment,
    body: Result<Bytes, BytesRejection>,
) -> Result<super::Granted, Refusal> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::Unreadable("request could not be read"),
    })?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|_| Refusal::Unreadable("request is not the JSON object that is expected"))?;
    enrolment.enrol(request).await
}

fn said(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (status, headers, json).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
