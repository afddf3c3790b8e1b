//! Our protocol files against etcd's own, as the Go modules have them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

const VERSION: &str = "v3.7.3";

/// Everything the wire can tell apart: services, messages and enums by full name, each with lines that say what it is
/// made of.
type Facts = BTreeMap<String, BTreeSet<String>>;

#[test]
fn our_messages_and_services_are_etcds() {
    let dir = tempfile::tempdir().unwrap();
    let modules = ["go.etcd.io/etcd/api/v3", "go.etcd.io/etcd/server/v3"].map(|name| go_module(name, dir.path()));
    let [Ok(api), Ok(server)] = modules else {
        println!("skipped: {}", modules.into_iter().filter_map(Result::err).next().unwrap_or_default());
        return;
    };
    let theirs = facts(etcds(&api, &server));
    let ours = facts(FileDescriptorSet::decode(jine::pb::FILE_DESCRIPTOR_SET).unwrap());

    let services: Vec<_> = theirs.keys().filter(|name| name.starts_with("service ")).collect();
    assert_eq!(services.len(), 8, "{services:?}");
    let mut compared = 0;
    for name in reachable(&theirs) {
        assert_eq!(ours.get(&name), theirs.get(&name), "{name}");
        compared += 1;
    }
    println!("compared {compared} services, messages and enums");
    assert!(compared > 120);
    let extra: Vec<_> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
    assert_eq!(extra, [] as [&String; 0], "not etcd's");
}

/// Services, and the types they use, directly or not. (Others are of etcd's own storage.)
fn reachable(facts: &Facts) -> BTreeSet<String> {
    let mut todo: Vec<String> = facts.keys().filter(|name| name.starts_with("service ")).cloned().collect();
    let mut all = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if all.insert(name.clone()) {
            let used = facts[&name].iter().flat_map(|line| line.split_whitespace()).filter(|w| w.starts_with('.'));
            todo.extend(used.map(|name| name[1..].to_owned()));
        }
    }
    all
}

fn facts(set: FileDescriptorSet) -> Facts {
    let mut facts = Facts::new();
    for file in set.file {
        let package = file.package().to_owned();
        if package.starts_with("google.") {
            continue;
        }
        for service in &file.service {
            let lines = service.method.iter().map(|m| {
                let stream = |yes| if yes { "stream " } else { "" };
                let (takes, gives) = (stream(m.client_streaming()), stream(m.server_streaming()));
                format!("{}({takes} {} ) returns ({gives} {} )", m.name(), m.input_type(), m.output_type())
            });
            facts.insert(format!("service {package}.{}", service.name()), lines.collect());
        }
        file.message_type.iter().for_each(|m| add_message(&mut facts, &package, m));
        file.enum_type.iter().for_each(|e| add_enum(&mut facts, &package, e));
    }
    facts
}

fn add_message(facts: &mut Facts, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    let lines = message.field.iter().map(|field| field_line(message, field)).collect();
    message.nested_type.iter().for_each(|nested| add_message(facts, &name, nested));
    message.enum_type.iter().for_each(|nested| add_enum(facts, &name, nested));
    facts.insert(name, lines);
}

fn field_line(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        scalar => scalar.as_str_name().to_owned(),
    };
    let label = if field.label() == Label::Repeated { "repeated " } else { "" };
    let oneof = field.oneof_index.map(|i| message.oneof_decl[i as usize].name()).unwrap_or_default();
    format!(
        "{label}{kind} {} = {} {oneof} [{:?}]",
        field.name(),
        field.number(),
        field.options.as_ref().and_then(|o| o.packed)
    )
}

fn add_enum(facts: &mut Facts, scope: &str, of: &EnumDescriptorProto) {
    let lines = of.value.iter().map(|value| format!("{} = {}", value.name(), value.number())).collect();
    facts.insert(format!("{scope}.{}", of.name()), lines);
}

/// etcd's descriptors, read from its own files.
fn etcds(api: &Path, server: &Path) -> FileDescriptorSet {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Etcd { api: api.to_owned(), server: server.to_owned() });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    let files =
        ["etcd/api/etcdserverpb/rpc.proto", "v3lock/v3lockpb/v3lock.proto", "v3election/v3electionpb/v3election.proto"];
    compiler.include_imports(true).open_files(files).expect("etcd's files compile");
    compiler.file_descriptor_set()
}

/// Finds etcd's files where its own imports expect them; what is only annotation is empty.
struct Etcd {
    api: PathBuf,
    server: PathBuf,
}

impl FileResolver for Etcd {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let path = if let Some(rest) = name.strip_prefix("etcd/api/") {
            self.api.join(rest)
        } else if name.starts_with("v3lock/") || name.starts_with("v3election/") {
            self.server.join("etcdserver/api").join(name)
        } else if name.starts_with("google/protobuf/") {
            return Err(protox::Error::file_not_found(name));
        } else {
            return File::from_source(name, "syntax = \"proto3\";");
        };
        let source = std::fs::read_to_string(&path).map_err(|_| protox::Error::file_not_found(name))?;
        File::from_source(name, &without_annotations(&source))
    }
}

/// Options of packages that we have no files of: they say how to make Go code and JSON gateways, nothing about the wire.
fn without_annotations(source: &str) -> String {
    let mut kept = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("option (g") {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[end_of_option(rest)..];
    }
    kept + rest
}

/// The first `;` that is in no braces.
fn end_of_option(text: &str) -> usize {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where Go keeps a module; downloads it if need be.
fn go_module(name: &str, dir: &Path) -> Result<PathBuf, String> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", &format!("{name}@{VERSION}")]).current_dir(dir).env("GOFLAGS", "-mod=mod");
    let output = go.output().map_err(|error| format!("go cannot be run ({error})"))?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("go mod download {name}: {error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    match told["Dir"].as_str() {
        Some(found) => Ok(found.into()),
        None => Err(format!("{name} {VERSION} cannot be had: {}", told["Error"])),
    }
}
