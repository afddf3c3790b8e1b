//! Keys of any bytes.

use bytes::Bytes;
use jine::pb::mvccpb::event::EventType;

use crate::support::client::Client;
use crate::support::jine::{Jine, embedded, external};
use crate::support::nats::NatsServer;

/// Names that subjects, wildcards, KV clients or jine's own encoding could stumble over.
fn hard_keys() -> Vec<Bytes> {
    let mut keys: Vec<Bytes> = (0..=255u8).map(|byte| Bytes::from(vec![byte])).collect();
    keys.extend((0..=255u8).map(|byte| Bytes::from(vec![b'/', byte, b'/'])));
    let texts: &[&[u8]] = &[
        b"\x00\x00",
        b"\xff\xff",
        b"/\x00/\xff",
        b"//",
        b"///",
        b"/a//b/",
        b"/a/",
        b"/a",
        b"a",
        b"a/",
        b"..",
        b"/.",
        b"/*/>",
        b"/>",
        b"*",
        b"/ ",
        b"/a b\tc\r\nd",
        b"=jine.genesis",
        b"/=jine/genesis",
        b"/=jine.claim",
        b"=-.a",
        b"/=2F",
        b"=long.0000",
        b"$KV.jine.a",
        b"$JS.API.STREAM.DELETE.KV_jine",
        "/é/日本/🦀".as_bytes(),
    ];
    keys.extend(texts.iter().map(|text| Bytes::from_static(text)));
    for length in [1999, 2000, 2001, 3000, 30_000] {
        keys.push([b"/".as_slice(), &vec![b'k'; length]].concat().into());
        keys.push([b"/".as_slice(), &vec![0xfe; length]].concat().into());
        keys.push(vec![b'/'; length].into());
        keys.push(vec![b'.'; length].into());
    }
    keys.push((0..30_000u32).map(|i| (i * 7 % 256) as u8).collect());
    keys.sort();
    keys.dedup();
    keys
}

/// The value that a key gets: says which it was.
fn value(key: &[u8]) -> Bytes {
    format!("{}-{}", key.len(), key.iter().map(|byte| u64::from(*byte)).sum::<u64>()).into()
}

async fn write_and_watch(client: &Client, keys: &[Bytes]) {
    let mut watch = client.watch(0).await.unwrap();
    for key in keys {
        client.put(key.clone(), value(key)).await.unwrap_or_else(|error| panic!("{:?}: {error}", short(key)));
        let found = client.get(key.clone()).await.unwrap().unwrap();
        assert_eq!((&found.key, &found.value, found.version), (key, &value(key), 1), "{:?}", short(key));
    }
    let events = watch.events(keys.len()).await.unwrap();
    for (event, key) in events.iter().zip(keys) {
        let kv = event.kv.as_ref().unwrap();
        assert!(kv.key == *key && kv.value == value(key), "{:?}", short(key));
    }
}

async fn delete_every_other(client: &Client, keys: &[Bytes]) -> Vec<Bytes> {
    let mut watch = client.watch(0).await.unwrap();
    let deleted: Vec<&Bytes> = keys.iter().step_by(2).collect();
    for key in &deleted {
        assert_eq!(client.delete((*key).clone()).await.unwrap(), 1, "{:?}", short(key));
        assert_eq!(client.get((*key).clone()).await.unwrap(), None);
    }
    let events = watch.events(deleted.len()).await.unwrap();
    for (event, key) in events.iter().zip(&deleted) {
        assert_eq!(event.r#type(), EventType::Delete);
        assert!(event.kv.as_ref().unwrap().key == **key, "{:?}", short(key));
    }
    keys.iter().skip(1).step_by(2).cloned().collect()
}

fn short(key: &[u8]) -> String {
    format!("{} ({} bytes)", key[..key.len().min(40)].escape_ascii(), key.len())
}

/// All keys there are, in etcd's order, with their values.
async fn holds(client: &Client, keys: &[Bytes]) {
    let (found, _) = client.all().await.unwrap();
    assert_eq!(found.len(), keys.len());
    for (kv, key) in found.iter().zip(keys) {
        assert!(kv.key == *key && kv.value == value(key), "{:?} for {:?}", short(&kv.key), short(key));
    }
}

async fn survive(mut start: impl FnMut() -> Jine) {
    let keys = hard_keys();
    let mut jine = start();
    write_and_watch(&jine.client(), &keys).await;
    jine.stop("KILL");

    let mut jine = start();
    let client = jine.client();
    holds(&client, &keys).await;
    let kept = delete_every_other(&client, &keys).await;
    let (_, revision) = client.all().await.unwrap();
    client.compact(revision, false).await.unwrap();
    assert_eq!(jine.stop("TERM"), Some(0));

    let mut jine = start();
    let client = jine.client();
    holds(&client, &kept).await;
    assert_eq!(client.delete_all().await.unwrap(), kept.len() as i64);
    holds(&client, &[]).await;
    assert_eq!(jine.stop("TERM"), Some(0));
    holds(&start().client(), &[]).await;
}

#[tokio::test]
async fn keys_of_any_bytes_are_kept_by_the_own_server() {
    let data = tempfile::tempdir().unwrap();
    survive(|| Jine::start(embedded(data.path()))).await;
}

#[tokio::test]
async fn keys_of_any_bytes_are_kept_by_a_server_with_default_settings() {
    let server = NatsServer::start().await;
    survive(|| Jine::start(external(&server.url()))).await;
}

#[tokio::test]
async fn keys_longer_than_any_message_can_carry_are_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let client = jine.client();
    for length in [40_000, 200_000, 1_000_000] {
        let error = client.put(vec![b'k'; length], "v").await.unwrap_err();
        println!("{length}: {error:?}");
        assert!(error.message().starts_with("etcdserver: "), "{error:?}");
        assert!(matches!(error.code(), tonic::Code::InvalidArgument), "{error:?}");
    }
    assert_eq!(client.put("/after", "v").await.unwrap(), 2);
}
