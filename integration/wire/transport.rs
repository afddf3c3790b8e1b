//! What a connection has to bear.

use bytes::Bytes;
use jine::pb::etcdserverpb::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    garbage_ends_its_own_connection_only
    a_malformed_message_is_told
    many_streams_share_a_connection
    calls_that_are_given_up_by_the_hundred_harm_nobody
    the_health_service_says_serving
    a_leader_can_be_demanded
}

async fn garbage_ends_its_own_connection_only(target: &Target) {
    let mut client = target.client().await;
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    frames.extend([0xff; 64]);
    let tls = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    let long = [b"GET /".as_slice(), &vec![b'a'; 1 << 20], b" HTTP/1.1\r\n\r\n"].concat();
    let all: [&[u8]; 7] = [b"\0", &[0xff; 1000], b"hello?\r\n\r\n", &frames, &tls, &long, b"GET / HTTP/9.9\r\n\r\n"];
    for garbage in all {
        let mut stream = TcpStream::connect(target.endpoint()).await.unwrap();
        // It may be cut off before it has said all.
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(client.put("k", "v").await, 2);
    assert_eq!(target.client().await.put("k", "v").await, 3);
}

async fn a_malformed_message_is_told(target: &Target) {
    let mut client = target.client().await;
    // A field of a kind that there is not, a length past the end.
    for message in [&b"\x0f\xff"[..], b"\x0a\x7fk"] {
        let (code, _) = said(client.raw("/etcdserverpb.KV/Put", Bytes::copy_from_slice(message)).await);
        assert_eq!(code, Code::Internal);
    }
    // What is not known is passed over.
    let put = PutRequest { key: "k".into(), ..Default::default() };
    let unknown = [prost::Message::encode_to_vec(&put).as_slice(), b"\xf8\x7f\x01"].concat();
    client.raw("/etcdserverpb.KV/Put", unknown.into()).await.unwrap();
    assert_eq!(client.get("k").await.unwrap().mod_revision, 2);
}

async fn many_streams_share_a_connection(target: &Target) {
    let mut client = target.client().await;
    let mut watches = Vec::new();
    for _ in 0..500 {
        let mut watch = client.watch().await;
        watch.create(watch_one("k")).await;
        watches.push(watch);
    }
    client.put("k", "v").await;
    for watch in &mut watches {
        assert_eq!(watch.events(1).await.len(), 1);
    }
}

async fn calls_that_are_given_up_by_the_hundred_harm_nobody(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    for _ in 0..5 {
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move { client.range(one("k")).await })
            })
            .collect();
        tokio::task::yield_now().await;
        calls.iter().for_each(|call| call.abort());
    }
    client.put("k", "v").await;
    // The same connection, hence the same stream.
    assert_eq!(watch.events(1).await.len(), 1);
}

async fn the_health_service_says_serving(target: &Target) {
    let mut health = HealthClient::new(target.client().await.channel);
    loop {
        let told = health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
        if told.status().as_str_name() == "SERVING" {
            break;
        }
    }
    let (code, _) = said(health.check(HealthCheckRequest { service: "none".into() }).await);
    assert_eq!(code, Code::NotFound);
}

async fn a_leader_can_be_demanded(target: &Target) {
    let mut client = target.client().await;
    let mut request = tonic::Request::new(one("k"));
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    client.kv.range(request).await.unwrap();
}

/// etcd closes a connection that pings it often; we never do. (Not asked of etcd.)
#[tokio::test]
async fn any_number_of_pings_is_answered() {
    const PINGS: u64 = 5000;
    let target = Target::jine();
    let mut stream = TcpStream::connect(target.endpoint()).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    tokio::spawn(async move {
        for number in 0..PINGS {
            let ping = [b"\0\0\x08\x06\0\0\0\0\0".as_slice(), &number.to_be_bytes()].concat();
            writer.write_all(&ping).await.unwrap();
        }
        writer
    });
    let mut expected = 0;
    while expected < PINGS {
        let mut head = [0; 9];
        reader.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        reader.read_exact(&mut payload).await.unwrap();
        let (kind, flags) = (head[3], head[4]);
        assert_ne!(kind, 7, "GOAWAY after {expected} pings");
        if (kind, flags) == (6, 1) {
            assert_eq!(payload, expected.to_be_bytes());
            expected += 1;
        }
    }
}

/// Watches end so that clients go elsewhere, calls under way are answered, and nothing more is accepted.
#[tokio::test]
async fn stopping_ends_watches_with_unavailable() {
    let target = Target::jine();
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    let (requests, receiver) = tokio::sync::mpsc::channel(4);
    requests.send(LeaseKeepAliveRequest { id: 404 }).await.unwrap();
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = client.lease.lease_keep_alive(receiver).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl, 0);

    crate::support::kill(target.pid(), "TERM");
    let unavailable = (Code::Unavailable, "etcdserver: server stopped".to_owned());
    assert_eq!(said(watch.try_next().await), unavailable);
    assert_eq!(said(answers.message().await), unavailable);
    // A request that overtakes the goodbye to its connection is still answered.
    let refused = loop {
        if let Err(status) = client.kv.range(one("k")).await {
            break status;
        }
    };
    assert_eq!(refused.code(), Code::Unavailable);
}
