//! The settings of the bucket's stream: wanted, refused, mended. Pure.

use serde_json::{Value, json};

use super::names::Names;

/// Not "unlimited" (-1): the Go KV client refuses such a bucket.
pub(super) const MAX_MESSAGES_PER_SUBJECT: i64 = 1_000_000_000;

/// How a new bucket is made.
pub(super) fn wanted(names: &Names, replicas: usize) -> Value {
    json!({
        "name": names.stream,
        "description": "jine: the state of an etcd",
        "subjects": [format!("{}>", names.stored)],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "max_msgs_per_subject": MAX_MESSAGES_PER_SUBJECT,
        "num_replicas": replicas,
        "allow_atomic": true,
        "allow_direct": true,
        "allow_rollup_hdrs": false,
        // Neither can be switched off again, and history is removed by purges.
        "deny_delete": false,
        "deny_purge": false,
    })
}

/// kine makes its bucket with this description and never changes it.
pub(super) fn is_kine(config: &Value) -> bool {
    config["description"] == "Holds kine key/values"
}

/// `unused`: nothing was ever written, so what can be mended need not be refused.
pub(super) fn check(config: &Value, names: &Names, unused: bool) -> Result<(), String> {
    let stream = &names.stream;
    let edit = |flag: &str| format!("change it with `nats stream edit {stream} {flag}`");
    let anew = if unused {
        "delete the bucket and let jine create it"
    } else {
        "name another bucket, or restore a backup of this one's stream that has its former settings (`nats stream restore`)"
    };
    let refuse = |what: &str, remedy: &str| Err(format!("{what}; {remedy}"));
    if config["storage"] != "file" {
        return refuse("it is kept in memory and would not survive a restart", anew);
    }
    if config["retention"] != "limits" {
        return refuse("its retention policy removes messages that were read", anew);
    }
    if config["subjects"] != json!([format!("{}>", names.stored)]) {
        return refuse("its stream does not have exactly the subjects of a KV bucket", anew);
    }
    if set(config, "mirror") || set(config, "sources") {
        return refuse("it is filled from another stream", "name the origin instead");
    }
    if set(config, "subject_transform") {
        return refuse("it changes subjects", anew);
    }
    if on(config, "allow_msg_counter") || on(config, "allow_msg_schedules") {
        return refuse("it has counters or schedules, which change or add messages", anew);
    }
    if on(config, "allow_msg_ttl") || number(config, "subject_delete_marker_ttl") > 0 {
        return refuse("it lets messages expire", anew);
    }
    if config["persist_mode"] == "async" {
        return refuse("it acknowledges before it writes (persist_mode async)", anew);
    }
    if on(config, "sealed") || on(config, "no_ack") || on(config, "deny_purge") {
        return refuse("it is sealed, has no acknowledgements or denies purges", anew);
    }
    if !unused && number(config, "max_age") > 0 {
        return refuse("messages older than max_age are removed", &edit("--max-age=0"));
    }
    if !unused && number(config, "max_msgs") > 0 {
        return refuse("it holds at most max_msgs messages", &edit("--max-msgs=-1"));
    }
    if !unused && config["discard"] != "new" {
        return refuse("when it is full it removes old messages", &edit("--discard=new"));
    }
    if !unused && per_subject_is_low(config) {
        return refuse(
            "it removes messages beyond max_msgs_per_subject",
            &edit(&format!("--max-msgs-per-subject={MAX_MESSAGES_PER_SUBJECT}")),
        );
    }
    Ok(())
}

/// A better configuration and what is different, where there is something that can safely be changed.
pub(super) fn mend(config: &Value, unused: bool) -> Option<(Value, String)> {
    let mut mended = config.clone();
    let mut what = Vec::new();
    let mut change = |name: &str, value: Value| {
        what.push(format!("{name} to {value}"));
        mended[name] = value;
    };
    if !on(config, "allow_atomic") {
        change("allow_atomic", true.into());
    }
    if on(config, "allow_rollup_hdrs") {
        change("allow_rollup_hdrs", false.into());
    }
    if unused && number(config, "max_age") > 0 {
        change("max_age", 0.into());
    }
    if unused && number(config, "max_msgs") > 0 {
        change("max_msgs", (-1).into());
    }
    if unused && config["discard"] != "new" {
        change("discard", "new".into());
    }
    if unused && per_subject_is_low(config) {
        change("max_msgs_per_subject", MAX_MESSAGES_PER_SUBJECT.into());
    }
    (!what.is_empty()).then(|| (mended, what.join(", ")))
}

fn per_subject_is_low(config: &Value) -> bool {
    let limit = number(config, "max_msgs_per_subject");
    limit > 0 && limit < MAX_MESSAGES_PER_SUBJECT
}

fn on(config: &Value, name: &str) -> bool {
    config[name] == true
}

fn set(config: &Value, name: &str) -> bool {
    !matches!(&config[name], Value::Null) && config[name] != json!([])
}

fn number(config: &Value, name: &str) -> i64 {
    config[name].as_i64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("b", None)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut config = wanted(&names(), 1);
        config[name] = value;
        config
    }

    #[test]
    fn what_is_created_is_accepted_as_it_is() {
        let config = wanted(&names(), 3);
        assert_eq!(check(&config, &names(), false), Ok(()));
        assert_eq!(mend(&config, false), None);
        assert!(!is_kine(&config));
    }

    #[test]
    fn settings_that_lose_data_are_refused() {
        for (name, value) in [
            ("storage", json!("memory")),
            ("retention", json!("interest")),
            ("retention", json!("workqueue")),
            ("subjects", json!(["$KV.b.>", "x"])),
            ("subjects", json!(["$KV.c.>"])),
            ("mirror", json!({"name": "x"})),
            ("sources", json!([{"name": "x"}])),
            ("subject_transform", json!({"src": "a", "dest": "b"})),
            ("allow_msg_counter", json!(true)),
            ("allow_msg_schedules", json!(true)),
            ("allow_msg_ttl", json!(true)),
            ("subject_delete_marker_ttl", json!(1_000_000_000)),
            ("persist_mode", json!("async")),
            ("sealed", json!(true)),
            ("no_ack", json!(true)),
            ("deny_purge", json!(true)),
        ] {
            for unused in [true, false] {
                assert!(check(&with(name, value.clone()), &names(), unused).is_err(), "{name} {value}");
            }
        }
    }

    #[test]
    fn limits_are_refused_once_there_are_messages_and_mended_before() {
        for (name, value) in [
            ("max_age", json!(1)),
            ("max_msgs", json!(1000)),
            ("discard", json!("old")),
            ("max_msgs_per_subject", json!(64)),
        ] {
            let config = with(name, value);
            assert!(check(&config, &names(), false).is_err(), "{name}");
            assert_eq!(check(&config, &names(), true), Ok(()), "{name}");
            let (mended, what) = mend(&config, true).expect("something to mend");
            assert!(what.starts_with(name));
            assert_eq!(check(&mended, &names(), false), Ok(()), "{name}");
            assert_eq!(mend(&mended, true), None, "{name}");
        }
    }

    #[test]
    fn what_is_safe_to_change_is_changed_and_the_rest_kept() {
        let mut config = with("allow_atomic", json!(false));
        config["allow_rollup_hdrs"] = json!(true);
        config["something_new"] = json!({"x": 1});
        let (mended, _) = mend(&config, false).expect("something to mend");
        assert_eq!(mended["allow_atomic"], true);
        assert_eq!(mended["allow_rollup_hdrs"], false);
        assert_eq!(mended["something_new"], json!({"x": 1}));
        for (name, value) in [
            ("max_msgs_per_subject", json!(-1)),
            ("max_bytes", json!(1 << 30)),
            ("deny_delete", json!(true)),
            ("compression", json!("s2")),
        ] {
            assert_eq!(check(&with(name, value), &names(), false), Ok(()), "{name}");
        }
    }
}
