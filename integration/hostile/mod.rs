//! Bad input, from clients and from NATS: a clear error each, nothing lost, and service again when the cause is gone.
//!
//! That nothing panicked is asserted for every jine when it is dropped.

mod bucket;
mod foreign;
mod full;
mod keys;
mod neighbours;
mod port;
mod values;

use crate::support::client::Client;
use crate::support::jine::{Jine, external};
use crate::support::nats::NatsServer;

/// A jine on a NATS of its own that others could use too.
async fn on_external() -> (NatsServer, Jine, Client) {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    (server, jine, client)
}
