//! What a server says to a step, without what may differ between two servers that do the same.

use jine::pb::etcdserverpb::response_op::Response as OpResponse;
use jine::pb::etcdserverpb::*;
use jine::pb::mvccpb::KeyValue;
use tonic::Status;

use super::program::CHOSEN;

/// What came of a step. Skipped where it would be a race.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// Code and words.
    Error(String),
    Skipped,
}

/// The id that a server has chosen for itself, as the oracle calls it.
const THIS_MEMBER: u64 = 1;

macro_rules! answers {
    ($($name:ident($message:ident)),*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Answer {
            $($name($message),)*
            Watch(WatchResponse),
            Text(&'static str),
        }

        $(impl From<$message> for Answer {
            fn from(message: $message) -> Answer {
                Answer::$name(message)
            }
        })*

        impl Answer {
            fn header(&mut self) -> Option<&mut ResponseHeader> {
                match self {
                    $(Answer::$name(message) => message.header.as_mut(),)*
                    Answer::Watch(message) => message.header.as_mut(),
                    Answer::Text(_) => None,
                }
            }
        }
    };
}

answers! {
    Range(RangeResponse),
    Put(PutResponse),
    Delete(DeleteRangeResponse),
    Txn(TxnResponse),
    Compact(CompactionResponse),
    HashKv(HashKvResponse),
    Grant(LeaseGrantResponse),
    Revoke(LeaseRevokeResponse),
    KeepAlive(LeaseKeepAliveResponse),
    TimeToLive(LeaseTimeToLiveResponse),
    Leases(LeaseLeasesResponse),
    Alarm(AlarmResponse),
    AuthStatus(AuthStatusResponse)
}

impl Answer {
    /// Takes out what may differ; returns the header's revision.
    pub(super) fn normalise(&mut self) -> Option<i64> {
        match self {
            Answer::Range(r) => name_leases(&mut r.kvs),
            Answer::Put(r) => name_leases(r.prev_kv.as_mut_slice()),
            Answer::Delete(r) => name_leases(&mut r.prev_kvs),
            Answer::Txn(r) => normalise_txn(r),
            Answer::Grant(r) => name_lease(&mut r.id),
            Answer::KeepAlive(r) => name_lease(&mut r.id),
            Answer::TimeToLive(r) => normalise_time_to_live(r),
            Answer::Leases(r) => r.leases.iter_mut().for_each(|lease| name_lease(&mut lease.id)),
            Answer::Alarm(r) => normalise_alarms(r),
            _ => {}
        }
        let header = self.header()?;
        *header = ResponseHeader { revision: header.revision, ..Default::default() };
        Some(header.revision)
    }
}

fn normalise_txn(txn: &mut TxnResponse) {
    for response in txn.responses.iter_mut().filter_map(|op| op.response.as_mut()) {
        match response {
            OpResponse::ResponseRange(r) => name_leases(&mut r.kvs),
            OpResponse::ResponsePut(r) => name_leases(r.prev_kv.as_mut_slice()),
            OpResponse::ResponseDeleteRange(r) => name_leases(&mut r.prev_kvs),
            OpResponse::ResponseTxn(r) => normalise_txn(r),
        }
    }
}

/// Keys of a lease have no order in etcd, and the clocks of two servers are not one.
fn normalise_time_to_live(answer: &mut LeaseTimeToLiveResponse) {
    name_lease(&mut answer.id);
    answer.keys.sort();
    if answer.granted_ttl - 30 < answer.ttl && 0 <= answer.ttl && answer.ttl <= answer.granted_ttl {
        answer.ttl = answer.granted_ttl;
    }
}

fn normalise_alarms(answer: &mut AlarmResponse) {
    for alarm in &mut answer.alarms {
        alarm.member_id = if alarm.member_id > u64::from(u16::MAX) { THIS_MEMBER } else { alarm.member_id };
    }
    answer.alarms.sort_by_key(|alarm| (alarm.alarm, alarm.member_id));
}

/// An id that a server has chosen, which is large, becomes the name that programs have for it.
pub(super) fn name_lease(id: &mut i64) {
    if *id > CHOSEN {
        *id = CHOSEN;
    }
}

fn name_leases(kvs: &mut [KeyValue]) {
    kvs.iter_mut().for_each(|kv| name_lease(&mut kv.lease));
}

pub(super) fn words(error: &Status) -> String {
    format!("{:?} {}", error.code(), error.message())
}
