//! Which service answers a call. (A table of a dozen lines, where a general router would cost every call more than most of what
//! else is done for it.)

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::auth::AuthService;
use super::cluster::ClusterService;
use super::kv::KvService;
use super::lease::LeaseService;
use super::maintenance::MaintenanceService;
use super::unserved;
use super::watch::WatchService;
use crate::pb::etcdserverpb::auth_server::AuthServer;
use crate::pb::etcdserverpb::cluster_server::ClusterServer;
use crate::pb::etcdserverpb::kv_server::KvServer;
use crate::pb::etcdserverpb::lease_server::LeaseServer;
use crate::pb::etcdserverpb::maintenance_server::MaintenanceServer;
use crate::pb::etcdserverpb::watch_server::WatchServer;

pub(super) struct Services {
    pub(super) kv: KvServer<KvService>,
    pub(super) watch: WatchServer<WatchService>,
    pub(super) lease: LeaseServer<LeaseService>,
    pub(super) cluster: ClusterServer<ClusterService>,
    pub(super) maintenance: MaintenanceServer<MaintenanceService>,
    pub(super) auth: AuthServer<AuthService>,
    pub(super) health: HealthServer<HealthService>,
}

impl Services {
    pub(super) async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        match path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service) {
            Some(KvServer::<KvService>::NAME) => answer(&self.kv, request).await,
            Some(WatchServer::<WatchService>::NAME) => answer(&self.watch, request).await,
            Some(LeaseServer::<LeaseService>::NAME) => answer(&self.lease, request).await,
            Some(ClusterServer::<ClusterService>::NAME) => answer(&self.cluster, request).await,
            Some(MaintenanceServer::<MaintenanceService>::NAME) => answer(&self.maintenance, request).await,
            Some(AuthServer::<AuthService>::NAME) => answer(&self.auth, request).await,
            Some(HealthServer::<HealthService>::NAME) => answer(&self.health, request).await,
            _ => unserved::status(path).into_http(),
        }
    }
}

async fn answer<S>(service: &S, request: Request<Incoming>) -> Response<Body>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let Ok(response) = service.clone().call(request).await;
    response
}
