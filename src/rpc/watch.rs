//! Following the changes of keys.
//!
//! One task-free stream per client: it reads requests and the store's outputs only when the transport has room for the next
//! message, so a client that does not read is not read from either, and holds no more than the store lets it fall behind.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::unfold;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Answer, Call};
use super::metrics::{Metrics, Watching};
use super::watch_pace::Pace;
use super::watch_response::{self, Later, Refusal, Speaker, Wish};
use super::{convert, error};
use crate::pb::etcdserverpb::watch_create_request::FilterType;
use crate::pb::etcdserverpb::watch_request::RequestUnion;
use crate::pb::etcdserverpb::watch_server::Watch;
use crate::pb::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::state::{Event, KeyRange, Revision};
use crate::store::{self, WatchOutput, WatchStream};

/// Revisions that are queued for one watcher go into one message up to this size, in bytes. etcd merges a thousand revisions
/// whatever their size; where that is more than this, jine sends several messages.
const MERGE_BYTES: usize = 16 * 1024 * 1024;

pub(super) struct WatchService {
    pub(super) call: Call,
    pub(super) stop: CancellationToken,
    /// Bytes; see [`Speaker`].
    pub(super) fragment_above: usize,
    pub(super) metrics: Metrics,
}

#[tonic::async_trait]
impl Watch for WatchService {
    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Answer<BoxStream<WatchResponse>> {
        let session = Session {
            requests: Some(request.into_inner()),
            watches: self.call.store.watch_stream(),
            speaker: Speaker::new(self.call.header, self.fragment_above),
            creating: VecDeque::new(),
            ready: VecDeque::new(),
            pace: Pace::new(),
            watching: self.metrics.watching(),
            stop: self.stop.clone(),
            call: self.call.clone(),
        };
        Ok(Response::new(Box::pin(unfold(Some(session), |session| async move {
            let mut session = session?;
            match session.next().await {
                Ok(message) => Some((Ok(message), Some(session))),
                Err(status) => Some((Err(status), None)),
            }
        }))))
    }
}

struct Session {
    /// None once the client has closed its side; it still gets events then.
    requests: Option<Streaming<WatchRequest>>,
    watches: WatchStream,
    speaker: Speaker,
    /// The creates that are not answered yet, in order: what those asked for that the store has, and why it never got others.
    creating: VecDeque<Result<Wish, Refusal>>,
    /// Messages to send before anything else.
    ready: VecDeque<WatchResponse>,
    pace: Pace,
    watching: Watching,
    stop: CancellationToken,
    call: Call,
}

impl Session {
    /// The next message, or how the stream ends. A watch that lives is never told that it is canceled: clients come
    /// back after Unavailable, and not after that.
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            // Each time: a stream that has always something to say hears its client all the same.
            let pause = self.pace.until();
            tokio::select! {
                () = self.stop.cancelled() => return Err(store::Error::Stopped.into()),
                request = next_request(&mut self.requests) => match request? {
                    Some(request) => self.request(request),
                    None => self.requests = None,
                },
                () = sleep_until(pause.unwrap_or_else(Instant::now)), if pause.is_some() => {}
                output = self.watches.next(), if pause.is_none() => self.output(output.ok_or(store::Error::NoLeader)?),
            }
            self.watching.set(self.speaker.watchers());
        }
    }

    fn request(&mut self, request: WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create),
            Some(RequestUnion::CancelRequest(cancel)) => self.watches.cancel(cancel.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.watches.request_progress(),
            None => tracing::debug!("a watch request that asks for nothing"),
        }
    }

    fn create(&mut self, create: WatchCreateRequest) {
        let wish = Wish { prev_kv: create.prev_kv, fragment: create.fragment };
        let asked = store_request(create).map(|request| self.watches.create(request));
        self.creating.push_back(asked.map(|()| wish));
        self.tell_refusals();
    }

    /// Creates are answered in the order in which they came: a refusal waits for the answers of the store to those before it.
    fn tell_refusals(&mut self) {
        while let Some(refusal) = self.creating.front().and_then(|asked| asked.err()) {
            self.creating.pop_front();
            self.ready.push_back(self.speaker.refused(self.call.store.revision(), Some(refusal)));
        }
    }

    fn output(&mut self, output: WatchOutput) {
        let later = match output {
            WatchOutput::Created { id, revision } => {
                let wish = self.creating.pop_front().and_then(Result::ok).unwrap_or_default();
                self.ready.push_back(self.speaker.created(id, revision, wish));
                return self.tell_refusals();
            }
            WatchOutput::Refused { revision } => {
                self.creating.pop_front();
                self.ready.push_back(self.speaker.refused(revision, None));
                return self.tell_refusals();
            }
            WatchOutput::Events { id, current, events, .. } => {
                self.pace.sent(self.speaker.watchers());
                self.with_more(id, current, events)
            }
            WatchOutput::Canceled { id, revision } => Later::Canceled { id, revision },
            WatchOutput::Compacted { id, compact_revision, revision } => {
                Later::Compacted { id, compact_revision, revision }
            }
            WatchOutput::Progress { id, revision } => Later::Progress { id, revision },
        };
        self.ready.extend(self.speaker.say(later));
    }

    /// With what comes next, if it is for the same watcher, in one message.
    fn with_more(&self, id: i64, mut revision: Revision, events: Arc<[Arc<Event>]>) -> Later {
        let mut room = MERGE_BYTES.saturating_sub(watch_response::size(&events));
        let mut fits = |more: &[Arc<Event>]| match room.checked_sub(watch_response::size(more)) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        };
        let mut events = vec![events];
        while let Some((current, more)) = self.watches.more_of(id, &mut fits) {
            revision = current;
            events.push(more);
        }
        Later::Events { id, revision, events }
    }
}

/// Waits for ever once the client has closed its side.
async fn next_request(requests: &mut Option<Streaming<WatchRequest>>) -> Result<Option<WatchRequest>, Status> {
    match requests {
        Some(requests) => requests.message().await.map_err(error::of_transport),
        None => std::future::pending().await,
    }
}

fn store_request(create: WatchCreateRequest) -> Result<store::WatchRequest, Refusal> {
    if create.start_revision < 0 {
        return Err(Refusal::BelowZero);
    }
    // The smallest key there is.
    let key = if create.key.is_empty() { Bytes::from_static(&[0]) } else { Bytes::copy_from_slice(&create.key) };
    let range = convert::key_range(key, Bytes::copy_from_slice(&create.range_end));
    if matches!(&range, KeyRange::Between(from, to) if to <= from) {
        return Err(Refusal::RangeEmpty);
    }
    Ok(store::WatchRequest {
        id: (create.watch_id != 0).then_some(create.watch_id),
        range,
        start: Revision(create.start_revision),
        no_put: create.filters.contains(&(FilterType::Noput as i32)),
        no_delete: create.filters.contains(&(FilterType::Nodelete as i32)),
        progress_notify: create.progress_notify,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &'static str, range_end: &'static [u8]) -> WatchCreateRequest {
        let range_end = Bytes::from_static(range_end);
        WatchCreateRequest { key: key.into(), range_end, ..Default::default() }
    }

    #[test]
    fn no_key_means_from_the_smallest_on() {
        let range = store_request(request("", b"\0")).unwrap().range;
        assert_eq!(range, KeyRange::From(Bytes::from_static(&[0])));
    }

    #[test]
    fn an_empty_range_is_refused() {
        assert_eq!(store_request(request("b", b"a")).unwrap_err(), Refusal::RangeEmpty);
        assert_eq!(store_request(request("b", b"b")).unwrap_err(), Refusal::RangeEmpty);
        assert!(store_request(request("b", b"\0")).is_ok());
    }

    #[test]
    fn a_start_below_zero_is_refused() {
        let create = WatchCreateRequest { start_revision: -1, ..request("a", b"") };
        assert_eq!(store_request(create).unwrap_err(), Refusal::BelowZero);
    }

    #[test]
    fn the_id_zero_leaves_the_choice_to_the_server() {
        assert_eq!(store_request(request("a", b"")).unwrap().id, None);
        let create = WatchCreateRequest { watch_id: 7, ..request("a", b"") };
        assert_eq!(store_request(create).unwrap().id, Some(7));
    }
}
