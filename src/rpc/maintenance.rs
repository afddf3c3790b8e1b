//! Status, alarms, hashes, and what is asked of a cluster. What else etcd's service has is not served: see `unserved`.

use tonic::{Request, Response};

use super::call::{Answer, Call};
use super::downgrade;
use super::error::Error;
use super::header::RAFT_TERM;
use crate::pb::etcdserverpb::alarm_request::AlarmAction;
use crate::pb::etcdserverpb::downgrade_request::DowngradeAction;
use crate::pb::etcdserverpb::maintenance_server::Maintenance;
use crate::pb::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse, DowngradeInfo,
    DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest,
    MoveLeaderResponse, StatusRequest, StatusResponse,
};
use crate::state::{Alarm, AlarmKind, Revision};

pub(super) struct MaintenanceService {
    pub(super) call: Call,
    /// The etcd version we pass for: clients decide by it what they may ask for.
    pub(super) version: String,
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    async fn alarm(&self, request: Request<AlarmRequest>) -> Answer<AlarmResponse> {
        let request = request.into_inner();
        let kind = alarm_kind(request.alarm);
        let alarm = kind.map(|kind| Alarm { member: request.member_id, kind });
        let stands = self.call.store.alarms().await?;
        let store = &self.call.store;
        // What changes an alarm answers with it, if it did change.
        let alarms = match (AlarmAction::try_from(request.action), alarm) {
            (Ok(AlarmAction::Get), _) => {
                stands.into_iter().filter(|a| kind.is_none_or(|kind| a.kind == kind)).collect()
            }
            (Ok(AlarmAction::Activate), Some(alarm)) => {
                store.raise(alarm).await?;
                vec![alarm]
            }
            (Ok(AlarmAction::Deactivate), Some(alarm)) if stands.contains(&alarm) => {
                store.disarm(alarm).await?;
                vec![alarm]
            }
            _ => Vec::new(),
        };
        let alarms = alarms.into_iter().map(alarm_member).collect();
        Ok(Response::new(AlarmResponse { header: self.call.header_now(), alarms }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
        let status = self.call.store.status().await;
        let mut errors: Vec<String> = status.unavailable.iter().map(|_| "etcdserver: no leader".to_owned()).collect();
        let alarms = self.call.store.alarms_now().unwrap_or_default();
        errors.extend(alarms.into_iter().map(describe));
        Ok(Response::new(StatusResponse {
            header: self.call.header_at(status.revision),
            version: self.version.clone(),
            db_size: saturate(status.db_size),
            // Any member can write; this one does.
            leader: if status.unavailable.is_some() { 0 } else { status.member_id },
            raft_index: status.applied,
            raft_term: RAFT_TERM,
            raft_applied_index: status.applied,
            errors,
            db_size_in_use: saturate(status.db_size_in_use),
            is_learner: false,
            storage_version: minor_version(&self.version),
            db_size_quota: saturate(status.db_size_quota),
            downgrade_info: Some(DowngradeInfo::default()),
        }))
    }

    /// There is no file of ours to put in order; what is left to do is to remove from the log what nobody needs.
    async fn defragment(&self, _: Request<DefragmentRequest>) -> Answer<DefragmentResponse> {
        self.call.store.remove_garbage();
        tracing::info!("defragment: there is no local database; what compaction has left in the log is being removed");
        Ok(Response::new(DefragmentResponse { header: None }))
    }

    async fn hash(&self, _: Request<HashRequest>) -> Answer<HashResponse> {
        let (hash, revision) = self.call.store.hash().await?;
        Ok(Response::new(HashResponse { header: self.call.header_at(revision), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Answer<HashKvResponse> {
        let (hash, current) = self.call.store.hash_kv(Revision(request.into_inner().revision)).await?;
        Ok(Response::new(HashKvResponse {
            header: self.call.header_at(current),
            hash: hash.hash,
            compact_revision: if hash.compacted == Revision::ZERO { NEVER_COMPACTED } else { hash.compacted.0 },
            hash_revision: hash.revision.0,
        }))
    }

    /// There is nothing to move: every member can write. To this one it is done already.
    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Answer<MoveLeaderResponse> {
        if self.call.store.unavailable().is_some() {
            return Err(Error::NotLeader.into());
        }
        if request.into_inner().target_id != self.call.store.member_id() {
            return Err(Error::BadLeaderTransferee.into());
        }
        Ok(Response::new(MoveLeaderResponse { header: None }))
    }

    /// Which version is passed for is up to a flag, so a downgrade cannot begin, and none is under way.
    async fn downgrade(&self, request: Request<DowngradeRequest>) -> Answer<DowngradeResponse> {
        let request = request.into_inner();
        match DowngradeAction::try_from(request.action) {
            Ok(DowngradeAction::Validate) => downgrade::validate(&request.version, &self.version)?,
            Ok(DowngradeAction::Enable) => {
                downgrade::validate(&request.version, &self.version)?;
                return Err(Error::NotCapable.into());
            }
            Ok(DowngradeAction::Cancel) => {}
            Err(_) => return Err(Error::UnknownMethod.into()),
        }
        let version = downgrade::cluster_version(&self.version);
        Ok(Response::new(DowngradeResponse { header: self.call.header_now(), version }))
    }
}

/// etcd's compacted revision as long as there was no compaction.
const NEVER_COMPACTED: i64 = -1;

/// `3.7.3` → `3.7.0`, as etcd names the versions of cluster and storage.
pub(super) fn minor_version(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => format!("{major}.{minor}.0"),
        _ => version.to_owned(),
    }
}

fn alarm_kind(alarm: i32) -> Option<AlarmKind> {
    match AlarmType::try_from(alarm) {
        Ok(AlarmType::Nospace) => Some(AlarmKind::NoSpace),
        Ok(AlarmType::Corrupt) => Some(AlarmKind::Corrupt),
        Ok(AlarmType::None) | Err(_) => None,
    }
}

fn alarm_type(kind: AlarmKind) -> AlarmType {
    match kind {
        AlarmKind::NoSpace => AlarmType::Nospace,
        AlarmKind::Corrupt => AlarmType::Corrupt,
    }
}

fn alarm_member(alarm: Alarm) -> AlarmMember {
    AlarmMember { member_id: alarm.member, alarm: alarm_type(alarm.kind) as i32 }
}

fn describe(alarm: Alarm) -> String {
    format!("memberID:{} alarm:{}", alarm.member, alarm_type(alarm.kind).as_str_name())
}

fn saturate(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_storage_version_is_that_of_the_minor_release() {
        assert_eq!(minor_version("3.7.3"), "3.7.0");
        assert_eq!(minor_version("3.6.0-rc.1"), "3.6.0");
    }

    #[test]
    fn alarms_are_told_as_etcd_tells_them() {
        assert_eq!(describe(Alarm { member: 7, kind: AlarmKind::NoSpace }), "memberID:7 alarm:NOSPACE");
    }
}
