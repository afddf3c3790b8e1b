//! Authentication is off, and there are no users and roles to turn it on with: see `unserved`.

use tonic::{Request, Response};

use super::call::{Answer, Call};
use super::error::Error;
use crate::pb::etcdserverpb::auth_server::Auth;
use crate::pb::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse, AuthStatusRequest,
    AuthStatusResponse, AuthenticateRequest, AuthenticateResponse,
};

/// What etcd has as long as nothing was ever changed.
const AUTH_REVISION: u64 = 1;

pub(super) struct AuthService(pub(super) Call);

#[tonic::async_trait]
impl Auth for AuthService {
    async fn auth_status(&self, _: Request<AuthStatusRequest>) -> Answer<AuthStatusResponse> {
        let header = self.0.header_now();
        Ok(Response::new(AuthStatusResponse { header, enabled: false, auth_revision: AUTH_REVISION }))
    }

    /// Needs a user `root`, as in etcd.
    async fn auth_enable(&self, _: Request<AuthEnableRequest>) -> Answer<AuthEnableResponse> {
        Err(Error::RootUserMissing.into())
    }

    /// Nothing to do.
    async fn auth_disable(&self, _: Request<AuthDisableRequest>) -> Answer<AuthDisableResponse> {
        Ok(Response::new(AuthDisableResponse { header: self.0.header_now() }))
    }

    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Answer<AuthenticateResponse> {
        Err(Error::AuthNotEnabled.into())
    }
}
