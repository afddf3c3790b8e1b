//! A log that is away, in the words that clients know from etcd.

use tonic::Code;

use crate::support::client::{until, until_ok};
use crate::support::jine::{Jine, external};
use crate::support::kill;
use crate::support::nats::NatsServer;

/// Of the write that was on its way nobody knows what came of it; what comes later is refused, until the log is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_away_is_told_in_the_words_of_etcd() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    client.put("k", "1").await.unwrap();
    kill(server.pid(), "STOP");
    let write = client.put("k", "2").await.unwrap_err();
    assert_eq!((write.code(), write.message()), (Code::Unavailable, "etcdserver: request timed out"));
    until("a write that is refused", || async {
        let refused = client.put("k", "3").await.unwrap_err();
        (refused.code(), refused.message()) == (Code::Unavailable, "etcdserver: no leader")
    })
    .await;
    let read = client.get("k").await.unwrap_err();
    assert_eq!((read.code(), read.message()), (Code::Unavailable, "etcdserver: no leader"));
    kill(server.pid(), "CONT");
    until_ok("a write", || client.put("k", "4")).await;
}
