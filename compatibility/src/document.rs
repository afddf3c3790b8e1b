//! The text of docs/compatibility.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::features::{Feature, Told};
use crate::protocol::{Protocol, Rpc};
use crate::results::{Results, Shown};

const HEAD: &str = "\
# How jine compares to etcd 3.7.3

This file is written by `scripts/compatibility` from the protocol files, `compatibility/features.txt` and the results of `scripts/test`: a tick is a
test that has passed there. `wire::…` is asked of etcd and of jine alike; others ask both and compare the answers, or ask jine alone, where etcd's column is
empty. `wire::kv::x` is `wire::kv::on_etcd::x` and `wire::kv::on_jine::x` in the output of `cargo test`.

";

pub struct Document {
    pub text: String,
    /// What keeps it from being true.
    pub problems: Vec<String>,
    /// RPCs, fields, differences and uses.
    pub rows: usize,
}

/// All there is to tell, or what is missing for it. RPCs come in the order of `features.txt`.
pub fn write(features: &[Feature], protocol: &Protocol, results: &Results, unserved: &BTreeSet<String>) -> Document {
    let mut rpcs: Vec<&Rpc> = protocol.rpcs.iter().collect();
    let line = |rpc: &&Rpc| features.iter().position(|feature| feature.name == rpc.short());
    rpcs.sort_by_key(line);
    let mut writer =
        Writer { features: BTreeMap::new(), results, text: HEAD.to_owned(), problems: Vec::new(), rows: 0 };
    for feature in features {
        if writer.features.insert(&feature.name, feature).is_some() {
            writer.problems.push(format!("line {}: {} is there twice", feature.line, feature.name));
        }
    }
    writer.served(protocol, &rpcs);
    writer.not_served(&rpcs, unserved);
    writer.differences(features);
    writer.uses(features);
    Document { text: writer.text, problems: writer.problems, rows: writer.rows }
}

struct Writer<'a> {
    features: BTreeMap<&'a str, &'a Feature>,
    results: &'a Results,
    text: String,
    problems: Vec<String>,
    rows: usize,
}

impl<'a> Writer<'a> {
    fn served(&mut self, protocol: &Protocol, rpcs: &[&Rpc]) {
        self.text += "## What is served\n";
        let (mut told, mut service) = (BTreeSet::new(), "");
        for rpc in rpcs {
            if matches!(self.told(&rpc.short()), Some(Told::NotServed { .. })) {
                continue;
            }
            if rpc.service != service {
                service = &rpc.service;
                let _ = write!(self.text, "\n### {service}\n\n| | etcd | jine | shown by |\n|---|---|---|---|\n");
            }
            self.row(&rpc.short(), &format!("**{}**", rpc.name));
            for field in protocol.new_fields(rpc, &mut told) {
                self.row(&field, &field);
            }
        }
        let known: BTreeSet<String> = rpcs.iter().map(|rpc| rpc.short()).chain(told).collect();
        for (name, feature) in &self.features {
            let named = matches!(feature.told, Told::Served { .. } | Told::NotServed { .. });
            if named && !known.contains(*name) {
                self.problems.push(format!("line {}: no RPC or field that is served is called {name}", feature.line));
            }
        }
    }

    fn row(&mut self, name: &str, title: &str) {
        let Some(Told::Served { tests, remark }) = self.told(name) else {
            self.problems.push(format!("nothing is told of {name}"));
            return;
        };
        let shown = self.shown(name, tests);
        let differs = remark.as_deref().and_then(|remark| remark.strip_prefix("differs: "));
        let jine = if differs.is_some() { "differs" } else { tick(shown.jine) };
        let remark = differs.or(remark.as_deref()).map(|remark| format!("{remark}; ")).unwrap_or_default();
        let tests = names(tests);
        let _ = writeln!(self.text, "| {title} | {} | {jine} | {remark}{tests} |", tick(shown.etcd));
        self.rows += 1;
    }

    fn not_served(&mut self, rpcs: &[&Rpc], unserved: &BTreeSet<String>) {
        self.text += "\n## What is not served\n\nThese answer Unimplemented \
            (`wire::unserved::every_method_is_served_or_on_the_list`).\n\n| | because |\n|---|---|\n";
        if let Err(why) = self.results.shown("wire::unserved::every_method_is_served_or_on_the_list") {
            self.problems.push(why);
        }
        for rpc in rpcs {
            let told = self.told(&rpc.short());
            if matches!(told, Some(Told::NotServed { .. })) != unserved.contains(&rpc.path) {
                self.problems.push(format!("{} is served or is not, but features.txt says otherwise", rpc.short()));
            }
            if let Some(Told::NotServed { reason }) = told {
                let _ = writeln!(self.text, "| {} | {reason} |", rpc.short());
                self.rows += 1;
            }
        }
    }

    fn differences(&mut self, features: &[Feature]) {
        self.text += "\n## What differs, and is meant to\n\n| | etcd | jine | shown by |\n|---|---|---|---|\n";
        for feature in features {
            let Told::Differs { etcd, jine, tests } = &feature.told else { continue };
            self.shown(&feature.name, tests);
            let _ = writeln!(self.text, "| {} | {etcd} | {jine} | {} |", feature.name, names(tests));
            self.rows += 1;
        }
    }

    fn uses(&mut self, features: &[Feature]) {
        self.text += "\n## What clients are made of\n\n| | etcd | jine | shown by |\n|---|---|---|---|\n";
        for feature in features {
            let Told::Used { tests } = &feature.told else { continue };
            let shown = self.shown(&feature.name, tests);
            let (etcd, jine) = (tick(shown.etcd), tick(shown.jine));
            let _ = writeln!(self.text, "| {} | {etcd} | {jine} | {} |", feature.name, names(tests));
            self.rows += 1;
        }
    }

    fn told(&self, name: &str) -> Option<&'a Told> {
        self.features.get(name).map(|feature| &feature.told)
    }

    /// What all its tests together have shown.
    fn shown(&mut self, name: &str, tests: &[String]) -> Shown {
        let mut all = Shown::default();
        for test in tests {
            match self.results.shown(test) {
                Ok(shown) => all = Shown { etcd: all.etcd || shown.etcd, jine: all.jine || shown.jine },
                Err(why) => self.problems.push(format!("{name}: {why}")),
            }
        }
        all
    }
}

fn tick(shown: bool) -> &'static str {
    if shown { "✓" } else { "" }
}

fn names(tests: &[String]) -> String {
    let names: Vec<_> = tests.iter().map(|test| format!("`{}`", test.trim_start_matches('='))).collect();
    names.join(", ")
}
