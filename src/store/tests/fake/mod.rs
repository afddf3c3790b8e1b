//! A log in memory that does what a server may do, the unpleasant things as well, when a test tells it to.
//!
//! One [`Stream`] is shared by any number of connections ([`FakeLog`]), one for each jine of a test. Every call takes a little
//! (paused) time, so that other tasks get between a question and its answer.

// A toolbox for scripts of faults: not every test needs every tool.
#![allow(dead_code, unused_imports)]

mod fault;
mod follow;
mod log;
mod peers;
mod stream;

pub use fault::{Ack, Fault, Stored};
pub use follow::FakeFollower;
pub use log::{FakeLog, Timing};
pub use stream::{CLUSTER, Stream, put_record};
