//! etcdctl as people type it: every command line of the tables beside this file prints the same and ends with the same
//! exit code on etcd and on jine. `script.rs` says how the tables are written.

mod same;
mod script;
mod side;

use std::io::Write;

use script::{Action, Differs, Script};
use side::{Outcome, Side};

use crate::support::nats::free_port;
use crate::wire::target::Target;

/// Makes a test of each table.
macro_rules! tables {
    ($($name:ident: $file:literal)*) => {
        $(#[test]
        fn $name() {
            the_same_on_both($file, include_str!($file));
        })*
    };
}

tables! {
    put_get_and_del: "put_get_del.txt"
    transactions: "txn.txt"
    watches: "watch.txt"
    compactions: "compaction.txt"
    leases: "lease.txt"
    locks_and_elections: "lock_elect.txt"
    endpoints_members_and_alarms: "cluster.txt"
    mistakes: "mistakes.txt"
    mirrors: "mirror.txt"
}

#[test]
#[ignore = "takes a minute and a half: etcdctl fixes how long it measures"]
fn measuring() {
    the_same_on_both("check.txt", include_str!("check.txt"));
}

fn the_same_on_both(name: &str, text: &str) {
    let script = Script::parse(text);
    let mut etcd = Side::new(etcd());
    let mut jine = Side::new(Target::jine_with(|jine| {
        jine.args(["--listen-address", "127.0.0.1:0"]);
    }));
    let (mut told, mut wrong) = (String::new(), String::new());
    let mut meant = Meant::default();
    for step in &script.steps {
        let (expected, seen) = both(&mut etcd, &mut jine, &step.action);
        let (Some(expected), Some(seen)) = (expected, seen) else {
            meant.note(&step.action);
            continue;
        };
        let (command, differs) = meant.of(&step.action);
        let (right, note) = judge(differs, &expected, &seen);
        if let Some(note) = note {
            told += &format!("{name}:{}: {command}: {note}\n", step.line);
        }
        if !right {
            wrong += &format!("{name}:{} ({}): {command}\n{}", step.line, step.title, difference(&expected, &seen));
        }
    }
    // Past the test's capture: what is not compared is told also where all is well.
    let _ = write!(std::io::stderr(), "{name}: {} command lines on etcd and on jine\n{told}", script.commands());
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Whether it is as it should be, and what the run has to tell of it.
fn judge(differs: Option<Differs>, expected: &Outcome, seen: &Outcome) -> (bool, Option<String>) {
    match differs {
        None => (seen == expected, None),
        Some(Differs::InPrint(why)) => {
            (seen.code == expected.code, Some(format!("only the exit code is compared: {why}")))
        }
        Some(Differs::Refused(why)) => (seen.code == "1", Some(format!("jine refuses it: {why}"))),
        Some(Differs::StillAwaited(why)) => (true, Some(format!("not compared yet: {why}"))),
    }
}

/// One that tells clients where it listens, as `--cluster` asks it, and has the machine's name, as jine has.
fn etcd() -> Target {
    let url = format!("http://127.0.0.1:{}", free_port());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    Target::etcd_with(&[
        "--name",
        name.trim(),
        "--watch-progress-notify-interval",
        "200ms",
        "--listen-client-urls",
        &url,
        "--advertise-client-urls",
        &url,
    ])
}

fn both(etcd: &mut Side, jine: &mut Side, action: &Action) -> (Option<Outcome>, Option<Outcome>) {
    std::thread::scope(|scope| {
        let expected = scope.spawn(|| etcd.act(action));
        let seen = jine.act(action);
        (expected.join().expect("etcd's side"), seen)
    })
}

/// What those that go on were told at their start.
#[derive(Default)]
struct Meant(Vec<(String, String, Option<Differs>)>);

impl Meant {
    fn note(&mut self, action: &Action) {
        if let Action::Start { name, command, differs } = action {
            self.0.push((name.clone(), command.text.clone(), differs.clone()));
        }
    }

    /// The command line, and why what it prints is not compared.
    fn of(&self, action: &Action) -> (String, Option<Differs>) {
        match action {
            Action::Run { command, differs, .. } => (command.text.clone(), differs.clone()),
            Action::Stop { name } | Action::End { name } => {
                let of_name = self.0.iter().rev().find(|(other, ..)| other == name);
                of_name.map(|(_, text, differs)| (text.clone(), differs.clone())).unwrap_or_default()
            }
            _ => Default::default(),
        }
    }
}

fn difference(expected: &Outcome, seen: &Outcome) -> String {
    let mut text = String::new();
    let parts = [
        ("exit code", &expected.code, &seen.code),
        ("output", &expected.output, &seen.output),
        ("errors", &expected.errors, &seen.errors),
    ];
    for (what, expected, seen) in parts {
        if expected != seen {
            text += &format!("  {what} of etcd:\n{expected}\n  {what} of jine:\n{seen}\n");
        }
    }
    text
}

#[test]
fn only_what_a_mark_allows_may_differ() {
    let outcome =
        |code: &str, output: &str| Outcome { code: code.into(), output: output.into(), errors: String::new() };
    let (one, other, failed) = (outcome("0", "OK\n"), outcome("0", "OK\nmore\n"), outcome("1", "OK\n"));
    let right = |differs: Option<Differs>, seen: &Outcome| judge(differs, &one, seen).0;
    assert!(right(None, &one) && !right(None, &other) && !right(None, &failed));
    let in_print = || Some(Differs::InPrint("it is random".into()));
    assert!(right(in_print(), &other) && !right(in_print(), &failed));
    let refused = || Some(Differs::Refused("it is not there".into()));
    assert!(right(refused(), &failed) && !right(refused(), &other));
}
