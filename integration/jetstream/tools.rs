//! What an operator sees with the `nats` command.

use std::process::Command;

use jine::store::log::{Log, Record};

use super::{append, delete, fresh, put};
use crate::support::nats::NatsServer;
use crate::support::tool;

fn nats(server: &NatsServer, arguments: &[&str]) -> String {
    let home = server.folder().join("home");
    let output = Command::new(tool("nats"))
        .args(["--server", &server.url()])
        .args(arguments)
        .env("HOME", &home)
        .env("XDG_CONFIG_HOME", &home)
        .output()
        .expect("nats runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nats {arguments:?}: {text}");
    text
}

#[tokio::test]
async fn the_nats_command_reads_the_bucket() {
    let (server, log) = fresh().await;
    let key = "/registry/pods/default/web-0";
    append(&log, vec![put(key, "one"), put("/registry/rbac/system:node", "x")]).await;
    append(&log, vec![put(key, "two"), Record::Claim, put("/gone", "x"), delete("/gone")]).await;

    let keys = nats(&server, &["kv", "ls", "jine"]);
    let keys: Vec<&str> = keys.lines().collect();
    for key in ["registry.pods.default.web-0", "registry.rbac.system=3Anode", "=jine.claim", "=jine.genesis"] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    assert!(!keys.contains(&"gone"), "{keys:?}");
    assert_eq!(nats(&server, &["kv", "get", "jine", "registry.pods.default.web-0", "--raw"]).trim_end(), "two");
    let history = nats(&server, &["kv", "history", "jine", "registry.pods.default.web-0"]);
    assert!(history.contains("one") && history.contains("two"), "{history}");
    assert!(nats(&server, &["kv", "info", "jine"]).contains("jine"));
    assert!(nats(&server, &["stream", "report"]).contains("KV_jine"));
    let message = nats(&server, &["stream", "get", "KV_jine", "2"]);
    assert!(message.contains("Jine: 1 put id=0000000000000007-2 log=0000000000000009 n=2 at=2 r=2"), "{message}");
    assert_eq!(log.info().await.expect("info").messages, 7);
}
