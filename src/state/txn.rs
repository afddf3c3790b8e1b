//! Transactions: etcd's, nested ones too.
//!
//! Three walks over the same branches. First all compares, those of nested transactions as well, on the state before: they
//! fix which branches are taken. Then every put and range in these is checked, so that no error can come after an effect.
//! Then they are executed in order, each on what those before have done.

use std::cmp::Ordering;
use std::sync::Arc;

use super::error::Error;
use super::key_value::KeyValue;
use super::plan::Planner;
use super::request::{
    Compare, CompareResult, CompareTarget, KeyRange, RangeRequest, RangeResponse, RequestOp, ResponseOp, TxnRequest,
    TxnResponse,
};
use super::revision::Revision;
use super::view::View;

/// For each transaction that is reached, in the order in which they are, whether it succeeded.
type Path = Vec<bool>;

impl Planner<'_> {
    pub(super) fn txn(&mut self, txn: &TxnRequest) -> Result<TxnResponse, Error> {
        let mut path = Path::new();
        compare_all(&self.before, txn, &mut path);
        self.check_txn(txn, &mut path.iter().copied())?;
        let mut response = self.execute(txn, &mut path.iter().copied())?;
        // Only the outermost one's header is filled: the nested ones' are empty in etcd.
        response.revision = self.revision();
        Ok(response)
    }

    fn check_txn(&self, txn: &TxnRequest, path: &mut impl Iterator<Item = bool>) -> Result<(), Error> {
        let (_, ops) = branch(txn, path);
        for op in ops {
            match op {
                RequestOp::Range(range) => self.check_range(range.revision)?,
                RequestOp::Put(put) => self.check_put(put)?,
                RequestOp::DeleteRange(_) => {}
                RequestOp::Txn(nested) => self.check_txn(nested, path)?,
            }
        }
        Ok(())
    }

    /// Unlike a range of its own, one in a transaction may not name a revision below zero once the store was compacted.
    fn check_range(&self, revision: Revision) -> Result<(), Error> {
        let (current, compacted) = (self.before.revision(), self.before.compacted());
        if revision == Revision::ZERO {
            return Ok(());
        }
        if revision > current {
            return Err(Error::FutureRevision(current));
        }
        let first = if compacted == Revision::ZERO { Revision(-1) } else { compacted };
        if revision < first {
            return Err(Error::Compacted(compacted));
        }
        Ok(())
    }

    fn range(&self, range: &RangeRequest) -> Result<RangeResponse, Error> {
        let collected = self.now().collect(range, &self.before)?;
        Ok(if self.only_collects { collected.response } else { collected.finish(range) })
    }

    fn execute(&mut self, txn: &TxnRequest, path: &mut impl Iterator<Item = bool>) -> Result<TxnResponse, Error> {
        let (succeeded, ops) = branch(txn, path);
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            responses.push(match op {
                RequestOp::Range(range) => ResponseOp::Range(self.range(range)?),
                RequestOp::Put(put) => ResponseOp::Put(self.put(put)?),
                RequestOp::DeleteRange(delete) => ResponseOp::DeleteRange(self.delete_range(delete)),
                RequestOp::Txn(nested) => ResponseOp::Txn(self.execute(nested, path)?),
            });
        }
        Ok(TxnResponse { revision: Revision::ZERO, succeeded, responses })
    }
}

fn branch<'t>(txn: &'t TxnRequest, path: &mut impl Iterator<Item = bool>) -> (bool, &'t [RequestOp]) {
    let succeeded = path.next().unwrap_or_default();
    (succeeded, if succeeded { &txn.success } else { &txn.failure })
}

fn compare_all(view: &View, txn: &TxnRequest, path: &mut Path) {
    let succeeded = txn.compare.iter().all(|compare| holds(view, compare));
    path.push(succeeded);
    for op in if succeeded { &txn.success } else { &txn.failure } {
        if let RequestOp::Txn(nested) = op {
            compare_all(view, nested, path);
        }
    }
}

/// Whether every key of the range matches. Where there is none, one that is all zeros must; but no value is like, or unlike,
/// that of a missing key.
fn holds(view: &View, compare: &Compare) -> bool {
    let matches = |kv: &Arc<KeyValue>| matches(compare, kv);
    let missing = || !matches!(compare.target, CompareTarget::Value(_)) && matches(&Arc::default());
    match &compare.range {
        KeyRange::Single(key) => view.get(key).map_or_else(missing, matches),
        range => {
            let mut versions = view.versions(range).peekable();
            if versions.peek().is_none() { missing() } else { versions.all(matches) }
        }
    }
}

fn matches(compare: &Compare, kv: &KeyValue) -> bool {
    let ordering = match &compare.target {
        CompareTarget::Version(version) => kv.version.cmp(version),
        CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
        CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
        // Lengths that differ tell the values apart, so that none has to be read.
        CompareTarget::Value(value) if asks_for_equality(compare) && kv.value.len() != value.len() => {
            kv.value.len().cmp(&value.len())
        }
        CompareTarget::Value(value) => kv.value.bytes().cmp(value),
        CompareTarget::Lease(id) => kv.lease.cmp(id),
    };
    match compare.result {
        CompareResult::Equal => ordering == Ordering::Equal,
        CompareResult::NotEqual => ordering != Ordering::Equal,
        CompareResult::Greater => ordering == Ordering::Greater,
        CompareResult::Less => ordering == Ordering::Less,
    }
}

fn asks_for_equality(compare: &Compare) -> bool {
    matches!(compare.result, CompareResult::Equal | CompareResult::NotEqual)
}
