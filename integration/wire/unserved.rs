//! What jine does not serve is what it says it does not serve, and nothing else.

use std::collections::BTreeSet;

use bytes::Bytes;
use jine::pb;
use jine::rpc::unserved::UNSERVED;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::client::Raw;
use super::target::Target;

#[tokio::test]
async fn every_method_is_served_or_on_the_list() {
    let target = Target::jine();
    let channel = Channel::from_shared(format!("http://{}", target.endpoint())).unwrap().connect().await.unwrap();
    let listed: BTreeSet<String> = UNSERVED
        .iter()
        .flat_map(|(service, methods)| methods.iter().map(move |method| format!("/{service}/{method}")))
        .collect();
    let methods = methods();
    println!("{} methods, {} of them not served", methods.len(), listed.len());
    assert!(methods.len() > 45 && listed.is_subset(&methods));
    for path in methods {
        let answer = call(channel.clone(), &path).await;
        let (service, method) = path[1..].split_once('/').unwrap();
        if listed.contains(&path) {
            let text = format!("unknown method {method} for service {service}");
            assert_eq!(answer, Err((Code::Unimplemented, text)));
        } else {
            assert!(!matches!(answer, Err((Code::Unimplemented, _))), "{path}: {answer:?}");
        }
    }
    let answer = call(channel.clone(), "/etcdserverpb.KV/Frobnicate").await;
    assert_eq!(answer, Err((Code::Unimplemented, "unknown method Frobnicate for service etcdserverpb.KV".into())));
    let answer = call(channel, "/frob.Nicate/Do").await;
    assert_eq!(answer, Err((Code::Unimplemented, "unknown method Do for service frob.Nicate".into())));
}

fn methods() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
    let of_file = |file: prost_types::FileDescriptorProto| {
        let package = file.package().to_owned();
        file.service.into_iter().flat_map(move |service| {
            let name = format!("{package}.{}", service.name());
            service.method.into_iter().map(move |method| format!("/{name}/{}", method.name()))
        })
    };
    set.file.into_iter().flat_map(of_file).collect()
}

/// Sends one empty message, which every kind of method understands, and tells whether that begins an answer.
async fn call(channel: Channel, path: &str) -> Result<(), (Code, String)> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let requests = Request::new(tokio_stream::once(Bytes::new()));
    let answer = grpc.streaming(requests, path.parse().unwrap(), Raw).await;
    answer.map(drop).map_err(|status| (status.code(), status.message().to_owned()))
}
