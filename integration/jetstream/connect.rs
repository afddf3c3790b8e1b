//! Connecting, and being refused in one clear sentence.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use jine::jetstream::{Credentials, JetStream, Options, Secret, Tls, open};
use jine::state::Sequence;
use jine::store::log::{Log, LogError, Peers, Record, SessionId};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{append, next_message, open_error, options, put, replay};
use crate::support::nats::{JETSTREAM, NatsServer, free_port};

fn secret(text: &str) -> Secret {
    Secret(text.into())
}

async fn works(options: Options) -> JetStream {
    let log = open(options).await.expect("it opens");
    append(&log, vec![put("/a", "1"), put("/b", "1")]).await;
    log
}

async fn refused(options: Options, words: &str) {
    match open_error(options).await {
        LogError::Refused(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

async fn fatal(options: Options, words: &str) {
    match open_error(options).await {
        LogError::Fatal(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

async fn unavailable(options: Options, words: &str) {
    match open_error(options).await {
        LogError::Unavailable(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn user_and_password_from_options_or_address() {
    let server = NatsServer::start_with(&format!("{JETSTREAM}authorization {{ user: me, password: \"p/ss\" }}")).await;
    let with = |user: &str, password: &str| Options {
        credentials: Credentials::UserPassword(user.into(), secret(password)),
        ..options(&server)
    };
    works(with("me", "p/ss")).await;
    refused(with("me", "wrong"), "refused the credentials").await;
    refused(options(&server), "refused the credentials").await;
    let url = server.url().replace("nats://", "nats://me:p%2Fss@");
    works(Options { servers: vec![url], ..options(&server) }).await;
    let shown = format!("{:?}", with("me", "p/ss"));
    assert!(!shown.contains("p/ss"), "{shown}");
}

#[tokio::test]
async fn tokens_and_nkeys() {
    let server = NatsServer::start_with(&format!("{JETSTREAM}authorization {{ token: t0ken }}")).await;
    works(Options { credentials: Credentials::Token(secret("t0ken")), ..options(&server) }).await;
    refused(
        Options { credentials: Credentials::Token(secret("other")), ..options(&server) },
        "refused the credentials",
    )
    .await;

    let pair = nkeys::KeyPair::new_user();
    let users = format!("{JETSTREAM}authorization {{ users: [ {{ nkey: {} }} ] }}", pair.public_key());
    let server = NatsServer::start_with(&users).await;
    let seed = pair.seed().expect("a seed");
    works(Options { credentials: Credentials::Nkey(secret(&seed)), ..options(&server) }).await;
    let file = server.folder().join("user.nk");
    fs::write(&file, format!("# the user's\n{seed}\n")).expect("written");
    works(Options { credentials: Credentials::NkeyFile(file.clone()), ..options(&server) }).await;
    fs::write(&file, "nothing").expect("written");
    refused(Options { credentials: Credentials::NkeyFile(file), ..options(&server) }, "nkey seed").await;
    let missing = PathBuf::from("/does/not/exist");
    refused(Options { credentials: Credentials::CredsFile(missing), ..options(&server) }, "cannot read /does/not")
        .await;
}

#[tokio::test]
async fn tls_with_a_ca_of_ones_own_and_a_client_certificate() {
    let server = NatsServer::start_with(JETSTREAM).await;
    let folder = server.folder();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");
    let issue = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &ca).expect("a certificate");
        let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&paths.0, certificate.pem()).expect("written");
        fs::write(&paths.1, key.serialize_pem()).expect("written");
        paths
    };
    let ca_file = folder.join("ca.pem");
    fs::write(&ca_file, ca.pem()).expect("written");
    let (identity, client) = (issue("127.0.0.1"), issue("client"));
    let server = NatsServer::start_with(&format!(
        "{JETSTREAM}tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {ca_file:?}, verify: true }}",
        identity.0, identity.1
    ))
    .await;
    let with = |tls: Tls| Options { tls, ..options(&server) };
    let good = Tls { ca: Some(ca_file), identity: Some(client.clone()), ..Tls::default() };
    works(with(good.clone())).await;
    works(with(Tls { skip_verify: true, ca: None, ..good.clone() })).await;
    refused(with(Tls { ca: None, ..good.clone() }), "TLS").await;
    refused(with(Tls { ca: Some("/does/not/exist".into()), ..good.clone() }), "cannot use /does/not").await;
    // Whether the missing certificate is told as such is up to the moment at which the server hangs up.
    open_error(with(Tls { identity: None, ..good })).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_tried_again_and_another_taken() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let dead = format!("nats://{nobody}");
    let alone = Options { servers: vec![dead.clone()], ..Options::default() };
    unavailable(alone, &format!("cannot reach NATS at {nobody}")).await;
    let server = NatsServer::start().await;
    for _ in 0..4 {
        works(Options { servers: vec![dead.clone(), server.url()], ..Options::default() }).await;
    }
    fatal(Options { servers: vec!["http://x".into()], ..Options::default() }, "no address of a NATS server").await;
    fatal(Options { servers: vec![], ..Options::default() }, "no NATS server").await;
}

/// Says one thing to whoever connects, and then what comes after CONNECT and PING.
async fn impostor(greeting: &'static str, answer: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("its address"));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(greeting.as_bytes()).await;
            let mut read = [0; 4096];
            let _ = socket.read(&mut read).await;
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.read(&mut read).await;
        }
    });
    url
}

#[tokio::test]
async fn old_servers_and_other_programs_are_told_apart() {
    let old = "INFO {\"server_id\":\"x\",\"version\":\"2.14.9\",\"host\":\"h\",\"port\":1,\"headers\":true,\"jetstream\":true,\"max_payload\":1048576}\r\n";
    let url = impostor(old, "PONG\r\n").await;
    fatal(Options { servers: vec![url], ..Options::default() }, "2.14.9 at h:1 is too old: jine needs 2.15.1 or later")
        .await;
    let url = impostor("HTTP/1.1 400 Bad Request\r\n\r\n", "").await;
    unavailable(Options { servers: vec![url], ..Options::default() }, "cannot reach NATS").await;
    let url = impostor("", "").await;
    let impatient = Options { request_timeout: Duration::from_millis(100), ..Options::default() };
    unavailable(Options { servers: vec![url], ..impatient }, "does not answer").await;
}

#[tokio::test]
async fn no_jetstream_on_the_server_or_for_the_account() {
    let server = NatsServer::start_with("").await;
    refused(options(&server), "JetStream is not enabled").await;
    let accounts = format!("{JETSTREAM}accounts {{ A: {{ users: [ {{ user: a, password: a }} ] }} }}\nno_auth_user: a");
    let server = NatsServer::start_with(&accounts).await;
    refused(options(&server), "JetStream cannot be used with this NATS account").await;
    let server = NatsServer::start().await;
    refused(Options { replicas: 3, ..options(&server) }, "replicas").await;
}

/// What docs/log-format.md says that a user needs.
const PERMISSIONS: &str = r#"
publish: [ "$KV.jine.>", "$JS.API.STREAM.CREATE.KV_jine", "$JS.API.STREAM.UPDATE.KV_jine", "$JS.API.STREAM.INFO.KV_jine",
  "$JS.API.STREAM.MSG.GET.KV_jine", "$JS.API.STREAM.PURGE.KV_jine", "$JS.API.CONSUMER.CREATE.KV_jine",
  "$JS.API.CONSUMER.DELETE.KV_jine.*", "$JS.FC.KV_jine.>", "$JS.API.INFO", "$JINE.jine.>", "_INBOX.>" ]
subscribe: [ "_INBOX.>", "$JINE.jine.>", "$JS.EVENT.ADVISORY.STREAM.*.KV_jine" ]
"#;

fn users(permissions: &str) -> String {
    format!(
        "{JETSTREAM}authorization {{ users: [ {{ user: me, password: p, permissions: {{ {permissions} }} }} ] }}\nno_auth_user: me"
    )
}

#[tokio::test]
async fn the_documented_permissions_suffice() {
    let server = NatsServer::start_with(&users(PERMISSIONS)).await;
    let log = works(options(&server)).await;
    for at in 1..=40 {
        let records = (0..1000).map(|i| put(&format!("/k/{i}"), vec![0; 1000])).collect();
        assert_eq!(append(&log, records).await, Sequence(3 + at * 1000));
    }
    // Enough for flow control to be needed.
    let (messages, _) = replay(&log, 1).await;
    assert_eq!(messages.len(), 40_003);
    log.purge(&jine::store::log::Target::Fences, Sequence(9)).await.expect("purged");
    let mut questions = log.serve(SessionId(1)).await.expect("serving");
    let (answer, ()) = tokio::join!(log.ask(SessionId(1), "x".into(), Duration::from_secs(60)), async {
        let question = questions.recv().await.expect("a question");
        let _ = question.answer.send("y".into());
    });
    assert_eq!(answer, Ok("y".into()));
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let without = PERMISSIONS.replace("\"$JS.API.STREAM.INFO.KV_jine\",", "");
    let server = NatsServer::start_with(&users(&without)).await;
    let impatient = Options { request_timeout: Duration::from_millis(500), ..options(&server) };
    refused(impatient, "$JS.API.STREAM.INFO.KV_jine").await;
    // To hear of changes is good to have, not needed.
    let deaf = PERMISSIONS.replace(", \"$JS.EVENT.ADVISORY.STREAM.*.KV_jine\"", "");
    let server = NatsServer::start_with(&users(&deaf)).await;
    works(options(&server)).await;
}

#[tokio::test]
async fn a_bucket_in_another_domain_is_reached_through_a_leafnode() {
    let port = free_port();
    let hub = NatsServer::start_with(&format!(
        "jetstream {{ store_dir: \"{{folder}}/store\", domain: hub }}\nleafnodes {{ listen: \"127.0.0.1:{port}\" }}"
    ))
    .await;
    let leaf = NatsServer::start_with(&format!(
        "jetstream {{ store_dir: \"{{folder}}/store\", domain: leaf }}\nleafnodes {{ remotes: [ {{ url: \"nats://127.0.0.1:{port}\" }} ] }}"
    ))
    .await;
    let options = Options { domain: Some("hub".into()), ..options(&leaf) };
    // The leafnode connects in its own time.
    let log = loop {
        match open(options.clone()).await {
            Ok(log) => break log,
            Err(LogError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    };
    let mut follower = log.follow(Sequence(1)).await.expect("following");
    append(&log, vec![put("/a/b", "1")]).await;
    append(&log, vec![put("/a/b", "2"), Record::Claim]).await;
    for at in 1..=4 {
        assert_eq!(next_message(&mut follower).await.expect("a message").sequence, Sequence(at));
    }
    // The same bucket, seen from where it is.
    let there = open(Options { domain: Some("hub".into()), ..super::options(&hub) }).await.expect("it opens");
    assert_eq!(there.last().await, Ok(Sequence(4)));
    assert_eq!(append(&there, vec![put("/c", "1")]).await, Sequence(5));
    assert_eq!(replay(&open(super::options(&hub)).await.expect("it opens"), 1).await.1, Sequence(5));
}
