//! A key-value bucket, made and used by hand.

use async_nats::jetstream::{self, stream};
use jine::nats_server::NatsServer;

pub(crate) struct Bucket {
    jetstream: jetstream::Context,
    name: &'static str,
}

/// Where a server listens that is up.
pub(crate) fn url(server: &NatsServer) -> String {
    server.up().borrow().clone().expect("a server that is up")
}

impl Bucket {
    /// Opens it, or makes it.
    pub(crate) async fn open(server: &NatsServer, name: &'static str) -> Self {
        let login = async_nats::ConnectOptions::new().nkey(server.nkey_seed().to_owned());
        let jetstream = jetstream::new(login.connect(url(server)).await.unwrap());
        let config = stream::Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 5,
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            allow_rollup: true,
            deny_delete: true,
            ..Default::default()
        };
        jetstream.get_or_create_stream(config).await.unwrap();
        Bucket { jetstream, name }
    }

    pub(crate) async fn put(&self, key: &str, value: &'static str) {
        let subject = format!("$KV.{}.{key}", self.name);
        self.jetstream.publish(subject, value.into()).await.unwrap().await.unwrap();
    }

    pub(crate) async fn get(&self, key: &str) -> String {
        let stream = self.jetstream.get_stream(format!("KV_{}", self.name)).await.unwrap();
        let message = stream.get_last_raw_message_by_subject(&format!("$KV.{}.{key}", self.name)).await.unwrap();
        String::from_utf8(message.payload.to_vec()).unwrap()
    }
}
