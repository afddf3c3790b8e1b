//! etcd's API as tests use it: our own generated clients, results left to the caller.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jine::pb::etcdserverpb::alarm_request::AlarmAction;
use jine::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use jine::pb::etcdserverpb::kv_client::KvClient;
use jine::pb::etcdserverpb::lease_client::LeaseClient;
use jine::pb::etcdserverpb::maintenance_client::MaintenanceClient;
use jine::pb::etcdserverpb::request_op::Request as Op;
use jine::pb::etcdserverpb::watch_client::WatchClient;
use jine::pb::etcdserverpb::watch_request::RequestUnion;
use jine::pb::etcdserverpb::{
    AlarmMember, AlarmRequest, CompactionRequest, Compare, DeleteRangeRequest, HashKvRequest, HashKvResponse,
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
    PutRequest, RangeRequest, RequestOp, StatusRequest, StatusResponse, TxnRequest, TxnResponse, WatchCreateRequest,
    WatchProgressRequest, WatchRequest, WatchResponse,
};
use jine::pb::mvccpb::{Event, KeyValue};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Only there for a test that has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cheap to clone; finds its server again after that was gone.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) kv: KvClient<Channel>,
    pub(crate) lease: LeaseClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
    watch: WatchClient<Channel>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().timeout(PATIENCE);
        let channel = endpoint.connect_lazy();
        Client {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            watch: WatchClient::new(channel).max_decoding_message_size(usize::MAX),
        }
    }

    /// The revision that wrote it.
    pub(crate) async fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<i64, Status> {
        self.put_leased(key, value, 0).await
    }

    pub(crate) async fn put_leased(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        lease: i64,
    ) -> Result<i64, Status> {
        let request = PutRequest { key: key.into(), value: value.into(), lease, ..Default::default() };
        let response = self.kv.clone().put(request).await?.into_inner();
        Ok(response.header.unwrap().revision)
    }

    /// How many keys were deleted.
    pub(crate) async fn delete(&self, key: impl Into<Bytes>) -> Result<i64, Status> {
        let request = DeleteRangeRequest { key: key.into(), ..Default::default() };
        Ok(self.kv.clone().delete_range(request).await?.into_inner().deleted)
    }

    /// Deletes what a revision has written, as Kubernetes does; the revision of that.
    pub(crate) async fn delete_at(&self, key: impl Into<Bytes>, revision: i64) -> Result<i64, Status> {
        let key = key.into();
        let delete = DeleteRangeRequest { key: key.clone(), ..Default::default() };
        let read = RangeRequest { key: key.clone(), ..Default::default() };
        let request = TxnRequest {
            compare: vec![written_at(key, revision)],
            success: vec![RequestOp { request: Some(Op::RequestDeleteRange(delete)) }],
            failure: vec![RequestOp { request: Some(Op::RequestRange(read)) }],
        };
        let response = self.kv.clone().txn(request).await?.into_inner();
        assert!(response.succeeded, "another revision has written it");
        Ok(response.header.unwrap().revision)
    }

    /// The same for every key there is, in one request.
    pub(crate) async fn delete_all(&self) -> Result<i64, Status> {
        let all = Bytes::from_static(&[0]);
        let request = DeleteRangeRequest { key: all.clone(), range_end: all, prev_kv: false };
        Ok(self.kv.clone().delete_range(request).await?.into_inner().deleted)
    }

    pub(crate) async fn get(&self, key: impl Into<Bytes>) -> Result<Option<KeyValue>, Status> {
        self.get_how(key, false).await
    }

    pub(crate) async fn get_how(&self, key: impl Into<Bytes>, serializable: bool) -> Result<Option<KeyValue>, Status> {
        let request = RangeRequest { key: key.into(), serializable, ..Default::default() };
        Ok(self.kv.clone().range(request).await?.into_inner().kvs.pop())
    }

    /// Every key there is, in order, and the revision.
    pub(crate) async fn all(&self) -> Result<(Vec<KeyValue>, i64), Status> {
        self.all_at(0).await
    }

    pub(crate) async fn all_at(&self, revision: i64) -> Result<(Vec<KeyValue>, i64), Status> {
        let all = Bytes::from_static(&[0]);
        let request = RangeRequest { key: all.clone(), range_end: all, revision, ..Default::default() };
        let response = self.kv.clone().range(request).await?.into_inner();
        Ok((response.kvs, response.header.unwrap().revision))
    }

    pub(crate) async fn txn(&self, compare: Vec<Compare>, success: Vec<RequestOp>) -> Result<TxnResponse, Status> {
        let request = TxnRequest { compare, success, ..Default::default() };
        Ok(self.kv.clone().txn(request).await?.into_inner())
    }

    pub(crate) async fn compact(&self, revision: i64, physical: bool) -> Result<(), Status> {
        self.kv.clone().compact(CompactionRequest { revision, physical }).await.map(drop)
    }

    pub(crate) async fn grant(&self, ttl: i64) -> Result<i64, Status> {
        Ok(self.lease.clone().lease_grant(LeaseGrantRequest { ttl, id: 0 }).await?.into_inner().id)
    }

    /// Returns a revision that is not before the one that has deleted its keys.
    pub(crate) async fn revoke(&self, id: i64) -> Result<i64, Status> {
        let response = self.lease.clone().lease_revoke(LeaseRevokeRequest { id }).await?.into_inner();
        Ok(response.header.unwrap().revision)
    }

    /// All there are.
    pub(crate) async fn leases(&self) -> Result<Vec<i64>, Status> {
        let response = self.lease.clone().lease_leases(LeaseLeasesRequest {}).await?.into_inner();
        Ok(response.leases.into_iter().map(|lease| lease.id).collect())
    }

    /// The TTL that is left, in seconds; -1 where there is no such lease.
    pub(crate) async fn time_to_live(&self, id: i64) -> Result<i64, Status> {
        let request = LeaseTimeToLiveRequest { id, keys: false };
        Ok(self.lease.clone().lease_time_to_live(request).await?.into_inner().ttl)
    }

    /// One keepalive; the TTL that was given again, 0 where there is no such lease.
    pub(crate) async fn keep_alive(&self, id: i64) -> Result<i64, Status> {
        let requests = tokio_stream::iter([LeaseKeepAliveRequest { id }]);
        let mut answers = self.lease.clone().lease_keep_alive(requests).await?.into_inner();
        let answer = answers.message().await?;
        answer.map(|answer| answer.ttl).ok_or_else(|| Status::unavailable("the stream has ended"))
    }

    /// Of the whole history, as of now.
    pub(crate) async fn hash_kv(&self) -> Result<HashKvResponse, Status> {
        Ok(self.maintenance.clone().hash_kv(HashKvRequest { revision: 0 }).await?.into_inner())
    }

    pub(crate) async fn status(&self) -> Result<StatusResponse, Status> {
        Ok(self.maintenance.clone().status(StatusRequest::default()).await?.into_inner())
    }

    /// Watches everything from a revision on; returns when it is created.
    pub(crate) async fn watch(&self, start_revision: i64) -> Result<Watch, Status> {
        let all = Bytes::from_static(&[0]);
        let create = WatchCreateRequest { key: all.clone(), range_end: all, start_revision, ..Default::default() };
        let (requests, receiver) = mpsc::channel(16);
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.send(create).await.unwrap();
        let responses = self.watch.clone().watch(ReceiverStream::new(receiver)).await?.into_inner();
        let mut watch = Watch { responses, requests };
        assert!(watch.next().await?.created);
        Ok(watch)
    }
}

pub(crate) struct Watch {
    responses: Streaming<WatchResponse>,
    requests: mpsc::Sender<WatchRequest>,
}

impl Watch {
    pub(crate) async fn next(&mut self) -> Result<WatchResponse, Status> {
        let message = tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("a response in time")?;
        message.ok_or_else(|| Status::unavailable("the stream has ended"))
    }

    pub(crate) async fn request_progress(&self) {
        let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
        self.requests.send(WatchRequest { request_union: Some(request) }).await.unwrap();
    }

    /// Responses until `count` events have come.
    pub(crate) async fn events(&mut self, count: usize) -> Result<Vec<Event>, Status> {
        let mut events = Vec::new();
        while events.len() < count {
            let response = self.next().await?;
            assert!(!response.canceled, "{}", response.cancel_reason);
            events.extend(response.events);
        }
        Ok(events)
    }
}

pub(crate) fn put_op(key: impl Into<Bytes>, value: impl Into<Bytes>) -> RequestOp {
    let put = PutRequest { key: key.into(), value: value.into(), ..Default::default() };
    RequestOp { request: Some(Op::RequestPut(put)) }
}

/// That the key was last written by that revision; 0: that there is none.
pub(crate) fn written_at(key: impl Into<Bytes>, revision: i64) -> Compare {
    Compare {
        key: key.into(),
        result: CompareResult::Equal as i32,
        target: CompareTarget::Mod as i32,
        target_union: Some(TargetUnion::ModRevision(revision)),
        range_end: Bytes::new(),
    }
}

impl Client {
    /// Lifts whatever alarms there are; returns which there were.
    pub(crate) async fn disarm(&self) -> Result<Vec<AlarmMember>, Status> {
        let mut maintenance = self.maintenance.clone();
        let alarms = maintenance.alarm(AlarmRequest::default()).await?.into_inner().alarms;
        for alarm in &alarms {
            let action = AlarmAction::Deactivate as i32;
            maintenance.alarm(AlarmRequest { action, member_id: alarm.member_id, alarm: alarm.alarm }).await?;
        }
        Ok(alarms)
    }
}

/// Repeats what fails until it succeeds; the limit is only there for a test that has failed.
pub(crate) async fn until_ok<T, F: Future<Output = Result<T, Status>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(status) => assert!(Instant::now() < deadline, "{what} never worked: {status}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Repeats until it is true, on whatever else may happen meanwhile.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
