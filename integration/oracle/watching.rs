//! A watch stream: asks, and writes down what each watcher is told.
//!
//! etcd promises the order of one watcher's messages, not that between watchers, and not how many revisions one message has.
//! A watcher that starts in the past gets there in its own time; where that could be seen, the stream waits for it first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jine::pb::etcdserverpb::watch_client::WatchClient;
use jine::pb::etcdserverpb::watch_request::RequestUnion;
use jine::pb::etcdserverpb::{
    ResponseHeader, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use jine::pb::mvccpb::Event;
use jine::pb::mvccpb::event::EventType;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::answer::{Answer, Outcome, name_lease, words};
use super::side::Now;

/// Only a test that fails waits as long.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two requests of progress, of which etcd drops those that come too early.
const RETRY: Duration = Duration::from_millis(15);
const NO_WATCH: i64 = -1;
/// What is said of requests that are refused stands here.
const NOBODY: i64 = i64::MIN;
/// The id of the watcher that every stream has in the end.
const LAST: i64 = 1000;
/// A message of a watcher that takes fragments is smaller, or has one event: the largest request that the servers take
/// (`pair::MAX_REQUEST_BYTES`) and what etcd allows for the transport.
const FRAGMENT_BELOW: usize = super::pair::MAX_REQUEST_BYTES + 512 * 1024;
pub(super) const TOO_LARGE: &str = "too large for a fragment";

/// What is said of one watcher.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Message(WatchResponse),
    Event(Event),
    /// What must not be.
    Wrong(String),
}

/// A watcher that was asked for, and what came of it.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) request: WatchCreateRequest,
    /// When it was asked for.
    pub(crate) now: Now,
    pub(crate) facts: BTreeSet<Fact>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fact {
    Created,
    /// Not created, for the reason that etcd has these words for.
    IdTaken,
    RangeEmpty,
    BelowZero,
    Compacted,
    Put,
    Delete,
    PrevKv,
    NoPrevKv,
    Fragments,
}

pub(super) struct Watching {
    client: WatchClient<Channel>,
    stream: Option<(mpsc::UnboundedSender<WatchRequest>, Streaming<WatchResponse>)>,
    /// Live watchers and where they start.
    live: BTreeMap<i64, i64>,
    /// Watchers that compaction has ended. etcd keeps them until the client cancels them as well.
    compacted: BTreeSet<i64>,
    /// Some watcher may still read the past.
    behind: bool,
    said: BTreeMap<i64, Told>,
    /// The newest revision that progress was told of.
    progress: i64,
    /// Those of ids that are in use.
    watchers: BTreeMap<i64, Watcher>,
    /// Those that are not watching any more, or never did.
    done: Vec<Watcher>,
}

#[derive(Default)]
struct Told {
    all: Vec<Said>,
    /// The last event's revision.
    last: i64,
    /// Those that have come since a message was whole.
    fragments: Vec<WatchResponse>,
}

impl Watching {
    pub(super) fn new(client: WatchClient<Channel>) -> Self {
        Watching {
            client,
            stream: None,
            live: BTreeMap::new(),
            compacted: BTreeSet::new(),
            behind: false,
            said: BTreeMap::new(),
            progress: 0,
            watchers: BTreeMap::new(),
            done: Vec::new(),
        }
    }

    pub(super) async fn create(&mut self, now: Now, request: WatchCreateRequest) -> Outcome {
        let start = request.start_revision;
        let past = 0 < start && start <= now.revision;
        if past && self.has_future(now) {
            return Outcome::Skipped;
        }
        if start > now.revision {
            self.sync(now).await;
        }
        let mut watcher = Watcher { request: request.clone(), now, facts: BTreeSet::new() };
        self.ask(RequestUnion::CreateRequest(request)).await;
        let created = match self.until(|message| message.created).await {
            Ok(created) => created,
            Err(outcome) => return outcome,
        };
        watcher.facts.insert(how_created(&created));
        if created.canceled {
            self.done.push(watcher);
        } else {
            // Its first events may be there already.
            if let Some(before) = self.watchers.insert(created.watch_id, watcher) {
                self.done.push(before);
            }
            self.live.insert(created.watch_id, start);
            self.behind |= past;
            if past && start < now.compacted {
                let id = created.watch_id;
                let ended = self.until(|message| message.canceled && message.watch_id == id).await;
                if let Err(outcome) = ended {
                    return outcome;
                }
            }
        }
        Outcome::Answer(Answer::Watch(created))
    }

    pub(super) async fn cancel(&mut self, now: Now, id: i64) -> Outcome {
        if self.stream.is_none() {
            return Outcome::Skipped;
        }
        let Some(start) = self.live.get(&id).copied() else {
            self.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id })).await;
            return Outcome::Answer(Answer::Text("no watcher"));
        };
        if start <= now.revision {
            // etcd loses events on their way, live ones too, if its stream gets to the cancel first.
            if self.has_future(now) {
                return Outcome::Skipped;
            }
            self.behind = true;
            self.sync(now).await;
        }
        self.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id })).await;
        match self.until(|message| message.canceled && message.watch_id == id).await {
            Ok(message) => Outcome::Answer(Answer::Watch(message)),
            Err(outcome) => outcome,
        }
    }

    pub(super) async fn progress(&mut self, now: Now) -> Outcome {
        if self.live.is_empty() || self.has_future(now) {
            return Outcome::Skipped;
        }
        self.behind = true;
        self.sync(now).await;
        let header = Some(ResponseHeader { revision: self.progress, ..Default::default() });
        Outcome::Answer(Answer::Watch(WatchResponse { header, watch_id: NO_WATCH, ..Default::default() }))
    }

    /// Waits until all watchers have got all there is. Those that wait for the future have nothing to catch up with.
    pub(super) async fn sync(&mut self, now: Now) {
        if !self.behind || self.live.is_empty() || self.has_future(now) {
            return;
        }
        self.behind = false;
        let deadline = Instant::now() + LIMIT;
        self.progress = 0;
        while self.progress < now.revision {
            self.ask(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
            if Instant::now() > deadline {
                return self.note(NO_WATCH, Said::Wrong("no progress".into()));
            }
            let told = self.until(is_progress);
            if let Ok(Err(outcome)) = tokio::time::timeout(RETRY, told).await {
                return self.note(NO_WATCH, Said::Wrong(format!("{outcome:?}")));
            }
        }
    }

    /// All that the stream has said, by watcher.
    pub(super) async fn finish(mut self, now: Now) -> (Vec<(i64, Vec<Said>)>, Vec<Watcher>) {
        if self.stream.is_none() {
            return (Vec::new(), Vec::new());
        }
        let future: Vec<i64> =
            self.live.iter().filter(|(_, start)| **start > now.revision).map(|(id, _)| *id).collect();
        for id in future {
            if let outcome @ (Outcome::Error(_) | Outcome::Skipped) = self.cancel(now, id).await {
                self.note(id, Said::Wrong(format!("{outcome:?}")));
            }
        }
        self.behind = true;
        // Were there no watcher, no progress would be told.
        let request = WatchCreateRequest { key: "nothing is here".into(), watch_id: LAST, ..Default::default() };
        self.create(now, request).await;
        self.sync(now).await;
        self.watchers.remove(&LAST);
        for told in self.said.values_mut().filter(|told| !told.fragments.is_empty()) {
            told.all.push(Said::Wrong("the last fragment is missing".into()));
        }
        self.done.extend(self.watchers.into_values());
        (self.said.into_iter().map(|(id, told)| (id, told.all)).collect(), self.done)
    }

    fn has_future(&self, now: Now) -> bool {
        self.live.values().any(|start| *start > now.revision)
    }

    async fn ask(&mut self, request: RequestUnion) {
        let request = WatchRequest { request_union: Some(request) };
        if let Some((requests, _)) = &self.stream {
            let _ = requests.send(request);
            return;
        }
        // The server answers a stream only with its first message.
        let (sender, receiver) = mpsc::unbounded_channel();
        let _ = sender.send(request);
        let answers = self.client.watch(UnboundedReceiverStream::new(receiver)).await.unwrap();
        self.stream = Some((sender, answers.into_inner()));
    }

    /// Takes in messages until one that is wanted.
    async fn until(&mut self, wanted: impl Fn(&WatchResponse) -> bool) -> Result<WatchResponse, Outcome> {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let (_, answers) = self.stream.as_mut().unwrap();
            let message = tokio::time::timeout_at(deadline, answers.message()).await;
            let mut message = match message.unwrap_or_else(|_| Err(Status::unknown("nothing comes"))) {
                Ok(Some(message)) => message,
                Ok(None) => return Err(Outcome::Error("the end of the stream".into())),
                Err(error) => return Err(Outcome::Error(words(&error))),
            };
            let sent = message.clone();
            if let Some(header) = &mut message.header {
                (header.cluster_id, header.member_id, header.raft_term) = (0, 0, 0);
            }
            self.take(&message, sent);
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    /// `sent` is the message as it came.
    fn take(&mut self, message: &WatchResponse, sent: WatchResponse) {
        let (id, revision) = (message.watch_id, message.header.as_ref().map_or(-1, |header| header.revision));
        if message.compact_revision != 0 {
            self.live.remove(&id);
            self.compacted.insert(id);
            self.fact(id, Fact::Compacted);
            // At what time the past was looked for shows in the header.
            self.note(id, Said::Message(WatchResponse { header: None, ..message.clone() }));
            self.ask_in_place(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id }));
        } else if message.created && message.canceled {
            // Its id is that of no watcher, though a client may have chosen it for one.
            self.note(NOBODY, Said::Message(message.clone()));
        } else if message.created {
            self.compacted.remove(&id);
            self.note(id, Said::Message(message.clone()));
            let told = self.said.entry(id).or_default();
            (told.last, told.fragments) = (0, Vec::new());
        } else if message.canceled && self.live.remove(&id).is_some() {
            self.note(id, Said::Message(message.clone()));
        } else if message.canceled && self.compacted.remove(&id) {
            // The one asked for above; only etcd gives it.
        } else if message.canceled {
            self.note(id, Said::Wrong(format!("canceled but unknown: {message:?}")));
        } else if is_progress(message) {
            self.progress = self.progress.max(revision);
        }
        self.events(message, revision, sent);
    }

    fn events(&mut self, message: &WatchResponse, revision: i64, sent: WatchResponse) {
        let (Some(first), Some(last)) = (message.events.first(), message.events.last()) else { return };
        let (id, first, last) = (message.watch_id, mod_revision(first), mod_revision(last));
        let told = self.said.entry(id).or_default();
        let in_pieces = !told.fragments.is_empty();
        if first <= told.last && !in_pieces {
            told.all.push(Said::Wrong("a revision is split or comes again".into()));
        }
        if revision < last {
            told.all.push(Said::Wrong("a header before its events".into()));
        }
        let takes_fragments = self.watchers.get(&id).is_some_and(|watcher| watcher.request.fragment);
        if takes_fragments && sent.encoded_len() >= FRAGMENT_BELOW && message.events.len() > 1 {
            told.all.push(Said::Wrong(TOO_LARGE.into()));
        }
        if message.fragment && !takes_fragments {
            told.all.push(Said::Wrong("a fragment that nobody asked for".into()));
        }
        told.last = last;
        for event in &message.events {
            let mut event = event.clone();
            for kv in event.kv.iter_mut().chain(event.prev_kv.iter_mut()) {
                name_lease(&mut kv.lease);
            }
            told.all.push(Said::Event(event));
        }
        if message.fragment || in_pieces {
            told.fragments.push(sent);
        }
        if !message.fragment && in_pieces {
            let fragments = std::mem::take(&mut told.fragments);
            told.all.extend(fragmented(fragments).err().map(Said::Wrong));
            self.fact(id, Fact::Fragments);
        }
        self.facts(message);
    }

    fn facts(&mut self, message: &WatchResponse) {
        for event in &message.events {
            let put = event.r#type == EventType::Put as i32;
            self.fact(message.watch_id, if put { Fact::Put } else { Fact::Delete });
            self.fact(message.watch_id, if event.prev_kv.is_some() { Fact::PrevKv } else { Fact::NoPrevKv });
        }
    }

    fn fact(&mut self, id: i64, fact: Fact) {
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.facts.insert(fact);
        }
    }

    fn ask_in_place(&self, request: RequestUnion) {
        if let Some((requests, _)) = &self.stream {
            let _ = requests.send(WatchRequest { request_union: Some(request) });
        }
    }

    fn note(&mut self, id: i64, said: Said) {
        self.said.entry(id).or_default().all.push(said);
    }
}

fn mod_revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

/// Whether fragments are cut where etcd cuts: each takes as many events as it has room for. Which revisions are in a message is not
/// promised, so that servers cannot be compared in this.
fn fragmented(fragments: Vec<WatchResponse>) -> Result<(), String> {
    let seen: Vec<usize> = fragments.iter().map(|fragment| fragment.events.len()).collect();
    let Some(first) = fragments.first() else { return Ok(()) };
    let empty = WatchResponse { events: Vec::new(), fragment: true, ..first.clone() };
    let (mut expected, mut count, mut len) = (Vec::new(), 0, empty.encoded_len());
    for event in fragments.into_iter().flat_map(|fragment| fragment.events) {
        let alone = WatchResponse { events: vec![event], ..empty.clone() }.encoded_len() - empty.encoded_len();
        if count > 0 && len + alone >= FRAGMENT_BELOW {
            expected.push(count);
            (count, len) = (0, empty.encoded_len());
        }
        (count, len) = (count + 1, len + alone);
    }
    expected.push(count);
    if seen == expected { Ok(()) } else { Err(format!("fragments of {seen:?} events instead of {expected:?}")) }
}

fn how_created(created: &WatchResponse) -> Fact {
    match (created.canceled, created.cancel_reason.as_str()) {
        (false, _) => Fact::Created,
        (true, "mvcc: watcher range is empty") => Fact::RangeEmpty,
        (true, "mvcc: duplicate watch ID provided on the WatchStream") => Fact::IdTaken,
        (true, _) => Fact::BelowZero,
    }
}

/// On behalf of all watchers. One that a client has given the id -1 has events.
fn is_progress(message: &WatchResponse) -> bool {
    message.watch_id == NO_WATCH && !message.created && !message.canceled && message.events.is_empty()
}
