//! Tests against the real programs.
#![allow(clippy::unwrap_used)] // a test ends there, as it should

mod cli;
mod etcdctl;
mod faults;
mod hostile;
mod jetstream;
mod kine;
mod layering;
mod nats_server;
mod oracle;
mod support;
mod value_memory;
mod wire;
