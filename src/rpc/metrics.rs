//! What is counted about calls, under the names that etcd (grpc-prometheus) gives it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use prost::Message;
use tonic::Code;

use crate::pb;

/// Shared by all that serve calls. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    started: Family<Method, Counter>,
    handled: Family<Handled, Counter>,
    sent_bytes: Counter,
    watch_streams: Gauge,
    watchers: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    grpc_method: String,
    grpc_service: String,
    grpc_type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handled {
    grpc_code: String,
    grpc_method: String,
    grpc_service: String,
    grpc_type: String,
}

impl Metrics {
    /// Makes them part of what the registry tells. Counters get `_total` appended there.
    pub fn register(&self, registry: &mut Registry) {
        let started = "Total number of RPCs started on the server";
        registry.register("grpc_server_started", started, self.started.clone());
        let handled = "Total number of RPCs completed on the server, regardless of success or failure";
        registry.register("grpc_server_handled", handled, self.handled.clone());
        let sent = "The total number of bytes sent to grpc clients";
        registry.register("etcd_network_client_grpc_sent_bytes", sent, self.sent_bytes.clone());
        let streams = "Total number of watch streams";
        registry.register("etcd_debugging_mvcc_watch_stream_total", streams, self.watch_streams.clone());
        let watchers = "Total number of watchers";
        registry.register("etcd_debugging_mvcc_watcher_total", watchers, self.watchers.clone());
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    fn handled(&self, method: &Method, code: Code) -> Counter {
        let Method { grpc_method, grpc_service, grpc_type } = method.clone();
        let labels = Handled { grpc_code: code_name(code).to_owned(), grpc_method, grpc_service, grpc_type };
        self.handled.get_or_create(&labels).clone()
    }

    /// Counts a watch stream until it is dropped.
    pub(super) fn watching(&self) -> Watching {
        self.watch_streams.inc();
        Watching { metrics: self.clone(), watchers: 0 }
    }
}

/// A watch stream, and how many watchers it has.
#[derive(Debug)]
pub(super) struct Watching {
    metrics: Metrics,
    watchers: i64,
}

impl Watching {
    pub(super) fn set(&mut self, watchers: usize) {
        let watchers = watchers as i64;
        self.metrics.watchers.inc_by(watchers - self.watchers);
        self.watchers = watchers;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.metrics.watchers.dec_by(self.watchers);
        self.metrics.watch_streams.dec();
    }
}

/// The methods that are counted: those of etcd's API and of the health service. What else a client names is not, so
/// that no client can make the metrics grow.
pub(super) struct Methods {
    by_path: HashMap<String, Arc<MethodCounters>>,
    metrics: Metrics,
    /// Unary calls that take longer are told in the log.
    slow: Duration,
}

/// A method with the counters that nearly every call needs, so that none of them looks up labels.
#[derive(Debug)]
struct MethodCounters {
    method: Method,
    started: Counter,
    /// Handled with the code OK. Not told before there is such a call.
    ok: OnceLock<Counter>,
}

impl Methods {
    pub(super) fn new(metrics: Metrics, slow: Duration) -> Methods {
        let sets = [pb::FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET];
        let files = sets.into_iter().filter_map(|set| prost_types::FileDescriptorSet::decode(set).ok());
        let by_path: Vec<_> = files.flat_map(|set| set.file).flat_map(methods).collect();
        let counted = |method: Method| {
            let started = metrics.started.get_or_create(&method).clone();
            Arc::new(MethodCounters { method, started, ok: OnceLock::new() })
        };
        let by_path = by_path.into_iter().map(|(path, method)| (path, counted(method))).collect();
        Methods { by_path, metrics, slow }
    }

    /// Counts the call as started, and as handled when it is told how it ended, or as canceled when it never is.
    pub(super) fn start(&self, path: &str) -> InFlight {
        let method = self.by_path.get(path).cloned();
        if let Some(method) = &method {
            method.started.inc();
        }
        InFlight { metrics: self.metrics.clone(), method, started: Instant::now(), slow: self.slow }
    }
}

fn methods(file: prost_types::FileDescriptorProto) -> Vec<(String, Method)> {
    let package = file.package().to_owned();
    let of_service = |service: prost_types::ServiceDescriptorProto| {
        let grpc_service = format!("{package}.{}", service.name());
        service.method.into_iter().map(move |method| {
            let grpc_type = match (method.client_streaming(), method.server_streaming()) {
                (false, false) => "unary",
                (true, false) => "client_stream",
                (false, true) => "server_stream",
                (true, true) => "bidi_stream",
            };
            let path = format!("/{grpc_service}/{}", method.name());
            let (grpc_method, grpc_type) = (method.name().to_owned(), grpc_type.to_owned());
            (path, Method { grpc_method, grpc_service: grpc_service.clone(), grpc_type })
        })
    };
    file.service.into_iter().flat_map(of_service).collect()
}

/// A call under way.
#[derive(Debug)]
pub(super) struct InFlight {
    metrics: Metrics,
    /// None once it is counted, and for what is not counted at all.
    method: Option<Arc<MethodCounters>>,
    started: Instant,
    slow: Duration,
}

impl InFlight {
    pub(super) fn sent(&self, bytes: usize) {
        self.metrics.sent(bytes as u64);
    }

    pub(super) fn ended(&mut self, code: Code) {
        let Some(counted) = self.method.take() else { return };
        let took = self.started.elapsed();
        if took >= self.slow && counted.method.grpc_type == "unary" {
            tracing::warn!(method = counted.method.grpc_method, ?took, code = code_name(code), "a slow request");
        }
        match code {
            Code::Ok => drop(counted.ok.get_or_init(|| self.metrics.handled(&counted.method, code)).inc()),
            _ => drop(self.metrics.handled(&counted.method, code).inc()),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.ended(Code::Cancelled);
    }
}

/// As Go's grpc prints codes.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(metrics: &Metrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn calls_are_counted_under_etcds_names() {
        let metrics = Metrics::default();
        let methods = Methods::new(metrics.clone(), Duration::MAX);
        methods.start("/etcdserverpb.KV/Put").ended(Code::OutOfRange);
        drop(methods.start("/etcdserverpb.Watch/Watch"));
        methods.start("/no.such.Service/Method").ended(Code::Ok);

        let text = told(&metrics);
        let put = r#"grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1"#;
        assert!(text.contains(&format!("grpc_server_started_total{{{put}")), "{text}");
        assert!(text.contains(&format!(r#"grpc_server_handled_total{{grpc_code="OutOfRange",{put}"#)), "{text}");
        let watch =
            r#"grpc_code="Canceled",grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"} 1"#;
        assert!(text.contains(watch), "{text}");
        assert!(!text.contains("no.such"), "{text}");
    }

    #[test]
    fn watchers_are_counted_while_their_stream_lives() {
        let metrics = Metrics::default();
        let mut one = metrics.watching();
        one.set(3);
        metrics.watching().set(2);
        assert!(told(&metrics).contains("etcd_debugging_mvcc_watcher_total 3\n"));
        drop(one);
        assert!(told(&metrics).contains("etcd_debugging_mvcc_watcher_total 0\n"));
        assert!(told(&metrics).contains("etcd_debugging_mvcc_watch_stream_total 0\n"));
    }
}
