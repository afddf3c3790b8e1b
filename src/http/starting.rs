//! What is answered before there is anything to serve: alive, and not ready, with the reason.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

/// `doing`: what the start waits for right now.
pub fn starting(doing: watch::Receiver<String>) -> Router {
    Router::new().route("/livez", get(|| async { "ok\n" })).fallback(not_yet).with_state(doing)
}

async fn not_yet(State(doing): State<watch::Receiver<String>>) -> Response {
    let text = format!("starting: {}\n", *doing.borrow());
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
