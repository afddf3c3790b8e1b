//! Tests of the state machine: golden cases by name, and random programs against a naive model.

mod apply;
mod collected;
mod compaction;
mod elsewhere;
mod garbage;
mod golden;
mod layers;
mod lease;
mod machine;
mod model;
mod purged_log;
mod random;
mod range;
mod strategy;
mod txn;

use machine::*;
