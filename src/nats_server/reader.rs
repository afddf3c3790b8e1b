//! Read-only access for people: a configuration directory of the `nats` command line, used as
//! `XDG_CONFIG_HOME=DATA/reader nats kv ls`.

use std::path::Path;

use serde_json::json;

use super::Error;
use super::directory::{make_private, write_private};
use super::keys::Keys;

const CONTEXT: &str = "jine";

pub(super) fn leave_context(dir: &Path, url: &str, keys: &Keys) -> Result<(), Error> {
    let contexts = dir.join("nats/context");
    for dir in [dir, &dir.join("nats"), &contexts] {
        make_private(dir)?;
    }
    let seed = dir.join("reader.nk");
    write_private(&seed, &keys.reader_seed)?;
    let context = json!({ "description": "to look at jine's data", "url": url, "nkey": seed });
    write_private(&contexts.join(format!("{CONTEXT}.json")), &format!("{context:#}\n"))?;
    write_private(&dir.join("nats/context.txt"), CONTEXT)
}
