//! jine: etcd's v3 API on one NATS JetStream KV bucket. ARCHITECTURE.md is the map.

pub mod config;
pub mod http;
pub mod jetstream;
pub mod logging;
pub mod metrics;
pub mod pb;
pub mod rpc;
pub mod state;
pub mod store;
pub mod systemd;
