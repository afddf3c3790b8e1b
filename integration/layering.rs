//! Which part of the sources may know which: the table of ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A layer, and all that it may use of ours. What is missing here may be used by nobody but `server`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("state", &[]),
    ("store", &["state"]),
    // Implements the trait `Values`.
    ("values", &["state"]),
    // Implements the trait `Log`, and needs its number types.
    ("jetstream", &["store::log", "state"]),
    ("pb", &[]),
    ("rpc", &["store", "state", "pb", "accept"]),
    ("nats_server", &[]),
    ("config", &[]),
    ("http", &["store", "state", "metrics", "accept"]),
    ("metrics", &["store"]),
    ("accept", &[]),
    ("listen", &["config"]),
    ("logging", &["config"]),
    ("systemd", &[]),
    ("shutdown", &[]),
    ("server", &["*"]),
    ("main", &["config", "logging", "server"]),
    ("lib", &["*"]),
];

/// Crates that only some layers may know.
const KNOWN_TO: &[(&str, &[&str])] = &[
    ("async_nats", &["jetstream"]),
    ("nkeys", &["jetstream", "nats_server"]),
    ("tonic", &["rpc", "pb"]),
    ("tonic_prost", &["rpc", "pb"]),
    ("tonic_health", &["rpc"]),
    ("prost", &["rpc", "pb"]),
    ("prost_types", &["rpc", "pb"]),
    ("clap", &["config"]),
    ("sd_notify", &["systemd"]),
    ("prometheus_client", &["metrics", "rpc", "values"]),
    ("axum", &["http", "rpc", "server", "metrics"]),
    ("hyper", &["rpc", "http"]),
];

/// What the pure layer must do without.
const NOT_IN_STATE: &[&str] = &[
    "std::fs",
    "std::io",
    "std::net",
    "std::time",
    "std::thread",
    "tokio",
    "tracing",
    "async fn",
    "async move",
    "async {",
    "rand::",
];

struct Source {
    layer: String,
    path: PathBuf,
    /// Without comments and strings' insides being told apart: good enough, as names are what counts.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut |path| {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let layer = first.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(path).unwrap();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        found.push(Source { layer, path: inside.to_owned(), code: code.join("\n") });
    });
    found
}

fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path);
        }
    }
}

/// The paths that follow `prefix`, with `{…}` spread out: `crate::{a, b::c}` gives `a` and `b::c`.
fn paths(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        // `jetstream::crate::` does not exist, but `mycrate::` might.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            for part in top_level(group) {
                found.insert(path(part.trim()).to_owned());
            }
        } else {
            found.insert(path(rest).to_owned());
        }
    }
    found
}

fn path(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    text[..end].trim_end_matches(':')
}

/// The parts of a group, separated by its own commas, up to its own brace.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

fn may_use(layer: &str) -> &'static [&'static str] {
    match MAY_USE.iter().find(|(name, _)| *name == layer) {
        Some((_, allowed)) => allowed,
        None => panic!("src/{layer} is in no layer: give it a line in ARCHITECTURE.md and in integration/layering.rs"),
    }
}

#[test]
fn layering_of_our_own_modules_holds() {
    let mut wrong = Vec::new();
    for source in sources() {
        let allowed = may_use(&source.layer);
        let prefix = if source.layer == "main" { "jine::" } else { "crate::" };
        for used in paths(&source.code, prefix) {
            let inside = |layer: &str| used == layer || used.starts_with(&format!("{layer}::"));
            let fine = inside(&source.layer) || allowed.contains(&"*") || allowed.iter().any(|layer| inside(layer));
            if !fine && !used.is_empty() {
                wrong.push(format!("src/{} uses {used}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layers of ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn layering_of_crates_holds() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, layers) in KNOWN_TO {
            let used =
                source.code.contains(&format!("use {name}::")) || !paths(&source.code, &format!("{name}::")).is_empty();
            if used && !layers.contains(&source.layer.as_str()) {
                wrong.push(format!("src/{} knows {name}, which only {layers:?} may", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layers of ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn layering_keeps_the_state_machine_pure() {
    for source in sources().iter().filter(|source| source.layer == "state") {
        for name in NOT_IN_STATE {
            assert!(!source.code.contains(name), "src/{} has {name}: state is pure", source.path.display());
        }
    }
}

/// The test itself: it would be worth nothing if it overlooked a way to write a path.
#[test]
fn layering_sees_every_way_to_write_a_path() {
    let found = paths("use crate::{a, b::{c, d}};\nuse crate::e::f;\nlet x = crate::g::H(mycrate::i);", "crate::");
    assert_eq!(found, ["a", "b", "e::f", "g::H"].map(String::from).into());
}
