//! The members of the cluster: to each client the one that it talks to. They come and go by themselves, and replicas are NATS' business, so
//! what would change them is refused as etcd refuses it of a cluster of one.

use tonic::{Request, Response, Status};

use super::call::{Answer, Call};
use super::error::Error;
use crate::pb::etcdserverpb::cluster_server::Cluster;
use crate::pb::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
};
use crate::state::Revision;

pub(super) struct ClusterService {
    pub(super) call: Call,
    pub(super) name: String,
    /// What clients that ask for members connect to.
    pub(super) client_urls: Vec<String>,
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
            // There are no peers.
            peer_ur_ls: Vec::new(),
            client_ur_ls: self.client_urls.clone(),
            is_learner: false,
        };
        // etcd leaves the revision out here.
        Ok(Response::new(MemberListResponse { header: self.call.header_at(Revision::ZERO), members: vec![member] }))
    }

    async fn member_add(&self, request: Request<MemberAddRequest>) -> Answer<MemberAddResponse> {
        let urls = request.into_inner().peer_ur_ls;
        let valid = !urls.is_empty() && urls.iter().all(|url| is_peer_url(url.trim()));
        Err(if valid { Error::NotCapable } else { Error::MemberUrls }.into())
    }

    async fn member_remove(&self, request: Request<MemberRemoveRequest>) -> Answer<MemberRemoveResponse> {
        Err(self.refuse(request.into_inner().id, Error::NotEnoughMembers))
    }

    async fn member_update(&self, request: Request<MemberUpdateRequest>) -> Answer<MemberUpdateResponse> {
        Err(self.refuse(request.into_inner().id, Error::NotCapable))
    }

    async fn member_promote(&self, request: Request<MemberPromoteRequest>) -> Answer<MemberPromoteResponse> {
        Err(self.refuse(request.into_inner().id, Error::MemberNotLearner))
    }
}

impl ClusterService {
    /// Why the member with this id is not changed: `own`, if that is this one.
    fn refuse(&self, id: u64, own: Error) -> Status {
        if id == self.call.header.member_id { own } else { Error::MemberNotFound }.into()
    }
}

/// Whether etcd takes it for the address of a member.
fn is_peer_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    match scheme {
        "http" | "https" => rest.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())),
        "unix" | "unixs" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_host_and_a_port() {
        for url in ["http://h:1", "https://[::1]:2380", "unix:///run/x"] {
            assert!(is_peer_url(url), "{url}");
        }
        for url in ["", "h:1", "http://h", "http://h:1/", "http://h:1/x", "ftp://h:1"] {
            assert!(!is_peer_url(url), "{url}");
        }
    }
}
