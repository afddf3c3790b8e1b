//! The members of the cluster. What changes them is not served: see `unserved`.

use tonic::{Request, Response};

use super::call::{Answer, Call};
use crate::pb::etcdserverpb::cluster_server::Cluster;
use crate::pb::etcdserverpb::{Member, MemberListRequest, MemberListResponse};
use crate::state::Revision;

pub(super) struct ClusterService {
    pub(super) call: Call,
    pub(super) name: String,
    /// What clients that ask for members connect to.
    pub(super) client_urls: Vec<String>,
    pub(super) peer_urls: Vec<String>,
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(&self, request: Request<MemberListRequest>) -> Answer<MemberListResponse> {
        if request.into_inner().linearizable {
            self.call.store.fence().await?;
        }
        let member = Member {
            id: self.call.header.member_id,
            name: self.name.clone(),
            peer_ur_ls: self.peer_urls.clone(),
            client_ur_ls: self.client_urls.clone(),
            is_learner: false,
        };
        // etcd leaves the revision out here.
        Ok(Response::new(MemberListResponse { header: self.call.header_at(Revision::ZERO), members: vec![member] }))
    }
}
