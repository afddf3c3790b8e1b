//! What two servers can't print alike: who they are, where they listen, how long it took.

use std::collections::BTreeMap;

use regex::{Captures, Regex};

/// Replaces what may differ by names: `<id 1>` is the same id wherever it stands.
pub(super) struct Same {
    endpoint: String,
    ids: BTreeMap<u64, usize>,
    rules: Vec<(Regex, &'static str)>,
    id: Regex,
}

/// What is replaced by what. Ids come last, as they are found by their length.
const RULES: &[(&str, &str)] = &[
    // etcdctl's own log, on standard error: when, and which object in its memory.
    (r#""ts":"[^"]*""#, r#""ts":<time>"#),
    (r"LocalAddr: '[^']*'", "LocalAddr: '<client>'"),
    (r"etcd-endpoints://0x[0-9a-f]+", "etcd-endpoints://<client>"),
    (r"\b\d+(\.\d+)?(ns|µs|ms|m?s)(\d+(\.\d+)?s)?\b", "<time>"),
    // What is left of a lease depends on when one asks; what was granted does not.
    (r"remaining\(\d+s\)", "remaining(<time>)"),
    (r#""ttl":\d+,"granted-ttl""#, r#""ttl":<time>,"granted-ttl""#),
    (r#""TTL" : \d+\n"GrantedTTL""#, "\"TTL\" : <time>\n\"GrantedTTL\""),
    // Raft is etcd's own; jine tells its place in the log.
    (r#""raft_?[Tt]erm":\d+"#, r#""raft_term":<n>"#),
    (r#""raft(Applied)?Index":\d+"#, r#""raft${1}Index":<n>"#),
    (r#""(RaftTerm|RaftIndex|RaftAppliedIndex)" : \d+"#, r#""$1" : <n>"#),
    (r"(true|false)([,│ ]+)(true|false)([,│ ]+)\d+([,│ ]+)\d+([,│ ]+)\d+", "$1$2$3$4<n>$5<n>$6<n>"),
    // jine's members have no connections among each other.
    (r#""peerURLs":\["http://localhost:2380"\],"#, ""),
    (r#""PeerURL" : "http://localhost:2380"\n"#, ""),
    ("http://localhost:2380", ""),
    // etcd's store has a quota of 2 GiB, jine's what its stream has: none.
    (r#","dbSizeQuota":\d+"#, ""),
    (r#""DBSizeQuota" : \d+"#, "\"DBSizeQuota\" : <size>"),
    // What the store takes on the disk.
    (r#""dbSize(InUse)?":\d+"#, r#""dbSize${1}":<size>"#),
    (r#""DBSize(InUse)?" : \d+"#, r#""DBSize${1}" : <size>"#),
    (r"\b\d+(\.\d+)? ([kMG]i?)?B\b", "<size>"),
    (r"\b\d+%", "<percent>"),
    // Tables are as wide as what they hold.
    (r"[─-]{4,}", "----"),
    (r" {2,}", " "),
    // Go's protobuf prints one space or two, so that nobody relies on it.
    (r"(memberID:\d+) +alarm", "$1 alarm"),
    // How often it comes is a matter of time.
    (r"(?m)^progress notify: \d+\n", ""),
];

impl Same {
    pub(super) fn new(endpoint: &str) -> Same {
        let rules = RULES.iter().map(|(from, to)| (Regex::new(from).unwrap(), *to)).collect();
        let id = Regex::new(r"\b([0-9a-f]{13,16}|\d{17,20})\b").unwrap();
        Same { endpoint: endpoint.to_owned(), ids: BTreeMap::new(), rules, id }
    }

    pub(super) fn of(&mut self, text: &str) -> String {
        let mut text = text.replace(&self.endpoint, "<endpoint>");
        for (from, to) in &self.rules {
            text = from.replace_all(&text, *to).into_owned();
        }
        let Same { ids, id, .. } = self;
        let name = |found: &Captures| {
            let Some(number) = number(&found[0]) else { return found[0].to_owned() };
            let next = ids.len() + 1;
            format!("<id {}>", ids.entry(number).or_insert(next))
        };
        id.replace_all(&text, name).into_owned()
    }
}

/// In decimal if it is as long as that, else in hexadecimal.
fn number(text: &str) -> Option<u64> {
    if text.len() > 16 { text.parse().ok() } else { u64::from_str_radix(text, 16).ok() }
}

#[test]
fn an_id_has_the_same_name_in_every_form() {
    let mut same = Same::new("127.0.0.1:1");
    let told = same.of("lease 694d9e5a7b3c1f0a of 127.0.0.1:1: 7587895058640936714 took = 1.5ms, 7587895058640936715");
    assert_eq!(told, "lease <id 1> of <endpoint>: <id 1> took = <time>, <id 2>");
    assert_eq!(same.of("7587895058640936715, remaining(99s)"), "<id 2>, remaining(<time>)");
    assert_eq!(same.of("\"revision\":17,\"count\":123456789012"), "\"revision\":17,\"count\":123456789012");
}
