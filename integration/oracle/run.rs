//! Runs programs until there were enough operations, on several pairs of servers at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::pair::{Difference, Kind, Pair};
use super::program::Step;
use super::shrink::smaller;
use super::source;

/// How much a run does: it ends with whichever comes first.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) operations: usize,
    pub(super) time: Duration,
    /// Pairs of servers: what one of them waits for is time for the others.
    pub(super) pairs: usize,
}

pub(super) type Generate = fn(u64) -> Vec<Step>;

/// A program on which the servers differ.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    program: Vec<Step>,
    why: Difference,
    /// How many operations there were until it showed.
    pub(super) operations: usize,
}

impl Failure {
    /// The step that shows it, and what the two servers say.
    pub(super) fn first_line(&self) -> String {
        self.why.text.lines().take(3).map(|line| line.chars().take(300).collect::<String>() + "\n").collect()
    }
}

struct Run {
    kind: Kind,
    extent: Extent,
    generate: Generate,
    start: Instant,
    seed: AtomicU64,
    operations: AtomicUsize,
    failed: AtomicBool,
    coverage: Mutex<Coverage>,
}

/// All that was covered, or the first difference.
pub(super) async fn run(kind: Kind, seed: u64, extent: Extent, generate: Generate) -> Result<Coverage, Failure> {
    let run = Run {
        kind,
        extent,
        generate,
        start: Instant::now(),
        seed: AtomicU64::new(seed),
        operations: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        coverage: Mutex::default(),
    };
    let run = std::sync::Arc::new(run);
    let workers: Vec<_> = (0..extent.pairs).map(|_| tokio::spawn(work(run.clone()))).collect();
    for worker in workers {
        worker.await.unwrap()?;
    }
    let coverage = run.coverage.lock().unwrap().clone();
    let seconds = run.start.elapsed().as_secs_f64();
    println!(
        "seeds {seed}..{}: no difference in {} operations, {seconds:.0} s, {:.0} operations/s",
        run.seed.load(Ordering::Relaxed),
        coverage.operations,
        coverage.operations as f64 / seconds
    );
    Ok(coverage)
}

/// How often a program is run on a machine that is too slow for it.
const PATIENCE: usize = 3;
/// After so many operations a pair is replaced by a new one: its servers keep logs.
const FRESH: usize = 50_000;

async fn work(run: std::sync::Arc<Run>) -> Result<(), Failure> {
    let mut pair = Pair::start(&run.kind).await;
    let mut covered = Coverage::default();
    let (mut reported, mut fresh) = (Instant::now(), 0);
    while run.goes_on() {
        let seed = run.seed.fetch_add(1, Ordering::Relaxed);
        let program = (run.generate)(seed);
        let mut late = 0;
        let report = loop {
            match pair.compare(&program).await {
                Ok(report) => break Some(report),
                Err(difference) if difference.late => {
                    pair = Pair::start(&run.kind).await;
                    late += 1;
                    if late == PATIENCE {
                        break None;
                    }
                }
                Err(why) => {
                    run.failed.store(true, Ordering::Relaxed);
                    let operations = run.operations.load(Ordering::Relaxed) + why.step + 1;
                    return Err(Failure { seed, program, why, operations });
                }
            }
        };
        let Some(report) = report else {
            eprintln!("seed {seed} is left out: the machine is too slow for leases of two seconds");
            continue;
        };
        covered.count(&program, &report);
        if covered.operations / FRESH > fresh {
            fresh += 1;
            pair = Pair::start(&run.kind).await;
        }
        run.operations.fetch_add(program.len(), Ordering::Relaxed);
        if reported.elapsed() > Duration::from_secs(60) {
            reported = Instant::now();
            eprintln!("{} operations, {} s", run.operations.load(Ordering::Relaxed), run.start.elapsed().as_secs());
        }
    }
    run.coverage.lock().unwrap().add(&covered);
    Ok(())
}

impl Run {
    fn goes_on(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
            && self.operations.load(Ordering::Relaxed) < self.extent.operations
            && self.start.elapsed() < self.extent.time
    }
}

/// Makes the program smaller and ends the test with it, as a test to paste in.
pub(super) async fn explain(kind: &Kind, failure: Failure) -> ! {
    let Failure { seed, mut program, why: seen, .. } = failure;
    let found = program.clone();
    let mut pair = Pair::start(kind).await;
    let Err(mut why) = pair.compare(&program).await else {
        let text = source::test(seed, &program);
        panic!(
            "JINE_SEED={seed}: a difference that depends on what came before it, or on time:\n{}\n{text}",
            seen.text
        );
    };
    println!("JINE_SEED={seed}: {} steps differ; looking for fewer", found.len());
    pair = Pair::start(kind).await;
    let mut candidates = smaller(&program);
    let mut left = 600;
    while let Some(candidate) = (!candidates.is_empty() && left > 0).then(|| candidates.remove(0)) {
        left -= 1;
        match pair.compare(&candidate).await {
            Ok(_) => {}
            Err(difference) => {
                if !difference.late {
                    (program, why) = (candidate, difference);
                    candidates = smaller(&program);
                }
                pair = Pair::start(kind).await;
            }
        }
    }
    panic!("JINE_SEED={seed}: the servers differ on\n{}\n{}", source::test(seed, &program), why.text);
}
