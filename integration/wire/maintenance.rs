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
    a_member_alone_is_not_changed
    leadership_moves_to_a_member_only
    a_downgrade_goes_one_minor_version_back
    authentication_is_off
    headers_are_where_etcd_has_them
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

async fn own_id(client: &mut Client) -> u64 {
    client.cluster.member_list(MemberListRequest::default()).await.unwrap().into_inner().members[0].id
}

async fn a_member_alone_is_not_changed(target: &Target) {
    let mut client = target.client().await;
    let (id, refused) = (own_id(&mut client).await, Code::FailedPrecondition);
    let unknown = (Code::NotFound, "etcdserver: member not found".to_owned());
    let last = (Code::Unknown, "etcdserver: re-configuration failed due to not enough started members".to_owned());
    assert_eq!(said(client.cluster.member_remove(MemberRemoveRequest { id }).await), last);
    assert_eq!(said(client.cluster.member_remove(MemberRemoveRequest { id: 7 }).await), unknown);
    let no_learner = (refused, "etcdserver: can only promote a learner member".to_owned());
    assert_eq!(said(client.cluster.member_promote(MemberPromoteRequest { id }).await), no_learner);
    assert_eq!(said(client.cluster.member_promote(MemberPromoteRequest { id: 7 }).await), unknown);
    let update = MemberUpdateRequest { id: 7, peer_ur_ls: vec!["http://127.0.0.1:1".into()] };
    assert_eq!(said(client.cluster.member_update(update).await), unknown);
    let invalid = (Code::InvalidArgument, "etcdserver: given member URLs are invalid".to_owned());
    for urls in [vec![], vec!["127.0.0.1:1"], vec!["http://127.0.0.1"], vec!["http://127.0.0.1:1/x"]] {
        let peer_ur_ls = urls.into_iter().map(str::to_owned).collect();
        let add = MemberAddRequest { peer_ur_ls, is_learner: false };
        assert_eq!(said(client.cluster.member_add(add).await), invalid);
    }
}

async fn leadership_moves_to_a_member_only(target: &Target) {
    let mut client = target.client().await;
    let id = own_id(&mut client).await;
    let unknown = (Code::FailedPrecondition, "etcdserver: bad leader transferee".to_owned());
    assert_eq!(said(client.maintenance.move_leader(MoveLeaderRequest { target_id: 7 }).await), unknown);
    client.maintenance.move_leader(MoveLeaderRequest { target_id: id }).await.unwrap();
}

async fn a_downgrade_goes_one_minor_version_back(target: &Target) {
    use downgrade_request::DowngradeAction::{Cancel, Enable, Validate};
    let mut client = target.client().await;
    for (action, version, expected) in [
        (Validate as i32, "x", (Code::InvalidArgument, "etcdserver: wrong downgrade target version format")),
        (Validate as i32, "3.5", (Code::InvalidArgument, "etcdserver: invalid downgrade target version")),
        (Validate as i32, "3.6.1", (Code::Ok, "3.7")),
        (Enable as i32, "4", (Code::InvalidArgument, "etcdserver: wrong downgrade target version format")),
        (Enable as i32, "3.7", (Code::InvalidArgument, "etcdserver: invalid downgrade target version")),
        (Cancel as i32, "", (Code::Ok, "3.7")),
        (9, "", (Code::Unknown, "etcdserver: unknown method")),
    ] {
        // etcd learns its cluster's version a moment after it has begun to serve.
        let request = || DowngradeRequest { action, version: version.to_owned() };
        let mut answer = client.maintenance.downgrade(request()).await;
        while answer.as_ref().is_err_and(|status| status.message().contains("version not found")) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            answer = client.maintenance.downgrade(request()).await;
        }
        let said = match answer {
            Ok(answer) => (Code::Ok, answer.into_inner().version),
            Err(status) => (status.code(), status.message().to_owned()),
        };
        assert_eq!(said, (expected.0, expected.1.to_owned()), "{action} {version}");
    }
}

/// Where etcd would begin something.
#[tokio::test]
async fn jine_refuses_what_only_a_cluster_of_its_own_could_do() {
    let target = Target::jine();
    let mut client = target.client().await;
    let id = own_id(&mut client).await;
    let refused = (Code::FailedPrecondition, "etcdserver: not capable".to_owned());
    let urls = || vec!["http://127.0.0.1:1".to_owned()];
    let add = MemberAddRequest { peer_ur_ls: urls(), is_learner: true };
    assert_eq!(said(client.cluster.member_add(add).await), refused);
    let update = MemberUpdateRequest { id, peer_ur_ls: urls() };
    assert_eq!(said(client.cluster.member_update(update).await), refused);
    let enable =
        DowngradeRequest { action: downgrade_request::DowngradeAction::Enable as i32, version: "3.6".to_owned() };
    assert_eq!(said(client.maintenance.downgrade(enable).await), refused);
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

async fn headers_are_where_etcd_has_them(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    let id = own_id(&mut client).await;
    let defragmented = client.maintenance.defragment(DefragmentRequest {}).await.unwrap().into_inner();
    let moved = client.maintenance.move_leader(MoveLeaderRequest { target_id: id }).await.unwrap().into_inner();
    assert_eq!((defragmented.header, moved.header), (None, None));
    let hashed = client.maintenance.hash(HashRequest {}).await.unwrap().into_inner();
    let granted = client.lease.lease_grant(LeaseGrantRequest { id: 0, ttl: 100 }).await.unwrap().into_inner();
    let disabled = client.auth.auth_disable(AuthDisableRequest {}).await.unwrap().into_inner();
    let status = client.auth.auth_status(AuthStatusRequest {}).await.unwrap().into_inner();
    for header in [hashed.header, granted.header, disabled.header, status.header] {
        let header = header.unwrap();
        assert_eq!((header.member_id, header.revision), (id, 2));
        assert!(header.cluster_id != 0 && header.raft_term != 0);
    }
}
