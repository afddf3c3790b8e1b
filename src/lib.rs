//! jine: etcd's v3 API on one NATS JetStream KV bucket. ARCHITECTURE.md is the map.

pub mod state;
pub mod store;
