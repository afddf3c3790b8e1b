use crate::support::jine::{command, finish};

#[test]
fn help_names_every_flag_with_its_variable() {
    let (code, text) = finish(command().arg("--help"));
    assert_eq!(code, 0);
    for flag in [
        "endpoint",
        "data-dir",
        "nats-server",
        "value-memory",
        "ca-file",
        "cert-file",
        "key-file",
        "skip-verify",
        "nats-creds",
        "nats-nkey",
        "nats-user",
        "nats-password-file",
        "nats-token-file",
        "jetstream-domain",
        "nats-sync-interval",
        "listen-address",
        "listen-client-urls",
        "advertise-client-urls",
        "server-cert-file",
        "server-key-file",
        "trusted-ca-file",
        "client-cert-auth",
        "max-txn-ops",
        "max-request-bytes",
        "quota-backend-bytes",
        "max-concurrent-streams",
        "watch-progress-notify-interval",
        "auto-compaction-mode",
        "auto-compaction-retention",
        "compact-interval",
        "emulated-etcd-version",
        "name",
        "metrics-bind-address",
        "log-level",
        "log-format",
    ] {
        assert!(text.contains(&format!("--{flag}")), "--{flag}: {text}");
        let variable = format!("JINE_{}", flag.replace('-', "_").to_uppercase());
        assert!(text.contains(&variable), "{variable}: {text}");
    }
}

#[test]
fn version_is_told() {
    assert_eq!(finish(command().arg("--version")), (0, format!("jine {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_wrong_value_is_one_sentence_and_exit_code_2() {
    let (code, text) = finish(command().args(["--endpoint", "nats://h?buket=x"]));
    assert_eq!(code, 2);
    assert_eq!(
        text,
        "jine: --endpoint: there is no parameter 'buket'; there are bucket, replicas, credsFile, \
                      contextFile, slowMethod, noEmbed\n"
    );
}

#[test]
fn an_unknown_flag_is_exit_code_2() {
    let (code, text) = finish(command().arg("--endpiont=nats://"));
    assert_eq!(code, 2);
    assert!(text.contains("--endpoint"), "{text}");
}

#[test]
fn variables_stand_for_flags_and_flags_win() {
    let (code, text) = finish(command().env("JINE_MAX_TXN_OPS", "5000"));
    assert_eq!(code, 2);
    assert!(text.starts_with("jine: --max-txn-ops: 5000"), "{text}");
    let (code, text) = finish(command().env("JINE_MAX_TXN_OPS", "5000").args(["--max-txn-ops", "6000"]));
    assert_eq!(code, 2);
    assert!(text.starts_with("jine: --max-txn-ops: 6000"), "{text}");
}

#[test]
fn an_empty_variable_is_none() {
    let empty = ["JINE_MAX_TXN_OPS", "JINE_CLIENT_CERT_AUTH", "JINE_NATS_CREDS", "JINE_LISTEN_CLIENT_URLS"];
    let mut command = command();
    for name in empty {
        command.env(name, "");
    }
    let (code, text) = finish(command.args(["--log-format", "x"]));
    assert_eq!((code, text.as_str()), (2, "jine: --log-format: 'x' is neither plain nor json\n"));
}

#[test]
fn passwords_are_not_repeated() {
    let (code, text) = finish(command().args(["--endpoint", "nats://me:hunter2@h?replicas=9"]));
    assert_eq!(code, 2);
    assert!(!text.contains("hunter2"), "{text}");
    let (_, text) = finish(command().env("JINE_ENDPOINT", "nats://me:hunter2@h").arg("--help"));
    assert!(!text.contains("hunter2"), "{text}");
}
