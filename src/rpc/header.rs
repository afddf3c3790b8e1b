//! What stands in front of every answer.

use crate::pb::etcdserverpb::ResponseHeader;
use crate::state::Revision;
use crate::store::Store;

/// The log has no terms a client could see: one writer after the other appends to the same log. Zero would mean "no
/// leader was ever elected".
pub(super) const RAFT_TERM: u64 = 1;

/// Who answers: what is the same in all headers of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) cluster_id: u64,
    pub(super) member_id: u64,
}

impl Header {
    pub(super) fn of(store: &Store) -> Header {
        Header { cluster_id: store.cluster_id(), member_id: store.member_id() }
    }

    pub(super) fn at(self, revision: Revision) -> Option<ResponseHeader> {
        Some(ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision: revision.0,
            raft_term: RAFT_TERM,
        })
    }
}

/// The header of an answer within a transaction's answer: its revision and nothing else, as etcd has it.
pub(super) fn inner(revision: Revision) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision: revision.0, ..Default::default() })
}
