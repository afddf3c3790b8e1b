//! etcd and the server that is compared with it, from their first revision on.

use std::path::PathBuf;

use super::program::Step;
use super::races;
use super::side::{Report, Side};
use super::watching::Said;
use crate::wire::target::Target;

/// What both are told to take at most: small, so that what is as large as may be is quick.
pub(super) const MAX_REQUEST_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Which program, and flags of its own.
    Jine(PathBuf, &'static [&'static str]),
    /// Another etcd: shows that the comparison itself finds nothing.
    Etcd,
}

pub(super) struct Pair {
    etcd: Side,
    other: Side,
    /// Whether the other one is etcd, too.
    same: bool,
}

impl Pair {
    pub(super) async fn start(kind: &Kind) -> Pair {
        let limit = MAX_REQUEST_BYTES.to_string();
        let flags = ["--max-request-bytes", &limit];
        let etcd = Target::etcd_with(&flags);
        let other = match kind {
            Kind::Jine(program, more) => Target::plain_jine(program, &[&flags, *more].concat()),
            Kind::Etcd => Target::etcd_with(&flags),
        };
        Pair { etcd: Side::connect(etcd).await, other: Side::connect(other).await, same: *kind == Kind::Etcd }
    }

    /// Runs a program on both. The error says where they differ; the pair is of no use after it.
    pub(super) async fn compare(&mut self, program: &[Step]) -> Result<Report, Difference> {
        let (mut etcd, mut other) = tokio::join!(self.etcd.run(program), self.other.run(program));
        races::forgive(program, &mut etcd, &other);
        if self.same {
            races::forgive(program, &mut other, &etcd);
        }
        if etcd.says_the_same(&other) { Ok(etcd) } else { Err(Difference::between(program, &etcd, &other)) }
    }
}

/// Where two servers differ.
#[derive(Debug)]
pub(super) struct Difference {
    /// The number of the first step that shows it; of none: the program's length.
    pub(super) step: usize,
    pub(super) text: String,
    /// The machine was too busy for leases of two seconds: it says nothing.
    pub(super) late: bool,
}

impl Difference {
    fn between(program: &[Step], etcd: &Report, other: &Report) -> Difference {
        let (mut text, mut first) = (String::new(), program.len());
        let outcomes = etcd.outcomes.iter().zip(&other.outcomes).enumerate();
        if let Some((number, (expected, got))) = outcomes.into_iter().find(|(_, (expected, got))| expected != got) {
            let step = program.get(number).map_or("the end".into(), |step| format!("{step:?}"));
            text = shorten(&format!("step {number}, {step}\n  etcd:  {expected:?}\n  other: {got:?}\n"));
            first = number;
        }
        for (number, (expected, got)) in etcd.streams.iter().zip(&other.streams).enumerate() {
            if expected != got {
                text.push_str(&shorten(&streams(number, expected, got)));
            }
        }
        Difference { step: first, text, late: etcd.late || other.late }
    }
}

/// What two streams have said, from the first difference of each watcher on.
fn streams(number: usize, etcd: &[(i64, Vec<Said>)], other: &[(i64, Vec<Said>)]) -> String {
    let ids = |said: &[(i64, Vec<Said>)]| said.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let mut text = format!("watch stream {number}: watchers {:?} and {:?}\n", ids(etcd), ids(other));
    for ((id, expected), (_, got)) in etcd.iter().zip(other).filter(|(expected, got)| expected != got) {
        let same = expected.iter().zip(got).take_while(|(expected, got)| expected == got).count();
        let rest = |said: &[Said]| format!("{:#?}", said.iter().skip(same).take(3).collect::<Vec<_>>());
        text.push_str(&format!("watcher {id}, message {same}\netcd: {}\nother: {}\n", rest(expected), rest(got)));
    }
    text
}

/// Long runs of one letter, which large values are, are left out.
fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(text.len().min(1 << 16));
    let (mut last, mut run) = (None, 0);
    for letter in text.chars() {
        run = if last == Some(letter) { run + 1 } else { 0 };
        last = Some(letter);
        if run < 40 {
            short.push(letter);
        }
    }
    short
}
