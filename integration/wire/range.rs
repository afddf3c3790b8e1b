//! What a range can be asked for.

use bytes::Bytes;
use jine::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use jine::pb::etcdserverpb::*;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    ends_name_keys
    a_limit_leaves_the_count_alone
    keys_only_leaves_out_values
    keys_only_tells_leases_only_where_values_are_sorted_by
    count_only_leaves_out_keys
    old_revisions_can_be_read
    any_field_can_be_sorted_by
    filters_leave_the_count_alone
    filters_and_sorting_come_before_the_limit
    a_stale_read_is_answered_too
}

/// a=3 (created 2, version 2, modified 5), b=1 (created 3), c=2 (created 4, version 1).
async fn three(target: &Target) -> Client {
    let mut client = target.client().await;
    for (key, value) in [("a", "0"), ("b", "1"), ("c", "2"), ("a", "3")] {
        client.put(key, value).await;
    }
    client
}

fn all() -> RangeRequest {
    between("a", "z")
}

async fn ends_name_keys(target: &Target) {
    let mut client = three(target).await;
    for (key, end, expected) in [
        ("a", "c", &["a", "b"][..]),
        ("b", "\0", &["b", "c"]),
        ("\0", "\0", &["a", "b", "c"]),
        ("c", "a", &[]),
        ("b", "b", &[]),
        ("b", "", &["b"]),
        ("b", "b\0", &["b"]),
        ("bb", "", &[]),
    ] {
        let response = client.range(between(key, end)).await;
        assert_eq!(
            (keys(&response), response.count),
            (expected.iter().map(|s| s.to_string()).collect(), expected.len() as i64)
        );
    }
}

async fn a_limit_leaves_the_count_alone(target: &Target) {
    let mut client = three(target).await;
    let response = client.range(RangeRequest { limit: 2, ..all() }).await;
    assert_eq!((keys(&response), response.count, response.more), (vec!["a".into(), "b".into()], 3, true));
    let response = client.range(RangeRequest { limit: 3, ..all() }).await;
    assert_eq!((response.kvs.len(), response.count, response.more), (3, 3, false));
    let response = client.range(RangeRequest { limit: -1, ..all() }).await;
    assert_eq!((response.kvs.len(), response.more), (3, false));
}

async fn keys_only_leaves_out_values(target: &Target) {
    let mut client = three(target).await;
    let response = client.range(RangeRequest { keys_only: true, ..one("a") }).await;
    let kv = &response.kvs[0];
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version, kv.value.len()), (2, 5, 2, 0));
}

async fn count_only_leaves_out_keys(target: &Target) {
    let mut client = three(target).await;
    let response = client.range(RangeRequest { count_only: true, limit: 1, ..all() }).await;
    assert_eq!((response.kvs.len(), response.count, response.more), (0, 3, false));
}

async fn old_revisions_can_be_read(target: &Target) {
    let mut client = three(target).await;
    client.delete("b").await;
    let response = client.range(RangeRequest { revision: 3, ..all() }).await;
    assert_eq!((keys(&response), revision(&response.header), response.count), (vec!["a".into(), "b".into()], 6, 2));
    assert_eq!(response.kvs[0].value, "0");
    assert_eq!(keys(&client.range(all()).await), ["a", "c"]);
    // Below zero is now.
    assert_eq!(keys(&client.range(RangeRequest { revision: -1, ..all() }).await), ["a", "c"]);
}

async fn any_field_can_be_sorted_by(target: &Target) {
    let mut client = three(target).await;
    for (sort_target, expected) in [
        (SortTarget::Key, ["a", "b", "c"]),
        (SortTarget::Create, ["a", "b", "c"]),
        (SortTarget::Mod, ["b", "c", "a"]),
        (SortTarget::Value, ["b", "c", "a"]),
    ] {
        let sort_target = sort_target as i32;
        let sorted = |order: SortOrder| RangeRequest { sort_target, sort_order: order as i32, ..all() };
        assert_eq!(keys(&client.range(sorted(SortOrder::Ascend)).await), expected, "{sort_target}");
        // No order is an order, for anything but keys.
        assert_eq!(keys(&client.range(sorted(SortOrder::None)).await), expected, "{sort_target}");
        let mut descending = keys(&client.range(sorted(SortOrder::Descend)).await);
        descending.reverse();
        assert_eq!(descending, expected, "{sort_target}");
    }
    let by_version =
        RangeRequest { sort_target: SortTarget::Version as i32, sort_order: SortOrder::Descend as i32, ..all() };
    assert_eq!(keys(&client.range(by_version).await)[0], "a");
}

async fn filters_leave_the_count_alone(target: &Target) {
    let mut client = three(target).await;
    for (request, expected) in [
        (RangeRequest { min_mod_revision: 4, ..all() }, &["a", "c"][..]),
        (RangeRequest { max_mod_revision: 4, ..all() }, &["b", "c"]),
        (RangeRequest { min_create_revision: 3, ..all() }, &["b", "c"]),
        (RangeRequest { max_create_revision: 3, ..all() }, &["a", "b"]),
        (RangeRequest { min_mod_revision: 4, max_create_revision: 3, ..all() }, &["a"]),
    ] {
        let response = client.range(request).await;
        assert_eq!(
            (keys(&response).as_slice(), response.count, response.more),
            (&expected.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..], 3, false)
        );
    }
}

async fn filters_and_sorting_come_before_the_limit(target: &Target) {
    let mut client = three(target).await;
    let filtered = client.range(RangeRequest { min_create_revision: 3, limit: 1, ..all() }).await;
    assert_eq!((keys(&filtered), filtered.count, filtered.more), (vec!["b".into()], 3, true));
    let filtered = client.range(RangeRequest { min_create_revision: 3, limit: 2, ..all() }).await;
    assert_eq!((filtered.kvs.len(), filtered.more), (2, false));
    let sorted = RangeRequest { sort_order: SortOrder::Descend as i32, limit: 1, ..all() };
    let sorted = client.range(sorted).await;
    assert_eq!((keys(&sorted), sorted.count, sorted.more), (vec!["c".into()], 3, true));
    // Values are sorted by, even if they are not sent.
    let by_value = RangeRequest { sort_target: SortTarget::Value as i32, keys_only: true, limit: 1, ..all() };
    let by_value = client.range(by_value).await;
    assert_eq!((keys(&by_value), &by_value.kvs[0].value), (vec!["b".into()], &Bytes::new()));
}

async fn a_stale_read_is_answered_too(target: &Target) {
    let mut client = three(target).await;
    let response = client.range(RangeRequest { serializable: true, ..all() }).await;
    assert_eq!((response.kvs.len(), revision(&response.header)), (3, 5));
}

async fn keys_only_tells_leases_only_where_values_are_sorted_by(target: &Target) {
    let mut client = target.client().await;
    let lease = client.grant(1000).await;
    client.kv.put(PutRequest { key: "a".into(), lease, ..Default::default() }).await.unwrap();
    let bare = client.range(RangeRequest { keys_only: true, ..one("a") }).await;
    assert_eq!(bare.kvs[0].lease, 0);
    let by_value = RangeRequest { sort_target: SortTarget::Value as i32, keys_only: true, ..one("a") };
    assert_eq!(client.range(by_value).await.kvs[0].lease, lease);
}
