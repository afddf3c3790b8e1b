//! What kine's NATS driver gets wrong: one test for each point, which jine passes. On kine (0.17.5) each is seen to
//! fail, or to be mended: `scripts/test --long kine`.
//!
//! The store is filled with the requests that kine understands (those of Kubernetes), so that it fails for no other reason than the point.

mod history;
mod operations;
mod reads;
mod replay;
mod server;
mod writes;

use server::Kind;

/// What the server did instead of the right thing.
type Point = Result<(), String>;

/// Past the test's capture, as it is what a run on kine is for.
fn tell(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Makes tests of each point: jine has it right; kine has it wrong, or has mended it.
macro_rules! points {
    (wrong: $($wrong:ident)* ; mended: $($mended:ident)*) => {
        mod on_jine {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $wrong() {
                super::$wrong(super::Kind::Jine).await.unwrap();
            })*
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $mended() {
                super::$mended(super::Kind::Jine).await.unwrap();
            })*
        }
        mod on_kine {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs kine: scripts/test --long kine"]
            async fn $wrong() {
                let did = super::$wrong(super::Kind::Kine).await.expect_err("kine has mended it: say so in docs/kine.md");
                super::tell(&format!("kine: {}: {did}", stringify!($wrong)));
            })*
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs kine: scripts/test --long kine"]
            async fn $mended() {
                super::$mended(super::Kind::Kine).await.unwrap();
                super::tell(&format!("kine: {}: mended, as of 0.17.5", stringify!($mended)));
            })*
        }
    };
}

use history::*;
use operations::*;
use reads::*;
use replay::*;
use writes::*;

points! {
    wrong:
        keys_of_a_lease_go_after_a_restart
        a_compaction_frees_what_it_covers
        deleted_keys_leave_nothing_behind
        old_lists_have_every_key
        old_watches_have_every_event
        a_delete_is_one_revision_and_one_message
        a_write_is_seen_through_every_server
        progress_is_told_after_a_delete
        a_list_is_not_a_request_to_nats_for_each_key
        an_old_watch_is_not_a_request_to_nats_for_each_event
        a_replay_may_take_longer_than_a_minute
        any_transaction_is_taken
        ranges_are_deleted
        a_range_is_sorted_and_filtered
        leases_have_ids_of_their_own
        leases_are_kept_alive_and_revoked
        a_value_may_have_a_million_bytes
        keys_and_values_can_be_read_with_nats
    ;
    mended:
        many_watches_are_not_as_many_consumers
}
