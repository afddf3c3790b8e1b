//! What a run has covered: RPC x option x outcome, how often.
//!
//! An operation counts in a cell for each option it has. Every cell of an RPC's options and outcomes must be seen, unless `unreachable`
//! knows why it can't be.

mod options;
mod outcomes;
mod rpcs;
mod unreachable;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::answer::{Answer, Outcome};
use super::program::Step;
use super::side::{Now, Report};

#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    cells: BTreeMap<(&'static str, &'static str, &'static str), usize>,
    errors: BTreeMap<String, usize>,
    pub(super) operations: usize,
    /// Of these: those that changed what is stored, or who watches it.
    changing: usize,
    /// Those that changed or found something.
    telling: usize,
}

impl Coverage {
    /// Counts what a program did.
    pub(super) fn count(&mut self, program: &[Step], report: &Report) {
        for ((step, outcome), now) in program.iter().zip(&report.outcomes).zip(&report.before) {
            if *outcome != Outcome::Skipped {
                self.operation(step, outcome, now);
            }
        }
        for watcher in &report.watchers {
            let options = options::watch(&watcher.request, &watcher.now);
            for outcome in outcomes::watcher(watcher) {
                self.cells("Watch", &options, outcome);
            }
        }
    }

    fn operation(&mut self, step: &Step, outcome: &Outcome, now: &Now) {
        self.operations += 1;
        if let Outcome::Error(words) = outcome {
            *self.errors.entry(words.clone()).or_default() += 1;
        }
        if let Some((rpc, options)) = options::of(step, now) {
            self.cells(rpc, &options, outcomes::of(step, outcome, now));
        }
        if let (Step::Txn(request), Outcome::Answer(Answer::Txn(answer))) = (step, outcome) {
            self.inside(request, answer, now);
        }
        self.changing += usize::from(outcomes::changes(step, outcome, now));
        self.telling += usize::from(outcomes::changes(step, outcome, now) || outcomes::finds(outcome));
    }

    fn inside(
        &mut self,
        request: &jine::pb::etcdserverpb::TxnRequest,
        answer: &jine::pb::etcdserverpb::TxnResponse,
        now: &Now,
    ) {
        use jine::pb::etcdserverpb::{request_op::Request, response_op::Response};
        let ops = if answer.succeeded { &request.success } else { &request.failure };
        for (op, response) in ops.iter().zip(&answer.responses) {
            match (&op.request, &response.response) {
                (Some(Request::RequestRange(request)), Some(Response::ResponseRange(answer))) => {
                    self.cells("Range in a Txn", &options::range(request, now), outcomes::range(request, answer));
                }
                (Some(Request::RequestPut(request)), Some(Response::ResponsePut(answer))) => {
                    self.cells("Put in a Txn", &options::put(request), outcomes::put(answer));
                }
                (Some(Request::RequestDeleteRange(request)), Some(Response::ResponseDeleteRange(answer))) => {
                    self.cells("DeleteRange in a Txn", &options::delete(request), outcomes::delete(answer));
                }
                (Some(Request::RequestTxn(request)), Some(Response::ResponseTxn(answer))) => {
                    self.inside(request, answer, now);
                }
                _ => {}
            }
        }
    }

    fn cells(&mut self, rpc: &'static str, options: &[&'static str], outcome: &'static str) {
        for option in options {
            *self.cells.entry((rpc, option, outcome)).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Coverage) {
        other.cells.iter().for_each(|(cell, count)| *self.cells.entry(*cell).or_default() += count);
        other.errors.iter().for_each(|(words, count)| *self.errors.entry(words.clone()).or_default() += count);
        self.operations += other.operations;
        self.changing += other.changing;
        self.telling += other.telling;
    }

    /// The cells there should be, with their counts.
    fn expected(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, usize)> {
        let all = rpcs::ALL.iter().flat_map(|rpc| {
            rpc.options().flat_map(move |option| rpc.outcomes().map(move |outcome| (rpc.name, option, outcome)))
        });
        all.map(|(rpc, option, outcome)| {
            (rpc, option, outcome, self.cells.get(&(rpc, option, outcome)).copied().unwrap_or(0))
        })
    }

    /// What is wrong with the table: cells with fewer than `least`, cells that should be unreachable, cells and errors that nobody lists.
    pub(super) fn gaps(&self, least: usize) -> Vec<String> {
        let mut gaps = Vec::new();
        let mut listed = std::collections::BTreeSet::new();
        for (rpc, option, outcome, count) in self.expected() {
            listed.insert((rpc, option, outcome));
            match unreachable::why(rpc, option, outcome) {
                None if count < least => gaps.push(format!("only {count}: {rpc} | {option} | {outcome}")),
                Some(why) if count > 0 => gaps.push(format!("{count}, though {why}: {rpc} | {option} | {outcome}")),
                _ => {}
            }
        }
        let unlisted = self.cells.iter().filter(|(cell, _)| !listed.contains(*cell));
        gaps.extend(
            unlisted.map(|((rpc, option, outcome), n)| format!("unlisted ({n}): {rpc} | {option} | {outcome}")),
        );
        let unseen = rpcs::ERRORS.iter().filter(|error| self.errors.get(**error).is_none_or(|count| *count < least));
        gaps.extend(unseen.map(|error| format!("not seen often enough: {error}")));
        gaps
    }

    pub(super) fn summary(&self) -> String {
        let share = |part: usize| 100.0 * part as f64 / self.operations.max(1) as f64;
        let reachable =
            self.expected().filter(|(rpc, option, outcome, _)| unreachable::why(rpc, option, outcome).is_none());
        let mut counts: Vec<_> = reachable.map(|(rpc, option, outcome, count)| (count, rpc, option, outcome)).collect();
        counts.sort_unstable();
        let all = self.expected().count();
        let mut text = format!(
            "{} operations: {:.1} % changed something, {:.1} % changed or found something\n\
             {} cells, and {} that are unreachable; the smallest:\n",
            self.operations,
            share(self.changing),
            share(self.telling),
            counts.len(),
            all - counts.len()
        );
        for (count, rpc, option, outcome) in counts.iter().take(5) {
            let _ = writeln!(text, "{count:8} {rpc} | {option} | {outcome}");
        }
        text
    }

    /// Markdown.
    pub(super) fn table(&self) -> String {
        let mut text = self.summary();
        for rpc in rpcs::ALL {
            let _ = writeln!(text, "\n## {}\n", rpc.name);
            let outcomes: Vec<_> = rpc.outcomes().collect();
            let _ = writeln!(text, "| option | {} |\n|---|{}", outcomes.join(" | "), "---:|".repeat(outcomes.len()));
            for option in rpc.options() {
                let _ = write!(text, "| {option} |");
                for outcome in &outcomes {
                    let count = self.cells.get(&(rpc.name, option, outcome)).copied().unwrap_or(0);
                    let _ = match unreachable::why(rpc.name, option, outcome) {
                        Some(_) => write!(text, " – |"),
                        None => write!(text, " {count} |"),
                    };
                }
                text.push('\n');
            }
            let _ = writeln!(text, "\nUnreachable (–):\n");
            let mut reasons = BTreeMap::<&str, Vec<String>>::new();
            for option in rpc.options() {
                for outcome in rpc.outcomes() {
                    if let Some(why) = unreachable::why(rpc.name, option, outcome) {
                        reasons.entry(why).or_default().push(format!("{option} / {outcome}"));
                    }
                }
            }
            for (why, cells) in reasons {
                let _ = writeln!(text, "- {why}: {}", cells.join("; "));
            }
        }
        let _ = writeln!(text, "\n## Errors\n");
        for (words, count) in &self.errors {
            let _ = writeln!(text, "{count:8} {words}");
        }
        let _ = writeln!(text, "\nNot to be had by what a program asks:\n");
        for (words, why) in rpcs::ELSEWHERE {
            let _ = writeln!(text, "- {words}: {why}");
        }
        text
    }
}
