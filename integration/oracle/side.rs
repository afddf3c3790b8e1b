//! One server as a program sees it: runs the steps and writes down all that the server says.

use std::time::{Duration, Instant};

use jine::pb::etcdserverpb::alarm_request::AlarmAction;
use jine::pb::etcdserverpb::auth_client::AuthClient;
use jine::pb::etcdserverpb::kv_client::KvClient;
use jine::pb::etcdserverpb::lease_client::LeaseClient;
use jine::pb::etcdserverpb::maintenance_client::MaintenanceClient;
use jine::pb::etcdserverpb::watch_client::WatchClient;
use jine::pb::etcdserverpb::*;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::answer::{Answer, Outcome, words};
use super::program::{Meaning, STREAMS, Step};
use super::ties;
use super::watching::{Said, Watcher, Watching};
use crate::wire::target::Target;

/// What came of a program.
#[derive(Debug)]
pub(crate) struct Report {
    /// Of each step, and of removing everything in the end.
    pub(crate) outcomes: Vec<Outcome>,
    /// What was known before each of these.
    pub(crate) before: Vec<Now>,
    /// What each watch stream has said; a restart begins with new ones.
    pub(crate) streams: Vec<Vec<(i64, Vec<Said>)>>,
    pub(crate) watchers: Vec<Watcher>,
    /// The revision after it.
    pub(crate) revision: i64,
    /// A lease of a few seconds may have expired before it was waited for, so that nothing can be said.
    pub(crate) late: bool,
}

impl Report {
    pub(crate) fn says_the_same(&self, other: &Report) -> bool {
        self.outcomes == other.outcomes && self.streams == other.streams && self.revision == other.revision
    }
}

pub(crate) struct Side {
    server: Target,
    clients: Clients,
    pub(super) now: Now,
    /// When the first lease of a few seconds that is still there was granted.
    short: Option<Instant>,
    late: bool,
}

/// What the answers have told so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    pub(crate) meaning: Meaning,
}

/// The TTL that a lease must have for it to outlive the program, in seconds.
const LONG: i64 = 60;
/// A lease that is meant to expire lives for two seconds: what is done with it must be done in this time.
const SOON: Duration = Duration::from_millis(1200);
/// Only a test that fails waits as long.
const PATIENCE: Duration = Duration::from_secs(30);

struct Clients {
    /// Three connections, used in turn.
    kv: [KvClient<Channel>; 3],
    lease: LeaseClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
    auth: AuthClient<Channel>,
    watch: WatchClient<Channel>,
}

impl Clients {
    async fn connect(endpoint: &str) -> Clients {
        let connect = || async { Channel::from_shared(format!("http://{endpoint}")).unwrap().connect().await.unwrap() };
        let (one, two, three) = (connect().await, connect().await, connect().await);
        let kv = |channel: &Channel| KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        Clients {
            kv: [kv(&one), kv(&two), kv(&three)],
            maintenance: MaintenanceClient::new(two.clone()),
            auth: AuthClient::new(two),
            lease: LeaseClient::new(three),
            watch: WatchClient::new(one).max_decoding_message_size(usize::MAX),
        }
    }
}

impl Side {
    pub(crate) async fn connect(server: Target) -> Side {
        let clients = Clients::connect(server.endpoint()).await;
        // A store that never was compacted can be at 0, in etcd.
        let now = Now { revision: 1, compacted: -1, ..Now::default() };
        Side { clients, server, now, short: None, late: false }
    }

    /// Runs a program, and removes all keys and leases after it.
    pub(crate) async fn run(&mut self, program: &[Step]) -> Report {
        self.now.meaning = Meaning { base: self.now.revision, ..Meaning::default() };
        (self.short, self.late) = (None, false);
        let mut report = Report {
            outcomes: Vec::with_capacity(program.len() + 1),
            before: Vec::with_capacity(program.len() + 1),
            streams: Vec::new(),
            watchers: Vec::new(),
            revision: 0,
            late: false,
        };
        let mut streams = self.streams();
        for (number, step) in program.iter().enumerate() {
            (self.now.meaning.current, self.now.meaning.compacted) = (self.now.revision, self.now.compacted.max(1));
            report.before.push(self.now);
            let outcome = match step {
                Step::Restart => {
                    self.finish(std::mem::take(&mut streams), &mut report).await;
                    let outcome = self.restart().await;
                    streams = self.streams();
                    outcome
                }
                step => self.step(number, step.clone(), &mut streams).await,
            };
            self.late |= self.short.is_some_and(|since| since.elapsed() > SOON);
            report.outcomes.push(outcome);
        }
        self.finish(streams, &mut report).await;
        report.before.push(self.now);
        report.outcomes.push(self.clear().await);
        (report.revision, report.late) = (self.now.revision, self.late);
        report
    }

    fn streams(&self) -> Vec<Watching> {
        (0..STREAMS).map(|_| Watching::new(self.clients.watch.clone())).collect()
    }

    async fn finish(&mut self, streams: Vec<Watching>, report: &mut Report) {
        for stream in streams {
            let (said, watchers) = stream.finish(self.now).await;
            report.streams.push(said);
            report.watchers.extend(watchers);
        }
    }

    /// As a kill -9 leaves it.
    async fn restart(&mut self) -> Outcome {
        let server = &mut self.server;
        tokio::task::block_in_place(|| server.restart());
        self.clients = Clients::connect(self.server.endpoint()).await;
        Outcome::Answer(Answer::Text("restarted"))
    }

    async fn clear(&mut self) -> Outcome {
        if let Err(error) = self.disarm().await {
            return Outcome::Error(words(&error));
        }
        let leases = match self.clients.lease.lease_leases(LeaseLeasesRequest {}).await {
            Ok(answer) => answer.into_inner().leases,
            Err(error) => return Outcome::Error(words(&error)),
        };
        let everything = || bytes::Bytes::from_static(&[0]);
        let all = DeleteRangeRequest { key: everything(), range_end: everything(), prev_kv: true };
        let outcome = self.clients.kv[0].delete_range(all).await;
        for lease in leases {
            let _ = self.clients.lease.lease_revoke(LeaseRevokeRequest { id: lease.id }).await;
        }
        self.outcome(outcome)
    }

    async fn disarm(&mut self) -> Result<(), Status> {
        let maintenance = &mut self.clients.maintenance;
        let alarms = maintenance.alarm(AlarmRequest::default()).await?.into_inner().alarms;
        for AlarmMember { member_id, alarm } in alarms {
            let action = AlarmAction::Deactivate as i32;
            maintenance.alarm(AlarmRequest { action, member_id, alarm }).await?;
        }
        Ok(())
    }

    async fn step(&mut self, number: usize, step: Step, streams: &mut [Watching]) -> Outcome {
        let meaning = self.now.meaning;
        let kv = &mut self.clients.kv[number % 3];
        match step {
            Step::Range(request) => {
                let mut answer = kv.range(meaning.range(request.clone())).await;
                answer.iter_mut().for_each(|answer| ties::open_order(&request, answer.get_mut()));
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
                let mut answer = kv.txn(meaning.txn(request.clone())).await;
                answer.iter_mut().for_each(|answer| ties::open_order_in_txn(&request, answer.get_mut()));
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
            Step::HashKv(revision) => self.hash_kv(number, meaning.revision(revision)).await,
            Step::Watch(stream, request) => {
                let start_revision = meaning.revision(request.start_revision);
                streams[stream].create(self.now, WatchCreateRequest { start_revision, ..request }).await
            }
            Step::Cancel(stream, id) => streams[stream].cancel(self.now, id).await,
            Step::Progress(stream) => streams[stream].progress(self.now).await,
            Step::Alarm(request) => {
                let answer = self.clients.maintenance.alarm(request).await;
                self.outcome(answer)
            }
            Step::AuthStatus => {
                let answer = self.clients.auth.auth_status(AuthStatusRequest {}).await;
                self.outcome(answer)
            }
            Step::Authenticate => match self.clients.auth.authenticate(AuthenticateRequest::default()).await {
                Ok(_) => Outcome::Answer(Answer::Text("authenticated")),
                Err(error) => Outcome::Error(words(&error)),
            },
            lease => self.lease_step(lease).await,
        }
    }

    async fn hash_kv(&mut self, number: usize, revision: i64) -> Outcome {
        if self.now.compacted > 0 {
            // Refused, but only after etcd has done with the compactions before.
            let again = CompactionRequest { revision: self.now.compacted, physical: true };
            self.clients.kv[number % 3].compact(again).await.unwrap_err();
        }
        let answer = self.clients.maintenance.hash_kv(HashKvRequest { revision }).await;
        self.outcome(answer)
    }

    async fn range_stream(&mut self, number: usize, request: RangeRequest) -> Outcome {
        let mut whole = RangeResponse::default();
        let chunks = self.clients.kv[number % 3].range_stream(request).await;
        let mut chunks = match chunks {
            Ok(chunks) => chunks.into_inner(),
            Err(error) => return Outcome::Error(words(&error)),
        };
        loop {
            match chunks.message().await {
                Ok(Some(RangeStreamResponse { range_response: Some(chunk) })) => {
                    // Only the last chunk has a header, count and more; an earlier one that has them shows in these.
                    if whole.header.is_some() {
                        return Outcome::Answer(Answer::Text("a chunk after the last one"));
                    }
                    whole.kvs.extend(chunk.kvs);
                    whole = RangeResponse { kvs: whole.kvs, ..chunk };
                }
                Ok(Some(_)) => return Outcome::Answer(Answer::Text("a chunk without an answer")),
                Ok(None) => return self.outcome(Ok(Response::new(whole))),
                Err(error) => return Outcome::Error(words(&error)),
            }
        }
    }

    async fn lease_step(&mut self, step: Step) -> Outcome {
        let meaning = self.now.meaning;
        let lease = &mut self.clients.lease;
        match step {
            Step::Grant(request) => {
                let granted = lease.lease_grant(request).await;
                if let (Ok(granted), 0) = (&granted, request.id) {
                    self.now.meaning.chosen = granted.get_ref().id;
                }
                if granted.is_ok() && request.ttl < LONG {
                    self.short.get_or_insert_with(Instant::now);
                }
                self.outcome(granted)
            }
            Step::Revoke(id) => {
                let answer = lease.lease_revoke(LeaseRevokeRequest { id: meaning.lease(id) }).await;
                self.outcome(answer)
            }
            Step::TimeToLive(id, keys) => {
                let request = LeaseTimeToLiveRequest { id: meaning.lease(id), keys };
                let answer = lease.lease_time_to_live(request).await;
                self.outcome(answer)
            }
            Step::KeepAlive(id) => {
                let request = LeaseKeepAliveRequest { id: meaning.lease(id) };
                match lease.lease_keep_alive(tokio_stream::once(request)).await {
                    Ok(answers) => match answers.into_inner().message().await {
                        Ok(Some(answer)) => self.outcome(Ok(Response::new(answer))),
                        Ok(None) => Outcome::Answer(Answer::Text("the end")),
                        Err(error) => Outcome::Error(words(&error)),
                    },
                    Err(error) => Outcome::Error(words(&error)),
                }
            }
            Step::ShortLease(request) => {
                let granted = lease.lease_grant(request).await;
                if let Ok(granted) = &granted {
                    let id = granted.get_ref().id;
                    // On a machine that stood still for longer than it lives it has expired.
                    self.late |= lease.lease_revoke(LeaseRevokeRequest { id }).await.is_err();
                    let granted = LeaseGrantResponse { id: 0, ..granted.get_ref().clone() };
                    return self.outcome(Ok(Response::new(granted)));
                }
                self.outcome(granted)
            }
            Step::AwaitExpiry => self.await_expiry().await,
            _ => {
                let answer = lease.lease_leases(LeaseLeasesRequest {}).await;
                self.outcome(answer)
            }
        }
    }

    async fn await_expiry(&mut self) -> Outcome {
        self.late |= self.short.is_some_and(|since| since.elapsed() > SOON);
        self.short = None;
        let lease = &mut self.clients.lease;
        let deadline = Instant::now() + PATIENCE;
        let mut soon = true;
        while soon {
            if Instant::now() > deadline {
                return Outcome::Answer(Answer::Text("a lease that does not expire"));
            }
            soon = false;
            tokio::time::sleep(Duration::from_millis(50)).await;
            for LeaseStatus { id } in lease.lease_leases(LeaseLeasesRequest {}).await.unwrap().into_inner().leases {
                let request = LeaseTimeToLiveRequest { id, keys: false };
                let status = lease.lease_time_to_live(request).await.unwrap().into_inner();
                soon |= (0..LONG).contains(&status.granted_ttl);
            }
        }
        let answer = lease.lease_leases(LeaseLeasesRequest {}).await;
        self.outcome(answer)
    }

    fn outcome<M: Into<Answer>>(&mut self, answer: Result<Response<M>, Status>) -> Outcome {
        match answer {
            Ok(answer) => {
                let mut answer: Answer = answer.into_inner().into();
                if let Some(revision) = answer.normalise() {
                    self.now.revision = revision;
                }
                Outcome::Answer(answer)
            }
            Err(error) => Outcome::Error(words(&error)),
        }
    }
}
