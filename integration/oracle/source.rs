//! A program as Rust source: a test for `found.rs`.

use std::fmt::Write;

use bytes::Bytes;
use jine::pb::etcdserverpb::compare::TargetUnion;
use jine::pb::etcdserverpb::request_op::Request;
use jine::pb::etcdserverpb::*;

use super::program::{COMPACTED, CURRENT, Step, at};

/// The test that a program is.
pub(super) fn test(seed: u64, program: &[Step]) -> String {
    let mut text =
        format!("/// Seed {seed}.\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn name_it() {{\n    same(&[\n");
    for step in program {
        let _ = writeln!(text, "        {},", step.source());
    }
    text.push_str("    ])\n    .await;\n}\n");
    text
}

/// What is written in a source.
pub(super) trait Source {
    fn source(&self) -> String;
    /// Of what there may be simpler values: the simplest.
    fn is_plain(&self) -> bool;
    fn make_plain(&mut self);
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Source for $number {
            fn source(&self) -> String {
                self.to_string()
            }
            fn is_plain(&self) -> bool {
                *self == <$number>::default()
            }
            fn make_plain(&mut self) {
                *self = <$number>::default();
            }
        })*
    };
}

numbers!(i32, u64, bool);

impl Source for i64 {
    fn source(&self) -> String {
        let near = |to: i64| Some(self.wrapping_sub(to)).filter(|offset| (-1 << 20..1 << 20).contains(offset));
        match *self {
            i64::MAX => "i64::MAX".into(),
            i64::MIN => "i64::MIN".into(),
            number => match (near(at(0)), near(CURRENT), near(COMPACTED)) {
                (Some(offset), ..) => format!("at({offset})"),
                (_, Some(offset), _) => format!("CURRENT + {offset}"),
                (.., Some(offset)) => format!("COMPACTED + {offset}"),
                _ => number.to_string(),
            },
        }
    }
    fn is_plain(&self) -> bool {
        *self == 0
    }
    fn make_plain(&mut self) {
        *self = 0;
    }
}

impl Source for Bytes {
    fn source(&self) -> String {
        match self.first() {
            Some(first) if self.len() > 64 => format!("vec![{first}; {}].into()", self.len()),
            _ => format!("b\"{}\".as_slice().into()", self.escape_ascii()),
        }
    }
    fn is_plain(&self) -> bool {
        self.is_empty()
    }
    fn make_plain(&mut self) {
        self.clear();
    }
}

impl<T: Source> Source for Vec<T> {
    fn source(&self) -> String {
        let all: Vec<String> = self.iter().map(Source::source).collect();
        match all.split_first() {
            Some((first, rest)) if rest.len() > 8 && rest.iter().all(|one| one == first) => {
                format!("vec![{first}; {}]", all.len())
            }
            _ => format!("vec![{}]", all.join(", ")),
        }
    }
    fn is_plain(&self) -> bool {
        self.is_empty()
    }
    fn make_plain(&mut self) {
        self.clear();
    }
}

impl Source for Option<TargetUnion> {
    fn source(&self) -> String {
        let Some(operand) = self else { return "None".into() };
        let operand = match operand {
            TargetUnion::Version(v) => format!("Version({})", v.source()),
            TargetUnion::CreateRevision(v) => format!("CreateRevision({})", v.source()),
            TargetUnion::ModRevision(v) => format!("ModRevision({})", v.source()),
            TargetUnion::Value(v) => format!("Value({})", v.source()),
            TargetUnion::Lease(v) => format!("Lease({})", v.source()),
        };
        format!("Some(TargetUnion::{operand})")
    }
    fn is_plain(&self) -> bool {
        self.is_none()
    }
    fn make_plain(&mut self) {
        *self = None;
    }
}

impl Source for Option<Request> {
    fn source(&self) -> String {
        match self {
            None => "None".into(),
            Some(Request::RequestRange(r)) => format!("Some(Request::RequestRange({}))", r.source()),
            Some(Request::RequestPut(r)) => format!("Some(Request::RequestPut({}))", r.source()),
            Some(Request::RequestDeleteRange(r)) => format!("Some(Request::RequestDeleteRange({}))", r.source()),
            Some(Request::RequestTxn(r)) => format!("Some(Request::RequestTxn({}))", r.source()),
        }
    }
    /// What is in it is made smaller elsewhere.
    fn is_plain(&self) -> bool {
        true
    }
    fn make_plain(&mut self) {}
}

/// A message as source, and the same with one of its fields less.
pub(super) trait Fields: Sized {
    fn simpler(&self) -> Vec<Self>;
}

macro_rules! messages {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Source for $name {
            fn source(&self) -> String {
                let mut fields = Vec::<String>::new();
                $(if self.$field != $name::default().$field {
                    fields.push(format!("{}: {}", stringify!($field).trim_start_matches("r#"), self.$field.source()));
                })*
                fields.push("..Default::default()".into());
                format!("{} {{ {} }}", stringify!($name), fields.join(", "))
            }
            fn is_plain(&self) -> bool {
                true
            }
            fn make_plain(&mut self) {}
        }
        impl Fields for $name {
            fn simpler(&self) -> Vec<$name> {
                let mut found = Vec::new();
                $(if !self.$field.is_plain() {
                    let mut less = self.clone();
                    less.$field.make_plain();
                    found.push(less);
                })*
                found
            }
        })*
    };
}

messages! {
    RangeRequest {
        key, range_end, limit, revision, sort_order, sort_target, serializable, keys_only, count_only,
        min_mod_revision, max_mod_revision, min_create_revision, max_create_revision
    }
    PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
    DeleteRangeRequest { key, range_end, prev_kv }
    TxnRequest { compare, success, failure }
    Compare { result, target, key, range_end, target_union }
    RequestOp { request }
    LeaseGrantRequest { ttl, id }
    WatchCreateRequest { key, range_end, start_revision, progress_notify, filters, prev_kv, watch_id, fragment }
    AlarmRequest { action, member_id, alarm }
}

impl Step {
    fn source(&self) -> String {
        match self {
            Step::Range(request) => format!("Step::Range({})", request.source()),
            Step::RangeStream(request) => format!("Step::RangeStream({})", request.source()),
            Step::Put(request) => format!("Step::Put({})", request.source()),
            Step::Delete(request) => format!("Step::Delete({})", request.source()),
            Step::Txn(request) => format!("Step::Txn({})", request.source()),
            Step::Compact(revision, physical) => format!("Step::Compact({}, {physical})", revision.source()),
            Step::HashKv(revision) => format!("Step::HashKv({})", revision.source()),
            Step::Grant(request) => format!("Step::Grant({})", request.source()),
            Step::ShortLease(request) => format!("Step::ShortLease({})", request.source()),
            Step::Watch(stream, request) => format!("Step::Watch({stream}, {})", request.source()),
            Step::Alarm(request) => format!("Step::Alarm({})", request.source()),
            // Nothing but numbers in it.
            other => format!("Step::{other:?}"),
        }
    }

    /// The same step, asking for less.
    pub(super) fn simpler(&self) -> Vec<Step> {
        fn all<T: Fields>(request: &T, step: fn(T) -> Step) -> Vec<Step> {
            request.simpler().into_iter().map(step).collect()
        }
        match self {
            Step::Range(request) => all(request, Step::Range),
            Step::RangeStream(request) => all(request, Step::RangeStream),
            Step::Put(request) => all(request, Step::Put),
            Step::Delete(request) => all(request, Step::Delete),
            Step::Watch(stream, request) => {
                request.simpler().into_iter().map(|request| Step::Watch(*stream, request)).collect()
            }
            _ => Vec::new(),
        }
    }
}
