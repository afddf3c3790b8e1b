//! What a watch says: the store's outputs as etcd's messages.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;

use super::convert;
use super::error::{COMPACTED, WATCH_ID_TAKEN, WATCH_RANGE_EMPTY};
use super::header::Header;
use crate::pb::etcdserverpb::WatchResponse;
use crate::state::{Event, Revision};

/// The id in an answer that is about no watcher, or about all of the stream.
pub(super) const NO_WATCH: i64 = -1;

/// How a watcher wants its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
}

/// Why a watch request is not even handed to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    RangeEmpty,
    BelowZero,
}

/// Puts the store's outputs into messages. Knows what each watcher of the stream asked for.
pub(super) struct Speaker {
    header: Header,
    /// Bytes; larger messages are fragmented, for watchers that can take it.
    fragment_above: usize,
    wishes: HashMap<i64, Wish>,
}

impl Speaker {
    pub(super) fn new(header: Header, fragment_above: usize) -> Speaker {
        Speaker { header, fragment_above, wishes: HashMap::new() }
    }

    pub(super) fn watchers(&self) -> usize {
        self.wishes.len()
    }

    pub(super) fn created(&mut self, id: i64, revision: Revision, wish: Wish) -> WatchResponse {
        self.wishes.insert(id, wish);
        WatchResponse { created: true, ..self.about(id, revision) }
    }

    /// Created and canceled in one.
    pub(super) fn refused(&self, revision: Revision, reason: Option<Refusal>) -> WatchResponse {
        let reason = match reason {
            Some(Refusal::RangeEmpty) => WATCH_RANGE_EMPTY,
            Some(Refusal::BelowZero) => COMPACTED,
            None => WATCH_ID_TAKEN,
        };
        let cancel_reason = reason.to_owned();
        WatchResponse { created: true, canceled: true, cancel_reason, ..self.about(NO_WATCH, revision) }
    }

    /// All but Created and Refused; one message, unless it has to be fragmented.
    pub(super) fn say(&mut self, output: Later) -> Vec<WatchResponse> {
        match output {
            Later::Canceled { id, revision } => {
                self.wishes.remove(&id);
                vec![WatchResponse { canceled: true, ..self.about(id, revision) }]
            }
            Later::Compacted { id, compact_revision, revision } => {
                self.wishes.remove(&id);
                let compact_revision = compact_revision.0;
                vec![WatchResponse { canceled: true, compact_revision, ..self.about(id, revision) }]
            }
            Later::Progress { id, revision } => vec![self.about(id, revision)],
            Later::Events { id, revision, events } => self.events(id, revision, &events),
        }
    }

    fn events(&self, id: i64, revision: Revision, events: &[Arc<[Arc<Event>]>]) -> Vec<WatchResponse> {
        let wish = self.wishes.get(&id).copied().unwrap_or_default();
        let events = events.iter().flat_map(|of_one| of_one.iter());
        let events = events.map(|event| convert::event(event, wish.prev_kv)).collect();
        let response = WatchResponse { events, ..self.about(id, revision) };
        if wish.fragment { fragments(response, self.fragment_above) } else { vec![response] }
    }

    fn about(&self, id: i64, revision: Revision) -> WatchResponse {
        WatchResponse { header: self.header.at(revision), watch_id: id, ..Default::default() }
    }
}

/// What the store says of a watcher that exists.
#[derive(Debug)]
pub(super) enum Later {
    /// The events of one or several revisions, in order; `revision` is for the header: the last of them, or the current one
    /// if they come from the history.
    Events {
        id: i64,
        revision: Revision,
        events: Vec<Arc<[Arc<Event>]>>,
    },
    Canceled {
        id: i64,
        revision: Revision,
    },
    Compacted {
        id: i64,
        compact_revision: Revision,
        revision: Revision,
    },
    Progress {
        id: i64,
        revision: Revision,
    },
}

/// About what events take in a message.
pub(super) fn size(events: &[Arc<Event>]) -> usize {
    const OVERHEAD: usize = 64;
    let of_kv = |kv: &crate::state::KeyValue| kv.key.len() + kv.value.len() + OVERHEAD;
    events.iter().map(|event| of_kv(&event.kv) + event.prev.as_deref().map_or(0, of_kv)).sum()
}

/// Cuts a message into several that are each below `limit` bytes or have a single event; all but the last are marked.
fn fragments(mut response: WatchResponse, limit: usize) -> Vec<WatchResponse> {
    if response.events.len() < 2 || response.encoded_len() < limit {
        return vec![response];
    }
    let events = std::mem::take(&mut response.events);
    let empty = WatchResponse { fragment: true, ..response };
    let base = empty.encoded_len();
    let mut all = Vec::new();
    let mut current = empty.clone();
    let mut current_len = base;
    for event in events {
        let len = event_len(&event);
        if !current.events.is_empty() && current_len + len >= limit {
            all.push(std::mem::replace(&mut current, empty.clone()));
            current_len = base;
        }
        current_len += len;
        current.events.push(event);
    }
    current.fragment = false;
    all.push(current);
    all
}

/// What an event adds to a message: itself, its length and a tag of one byte.
fn event_len(event: &crate::pb::mvccpb::Event) -> usize {
    let len = event.encoded_len();
    1 + prost::length_delimiter_len(len) + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{EventKind, KeyValue};

    fn put(key: &str, size: usize) -> Arc<Event> {
        let kv = KeyValue { key: key.to_owned().into(), value: vec![b'v'; size].into(), ..Default::default() };
        Arc::new(Event { kind: EventKind::Put, kv: Arc::new(kv), prev: None })
    }

    fn speaker(wish: Wish) -> Speaker {
        let mut speaker = Speaker::new(Header { cluster_id: 1, member_id: 2 }, 1000);
        speaker.created(0, Revision(1), wish);
        speaker
    }

    fn events(sizes: &[usize]) -> Later {
        let events: Vec<_> = sizes.iter().enumerate().map(|(i, size)| put(&format!("k{i}"), *size)).collect();
        Later::Events { id: 0, revision: Revision(2), events: vec![events.into()] }
    }

    #[test]
    fn a_revision_stays_in_one_message_however_large() {
        assert_eq!(speaker(Wish::default()).say(events(&[600, 600, 600])).len(), 1);
    }

    #[test]
    fn fragments_are_below_the_limit_and_lose_nothing() {
        let said = speaker(Wish { fragment: true, prev_kv: false }).say(events(&[300, 300, 300, 300, 5000, 1]));
        assert_eq!(said.iter().map(|m| m.events.len()).collect::<Vec<_>>(), [3, 1, 1, 1]);
        assert_eq!(said.iter().map(|m| m.fragment).collect::<Vec<_>>(), [true, true, true, false]);
        assert!(said.iter().all(|m| m.encoded_len() < 1000 || m.events.len() == 1));
        let keys: Vec<_> = said.iter().flat_map(|m| &m.events).map(|e| e.kv.as_ref().unwrap().key.clone()).collect();
        assert_eq!(keys, ["k0", "k1", "k2", "k3", "k4", "k5"]);
    }

    #[test]
    fn a_small_message_is_no_fragment() {
        let said = speaker(Wish { fragment: true, prev_kv: false }).say(events(&[1, 1]));
        assert_eq!((said.len(), said[0].fragment), (1, false));
    }

    #[test]
    fn several_revisions_are_one_message_with_the_last_one_in_its_header() {
        let events = vec![vec![put("x", 1)].into(), vec![put("x", 1), put("y", 1)].into()];
        let said = speaker(Wish::default()).say(Later::Events { id: 0, revision: Revision(3), events });
        assert_eq!((said.len(), said[0].events.len()), (1, 3));
        assert_eq!(said[0].header.as_ref().unwrap().revision, 3);
    }

    #[test]
    fn a_refusal_says_why() {
        let said = speaker(Wish::default()).refused(Revision(1), Some(Refusal::RangeEmpty));
        assert_eq!((said.watch_id, said.created, said.canceled, said.compact_revision), (-1, true, true, 0));
        assert_eq!(said.cancel_reason, "mvcc: watcher range is empty");
    }
}
