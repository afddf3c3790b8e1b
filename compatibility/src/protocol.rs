//! What the protocol files have: RPCs, and the fields that their messages reach.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// An RPC, by the name of its service and its own.
#[derive(Debug)]
pub struct Rpc {
    pub service: String,
    pub name: String,
    /// As gRPC has it: with the package.
    pub path: String,
    input: String,
    output: String,
}

impl Rpc {
    /// `KV.Range`.
    pub fn short(&self) -> String {
        format!("{}.{}", self.service, self.name)
    }
}

pub struct Protocol {
    pub rpcs: Vec<Rpc>,
    /// By full name, each with its fields in order: the name, and the type if that is a message.
    messages: BTreeMap<String, Vec<(String, Option<String>)>>,
}

impl Protocol {
    pub fn of_jine() -> Result<Protocol, prost::DecodeError> {
        let set = FileDescriptorSet::decode(jine::pb::FILE_DESCRIPTOR_SET)?;
        let mut protocol = Protocol { rpcs: Vec::new(), messages: BTreeMap::new() };
        for file in set.file {
            let package = file.package().to_owned();
            for service in &file.service {
                protocol.rpcs.extend(service.method.iter().map(|method| Rpc {
                    service: service.name().to_owned(),
                    name: method.name().to_owned(),
                    path: format!("/{package}.{}/{}", service.name(), method.name()),
                    input: method.input_type().to_owned(),
                    output: method.output_type().to_owned(),
                }));
            }
            for message in &file.message_type {
                protocol.messages.insert(format!(".{package}.{}", message.name()), fields(message));
            }
        }
        Ok(protocol)
    }

    /// The fields that an RPC's request and answer reach and `told` has not yet, as `RangeRequest.key`; adds them to it.
    pub fn new_fields(&self, rpc: &Rpc, told: &mut BTreeSet<String>) -> Vec<String> {
        let mut new = Vec::new();
        self.collect(&rpc.input, told, &mut new);
        self.collect(&rpc.output, told, &mut new);
        new
    }

    fn collect(&self, message: &str, told: &mut BTreeSet<String>, new: &mut Vec<String>) {
        let short = message.rsplit('.').next().unwrap_or_default();
        let mut deeper = Vec::new();
        for (field, inner) in self.messages.get(message).into_iter().flatten() {
            let name = format!("{short}.{field}");
            if told.insert(name.clone()) {
                new.push(name);
                deeper.extend(inner);
            }
        }
        for inner in deeper {
            self.collect(inner, told, new);
        }
    }
}

fn fields(message: &DescriptorProto) -> Vec<(String, Option<String>)> {
    let inner = |of: &prost_types::FieldDescriptorProto| {
        (of.r#type() == prost_types::field_descriptor_proto::Type::Message).then(|| of.type_name().to_owned())
    };
    message.field.iter().map(|field| (field.name().to_owned(), inner(field))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_once() {
        let protocol = Protocol::of_jine().unwrap();
        let mut told = BTreeSet::new();
        let rpc = |name: &str| protocol.rpcs.iter().find(|rpc| rpc.short() == name).unwrap();
        let put = protocol.new_fields(rpc("KV.Put"), &mut told);
        assert_eq!(put[..2], ["PutRequest.key", "PutRequest.value"]);
        assert!(put.contains(&"KeyValue.lease".to_owned()) && put.contains(&"ResponseHeader.revision".to_owned()));
        let compact = protocol.new_fields(rpc("KV.Compact"), &mut told);
        assert_eq!(compact, ["CompactionRequest.revision", "CompactionRequest.physical", "CompactionResponse.header"]);
    }
}
