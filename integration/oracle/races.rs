//! What etcd itself does differently from one time to the next: a race between two of its threads decides.

use super::answer::{Answer, Outcome};
use super::program::Step;
use super::side::Report;
use super::watching::{Said, TOO_LARGE};

/// Takes out of etcd's report what only such a race has made different from the other's.
pub(super) fn forgive(program: &[Step], etcd: &mut Report, other: &Report) {
    for (_, said) in etcd.streams.iter_mut().flatten() {
        said.retain(|said| !is_uncut(said));
    }
    hashes(program, &mut etcd.outcomes, &other.outcomes);
}

/// Those after a compaction that nobody has waited for.
fn hashes(program: &[Step], etcd: &mut [Outcome], other: &[Outcome]) {
    let mut under_way = false;
    for (step, (told, other)) in program.iter().zip(etcd.iter_mut().zip(other)) {
        match step {
            Step::Restart => under_way = false,
            Step::Compact(_, physical) if matches!(told, Outcome::Answer(_)) => under_way = !physical,
            Step::HashKv(_) if under_way => hash_of_a_compaction(told, other),
            _ => {}
        }
    }
}

/// What a watcher of the past has to be told before its creation was answered is sent in one piece, however large.
fn is_uncut(said: &Said) -> bool {
    matches!(said, Said::Wrong(what) if what == TOO_LARGE)
}

/// A compaction leaves the hash of its revision behind, together with the revision of the compaction before it. As long as it is
/// under way, its own stands there.
fn hash_of_a_compaction(told: &mut Outcome, other: &Outcome) {
    let (Outcome::Answer(Answer::HashKv(told)), Outcome::Answer(Answer::HashKv(other))) = (told, other) else { return };
    if told.compact_revision == told.hash_revision && other.compact_revision < other.hash_revision {
        told.compact_revision = other.compact_revision;
    }
}

#[cfg(test)]
mod tests {
    use jine::pb::etcdserverpb::HashKvResponse;

    use super::*;

    fn hashed(compact_revision: i64, hash_revision: i64) -> Outcome {
        Outcome::Answer(Answer::HashKv(HashKvResponse { compact_revision, hash_revision, ..Default::default() }))
    }

    #[test]
    fn only_a_compaction_that_nobody_waited_for_is_under_way() {
        let forgiven = |mut steps: Vec<Step>| {
            let compacted = vec![Outcome::Answer(Answer::Text("compacted")); steps.len()];
            steps.push(Step::HashKv(0));
            let mut etcd = [compacted.clone(), vec![hashed(7, 7)]].concat();
            let other = [compacted, vec![hashed(5, 7)]].concat();
            hashes(&steps, &mut etcd, &other);
            etcd == other
        };
        assert!(forgiven(vec![Step::Compact(1, true), Step::Compact(2, false)]));
        assert!(!forgiven(vec![Step::Compact(1, false), Step::Compact(2, true)]));
        assert!(!forgiven(vec![Step::Compact(1, false), Step::Restart]));
        assert!(!forgiven(Vec::new()));
    }

    #[test]
    fn only_the_revision_that_was_compacted_is_open() {
        let forgiven = |mut told: Outcome, other: Outcome| {
            hash_of_a_compaction(&mut told, &other);
            told == other
        };
        assert!(forgiven(hashed(7, 7), hashed(5, 7)));
        assert!(!forgiven(hashed(5, 7), hashed(7, 7)));
        assert!(!forgiven(hashed(6, 7), hashed(5, 7)));
        assert!(!forgiven(hashed(7, 7), hashed(5, 6)));
    }
}
