//! A watch stream: asks, and writes down what each watcher is told.
//!
//! etcd promises the order of one watcher's messages, not that between watchers, and not how many revisions one message has.
//! A watcher that starts in the past gets there in its own time; where that could be seen, the stream waits for it first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};

use jine::pb::etcdserverpb::watch_client::WatchClient;
use jine::pb::etcdserverpb::watch_request::RequestUnion;
use jine::pb::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::side::{Now, Outcome, name_lease, words};

/// Only a test that fails waits as long.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two requests of progress, of which etcd drops those that come too early.
const RETRY: Duration = Duration::from_millis(15);
const NO_WATCH: i64 = -1;

pub(super) struct Watching {
    client: WatchClient<Channel>,
    stream: Option<(mpsc::UnboundedSender<WatchRequest>, Streaming<WatchResponse>)>,
    /// Live watchers and where they start.
    live: BTreeMap<i64, i64>,
    /// Watchers that compaction has ended. etcd keeps them until the client cancels them as well.
    compacted: BTreeSet<i64>,
    /// Some watcher may still read the past.
    behind: bool,
    said: BTreeMap<i64, Said>,
    /// The newest revision that progress was told of.
    progress: i64,
}

#[derive(Default)]
struct Said {
    text: String,
    last: i64,
    fragment: bool,
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
        self.ask(RequestUnion::CreateRequest(request)).await;
        let created = match self.until(|message| message.created).await {
            Ok(created) => created,
            Err(outcome) => return outcome,
        };
        if !created.canceled {
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
        Outcome::Answer(format!("{created:?}"))
    }

    pub(super) async fn cancel(&mut self, now: Now, id: i64) -> Outcome {
        if self.stream.is_none() {
            return Outcome::Skipped;
        }
        let Some(start) = self.live.get(&id).copied() else {
            self.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id })).await;
            return Outcome::Answer(String::new());
        };
        if start <= now.revision {
            // Events on their way may get lost.
            if self.has_future(now) {
                return Outcome::Skipped;
            }
            self.sync(now).await;
        }
        self.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id })).await;
        match self.until(|message| message.canceled && message.watch_id == id).await {
            Ok(message) => Outcome::Answer(format!("{message:?}")),
            Err(outcome) => outcome,
        }
    }

    pub(super) async fn progress(&mut self, now: Now) -> Outcome {
        if self.live.is_empty() || self.has_future(now) {
            return Outcome::Skipped;
        }
        self.behind = true;
        self.sync(now).await;
        Outcome::Answer(format!("progress {}", self.progress))
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
                return self.note(NO_WATCH, "no progress");
            }
            let told = self.until(is_progress);
            if let Ok(Err(outcome)) = tokio::time::timeout(RETRY, told).await {
                return self.note(NO_WATCH, &format!("{outcome:?}"));
            }
        }
    }

    /// All that the stream has said.
    pub(super) async fn finish(mut self, now: Now) -> String {
        if self.stream.is_none() {
            return String::new();
        }
        let future: Vec<i64> =
            self.live.iter().filter(|(_, start)| **start > now.revision).map(|(id, _)| *id).collect();
        for id in future {
            let outcome = self.cancel(now, id).await;
            self.note(id, &format!("{outcome:?}"));
        }
        self.behind = true;
        // Were there no watcher, no progress would be told.
        let request = WatchCreateRequest { key: "nothing is here".into(), watch_id: 1000, ..Default::default() };
        self.create(now, request).await;
        self.sync(now).await;
        self.said.iter().fold(String::new(), |mut all, (id, said)| {
            let _ = writeln!(all, "watcher {id}:\n{}", said.text);
            all
        })
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
            if let Some(header) = &mut message.header {
                (header.cluster_id, header.member_id, header.raft_term) = (0, 0, 0);
            }
            self.take(&message).await;
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    async fn take(&mut self, message: &WatchResponse) {
        let (id, revision) = (message.watch_id, message.header.as_ref().map_or(-1, |header| header.revision));
        if message.compact_revision != 0 {
            self.live.remove(&id);
            self.compacted.insert(id);
            // At what time the past was looked for shows in the header.
            self.note(id, &format!("{:?}", WatchResponse { header: None, ..message.clone() }));
            self.ask_in_place(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id }));
        } else if message.created {
            self.compacted.remove(&id);
            self.note(id, &format!("{message:?}"));
            let said = self.said.entry(id).or_default();
            (said.last, said.fragment) = (0, false);
        } else if message.canceled && self.live.remove(&id).is_some() {
            self.note(id, &format!("{message:?}"));
        } else if message.canceled && self.compacted.remove(&id) {
            // The one asked for above; only etcd gives it.
        } else if message.canceled {
            self.note(id, &format!("canceled but unknown: {message:?}"));
        } else if is_progress(message) {
            self.progress = self.progress.max(revision);
        }
        self.events(message, revision);
    }

    fn events(&mut self, message: &WatchResponse, revision: i64) {
        let (Some(first), Some(last)) = (message.events.first(), message.events.last()) else { return };
        let of = |event: &jine::pb::mvccpb::Event| event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
        let (first, last) = (of(first), of(last));
        let said = self.said.entry(message.watch_id).or_default();
        if first <= said.last && !said.fragment {
            said.text.push_str("a revision is split or comes again\n");
        }
        if revision < last {
            said.text.push_str("a header before its events\n");
        }
        (said.last, said.fragment) = (last, message.fragment);
        for event in &message.events {
            let mut event = event.clone();
            for kv in event.kv.iter_mut().chain(event.prev_kv.iter_mut()) {
                name_lease(&mut kv.lease);
            }
            let _ = writeln!(said.text, "{event:?}");
        }
    }

    fn ask_in_place(&self, request: RequestUnion) {
        if let Some((requests, _)) = &self.stream {
            let _ = requests.send(WatchRequest { request_union: Some(request) });
        }
    }

    fn note(&mut self, id: i64, text: &str) {
        let _ = writeln!(self.said.entry(id).or_default().text, "{text}");
    }
}

/// On behalf of all watchers. One that a client has given the id -1 has events.
fn is_progress(message: &WatchResponse) -> bool {
    message.watch_id == NO_WATCH && !message.created && !message.canceled && message.events.is_empty()
}
