//! What may come in on the client port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use jine::pb::etcdserverpb::{PutRequest, PutResponse};
use prost::Message;
use rand::{RngExt, SeedableRng};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::support::client::Client;
use crate::support::jine::{Jine, embedded};

fn started() -> (tempfile::TempDir, Jine, String) {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let address = jine.address();
    (data, jine, address)
}

async fn serves(address: &str) {
    let client = Client::new(address);
    let revision = client.put("/serves", "yes").await.unwrap();
    assert_eq!(client.get("/serves").await.unwrap().unwrap().mod_revision, revision);
}

/// Sends it and reads whatever is answered until the connection ends or falls silent.
fn send(address: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    // The other side may close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut Vec::new());
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn garbage_on_the_port_ends_its_own_connection_only() {
    let (_data, _jine, address) = started();
    let idle: Vec<_> = (0..50).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for length in [0, 1, 9, 24, 1000, 70_000] {
        let garbage: Vec<u8> = (0..length).map(|_| random.random()).collect();
        send(&address, &garbage);
        send(&address, &[PREFACE, &garbage].concat());
        // A frame that announces 16 MiB, of every kind.
        for kind in 0..12 {
            let frame = [0xff, 0xff, 0xff, kind, random.random(), 0, 0, 0, 1];
            send(&address, &[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0], frame.as_slice(), &garbage].concat());
        }
    }
    send(&address, b"GET / HTTP/1.1\r\n\r\n");
    send(&address, b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n");
    send(&address, &[b"GET /".as_slice(), &[b'a'; 200_000], b" HTTP/1.1\r\n\r\n"].concat());
    send(&address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    serves(&address).await;
    drop(idle);
    serves(&address).await;
}

/// Whoever says nothing, or not enough to tell what is spoken, does not hold a connection for ever; who has spoken may be silent.
#[tokio::test]
async fn a_client_that_does_not_begin_is_hung_up_on() {
    let (_data, _jine, address) = started();
    let client = Client::new(&address);
    client.put("/before", "1").await.unwrap();
    let silent = [&b""[..], b"P", &PREFACE[..23], b"GET"].map(|bytes| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    });
    for mut stream in silent {
        tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    }
    client.put("/after", "1").await.unwrap();
}

/// Sends bytes as they are and takes any answer.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

async fn call(channel: &Channel, path: &'static str, message: impl Into<Bytes>) -> Result<Bytes, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone()).max_encoding_message_size(usize::MAX);
    grpc.ready().await.expect("a connection");
    let message = Request::new(message.into());
    Ok(grpc.unary(message, PathAndQuery::from_static(path), Raw).await?.into_inner())
}

#[tokio::test]
async fn unknown_methods_and_malformed_messages_are_told_as_etcd_does() {
    let (_data, _jine, address) = started();
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    for path in ["/etcdserverpb.KV/Nothing", "/etcdserverpb.Nothing/Range", "/x/y"] {
        assert_eq!(call(&channel, path, "").await.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
    let methods = [
        "/etcdserverpb.KV/Range",
        "/etcdserverpb.KV/Put",
        "/etcdserverpb.KV/DeleteRange",
        "/etcdserverpb.KV/Txn",
        "/etcdserverpb.KV/Compact",
        "/etcdserverpb.Lease/LeaseGrant",
        "/etcdserverpb.Lease/LeaseKeepAlive",
        "/etcdserverpb.Watch/Watch",
        "/etcdserverpb.Maintenance/Status",
    ];
    for path in methods {
        // A length beyond the end; a wire type that does not exist; a number that never ends; groups without end; only nesting.
        for message in [b"\x0a\x7f".as_slice(), b"\x0f", &[0xff; 11], &[0x0b; 3000]] {
            let code = call(&channel, path, message.to_vec()).await.unwrap_err().code();
            assert!(matches!(code, Code::Internal | Code::InvalidArgument), "{path} {message:?}: {code:?}");
        }
    }
    assert_eq!(call(&channel, "/etcdserverpb.KV/Txn", nested(2000)).await.unwrap_err().code(), Code::Internal);
    let put = PutRequest { key: "/k".into(), value: "v".into(), ..Default::default() };
    let answer = call(&channel, "/etcdserverpb.KV/Put", put.encode_to_vec()).await.unwrap();
    assert_eq!(PutResponse::decode(answer).unwrap().header.unwrap().revision, 2);
    serves(&address).await;
}

/// Txn within Txn, that deep: more than any decoder's stack should be asked to hold.
fn nested(depth: usize) -> Vec<u8> {
    let mut message = Vec::new();
    for _ in 0..depth {
        // TxnRequest.success = 2, RequestOp.request_txn = 4.
        message = [field(2, &field(4, &message))].concat();
    }
    message
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_connection_stays() {
    let (_data, _jine, address) = started();
    let client = Client::new(&address);
    let limit = 1536 * 1024;
    let error = client.put("/big", vec![0; limit]).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::InvalidArgument, "etcdserver: request is too large"));
    for size in [limit + 512 * 1024, 20 << 20, 100 << 20] {
        let error = client.put("/big", vec![0; size]).await.unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
        assert!(error.message().starts_with("grpc: received message larger than max ("), "{error:?}");
        assert!(error.message().ends_with(&format!("vs. {})", limit + 512 * 1024)), "{error:?}");
    }
    assert_eq!(client.put("/big", vec![0; limit - 100]).await.unwrap(), 2);
    assert_eq!(client.get("/big").await.unwrap().unwrap().value.len(), limit - 100);
}
