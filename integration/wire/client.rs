//! The generated clients, with little around them to make tests short.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use jine::pb::etcdserverpb::auth_client::AuthClient;
use jine::pb::etcdserverpb::cluster_client::ClusterClient;
use jine::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use jine::pb::etcdserverpb::kv_client::KvClient;
use jine::pb::etcdserverpb::lease_client::LeaseClient;
use jine::pb::etcdserverpb::maintenance_client::MaintenanceClient;
use jine::pb::etcdserverpb::request_op::Request as Op;
use jine::pb::etcdserverpb::watch_client::WatchClient;
use jine::pb::etcdserverpb::watch_request::RequestUnion;
use jine::pb::etcdserverpb::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

#[derive(Clone)]
pub(super) struct Client {
    pub(super) kv: KvClient<Channel>,
    pub(super) lease: LeaseClient<Channel>,
    pub(super) maintenance: MaintenanceClient<Channel>,
    pub(super) cluster: ClusterClient<Channel>,
    pub(super) auth: AuthClient<Channel>,
    pub(super) channel: Channel,
    watch: WatchClient<Channel>,
}

impl Client {
    pub(super) async fn connect(url: &str) -> Client {
        Client::over(Channel::from_shared(url.to_owned()).unwrap().connect().await.unwrap())
    }

    pub(super) fn over(channel: Channel) -> Client {
        Client {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            cluster: ClusterClient::new(channel.clone()),
            auth: AuthClient::new(channel.clone()),
            channel: channel.clone(),
            watch: WatchClient::new(channel).max_decoding_message_size(usize::MAX),
        }
    }

    /// The revision that wrote it.
    pub(super) async fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> i64 {
        let request = PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        revision(&self.kv.put(request).await.unwrap().into_inner().header)
    }

    /// The revision after it.
    pub(super) async fn delete(&mut self, key: &'static str) -> i64 {
        let request = DeleteRangeRequest { key: key.into(), ..Default::default() };
        revision(&self.kv.delete_range(request).await.unwrap().into_inner().header)
    }

    pub(super) async fn range(&mut self, request: RangeRequest) -> RangeResponse {
        self.kv.range(request).await.unwrap().into_inner()
    }

    pub(super) async fn txn(&mut self, request: TxnRequest) -> TxnResponse {
        self.kv.txn(request).await.unwrap().into_inner()
    }

    pub(super) async fn get(&mut self, key: &'static str) -> Option<jine::pb::mvccpb::KeyValue> {
        self.range(one(key)).await.kvs.pop()
    }

    pub(super) async fn compact(&mut self, revision: i64) {
        self.kv.compact(CompactionRequest { revision, physical: true }).await.unwrap();
    }

    pub(super) async fn grant(&mut self, ttl: i64) -> i64 {
        self.lease.lease_grant(LeaseGrantRequest { ttl, id: 0 }).await.unwrap().into_inner().id
    }

    /// A unary call with a message that need not be one.
    pub(super) async fn raw(&mut self, path: &'static str, message: Bytes) -> Result<(), Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let request = tonic::Request::new(message);
        grpc.unary(request, tonic::codegen::http::uri::PathAndQuery::from_static(path), Raw).await.map(drop)
    }

    pub(super) async fn watch(&mut self) -> Watch {
        let (requests, receiver) = mpsc::channel(16);
        // etcd sends no header before the first response: the call returns only with it.
        let mut client = self.watch.clone();
        let stream = ReceiverStream::new(receiver);
        let responses = tokio::spawn(async move { client.watch(stream).await.map(tonic::Response::into_inner) });
        Watch { requests: Some(requests), responses: Responses::Opening(responses) }
    }
}

/// A watch stream.
pub(super) struct Watch {
    requests: Option<mpsc::Sender<WatchRequest>>,
    responses: Responses,
}

enum Responses {
    Opening(tokio::task::JoinHandle<Result<Streaming<WatchResponse>, Status>>),
    Open(Box<Streaming<WatchResponse>>),
}

impl Watch {
    pub(super) async fn ask(&mut self, request: RequestUnion) {
        self.send(WatchRequest { request_union: Some(request) }).await;
    }

    pub(super) async fn ask_nothing(&mut self) {
        self.send(WatchRequest::default()).await;
    }

    async fn send(&mut self, request: WatchRequest) {
        self.requests.as_ref().unwrap().send(request).await.unwrap();
    }

    pub(super) fn close_requests(&mut self) {
        self.requests = None;
    }

    /// Returns the first answer.
    pub(super) async fn create(&mut self, request: WatchCreateRequest) -> WatchResponse {
        self.ask(RequestUnion::CreateRequest(request)).await;
        self.next().await
    }

    pub(super) async fn cancel(&mut self, watch_id: i64) {
        self.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })).await;
    }

    pub(super) async fn request_progress(&mut self) {
        self.ask(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    }

    pub(super) async fn next(&mut self) -> WatchResponse {
        self.try_next().await.unwrap()
    }

    pub(super) async fn try_next(&mut self) -> Result<WatchResponse, Status> {
        let message = tokio::time::timeout(PATIENCE, async {
            if let Responses::Opening(opening) = &mut self.responses {
                self.responses = Responses::Open(Box::new(opening.await.unwrap()?));
            }
            let Responses::Open(responses) = &mut self.responses else { unreachable!() };
            responses.message().await
        });
        message.await.expect("no response in time").map(|message| message.expect("the stream has ended"))
    }

    /// Responses until `count` events have come; only events may come.
    pub(super) async fn events(&mut self, count: usize) -> Vec<jine::pb::mvccpb::Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let response = self.next().await;
            assert!(!response.events.is_empty(), "no events in {response:?}");
            events.extend(response.events);
        }
        assert_eq!(events.len(), count, "{events:?}");
        events
    }
}

/// Only there for a test that has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// `kind key@mod_revision`, the shape of an event.
pub(super) fn shape(event: &jine::pb::mvccpb::Event) -> String {
    let kv = event.kv.as_ref().unwrap();
    format!("{} {}@{}", event.r#type().as_str_name(), String::from_utf8_lossy(&kv.key), kv.mod_revision)
}

pub(super) fn revision(header: &Option<ResponseHeader>) -> i64 {
    header.as_ref().expect("a header").revision
}

/// What an error is told by.
pub(super) fn said<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("an error");
    (status.code(), status.message().to_owned())
}

pub(super) fn one(key: impl Into<Bytes>) -> RangeRequest {
    RangeRequest { key: key.into(), ..Default::default() }
}

pub(super) fn between(key: impl Into<Bytes>, range_end: impl Into<Bytes>) -> RangeRequest {
    RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() }
}

pub(super) fn watch_one(key: &'static str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.into(), ..Default::default() }
}

pub(super) fn watch_all() -> WatchCreateRequest {
    let all = Bytes::from_static(&[0]);
    WatchCreateRequest { key: all.clone(), range_end: all, ..Default::default() }
}

pub(super) fn keys(response: &RangeResponse) -> Vec<String> {
    response.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
}

pub(super) fn put_op(key: impl Into<Bytes>, value: impl Into<Bytes>) -> RequestOp {
    op(Op::RequestPut(PutRequest { key: key.into(), value: value.into(), ..Default::default() }))
}

pub(super) fn range_op(key: impl Into<Bytes>) -> RequestOp {
    op(Op::RequestRange(one(key)))
}

pub(super) fn delete_op(key: impl Into<Bytes>, range_end: impl Into<Bytes>) -> RequestOp {
    let request = DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: true };
    op(Op::RequestDeleteRange(request))
}

pub(super) fn txn_op(request: TxnRequest) -> RequestOp {
    op(Op::RequestTxn(request))
}

pub(super) fn op(op: Op) -> RequestOp {
    RequestOp { request: Some(op) }
}

pub(super) fn compare(key: impl Into<Bytes>, result: CompareResult, operand: TargetUnion) -> Compare {
    let target = match operand {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    };
    Compare {
        key: key.into(),
        result: result as i32,
        target: target as i32,
        target_union: Some(operand),
        range_end: Bytes::new(),
    }
}

/// Messages as they are sent; answers are not looked at.
#[derive(Clone, Copy, Default)]
pub(super) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}
