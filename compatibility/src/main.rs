//! Writes docs/compatibility.md, or checks that it is what the tests have shown; scripts/compatibility calls it.

mod document;
mod features;
mod protocol;
mod results;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let answer = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [features, logs, document] => run(features, logs, document, false),
        ["--check", features, logs, document] => run(features, logs, document, true),
        _ => Err("what is needed: [--check] FEATURES LOGS DOCUMENT".to_owned()),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(features: &str, logs: &str, path: &str, check: bool) -> Result<(), String> {
    let told = |name: &str, error: &dyn std::fmt::Display| format!("{name}: {error}");
    let text = std::fs::read_to_string(features).map_err(|error| told(features, &error))?;
    let features = features::parse(&text).map_err(|error| told(features, &error))?;
    let results = results::Results::read(Path::new(logs))?;
    let protocol = protocol::Protocol::of_jine().map_err(|error| told("the protocol", &error))?;
    let mut document = document::write(&features, &protocol, &results, &unserved());
    if document.problems.is_empty() {
        let there = std::fs::read_to_string(path).unwrap_or_default();
        if check && there != document.text {
            document.problems.push(format!("{path} is out of date: run scripts/compatibility"));
        } else if !check {
            std::fs::write(path, &document.text).map_err(|error| told(path, &error))?;
        }
    }
    let failed = document.problems.len();
    for problem in document.problems {
        println!("FAILED: {problem}");
    }
    println!("compatibility: {} passed, {failed} failed", document.rows);
    if failed == 0 { Ok(()) } else { Err("docs/compatibility.md is not what the tests have shown".into()) }
}

/// Paths of what jine does not serve.
fn unserved() -> BTreeSet<String> {
    let of_service = |(service, methods): &(&str, &[&str])| {
        methods.iter().map(|method| format!("/{service}/{method}")).collect::<Vec<_>>()
    };
    jine::rpc::unserved::UNSERVED.iter().flat_map(of_service).collect()
}
