//! What every service works with.

use tonic::{Response, Status};

use super::header::Header;
use crate::state::Revision;
use crate::store::Store;

pub(super) type Answer<T> = Result<Response<T>, Status>;

/// The store, who answers for it, and the limits of a request. Cheap to clone.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) store: Store,
    pub(super) header: Header,
    pub(super) max_txn_ops: usize,
    pub(super) max_request_bytes: usize,
}

impl Call {
    /// The header of an answer that no revision of its own belongs to.
    pub(super) fn header_now(&self) -> Option<crate::pb::etcdserverpb::ResponseHeader> {
        self.header.at(self.store.revision())
    }

    pub(super) fn header_at(&self, revision: Revision) -> Option<crate::pb::etcdserverpb::ResponseHeader> {
        self.header.at(revision)
    }
}
