//! What the account that the bucket belongs to has left. Best effort: a user who may not ask learns nothing.

use serde_json::Value;

use super::api;
use super::link::Link;

/// In bytes of the stream.
pub(super) async fn left(link: &Link, replicas: usize) -> Option<u64> {
    let info: Value = api::request(link, link.names.account_info(), &serde_json::json!({})).await.ok()?;
    of(&info, replicas as u64)
}

/// An account has one limit, which all replicas together may use; or one for each number of replicas, which each of them may use (its usage is
/// that of all of them). -1 is none.
fn of(info: &Value, replicas: u64) -> Option<u64> {
    let tier = info["tiers"].get(format!("R{replicas}"));
    let limits = tier.unwrap_or(info);
    let limit = limits["limits"]["max_storage"].as_i64().and_then(|limit| u64::try_from(limit).ok())?;
    let limit = if tier.is_some() { limit.saturating_mul(replicas) } else { limit };
    Some(limit.saturating_sub(limits["storage"].as_u64()?) / replicas.max(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_is_counted_by_replica() {
        let flat = |max: i64| json!({"storage": 600, "limits": {"max_storage": max}});
        assert_eq!(of(&flat(-1), 1), None);
        assert_eq!(of(&flat(900), 1), Some(300));
        assert_eq!(of(&flat(900), 3), Some(100));
        assert_eq!(of(&flat(500), 1), Some(0));
        let tiers = json!({"storage": 0, "limits": {}, "tiers": {
            "R1": {"storage": 600, "limits": {"max_storage": 1000}},
            "R3": {"storage": 600, "limits": {"max_storage": 1000}},
        }});
        assert_eq!(of(&tiers, 1), Some(400));
        assert_eq!(of(&tiers, 3), Some(800));
        assert_eq!(of(&json!({}), 1), None);
    }
}
