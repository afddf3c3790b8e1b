//! Every scenario on jine, as briefly as can be: that the benchmark runs, not how fast anything is.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_jine-bench");

/// The one built along with the benchmark, else it is built now.
fn jine() -> PathBuf {
    let jine = Path::new(BENCH).with_file_name("jine");
    if !jine.exists() {
        let built =
            Command::new(env!("CARGO")).args(["build", "--locked", "--package", "jine"]).status().expect("cargo runs");
        assert!(built.success() && jine.exists(), "there is no {}", jine.display());
    }
    jine
}

/// In `JINE_TOOLS`, else where scripts/setup puts it.
fn nats_server() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin");
    let path = std::env::var_os("JINE_TOOLS").map_or_else(default, PathBuf::from).join("nats-server");
    assert!(path.exists(), "there is no {}: run scripts/setup, or set JINE_TOOLS", path.display());
    path
}

fn rounds(results: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(results).expect("results");
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    records.filter_map(|record| record.get("round").cloned()).collect()
}

#[test]
fn every_scenario_runs_and_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.md");
    let ran = Command::new(BENCH)
        .arg("--tiny")
        .arg("--directory")
        .arg(directory.path())
        .arg("--nats-server")
        .arg(nats_server())
        .arg("--jine")
        .arg(jine())
        .arg("--value-memory")
        .arg(jine())
        .arg("--report")
        .arg(&report)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");

    let listed = Command::new(BENCH).args(["--list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 50, "{listed}");
    let rounds = rounds(&directory.path().join("results.jsonl"));
    for name in names {
        let round = rounds.iter().find(|round| round["scenario"] == name);
        let round = round.unwrap_or_else(|| panic!("{name} was not measured:\n{told}"));
        assert_eq!(round["units"] == 0, name.starts_with("idle"), "{round}");
    }
    let text = std::fs::read_to_string(&report).unwrap();
    for part in [
        "## create, 1 KiB, 64 clients",
        "10^6 keys",
        "with `--value-memory 64MiB`",
        "## jine against etcd",
        "(report/creates.svg)",
    ] {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
    assert!(directory.path().join("report/creates.svg").exists());
}
