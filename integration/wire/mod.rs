//! etcd's API as clients see it. Each behaviour is written down once and asked of etcd and of jine.

mod client;
mod descriptors;
mod differences;
mod hash;
mod http;
mod kv;
mod kv_errors;
mod lease;
mod limits;
mod maintenance;
mod range;
mod range_stream;
mod same_answers;
pub(crate) mod target;
mod tls;
mod transport;
mod txn;
mod unserved;
mod watch;
mod watch_edges;
