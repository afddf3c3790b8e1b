//! Tests of the store on a scripted log: each rule of docs/log-format.md by name, and all of them at random.

mod fake;
mod hashing;
mod history;
mod lasting;
mod leases;
mod random;
mod reading;
mod removing;
mod room;
mod sorting;
mod support;
mod watching;
mod writing;
