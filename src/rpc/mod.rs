//! etcd's gRPC services over [`crate::store::Store`]: check, call, map the error, fill the header.
//!
//! Nothing here decides what a request does; it says how etcd's clients ask for it and what they are told. Only this module
//! (and the generated `pb`) knows protobuf and gRPC.

mod auth;
mod call;
mod cluster;
mod connection;
mod convert;
mod downgrade;
mod error;
mod gate;
mod gathered;
mod handshake;
mod header;
mod health;
mod interval_set;
mod kv;
mod lease;
mod maintenance;
mod metrics;
mod prompt;
mod range_stream;
mod server;
mod services;
mod tls;
pub mod unserved;
mod validate;
mod watch;
mod watch_pace;
mod watch_response;

pub use metrics::Metrics;
pub use server::{Listener, RpcOptions, serve};
pub use tls::{RpcTls, ServerTls};
