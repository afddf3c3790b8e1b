//! One server as a program sees it: runs the steps and writes down all that the server says.

use std::fmt::Debug;

use jine::pb::etcdserverpb::kv_client::KvClient;
use jine::pb::etcdserverpb::lease_client::LeaseClient;
use jine::pb::etcdserverpb::maintenance_client::MaintenanceClient;
use jine::pb::etcdserverpb::response_op::Response as OpResponse;
use jine::pb::etcdserverpb::watch_client::WatchClient;
use jine::pb::etcdserverpb::*;
use jine::pb::mvccpb::KeyValue;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::program::{CHOSEN, Meaning, STREAMS, Step};
use super::watching::Watching;

/// What came of a step: the whole answer as text, or the error's code and words. Skipped where it would be a race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answer(String),
    Error(String),
    Skipped,
}

/// What came of a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) outcomes: Vec<Outcome>,
    /// What each watch stream has said.
    pub(crate) streams: Vec<String>,
    /// The revision after it.
    pub(crate) revision: i64,
}

pub(crate) struct Side {
    /// Two connections, used in turn.
    kv: [KvClient<Channel>; 2],
    lease: LeaseClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
    watch: WatchClient<Channel>,
    pub(super) now: Now,
}

/// What the answers have told so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    pub(super) revision: i64,
    pub(super) compacted: i64,
    pub(super) meaning: Meaning,
}

impl Side {
    pub(crate) async fn connect(endpoint: &str) -> Side {
        let connect = || async { Channel::from_shared(format!("http://{endpoint}")).unwrap().connect().await.unwrap() };
        let (one, other) = (connect().await, connect().await);
        Side {
            kv: [KvClient::new(one.clone()), KvClient::new(other.clone())],
            maintenance: MaintenanceClient::new(other.clone()),
            lease: LeaseClient::new(other),
            watch: WatchClient::new(one),
            now: Now { revision: 1, ..Now::default() },
        }
    }

    /// Runs a program, and removes all keys and leases after it.
    pub(crate) async fn run(&mut self, program: &[Step]) -> Report {
        self.now.meaning = Meaning { base: self.now.revision, chosen: 0 };
        let mut streams: Vec<Watching> = (0..STREAMS).map(|_| Watching::new(self.watch.clone())).collect();
        let mut outcomes = Vec::new();
        for (number, step) in program.iter().enumerate() {
            outcomes.push(self.step(number, step.clone(), &mut streams).await);
        }
        let mut said = Vec::new();
        for stream in streams {
            said.push(stream.finish(self.now).await);
        }
        outcomes.push(self.clear().await);
        Report { outcomes, streams: said, revision: self.now.revision }
    }

    async fn clear(&mut self) -> Outcome {
        let leases = match self.lease.lease_leases(LeaseLeasesRequest {}).await {
            Ok(answer) => answer.into_inner().leases,
            Err(error) => return Outcome::Error(words(&error)),
        };
        let everything = || bytes::Bytes::from_static(&[0]);
        let all = DeleteRangeRequest { key: everything(), range_end: everything(), prev_kv: true };
        let outcome = self.kv[0].delete_range(all).await;
        for lease in leases {
            let _ = self.lease.lease_revoke(LeaseRevokeRequest { id: lease.id }).await;
        }
        self.outcome(outcome)
    }

    async fn step(&mut self, number: usize, step: Step, streams: &mut [Watching]) -> Outcome {
        let (kv, meaning) = (&mut self.kv[number % 2], self.now.meaning);
        match step {
            Step::Range(request) => {
                let answer = kv.range(meaning.range(request)).await;
                self.outcome(answer)
            }
            Step::RangeStream(request) => self.range_stream(number, meaning.range(request)).await,
            Step::Put(request) => {
                let answer = kv.put(meaning.put(request)).await;
                self.outcome(answer)
            }
            Step::Delete(request) => {
                let answer = kv.delete_range(request).await;
                self.outcome(answer)
            }
            Step::Txn(request) => {
                let answer = kv.txn(meaning.txn(request)).await;
                self.outcome(answer)
            }
            Step::Compact(revision, physical) => {
                // A watcher that still reads the past must not be overtaken on one server only.
                for stream in streams {
                    stream.sync(self.now).await;
                }
                let revision = meaning.revision(revision);
                let answer = kv.compact(CompactionRequest { revision, physical }).await;
                if answer.is_ok() {
                    self.now.compacted = self.now.compacted.max(revision);
                }
                self.outcome(answer)
            }
            Step::HashKv(revision) => {
                if self.now.compacted > 0 {
                    // Refused, but only after etcd has done with the compactions before.
                    let again = CompactionRequest { revision: self.now.compacted, physical: true };
                    kv.compact(again).await.unwrap_err();
                }
                let answer = self.maintenance.hash_kv(HashKvRequest { revision: meaning.revision(revision) }).await;
                self.outcome(answer)
            }
            Step::Watch(stream, request) => {
                let start_revision = meaning.revision(request.start_revision);
                streams[stream].create(self.now, WatchCreateRequest { start_revision, ..request }).await
            }
            Step::Cancel(stream, id) => streams[stream].cancel(self.now, id).await,
            Step::Progress(stream) => streams[stream].progress(self.now).await,
            lease => self.lease_step(lease).await,
        }
    }

    async fn range_stream(&mut self, number: usize, request: RangeRequest) -> Outcome {
        let mut whole = RangeResponse::default();
        let chunks = self.kv[number % 2].range_stream(request).await;
        let mut chunks = match chunks {
            Ok(chunks) => chunks.into_inner(),
            Err(error) => return Outcome::Error(words(&error)),
        };
        loop {
            match chunks.message().await {
                Ok(Some(RangeStreamResponse { range_response: Some(chunk) })) => {
                    // Only the last chunk has a header, count and more; an earlier one that has them shows in these.
                    if whole.header.is_some() {
                        return Outcome::Answer("a chunk after the last one".into());
                    }
                    whole.kvs.extend(chunk.kvs);
                    whole = RangeResponse { kvs: whole.kvs, ..chunk };
                }
                Ok(Some(_)) => return Outcome::Answer("a chunk without an answer".into()),
                Ok(None) => return self.outcome(Ok(Response::new(whole))),
                Err(error) => return Outcome::Error(words(&error)),
            }
        }
    }

    async fn lease_step(&mut self, step: Step) -> Outcome {
        let meaning = self.now.meaning;
        match step {
            Step::Grant(request) => {
                let granted = self.lease.lease_grant(request).await;
                if let (Ok(granted), 0) = (&granted, request.id) {
                    self.now.meaning.chosen = granted.get_ref().id;
                }
                self.outcome(granted)
            }
            Step::Revoke(id) => {
                let answer = self.lease.lease_revoke(LeaseRevokeRequest { id: meaning.lease(id) }).await;
                self.outcome(answer)
            }
            Step::TimeToLive(id, keys) => {
                let request = LeaseTimeToLiveRequest { id: meaning.lease(id), keys };
                let answer = self.lease.lease_time_to_live(request).await;
                self.outcome(answer)
            }
            Step::KeepAlive(id) => {
                let request = LeaseKeepAliveRequest { id: meaning.lease(id) };
                match self.lease.lease_keep_alive(tokio_stream::once(request)).await {
                    Ok(answers) => match answers.into_inner().message().await {
                        Ok(Some(answer)) => self.outcome(Ok(Response::new(answer))),
                        Ok(None) => Outcome::Answer("the end".into()),
                        Err(error) => Outcome::Error(words(&error)),
                    },
                    Err(error) => Outcome::Error(words(&error)),
                }
            }
            Step::ShortLease(request) => {
                let granted = self.lease.lease_grant(request).await;
                if let Ok(granted) = &granted {
                    let id = granted.get_ref().id;
                    self.lease.lease_revoke(LeaseRevokeRequest { id }).await.unwrap();
                    let granted = LeaseGrantResponse { id: 0, ..granted.get_ref().clone() };
                    return self.outcome(Ok(Response::new(granted)));
                }
                self.outcome(granted)
            }
            Step::AwaitExpiry => self.await_expiry().await,
            _ => {
                let answer = self.lease.lease_leases(LeaseLeasesRequest {}).await;
                self.outcome(answer)
            }
        }
    }

    async fn await_expiry(&mut self) -> Outcome {
        let mut soon = true;
        while soon {
            soon = false;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            for lease in self.lease.lease_leases(LeaseLeasesRequest {}).await.unwrap().into_inner().leases {
                let request = LeaseTimeToLiveRequest { id: lease.id, keys: false };
                let status = self.lease.lease_time_to_live(request).await.unwrap().into_inner();
                soon |= (0..=2).contains(&status.granted_ttl);
            }
        }
        let answer = self.lease.lease_leases(LeaseLeasesRequest {}).await;
        self.outcome(answer)
    }

    fn outcome<M: Answer>(&mut self, answer: Result<Response<M>, Status>) -> Outcome {
        match answer {
            Ok(answer) => {
                let mut answer = answer.into_inner();
                answer.normalise();
                if let Some(header) = answer.header() {
                    self.now.revision = header.revision;
                    *header = ResponseHeader { revision: header.revision, ..Default::default() };
                }
                Outcome::Answer(format!("{answer:?}"))
            }
            Err(error) => Outcome::Error(words(&error)),
        }
    }
}

pub(super) fn words(error: &Status) -> String {
    format!("{:?} {}", error.code(), error.message())
}

/// An id that a server has chosen, which is large, becomes the name that programs have for it.
pub(super) fn name_lease(id: &mut i64) {
    if *id > CHOSEN {
        *id = CHOSEN;
    }
}

/// What answers have in common, and what of them may differ.
trait Answer: Debug {
    fn header(&mut self) -> Option<&mut ResponseHeader>;
    fn normalise(&mut self) {}
}

macro_rules! answers {
    ($($name:ident $(($self:ident) $normalise:block)?),*) => {
        $(impl Answer for $name {
            fn header(&mut self) -> Option<&mut ResponseHeader> {
                self.header.as_mut()
            }
            $(fn normalise(&mut $self) $normalise)?
        })*
    };
}

answers! {
    RangeResponse(self) { name_leases(&mut self.kvs) },
    PutResponse(self) { name_leases(self.prev_kv.as_mut_slice()) },
    DeleteRangeResponse(self) { name_leases(&mut self.prev_kvs) },
    TxnResponse(self) {
        for response in self.responses.iter_mut().filter_map(|op| op.response.as_mut()) {
            match response {
                OpResponse::ResponseRange(r) => r.normalise(),
                OpResponse::ResponsePut(r) => r.normalise(),
                OpResponse::ResponseDeleteRange(r) => r.normalise(),
                OpResponse::ResponseTxn(r) => r.normalise(),
            }
        }
    },
    CompactionResponse,
    HashKvResponse,
    LeaseGrantResponse(self) { name_lease(&mut self.id) },
    LeaseRevokeResponse,
    LeaseKeepAliveResponse(self) { name_lease(&mut self.id) },
    LeaseTimeToLiveResponse(self) {
        name_lease(&mut self.id);
        // Keys of a lease have no order in etcd, and the clocks of two servers are not one.
        self.keys.sort();
        if self.granted_ttl - 30 < self.ttl && self.ttl <= self.granted_ttl {
            self.ttl = self.granted_ttl;
        }
    },
    LeaseLeasesResponse(self) {
        self.leases.iter_mut().for_each(|lease| name_lease(&mut lease.id));
    }
}

fn name_leases(kvs: &mut [KeyValue]) {
    kvs.iter_mut().for_each(|kv| name_lease(&mut kv.lease));
}
