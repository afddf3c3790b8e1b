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

/// Of the revision that was compacted, where that compaction may have begun before the one before it had ended: then etcd keeps no
/// hash of it (kvstore.go, `prevCompactionCompleted`).
fn hashes(program: &[Step], etcd: &mut [Outcome], other: &[Outcome]) {
    // What the program before has compacted may still be under way.
    let (mut under_way, mut overtaken) = (true, false);
    for (step, (told, other)) in program.iter().zip(etcd.iter_mut().zip(other)) {
        match step {
            Step::Restart => (under_way, overtaken) = (true, false),
            Step::Compact(_, physical) if matches!(told, Outcome::Answer(_)) => {
                (under_way, overtaken) = (!physical, under_way);
            }
            Step::HashKv(_) => {
                if overtaken {
                    hash_of_a_compaction(told, other);
                }
                // It waits for the compactions before it.
                under_way = false;
            }
            _ => {}
        }
    }
}

/// What a watcher of the past has to be told before its creation was answered is sent in one piece, however large.
fn is_uncut(said: &Said) -> bool {
    matches!(said, Said::Wrong(what) if what == TOO_LARGE)
}

/// A hash that was kept names the compaction before; one that is made anew names that of its own revision.
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
    fn only_a_compaction_that_may_overtake_another_is_open() {
        let forgiven = |mut steps: Vec<Step>| {
            let done = vec![Outcome::Answer(Answer::Text("done")); steps.len()];
            steps.push(Step::HashKv(0));
            let mut etcd = [done.clone(), vec![hashed(7, 7)]].concat();
            let other = [done, vec![hashed(5, 7)]].concat();
            hashes(&steps, &mut etcd, &other);
            etcd == other
        };
        let waited_for = || vec![Step::HashKv(0)];
        for physical in [false, true] {
            assert!(forgiven(vec![Step::Compact(1, false), Step::Compact(2, physical)]));
            assert!(forgiven(vec![Step::Compact(1, physical)]), "after another program's");
            assert!(!forgiven(vec![Step::Compact(1, true), Step::Compact(2, physical)]));
            assert!(!forgiven([waited_for(), vec![Step::Compact(1, physical)]].concat()));
            assert!(!forgiven(vec![Step::Compact(1, false), Step::Compact(2, physical), Step::Restart]));
        }
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
