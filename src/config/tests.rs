use std::time::Duration;

use super::*;

fn config(flags: &[&str]) -> Result<Config, Error> {
    let line = std::iter::once("jine").chain(flags.iter().copied());
    Config::new(&Arguments::read(line).unwrap())
}

fn refused(flags: &[&str], part: &str) {
    let error = config(flags).expect_err(&format!("{flags:?} is accepted")).to_string();
    assert!(error.contains(part), "{flags:?}: {error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn the_defaults_run_a_nats_server_and_listen_on_loopback() {
    let config = config(&[]).unwrap();
    assert_eq!(config.nats.server, Server::Embedded { program: None });
    assert_eq!((config.nats.bucket.as_str(), config.nats.replicas), ("jine", 1));
    assert_eq!(config.clients.listen.len(), 1);
    assert_eq!(config.clients.listen[0].address.to_string(), "127.0.0.1:2379");
    assert!(!config.clients.listen[0].tls && config.clients.tls.is_none());
    assert_eq!(config.metrics.unwrap().to_string(), "127.0.0.1:2381");
    let (max_concurrent_streams, quota_bytes) = (u32::MAX, None);
    let limits = Limits { max_txn_ops: 128, max_request_bytes: 1_572_864, max_concurrent_streams, quota_bytes };
    assert_eq!(config.limits, limits);
    assert_eq!(config.watch_progress_interval, Duration::from_secs(5));
    assert_eq!(config.compaction, Compaction::Clients);
    assert_eq!(config.emulated_etcd_version, "3.7.3");
}

#[test]
fn listening_takes_the_styles_of_kine_and_of_etcd() {
    for flags in [
        ["--listen-address", "0.0.0.0:1"],
        ["--listen-address", "tcp://0.0.0.0:1"],
        ["--listen-client-urls", "http://0.0.0.0:1"],
    ] {
        assert_eq!(config(&flags).unwrap().clients.listen[0].address.to_string(), "0.0.0.0:1");
    }
    let two = config(&["--listen-client-urls", "http://127.0.0.1:1,http://[::1]:1"]).unwrap();
    assert_eq!(two.clients.listen.len(), 2);
}

#[test]
fn a_certificate_makes_kines_style_tls_and_must_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.pem");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let pair = ["--server-cert-file", file, "--server-key-file", file];
    let with = |more: &[&'static str]| [&pair[..], more].concat();
    assert!(config(&with(&[])).unwrap().clients.listen[0].tls);
    let both = config(&with(&["--listen-client-urls", "https://1.2.3.4:1,http://127.0.0.1:1"])).unwrap();
    assert_eq!(both.clients.listen.iter().map(|l| l.tls).collect::<Vec<_>>(), [true, false]);
    refused(&with(&["--listen-client-urls", "http://127.0.0.1:1"]), "write https://");
    refused(&with(&["--client-cert-auth"]), "--trusted-ca-file");
    refused(&pair[..2], "go together");
    let mutual = [&pair[..], &["--client-cert-auth=true", "--trusted-ca-file", file]].concat();
    assert_eq!(config(&mutual).unwrap().clients.tls.unwrap().client_ca_file.unwrap(), PathBuf::from(file));
}

#[test]
fn external_credentials_come_from_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "hunter2\n").unwrap();
    let file = file.to_str().unwrap();
    let auth = |flags: &[&str]| {
        let flags = [&["--endpoint", "nats://h"][..], flags].concat();
        match config(&flags).unwrap().nats.server {
            Server::External(external) => external.auth,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(auth(&[]), None);
    assert_eq!(
        auth(&["--nats-user", "me", "--nats-password-file", file]),
        Some(Auth::PasswordFile { user: "me".into(), file: file.into() })
    );
    assert_eq!(auth(&["--nats-token-file", file]), Some(Auth::TokenFile(file.into())));
    assert_eq!(auth(&["--nats-creds", file]), Some(Auth::CredsFile(file.into())));
    assert_eq!(auth(&["--nats-nkey", file]), Some(Auth::NkeyFile(file.into())));
    refused(&["--endpoint", "nats://h", "--nats-creds", file, "--nats-nkey", file], "several credentials");
    refused(&["--endpoint", "nats://h", "--nats-user", "me"], "--nats-password-file");
    refused(&["--endpoint", "nats://h", "--nats-creds", "/nonexistent"], "cannot be read");
}

#[test]
fn a_context_file_names_server_and_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.json");
    std::fs::write(&file, r#"{"url":"nats://h1,h2","user":"u","password":"p"}"#).unwrap();
    let endpoint = format!("nats://?contextFile={}", file.display());
    match config(&["--endpoint", &endpoint]).unwrap().nats.server {
        Server::External(external) => {
            assert_eq!(external.servers, ["nats://h1:4222", "nats://h2:4222"]);
            assert!(matches!(external.auth, Some(Auth::UserPassword { .. })));
        }
        other => panic!("{other:?}"),
    }
    refused(&["--endpoint", &format!("nats://h?contextFile={}", file.display())], "comes from that file");
}

#[test]
fn what_cannot_work_is_refused_in_one_sentence() {
    refused(&["--max-txn-ops", "1001"], "atomic batch");
    refused(&["--max-txn-ops", "0"], "from 1 to 1000");
    refused(&["--max-txn-ops", "x"], "from 1 to 1000");
    refused(&["--max-request-bytes", "9MiB"], "between 1 and 8MiB");
    refused(&["--watch-progress-notify-interval", "5"], "5s");
    refused(&["--watch-progress-notify-interval", "0"], "below 100ms");
    refused(&["--compact-interval", "5ms"], "below 1s");
    refused(&["--emulated-etcd-version", "3.7"], "three numbers");
    refused(&["--listen-address", "2379"], "HOST:PORT");
    refused(&["--listen-client-urls", "ftp://h:1"], "http:// or https://");
    refused(&["--listen-address", "unix:///run/jine.sock"], "not supported");
    refused(&["--listen-client-urls", "https://127.0.0.1:1"], "--server-cert-file");
    refused(&["--listen-client-urls", "http://h:1,http://h:1"], "twice");
    refused(&["--advertise-client-urls", "0.0.0.0:1"], "http://HOST:PORT");
    refused(&["--advertise-client-urls", "http://0.0.0.0:1"], "nothing a client can connect to");
    refused(&["--metrics-bind-address", "x"], "HOST:PORT");
    refused(&["--log-format", "xml"], "plain nor json");
    refused(&["--log-level", "loud=loud"], "write error, warn");
    refused(&["--endpoint", "nats://?replicas=3"], "one replica");
    refused(&["--endpoint", "nats://?noEmbed"], "noEmbed");
    refused(&["--endpoint", "nats://", "--jetstream-domain", "x"], "--jetstream-domain");
    refused(&["--endpoint", "nats://h", "--cert-file", "/x"], "go together");
}

#[test]
fn etcds_ways_to_compact_are_understood() {
    let compaction = |mode: &str, retention: &str| {
        config(&["--auto-compaction-mode", mode, "--auto-compaction-retention", retention]).unwrap().compaction
    };
    assert_eq!(compaction("periodic", "0"), Compaction::Clients);
    assert_eq!(compaction("periodic", "2"), Compaction::Periodic(Duration::from_secs(7200)));
    assert_eq!(compaction("periodic", "1m30s"), Compaction::Periodic(Duration::from_secs(90)));
    assert_eq!(compaction("revision", "0"), Compaction::Clients);
    assert_eq!(compaction("revision", "1000"), Compaction::Revisions(1000));
    assert_eq!(config(&["--compact-interval", "5m"]).unwrap().compaction, Compaction::Every(Duration::from_secs(300)));
    refused(&["--auto-compaction-mode", "x"], "neither periodic nor revision");
    refused(&["--auto-compaction-retention", "5", "--compact-interval", "5m"], "give one of them");
    refused(&["--auto-compaction-retention", "10ms"], "below 1s");
    refused(&["--auto-compaction-retention", "soon"], "not a duration");
    refused(&["--auto-compaction-mode", "revision", "--auto-compaction-retention", "5m"], "number of revisions");
}

#[test]
fn quota_and_streams_are_etcds() {
    let quota = |text: &str| config(&["--quota-backend-bytes", text]).unwrap().limits.quota_bytes;
    assert_eq!((quota("0"), quota("-1"), quota("4096"), quota("2GiB")), (None, None, Some(4096), Some(2 << 30)));
    refused(&["--quota-backend-bytes", "-x"], "not a size");
    let values = |arguments: &[&str]| config(arguments).unwrap().value_memory;
    assert_eq!(values(&[]), None);
    assert_eq!(values(&["--value-memory", "0"]), Some(0));
    assert_eq!(values(&["--value-memory", "64MiB"]), Some(64 << 20));
    refused(&["--value-memory", "all"], "not a size");
    let streams = |text: &str| config(&["--max-concurrent-streams", text]).unwrap().limits.max_concurrent_streams;
    assert_eq!((streams("0"), streams("100")), (u32::MAX, 100));
    refused(&["--max-concurrent-streams", "many"], "not a number");
}

#[test]
fn switches_take_gos_form_too() {
    for (flag, expected) in [("--skip-verify", true), ("--skip-verify=true", true), ("--skip-verify=false", false)] {
        match config(&["--endpoint", "nats://h", flag]).unwrap().nats.server {
            Server::External(external) => assert_eq!(external.tls.skip_verify, expected, "{flag}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(config(&["--metrics-bind-address", "0"]).unwrap().metrics, None);
}

#[test]
fn the_initial_cluster_state_is_etcds() {
    for (flags, existing) in [(&[][..], false), (&["--initial-cluster-state", "new"][..], false)] {
        assert_eq!(config(flags).unwrap().nats.existing, existing);
    }
    assert!(config(&["--initial-cluster-state=existing"]).unwrap().nats.existing);
    refused(&["--initial-cluster-state", "old"], "neither new nor existing");
}

#[test]
fn the_sync_interval_reads_as_in_natss_configuration() {
    let interval = |flags: &[&str]| match config(&[&["--endpoint", "nats://h"], flags].concat()).unwrap().nats.server {
        Server::External(external) => external.sync_interval,
        other => panic!("{other:?}"),
    };
    assert_eq!(interval(&[]), Duration::from_secs(120));
    assert_eq!(interval(&["--nats-sync-interval", "always"]), Duration::ZERO);
    assert_eq!(interval(&["--nats-sync-interval", "10s"]), Duration::from_secs(10));
    refused(&["--endpoint", "nats://h", "--nats-sync-interval", "0"], "write always");
    refused(&["--endpoint", "nats://h", "--nats-sync-interval", "often"], "not a duration");
    refused(&["--nats-sync-interval", "always"], "is for another one");
}
