//! Leases: keys that go when their owner does.

use std::pin::Pin;

use futures_util::stream::try_unfold;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Answer, Call};
use crate::pb::etcdserverpb::lease_server::Lease;
use crate::pb::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use crate::state::LeaseId;
use crate::store;

pub(super) struct LeaseService {
    pub(super) call: Call,
    pub(super) stop: CancellationToken,
}

#[tonic::async_trait]
impl Lease for LeaseService {
    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Answer<LeaseGrantResponse> {
        let request = request.into_inner();
        let granted = self.call.store.lease_grant(LeaseId(request.id), request.ttl).await?;
        Ok(Response::new(LeaseGrantResponse {
            header: self.call.header_at(granted.revision),
            id: granted.id.0,
            ttl: granted.ttl,
            error: String::new(),
        }))
    }

    async fn lease_revoke(&self, request: Request<LeaseRevokeRequest>) -> Answer<LeaseRevokeResponse> {
        let revision = self.call.store.lease_revoke(LeaseId(request.into_inner().id)).await?;
        Ok(Response::new(LeaseRevokeResponse { header: self.call.header_at(revision) }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Answer<BoxStream<LeaseKeepAliveResponse>> {
        let session = Box::new(Session {
            requests: request.into_inner(),
            call: self.call.clone(),
            stop: Box::pin(self.stop.clone().cancelled_owned()),
        });
        Ok(Response::new(Box::pin(try_unfold(session, |mut session| async move {
            let answer = session.next().await?;
            Ok(answer.map(|answer| (answer, session)))
        }))))
    }

    async fn lease_time_to_live(&self, request: Request<LeaseTimeToLiveRequest>) -> Answer<LeaseTimeToLiveResponse> {
        let request = request.into_inner();
        let status = self.call.store.lease_time_to_live(LeaseId(request.id), request.keys).await?;
        let found = LeaseTimeToLiveResponse { header: self.call.header_now(), id: request.id, ..Default::default() };
        Ok(Response::new(match status {
            Some(status) => {
                LeaseTimeToLiveResponse { ttl: status.ttl, granted_ttl: status.granted_ttl, keys: status.keys, ..found }
            }
            None => LeaseTimeToLiveResponse { ttl: -1, ..found },
        }))
    }

    async fn lease_leases(&self, _: Request<LeaseLeasesRequest>) -> Answer<LeaseLeasesResponse> {
        let leases = self.call.store.leases().await?;
        let leases = leases.into_iter().map(|id| LeaseStatus { id: id.0 }).collect();
        Ok(Response::new(LeaseLeasesResponse { header: self.call.header_now(), leases }))
    }
}

/// A stream of keepalives. In a box and with one future for the end of it, as little is done for each of them.
struct Session {
    requests: Streaming<LeaseKeepAliveRequest>,
    call: Call,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Session {
    /// The answer to the next request, None after the last.
    async fn next(&mut self) -> Result<Option<LeaseKeepAliveResponse>, Status> {
        let request = tokio::select! {
            biased;
            () = &mut self.stop => return Err(store::Error::Stopped.into()),
            request = self.requests.message() => request?,
        };
        match request {
            Some(request) => keep_alive(&self.call, request.id).await.map(Some),
            None => Ok(None),
        }
    }
}

/// A lease that is gone has the TTL 0; that is no error.
async fn keep_alive(call: &Call, id: i64) -> Result<LeaseKeepAliveResponse, Status> {
    // Taken first: were the lease revoked meanwhile, an answer from after that revision would say it lived on.
    let header = call.header_now();
    let ttl = call.store.lease_keep_alive(LeaseId(id)).await?.unwrap_or(0);
    Ok(LeaseKeepAliveResponse { header, id, ttl })
}
