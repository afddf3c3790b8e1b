//! Plain HTTP on the port of the clients.

use jine::pb::etcdserverpb::alarm_request::AlarmAction;
use jine::pb::etcdserverpb::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::target::{Target, behaviours};

behaviours! {
    the_version_is_told
    it_is_healthy
    an_alarm_makes_it_unhealthy
    liveness_and_readiness_are_checked_one_by_one
    metrics_have_etcds_names
    what_is_not_there_is_not_found
}

/// Status line's code, headers in lower case, body.
pub(super) async fn get(target: &Target, path: &str) -> (u16, String, String) {
    ask(target, "GET", path).await
}

pub(super) async fn ask(target: &Target, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(target.endpoint()).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body =
        if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    (code, head.to_lowercase(), body)
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

async fn the_version_is_told(target: &Target) {
    let expected = r#"{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0"}"#;
    // etcd brings its storage up to the version a moment after its start.
    let head = loop {
        let (code, head, body) = get(target, "/version").await;
        if (code, body.as_str()) == (200, expected) {
            break head;
        }
        assert!(body.contains(r#""storage":"unknown""#) || body.contains(r#""storage":"3.5.0""#), "{code} {body}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(head.contains("content-type: application/json"), "{head}");
}

async fn it_is_healthy(target: &Target) {
    for path in ["/health", "/health?serializable=true", "/health?exclude=NOSPACE"] {
        let (code, _, body) = get(target, path).await;
        assert_eq!((code, body.as_str()), (200, r#"{"health":"true","reason":""}"#), "{path}");
    }
    let (code, head, _) = ask(target, "POST", "/health").await;
    assert!(code == 405 && head.contains("allow: get"), "{code} {head}");
}

async fn an_alarm_makes_it_unhealthy(target: &Target) {
    let mut client = target.client().await;
    let raise = AlarmRequest { action: AlarmAction::Activate as i32, alarm: AlarmType::Nospace as i32, member_id: 7 };
    client.maintenance.alarm(raise).await.unwrap();
    let (code, _, body) = get(target, "/health").await;
    assert_eq!((code, body.as_str()), (503, "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n"));
    assert_eq!(get(target, "/health?exclude=NOSPACE").await.0, 200);
    assert_eq!(get(target, "/readyz").await.0, 200);

    let corrupt = AlarmRequest { alarm: AlarmType::Corrupt as i32, ..raise };
    client.maintenance.alarm(corrupt).await.unwrap();
    let (code, _, body) = get(target, "/readyz").await;
    assert_eq!(code, 503);
    assert!(body.contains("[-]data_corruption failed: alarm activated: CORRUPT\n"), "{body}");
    assert_eq!(get(target, "/readyz?exclude=data_corruption").await.0, 200);
    assert_eq!(get(target, "/livez").await.0, 200);
}

async fn liveness_and_readiness_are_checked_one_by_one(target: &Target) {
    let readyz = ["data_corruption", "serializable_read", "linearizable_read", "non_learner"];
    for (path, checks) in [("/livez", &readyz[1..2]), ("/readyz", &readyz[..])] {
        let (code, head, body) = get(target, path).await;
        assert_eq!((code, body.as_str()), (200, "ok\n"));
        assert!(head.contains("text/plain") && head.contains("nosniff"), "{head}");
        let (_, _, body) = get(target, &format!("{path}?verbose")).await;
        for check in checks {
            assert!(body.contains(&format!("[+]{check} ok\n")), "{body}");
            assert_eq!(get(target, &format!("{path}/{check}")).await.2, "ok\n");
            let (_, _, body) = get(target, &format!("{path}?verbose&exclude={check}")).await;
            assert!(!body.contains(check), "{body}");
        }
        assert!(body.ends_with("\nok\n") && body.lines().count() == checks.len() + 1, "{body}");
        assert_eq!(get(target, &format!("{path}/other")).await.0, 404);
    }
}

async fn metrics_have_etcds_names(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    client.put("k", "w").await;
    client.put("gone", "v").await;
    client.delete("gone").await;
    let (code, head, body) = get(target, "/metrics").await;
    assert!(code == 200 && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let puts = r#"{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 3"#;
    for line in [
        "etcd_server_has_leader 1",
        "etcd_server_is_leader 1",
        r#"etcd_server_version{server_version="3.7.3"} 1"#,
        r#"etcd_cluster_version{cluster_version="3.7"} 1"#,
        "etcd_debugging_mvcc_current_revision 5",
        "etcd_debugging_mvcc_keys_total 1",
        "etcd_mvcc_put_total 3",
        "etcd_mvcc_delete_total 1",
        "etcd_debugging_mvcc_watcher_total 0",
        &format!("grpc_server_started_total{puts}"),
        &format!("grpc_server_handled_total{{grpc_code=\"OK\",{}", &puts[1..]),
    ] {
        assert!(body.lines().any(|l| l == line), "no '{line}' in\n{body}");
    }
    let mut names: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(all > 20 && names.len() == all, "a name twice in\n{body}");
    for name in [
        "etcd_server_id{server_id=",
        "etcd_mvcc_db_total_size_in_bytes ",
        "etcd_mvcc_db_total_size_in_use_in_bytes ",
        "etcd_server_proposals_applied_total ",
        "etcd_network_client_grpc_sent_bytes_total ",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "process_max_fds ",
        "process_start_time_seconds ",
    ] {
        assert!(body.lines().any(|l| l.starts_with(name)), "no {name} in\n{body}");
    }
    if body.contains("jine_build_info") {
        let appends = r#"jine_log_append_duration_seconds_bucket{le="+Inf"} "#;
        let count = body.lines().find_map(|line| line.strip_prefix(appends)).expect(&body);
        assert!(count.parse::<u64>().unwrap() >= 2, "{body}");
    }
}

async fn what_is_not_there_is_not_found(target: &Target) {
    assert_eq!(get(target, "/").await.0, 404);
    assert_eq!(get(target, "/v3/kv/nothing").await.0, 404);
}
