//! Status, alarms, members, authentication.

use jine::pb::etcdserverpb::alarm_request::AlarmAction;
use jine::pb::etcdserverpb::*;
use tonic::Code;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    the_status_tells_version_and_leader
    there_is_no_alarm_at_first
    an_alarm_stands_until_it_is_lifted
    a_full_store_takes_no_more_but_gives_room
    the_member_can_be_connected_to
    authentication_is_off
}

async fn the_status_tells_version_and_leader(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    let status = client.maintenance.status(StatusRequest {}).await.unwrap().into_inner();
    let header = status.header.unwrap();
    assert_eq!((status.version.as_str(), header.revision), ("3.7.3", 2));
    assert!(status.leader == header.member_id && status.leader != 0);
    assert!(status.raft_term == header.raft_term && status.raft_term != 0);
    assert!(status.db_size > 0 && status.db_size_in_use > 0 && status.db_size >= status.db_size_in_use, "{status:?}");
    assert!(status.raft_index >= status.raft_applied_index && status.raft_applied_index > 0);
    assert_eq!((status.errors.len(), status.is_learner), (0, false));
    assert!(!status.downgrade_info.unwrap().enabled);
}

async fn alarm(client: &mut Client, action: AlarmAction, alarm: AlarmType, member_id: u64) -> Vec<(u64, AlarmType)> {
    let request = AlarmRequest { action: action as i32, alarm: alarm as i32, member_id };
    let response = client.maintenance.alarm(request).await.unwrap().into_inner();
    assert!(revision(&response.header) >= 1);
    response.alarms.iter().map(|a| (a.member_id, a.alarm())).collect()
}

async fn there_is_no_alarm_at_first(target: &Target) {
    let mut client = target.client().await;
    assert_eq!(alarm(&mut client, AlarmAction::Get, AlarmType::None, 0).await, []);
    assert_eq!(alarm(&mut client, AlarmAction::Deactivate, AlarmType::Nospace, 7).await, []);
    assert_eq!(alarm(&mut client, AlarmAction::Activate, AlarmType::None, 7).await, []);
}

async fn an_alarm_stands_until_it_is_lifted(target: &Target) {
    let mut client = target.client().await;
    let raised = vec![(7, AlarmType::Nospace)];
    assert_eq!(alarm(&mut client, AlarmAction::Activate, AlarmType::Nospace, 7).await, raised);
    assert_eq!(alarm(&mut client, AlarmAction::Get, AlarmType::None, 0).await, raised);
    assert_eq!(alarm(&mut client, AlarmAction::Get, AlarmType::Nospace, 0).await, raised);
    assert_eq!(alarm(&mut client, AlarmAction::Get, AlarmType::Corrupt, 0).await, []);
    let status = client.maintenance.status(StatusRequest {}).await.unwrap().into_inner();
    // Go prints one blank or two.
    let errors: Vec<_> = status.errors.iter().map(|text| text.replace("  ", " ")).collect();
    assert_eq!(errors, ["memberID:7 alarm:NOSPACE"]);
    assert_eq!(alarm(&mut client, AlarmAction::Deactivate, AlarmType::Nospace, 8).await, []);
    assert_eq!(alarm(&mut client, AlarmAction::Deactivate, AlarmType::Nospace, 7).await, raised);
    assert_eq!(alarm(&mut client, AlarmAction::Get, AlarmType::None, 0).await, []);
    client.put("k", "v").await;
}

async fn a_full_store_takes_no_more_but_gives_room(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    let member = client.cluster.member_list(MemberListRequest::default()).await.unwrap().into_inner().members[0].id;
    alarm(&mut client, AlarmAction::Activate, AlarmType::Nospace, member).await;
    let full = (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded".to_owned());
    let put = PutRequest { key: "k".into(), ..Default::default() };
    assert_eq!(said(client.kv.put(put).await), full);
    assert_eq!(said(client.kv.txn(TxnRequest { success: vec![put_op("k", "v")], ..Default::default() }).await), full);
    assert_eq!(said(client.lease.lease_grant(LeaseGrantRequest { id: 0, ttl: 100 }).await), full);
    assert_eq!(client.get("k").await.unwrap().value, "v");
    assert_eq!(client.delete("k").await, 3);
    client.compact(3).await;
    alarm(&mut client, AlarmAction::Deactivate, AlarmType::Nospace, member).await;
    assert_eq!(client.put("k", "v").await, 4);
}

async fn the_member_can_be_connected_to(target: &Target) {
    let mut client = target.client().await;
    for linearizable in [true, false] {
        let request = MemberListRequest { linearizable };
        let list = client.cluster.member_list(request).await.unwrap().into_inner();
        let [member] = &list.members[..] else { panic!("{list:?}") };
        let header = list.header.unwrap();
        assert_eq!((member.id, member.is_learner, header.revision), (header.member_id, false, 0));
        assert!(
            !member.name.is_empty() && member.client_ur_ls.iter().all(|url| url.starts_with("http://")),
            "{member:?}"
        );
    }
}

async fn authentication_is_off(target: &Target) {
    let mut client = target.client().await;
    let status = client.auth.auth_status(AuthStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.enabled, status.auth_revision), (false, 1));
    let login = AuthenticateRequest { name: "root".into(), password: "x".into() };
    let expected = (Code::FailedPrecondition, "etcdserver: authentication is not enabled".to_owned());
    assert_eq!(said(client.auth.authenticate(login).await), expected);
    let expected = (Code::FailedPrecondition, "etcdserver: root user does not exist".to_owned());
    assert_eq!(said(client.auth.auth_enable(AuthEnableRequest {}).await), expected);
    client.auth.auth_disable(AuthDisableRequest {}).await.unwrap();
}
