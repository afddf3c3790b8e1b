//! jine and its nats-server killed at full load, again and again: what was answered is true afterwards.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::account::Account;
use super::hash_of;
use super::load::{CLIENTS, Load, compact};
use crate::support::client::until;
use crate::support::jine::{Jine, embedded, nats_server_pid, staging};
use crate::support::{eventually, http_get, is_alive, kill, kill_at_once};

/// Of the log, over all rounds: writes that come together travel together.
#[derive(Clone, Copy, Debug, Default)]
struct Groups {
    groups: u64,
    entries: u64,
}

impl Groups {
    /// What a jine has sent since its start.
    fn of(address: &str) -> Groups {
        let text = http_get(address, "/metrics").unwrap().1;
        let figure = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split(' ').nth(1).unwrap().parse().unwrap()
        };
        Groups { groups: figure("jine_log_groups_total "), entries: figure("jine_log_group_entries_total ") }
    }
}

impl std::ops::AddAssign for Groups {
    fn add_assign(&mut self, other: Groups) {
        self.groups += other.groups;
        self.entries += other.entries;
    }
}

/// Both processes, in one of the three orders they can end in.
fn kill_both(jine: &mut Jine, server: u32, rng: &mut StdRng) {
    match rng.random_range(0..3) {
        // Whose end is the server's.
        0 => {}
        1 => kill_at_once(&[server, jine.pid()]),
        _ => {
            kill(server, "KILL");
            std::thread::sleep(Duration::from_millis(rng.random_range(0..60)));
        }
    }
    jine.stop("KILL");
    eventually("the end of nats-server", || (!is_alive(server)).then_some(()));
}

/// One store, killed again and again; every second time while it compacts.
async fn survives(kills: u64) {
    let seed = rand::random();
    say!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let data = tempfile::tempdir().unwrap();
    let mut account = Account::new();
    let (mut compacted, mut groups, mut in_memory) = (1, Groups::default(), true);
    for round in 0..kills {
        let mut jine = Jine::start(embedded(data.path()));
        let load = Load::start(&jine.address(), round, CLIENTS, seed);
        let compacting = (round % 2 == 1).then(|| tokio::spawn(compact(jine.client(), compacted, account.revision)));
        compacted = account.revision;
        until("full load", || async { load.acknowledged() >= CLIENTS }).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..1500))).await;
        groups += Groups::of(&jine.address());
        in_memory &= staging(data.path()).is_some();
        kill_both(&mut jine, nats_server_pid(data.path()).unwrap(), &mut rng);
        account.add(load.stop().await);
        if let Some(compacting) = compacting {
            compacting.abort();
        }

        let mut jine = Jine::start(embedded(data.path()));
        let client = jine.client();
        assert_eq!(account.check(&client).await, 0, "after kill {round}");
        let hash = client.hash_kv().await.unwrap();
        jine.stop(if round % 3 == 0 { "TERM" } else { "KILL" });
        let mut jine = Jine::start(embedded(data.path()));
        let client = jine.client();
        assert_eq!(hash_of(&client.hash_kv().await.unwrap()), hash_of(&hash), "after another start");
        assert_eq!(account.check(&client).await, 0, "after another start");
        jine.stop("TERM");
    }
    let count = account.count();
    say!("both killed {kills} times, {groups:?}: {count:?}");
    assert!(count.unknown > 0, "no kill has hit a write");
    // Where batches are staged on the disk, writes may go one by one.
    assert!(!in_memory || groups.entries > 2 * groups.groups, "writes have not travelled together");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_true_when_both_are_killed() {
    survives(4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; run with --long"]
async fn what_was_answered_is_true_when_both_are_killed_thirty_times() {
    survives(30).await;
}
