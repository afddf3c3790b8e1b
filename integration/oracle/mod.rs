//! The oracle: random programs run on jine and on etcd, which must give the same answers in every field.
//!
//! `JINE_SEED=n` starts with the program of that seed, `JINE_OPERATIONS=n` asks for so many operations, `JINE_UNDER_TEST=path` runs another
//! build of jine. A program on which the servers differ is made smaller and printed as a test for `found.rs`.

mod answer;
mod coverage;
mod found;
mod generate;
mod pair;
mod program;
mod races;
mod rng;
mod run;
mod shrink;
mod side;
mod source;
mod ties;
mod watching;

use std::path::PathBuf;
use std::time::Duration;

use coverage::Coverage;
use pair::Kind;
use run::{Extent, Generate, run};

use crate::support::jine;

const SLICE: Extent = Extent { operations: 40_000, time: Duration::from_secs(40), pairs: 3 };
const COMPARATOR: Extent = Extent { operations: 4_000, time: Duration::from_secs(10), pairs: 2 };
const HASHES: Extent = Extent { operations: 4_000, time: Duration::from_secs(15), pairs: 1 };
const VALUES: Extent = Extent { operations: 8_000, time: Duration::from_secs(15), pairs: 2 };
const VALUES_LONG: Extent = Extent { operations: 200_000, time: Duration::from_secs(1800), pairs: 3 };
const HASHES_LONG: Extent = Extent { operations: 200_000, time: Duration::from_secs(1800), pairs: 3 };

/// How often each cell of the table must have been seen, where as much is asked for as fills them.
const LEAST: usize = 100;
const FILLING: usize = 1_000_000;
/// Further seeds than a run gets to.
const FURTHER: u64 = 1 << 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jine_answers_as_etcd_does() {
    compare(program_under_test(), asked_for(SLICE), generate::program).await;
}

/// Of all keys, at any revision, before and after compactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jine_hashes_as_etcd_does() {
    let extent = if std::env::var_os("JINE_LONG").is_some() { HASHES_LONG } else { HASHES };
    compare(program_under_test(), extent, generate::hashing_program).await;
}

/// Some of the values in memory, the others in a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jine_with_values_in_a_file_answers_as_etcd_does() {
    let extent = if std::env::var_os("JINE_LONG").is_some() { VALUES_LONG } else { VALUES };
    compare(program_with(&["--value-memory", "4096"]), extent, generate::program_of_large_values).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_answers_as_etcd_does() {
    compare(Kind::Etcd, asked_for(COMPARATOR), generate::program).await;
}

/// A build of jine that has a defect (scripts/oracle --mutants) is told from etcd soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a mutant, which scripts/oracle --mutants builds"]
async fn a_mutant_is_caught() {
    const SOON: usize = 10_000;
    let name = std::env::var("JINE_MUTANT").expect("the mutant's name in JINE_MUTANT");
    let extent = Extent { operations: SOON, time: Duration::from_secs(3600), pairs: 1 };
    match run(program_under_test(), seed(), extent, generate::program).await {
        Ok(_) => panic!("{name}: not caught in {SOON} operations"),
        Err(failure) => {
            println!("{name}: caught after {} operations by\n{}", failure.operations, failure.first_line());
            assert!(failure.operations <= SOON);
        }
    }
}

fn program_under_test() -> Kind {
    program_with(&[])
}

fn program_with(flags: &'static [&'static str]) -> Kind {
    Kind::Jine(std::env::var_os("JINE_UNDER_TEST").map_or_else(|| jine::program().to_owned(), PathBuf::from), flags)
}

fn seed() -> u64 {
    std::env::var("JINE_SEED").ok().map_or(1, |seed| seed.parse().expect("JINE_SEED"))
}

fn asked_for(extent: Extent) -> Extent {
    match std::env::var("JINE_OPERATIONS") {
        Ok(operations) => {
            let operations = operations.parse().expect("JINE_OPERATIONS");
            Extent { operations, time: Duration::from_secs(24 * 3600), pairs: SLICE.pairs }
        }
        Err(_) => extent,
    }
}

async fn covered(kind: &Kind, seed: u64, extent: Extent, generate: Generate) -> Coverage {
    match run(kind.clone(), seed, extent, generate).await {
        Ok(coverage) => coverage,
        Err(failure) => run::explain(kind, failure).await,
    }
}

async fn compare(kind: Kind, extent: Extent, generate: Generate) {
    let mut coverage = covered(&kind, seed(), extent, generate).await;
    // What is rare comes up in the end: it goes on for half as long again.
    let fills = extent.operations >= FILLING;
    for more in 1..=5 {
        if fills && !coverage.gaps(LEAST).is_empty() {
            let extent = Extent { operations: extent.operations / 10, ..extent };
            coverage.add(&covered(&kind, seed() + more * FURTHER, extent, generate).await);
        }
    }
    print!("{}", coverage.summary());
    if let Ok(path) = std::env::var("JINE_TABLE") {
        std::fs::write(path, coverage.table()).unwrap();
    }
    if fills {
        let gaps = coverage.gaps(LEAST);
        assert!(gaps.is_empty(), "the table has gaps:\n{}", gaps.join("\n"));
    }
}
