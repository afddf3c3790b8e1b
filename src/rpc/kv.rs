//! Reading and writing keys.

use prost::Message;
use tonic::codegen::BoxStream;
use tonic::{Request, Response};

use super::call::{Answer, Call};
use super::{convert, range_stream, validate};
use crate::pb::etcdserverpb::kv_server::Kv;
use crate::pb::etcdserverpb::request_op::Request as Op;
use crate::pb::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RangeStreamResponse, RequestOp, TxnRequest, TxnResponse,
};
use crate::state::Revision;
use crate::store::Consistency;

pub(super) struct KvService(pub(super) Call);

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(&self, request: Request<RangeRequest>) -> Answer<RangeResponse> {
        let request = request.into_inner();
        validate::range(&request)?;
        let consistency = consistency(request.serializable);
        let response = self.0.store.range(convert::range_request(request)?, consistency).await?;
        let header = self.0.header_at(response.revision);
        Ok(Response::new(convert::range_response(response, header)))
    }

    async fn range_stream(&self, request: Request<RangeRequest>) -> Answer<BoxStream<RangeStreamResponse>> {
        let request = request.into_inner();
        validate::range_stream(&request)?;
        let consistency = consistency(request.serializable);
        let request = convert::range_request(request)?;
        Ok(Response::new(range_stream::new(self.0.clone(), request, consistency)))
    }

    async fn put(&self, request: Request<PutRequest>) -> Answer<PutResponse> {
        let request = request.into_inner();
        validate::put(&request)?;
        validate::size(request.encoded_len(), self.0.max_request_bytes)?;
        let response = self.0.store.put(convert::put_request(request)).await?;
        let header = self.0.header_at(response.revision);
        Ok(Response::new(convert::put_response(response, header)))
    }

    async fn delete_range(&self, request: Request<DeleteRangeRequest>) -> Answer<DeleteRangeResponse> {
        let request = request.into_inner();
        validate::delete_range(&request)?;
        validate::size(request.encoded_len(), self.0.max_request_bytes)?;
        let response = self.0.store.delete_range(convert::delete_range_request(request)).await?;
        let header = self.0.header_at(response.revision);
        Ok(Response::new(convert::delete_range_response(response, header)))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Answer<TxnResponse> {
        let request = request.into_inner();
        validate::txn(&request, self.0.max_txn_ops)?;
        if !is_read_only(&request) {
            validate::size(request.encoded_len(), self.0.max_request_bytes)?;
        }
        let consistency = consistency(is_serializable(&request));
        let response = self.0.store.txn(convert::txn_request(request)?, consistency).await?;
        let header = self.0.header_at(response.revision);
        Ok(Response::new(convert::txn_response(response, header)))
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Answer<CompactionResponse> {
        let request = request.into_inner();
        let revision = self.0.store.compact(Revision(request.revision), request.physical).await?;
        Ok(Response::new(CompactionResponse { header: self.0.header_at(revision) }))
    }
}

fn consistency(serializable: bool) -> Consistency {
    if serializable { Consistency::Serializable } else { Consistency::Linearizable }
}

/// Whether all operations of a transaction are reads, and none is a nested transaction: etcd then executes it as a read.
fn is_read_only(request: &TxnRequest) -> bool {
    operations(request).all(|op| matches!(op.request, Some(Op::RequestRange(_))))
}

/// Whether all operations of a transaction are reads that may be stale. So is one without operations.
fn is_serializable(request: &TxnRequest) -> bool {
    operations(request).all(|op| matches!(&op.request, Some(Op::RequestRange(range)) if range.serializable))
}

fn operations(request: &TxnRequest) -> impl Iterator<Item = &RequestOp> {
    request.success.iter().chain(&request.failure)
}
