//! jine: etcd's v3 API on one NATS JetStream KV bucket. ARCHITECTURE.md is the map.

mod accept;
pub mod config;
pub mod http;
pub mod jetstream;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod nats_server;
pub mod pb;
pub mod rpc;
pub mod server;
pub mod shutdown;
pub mod state;
pub mod store;
pub mod systemd;
pub mod values;
