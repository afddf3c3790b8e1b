//! A log that lost its end, as after a power cut, and perhaps grew again.

use std::path::Path;

use crate::support::client::{Client, until};
use crate::support::jine::{Jine, external};
use crate::support::nats::NatsServer;

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

/// A server, a jine that has read more than the server will remember, and a copy of the store as it was before.
struct Cut {
    server: NatsServer,
    jine: Jine,
    client: Client,
}

impl Cut {
    async fn prepare() -> Cut {
        let mut server = NatsServer::start().await;
        let mut jine = Jine::start(external(&server.url()));
        let client = jine.client();
        for i in 0..10 {
            client.put("/kept", format!("{i}")).await.unwrap();
        }
        server.kill();
        copy(&server.folder().join("store"), &server.folder().join("older"));
        server.restart().await;
        crate::support::client::until_ok("a write", || client.put("/lost", "0")).await;
        for i in 1..10 {
            client.put("/lost", format!("{i}")).await.unwrap();
        }
        Cut { server, jine, client }
    }

    /// The server comes back with the older store.
    async fn cut(&mut self) {
        self.server.kill();
        std::fs::remove_dir_all(self.server.folder().join("store")).unwrap();
        copy(&self.server.folder().join("older"), &self.server.folder().join("store"));
        self.server.restart().await;
    }

    /// It ends for a person to look, and serves no read until then.
    async fn refuses(mut self, sentence: &str) {
        until("an end of the service", || async { self.client.get("/lost").await.is_err() }).await;
        assert_eq!(self.jine.end(), Some(78), "{}", self.jine.log());
        assert!(self.jine.log().contains(sentence), "{}", self.jine.log());
        // Started again by a person, it serves what is left.
        let mut jine = Jine::start(external(&self.server.url()));
        let client = jine.client();
        assert_eq!(client.get("/kept").await.unwrap().unwrap().value, "9");
        assert!(client.get("/lost").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_backwards_is_not_served() {
    let mut cut = Cut::prepare().await;
    cut.cut().await;
    cut.refuses("the stream went backwards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_backwards_and_grew_again_past_a_reader_is_not_served() {
    let mut cut = Cut::prepare().await;
    crate::support::kill(cut.jine.pid(), "STOP");
    cut.cut().await;
    let mut other = Jine::start(external(&cut.server.url()));
    let client = other.client();
    for i in 0..30 {
        client.put("/forked", format!("{i}")).await.unwrap();
    }
    crate::support::kill(cut.jine.pid(), "CONT");
    cut.refuses("another message at sequence").await;
}
