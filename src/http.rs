//! What etcd answers over plain HTTP: health, version and metrics, in etcd's words.

mod serving;
mod starting;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

pub use serving::serve;
pub use starting::starting;

use crate::metrics::Metrics;
use crate::state::{AlarmKind, KeyRange, RangeRequest};
use crate::store::{Consistency, Error, Store};

const PLAIN: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long a check may wait for the log; etcd's request timeout.
const CHECK_TIMEOUT: Duration = Duration::from_secs(7);

#[derive(Clone)]
struct Site {
    store: Store,
    version: Arc<str>,
    metrics: Arc<Metrics>,
}

/// All routes; `version` is the etcd version we pass for.
pub fn router(store: Store, version: &str, metrics: Arc<Metrics>) -> Router {
    let mut router = Router::new()
        .route("/health", get(health))
        .route("/version", get(version_of))
        .route("/metrics", get(metrics_text))
        .route("/livez", get(|site, query| checks(LIVEZ, site, query)))
        .route("/readyz", get(|site, query| checks(READYZ, site, query)));
    for (path, all) in [("livez", LIVEZ), ("readyz", READYZ)] {
        for check in all {
            let one = get(move |site, query| checks(std::slice::from_ref(check), site, query));
            router = router.route(&format!("/{path}/{}", check.name()), one);
        }
    }
    router.with_state(Site { store, version: version.into(), metrics })
}

async fn version_of(State(site): State<Site>) -> Response {
    let mut parts = site.version.split('.');
    let minor = format!("{}.{}.0", parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
    // In etcd's order.
    let body = format!(r#"{{"etcdserver":{},"etcdcluster":"{minor}","storage":"{minor}"}}"#, json!(*site.version));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics_text(State(site): State<Site>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = if accept.contains("application/openmetrics-text") { OPEN_METRICS } else { PROMETHEUS };
    match site.metrics.text().await {
        Ok(text) => ([(CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// `serializable=true` asks for this process alone; `exclude=NOSPACE` overlooks an alarm.
async fn health(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    let query = Query::new(query);
    let reason = unhealthy(&site.store, &query).await;
    let health = if reason.is_empty() { "true" } else { "false" };
    let body = format!(r#"{{"health":"{health}","reason":{}}}"#, json!(reason));
    match reason.as_str() {
        "" => ([(CONTENT_TYPE, PLAIN)], body).into_response(),
        _ => failed(StatusCode::SERVICE_UNAVAILABLE, &body),
    }
}

/// Why, or nothing.
async fn unhealthy(store: &Store, query: &Query) -> String {
    let alarms = store.alarms_now().unwrap_or_default();
    let alarm = alarms.iter().map(|alarm| name_of(alarm.kind)).find(|name| !query.has("exclude", name));
    if let Some(alarm) = alarm {
        return format!("ALARM {alarm}");
    }
    let serializable = query.has("serializable", "true");
    if !serializable && store.unavailable().is_some() {
        return "RAFT NO LEADER".to_owned();
    }
    let consistency = if serializable { Consistency::Serializable } else { Consistency::Linearizable };
    match read(store, consistency).await {
        Ok(()) => String::new(),
        Err(error) => format!("RANGE ERROR:{error}"),
    }
}

/// One of the checks behind `/livez` and `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, store: &Store) -> Result<(), String> {
        match self {
            Check::DataCorruption => {
                let alarms = store.alarms_now().unwrap_or_default();
                match alarms.iter().any(|alarm| alarm.kind == AlarmKind::Corrupt) {
                    true => Err("alarm activated: CORRUPT".to_owned()),
                    false => Ok(()),
                }
            }
            Check::SerializableRead => read(store, Consistency::Serializable).await,
            Check::LinearizableRead => read(store, Consistency::Linearizable).await,
            // Every jine is a full member.
            Check::NonLearner => Ok(()),
        }
    }
}

/// Runs the checks that are not excluded; tells of each if asked to be verbose, or if one failed.
async fn checks(all: &'static [Check], State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    let query = Query::new(query);
    let (mut told, mut ok) = (String::new(), true);
    for check in all.iter().filter(|check| !query.has("exclude", check.name())) {
        // Writing to a string cannot fail.
        let _ = match check.run(&site.store).await {
            Ok(()) => writeln!(told, "[+]{} ok", check.name()),
            Err(why) => {
                ok = false;
                writeln!(told, "[-]{} failed: {why}", check.name())
            }
        };
    }
    if !ok {
        return failed(StatusCode::SERVICE_UNAVAILABLE, &told);
    }
    if !query.names("verbose") {
        told.clear();
    }
    let headers = [(CONTENT_TYPE, PLAIN), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, told + "ok\n").into_response()
}

/// The cheapest read there is.
async fn read(store: &Store, consistency: Consistency) -> Result<(), String> {
    let key = KeyRange::Single(bytes::Bytes::from_static(&[0]));
    let request = RangeRequest { limit: 1, keys_only: true, ..RangeRequest::new(key) };
    match tokio::time::timeout(CHECK_TIMEOUT, store.range(request, consistency)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("etcdserver: {error}")),
        Err(_) => Err(format!("etcdserver: {}", Error::TimedOut)),
    }
}

fn name_of(alarm: AlarmKind) -> &'static str {
    match alarm {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => "CORRUPT",
    }
}

/// As Go's http.Error.
fn failed(status: StatusCode, why: &str) -> Response {
    let headers = [(CONTENT_TYPE, PLAIN), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, format!("{why}\n")).into_response()
}

/// The part of a URL behind the question mark.
struct Query(Vec<(String, String)>);

impl Query {
    fn new(raw: Option<String>) -> Self {
        let raw = raw.unwrap_or_default();
        Query(url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(key, is)| key == name && is == value)
    }
}
