//! Removing what is superseded.

use serde::Deserialize;
use serde_json::json;

use super::api;
use super::link::Link;
use super::read;
use crate::state::Sequence;
use crate::store::log::{LogError, Target};

#[derive(Deserialize)]
struct Purged {
    #[serde(default)]
    purged: u64,
}

/// Removes the target's messages below a place.
pub(super) async fn purge(link: &Link, target: &Target, below: Sequence) -> Result<u64, LogError> {
    // The server takes 0 for "not given" and would remove all; nothing is below 1.
    if below.0 <= 1 {
        return Ok(0);
    }
    // A literal subject: a wildcard, or none, would remove live messages of others.
    let filter = format!("{}{}", link.names.stored, read::tokens_of(target));
    let body = json!({ "filter": filter, "seq": below.0 });
    let purged = api::request::<Purged>(link, link.names.of_stream("STREAM.PURGE"), &body).await;
    purged.map(|purged| purged.purged).map_err(|error| error.into_log_error(link))
}
