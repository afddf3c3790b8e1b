use std::time::Duration;

use jine::jetstream::{Options, open};
use jine::state::Sequence;
use jine::store::log::{AppendError, Follow, Log, LogError, Record, Refusal};

use super::{append, fresh, group, next_message, open_on, options, put};
use crate::support::nats::{JETSTREAM, NatsServer};

#[tokio::test]
async fn a_lost_connection_fails_what_is_under_way_at_once_and_publishes_nothing_until_reconnected() {
    let server = NatsServer::start().await;
    // Long enough that only noticing the loss explains an answer.
    let patient = Duration::from_secs(3600);
    let patient = Options { append_timeout: patient, request_timeout: patient, heartbeat: patient, ..options(&server) };
    let log = open(patient).await.expect("it opens");
    let mut server = server;
    let mut follower = log.follow(Sequence(1)).await.expect("following");
    next_message(&mut follower).await.expect("genesis");

    server.signal("STOP");
    let appending = log.append(group(2, 1, vec![put("/a", ""), put("/b", "")]));
    let reading = log.last();
    let following = async {
        loop {
            if let Err(error) = follower.next().await {
                return error;
            }
        }
    };
    let killing = async {
        tokio::task::yield_now().await;
        server.kill();
    };
    let (appended, read, followed, why, ()) = tokio::join!(appending, reading, following, log.disturbed(), killing);
    assert!(matches!(appended, Err(AppendError::Unknown(_))), "{appended:?}");
    assert!(matches!(read, Err(LogError::Unavailable(_))), "{read:?}");
    assert!(matches!(followed, LogError::Unavailable(_)), "{followed:?}");
    assert!(!why.is_empty());

    assert!(matches!(log.reconnect().await, Err(LogError::Unavailable(_))));
    server.restart().await;
    // Not even now that the server is there again.
    let lost = log.append(group(2, 3, vec![put("/c", "")])).await;
    assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
    log.reconnect().await.expect("reconnected");
    assert_eq!(log.last().await, Ok(Sequence(1)));
    assert_eq!(append(&log, vec![put("/d", "")]).await, Sequence(2));
}

#[tokio::test]
async fn a_silent_server_is_noticed_by_each_in_its_own_time() {
    let server = NatsServer::start().await;
    // Long enough for a busy machine, and all three together too short for the pings to end the connection.
    let (short, heartbeat) = (Duration::from_secs(1), Duration::from_millis(300));
    let short = Options { append_timeout: short, request_timeout: short, heartbeat, ..options(&server) };
    let log = open(short).await.expect("it opens");
    let mut follower = log.follow(Sequence(2)).await.expect("following");
    server.signal("STOP");
    let appended = log.append(group(2, 1, vec![put("/late", "")])).await;
    assert!(matches!(appended, Err(AppendError::Unknown(_))), "{appended:?}");
    assert!(matches!(log.last().await, Err(LogError::Unavailable(_))));
    while follower.next().await.is_ok() {}
    server.signal("CONT");
    // It arrives in the end: only the log tells.
    let arriving = async { while log.last().await != Ok(Sequence(2)) {} };
    tokio::time::timeout(Duration::from_secs(60), arriving).await.expect("it arrives");
    let mut again = Err(AppendError::Unknown("not tried".into()));
    while matches!(again, Err(AppendError::Unknown(_))) {
        again = log.append(group(2, 2, vec![put("/late", "")])).await;
    }
    assert_eq!(again, Err(AppendError::Refused(Refusal::Sequence)));
}

#[tokio::test]
async fn acknowledged_groups_survive_a_kill_in_the_middle_of_the_traffic() {
    let (mut server, log) = fresh().await;
    let mut acknowledged = 1;
    for round in 1..=3u64 {
        let writing = async {
            let mut at = acknowledged + 1;
            loop {
                let records = (0..3).map(|i| put(&format!("/k/{i}"), format!("{at}"))).collect();
                match log.append(group(at, round * 1_000_000 + at, records)).await {
                    Ok(last) => at = last.0 + 1,
                    Err(AppendError::Unknown(_)) => return at - 1,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let (last, ()) = tokio::join!(writing, async {
            while log.last().await.is_ok_and(|last| last.0 < acknowledged + 30) {}
            server.kill();
        });
        // The last group that was seen may have lost its acknowledgement to the kill.
        assert!(last >= acknowledged + 27, "{last}");
        server.restart().await;
        log.reconnect().await.expect("reconnected");
        let end = log.last().await.expect("the end").0;
        assert!(end >= last, "{end} {last}");
        acknowledged = end;
    }
}

#[tokio::test]
async fn a_change_of_the_stream_disturbs_and_a_bad_one_is_refused() {
    let (server, log) = fresh().await;
    let client = server.client().await;
    let info = client.request("$JS.API.STREAM.INFO.KV_jine", "".into()).await.expect("info");
    let info: serde_json::Value = serde_json::from_slice(&info.payload).expect("json");
    let mut config = info["config"].clone();
    config["max_age"] = 3_600_000_000_000i64.into();
    let (why, _) =
        tokio::join!(log.disturbed(), client.request("$JS.API.STREAM.UPDATE.KV_jine", config.to_string().into()));
    assert!(why.contains("updated"), "{why}");
    let error = log.reconnect().await.expect_err("refused");
    assert!(matches!(&error, LogError::Fatal(why) if why.contains("--max-age=0")), "{error}");
}

#[tokio::test]
async fn a_stream_made_anew_has_another_time_of_creation() {
    let (server, log) = fresh().await;
    let created = log.info().await.expect("info").created;
    append(&log, vec![Record::Fence]).await;
    assert_eq!(log.info().await.expect("info").created, created);
    let client = server.client().await;
    client.request("$JS.API.STREAM.DELETE.KV_jine", "".into()).await.expect("deleted");
    let other = open_on(&server).await;
    assert_ne!(other.info().await.expect("info").created, created);
}

#[tokio::test]
async fn a_batch_left_half_by_a_limit_is_unknown_and_the_next_start_finishes_it() {
    let account = |limit: u32| {
        let account = format!("jetstream: {{ max_file: {limit} }}, users: [ {{ user: a, password: a }} ]");
        format!("{JETSTREAM}accounts {{ A: {{ {account} }} }}\nno_auth_user: a")
    };
    let mut server = NatsServer::start_with(&account(300_000)).await;
    let impatient = Options { append_timeout: Duration::from_millis(500), ..options(&server) };
    let log = open(impatient).await.expect("it opens");
    append(&log, vec![put("/a", vec![0; 200_000])]).await;
    // Each has room when the batch begins; when it is committed, the account is full in the middle.
    let batch: Vec<Record> = (0..10).map(|i| put(&format!("/k/{i}"), vec![0; 20_000])).collect();
    let outcome = log.append(group(3, 100, batch)).await;
    assert!(matches!(outcome, Err(AppendError::Unknown(_))), "{outcome:?}");
    let last = log.last().await.expect("the end");
    assert!(last > Sequence(2) && last < Sequence(12), "{last}");
    let full = log.append(group(last.0 + 1, 200, vec![put("/b", vec![0; 100_000])])).await;
    assert!(matches!(full, Err(AppendError::Refused(Refusal::NoSpace(_)))), "{full:?}");

    server.restart_with(&account(3_000_000)).await;
    log.reconnect().await.expect("reconnected");
    assert_eq!(log.last().await, Ok(Sequence(12)));
}
