//! etcd and the server that is compared with it, from their first revision on.

use super::program::Step;
use super::shrink::smaller;
use super::side::{Report, Side};
use crate::wire::target::Target;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jine,
    /// Another etcd: shows that the comparison itself finds nothing.
    Etcd,
}

pub(super) struct Pair {
    etcd: Side,
    other: Side,
    _servers: [Target; 2],
}

impl Pair {
    pub(super) async fn start(kind: Kind) -> Pair {
        let etcd = Target::plain_etcd();
        let other = match kind {
            Kind::Jine => Target::plain_jine(),
            Kind::Etcd => Target::plain_etcd(),
        };
        Pair {
            etcd: Side::connect(etcd.endpoint()).await,
            other: Side::connect(other.endpoint()).await,
            _servers: [etcd, other],
        }
    }

    pub(super) fn revision(&self) -> i64 {
        self.etcd.now.revision
    }

    /// Runs a program on both. The error says where they differ; the pair is of no use after it.
    pub(super) async fn compare(&mut self, program: &[Step]) -> Result<Report, String> {
        let (etcd, other) = tokio::join!(self.etcd.run(program), self.other.run(program));
        if etcd == other { Ok(etcd) } else { Err(difference(program, &etcd, &other)) }
    }
}

/// Makes the program smaller and ends the test with it.
pub(super) async fn fail(kind: Kind, seed: u64, mut program: Vec<Step>, seen: &str) {
    let mut pair = Pair::start(kind).await;
    let Err(mut why) = pair.compare(&program).await else {
        panic!("JINE_SEED={seed}: a difference that depends on what came before it, or on time:\n{seen}\n{program:#?}");
    };
    pair = Pair::start(kind).await;
    let mut candidates = smaller(&program);
    let mut left = 600;
    while let Some(candidate) = (!candidates.is_empty() && left > 0).then(|| candidates.remove(0)) {
        left -= 1;
        if let Err(difference) = pair.compare(&candidate).await {
            (program, why) = (candidate, difference);
            candidates = smaller(&program);
            pair = Pair::start(kind).await;
        }
    }
    panic!("JINE_SEED={seed}: the servers differ on\n{program:#?}\n{why}");
}

fn difference(program: &[Step], etcd: &Report, other: &Report) -> String {
    let mut text = String::new();
    for (number, (expected, got)) in etcd.outcomes.iter().zip(&other.outcomes).enumerate() {
        if expected != got {
            let step = program.get(number).map_or("the end".into(), |step| format!("{step:?}"));
            text.push_str(&format!("step {number}, {step}\n  etcd:  {expected:?}\n  other: {got:?}\n"));
            break;
        }
    }
    for (number, (expected, got)) in etcd.streams.iter().zip(&other.streams).enumerate() {
        if expected != got {
            text.push_str(&format!("watch stream {number}\netcd:\n{expected}\nother:\n{got}\n"));
        }
    }
    text
}
