//! What the suites have told of their tests, in the logs that `scripts/test` keeps of them.

use std::collections::BTreeMap;
use std::path::Path;

/// Those that `features.txt` names tests of.
const SUITES: [&str; 2] = ["cargo", "clients"];

/// Whether each test has passed, by its name.
#[derive(Debug, Default)]
pub struct Results(BTreeMap<String, bool>);

/// Which servers a test has asked, or why nothing can be said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    pub etcd: bool,
    pub jine: bool,
}

impl Results {
    /// Of the logs in a directory.
    pub fn read(directory: &Path) -> Result<Results, String> {
        let mut results = Results::default();
        for suite in SUITES {
            let path = directory.join(suite).with_extension("log");
            let log = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            results.add(&String::from_utf8_lossy(&log));
        }
        Ok(results)
    }

    /// Lines of cargo test (`test a::b ... ok`) and of go test (`--- PASS: TestA (0.1s)`). One that has failed once has failed.
    fn add(&mut self, log: &str) {
        for line in log.lines() {
            let told = cargo(line).or_else(|| go(line));
            if let Some((name, passed)) = told {
                let known = self.0.entry(name.to_owned()).or_insert(true);
                *known &= passed;
            }
        }
    }

    /// What a test of `features.txt` has shown.
    pub fn shown(&self, test: &str) -> Result<Shown, String> {
        if let Some(name) = test.strip_prefix('=') {
            return self.passed(name).map(|()| Shown { etcd: true, jine: true });
        }
        if let Some((module, name)) = test.rsplit_once("::") {
            let on = |server: &str| format!("{module}::{server}::{name}");
            if self.0.contains_key(&on("on_jine")) || self.0.contains_key(&on("on_etcd")) {
                return ["on_etcd", "on_jine"]
                    .iter()
                    .try_for_each(|server| self.passed(&on(server)))
                    .map(|()| Shown { etcd: true, jine: true });
            }
        }
        self.passed(test).map(|()| Shown { etcd: false, jine: true })
    }

    fn passed(&self, name: &str) -> Result<(), String> {
        match self.0.get(name) {
            Some(true) => Ok(()),
            Some(false) => Err(format!("{name} has failed")),
            None => Err(format!("{name} has not run")),
        }
    }
}

fn cargo(line: &str) -> Option<(&str, bool)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    match result {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}

fn go(line: &str) -> Option<(&str, bool)> {
    let passed = line.strip_prefix("--- PASS: ").map(|rest| (rest, true));
    let (rest, passed) = passed.or_else(|| line.strip_prefix("--- FAIL: ").map(|rest| (rest, false)))?;
    Some((rest.split(' ').next()?, passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_passed_shows_something() {
        let mut results = Results::default();
        results
            .add("test a::on_etcd::b ... ok\ntest a::on_jine::b ... ok\ntest c ... FAILED\ntest d ... ignored, slow\n");
        results.add("noise\n--- PASS: TestE (0.12s)\ntest f ... ok\ntest a::on_jine::half ... ok\n");
        let both = Shown { etcd: true, jine: true };
        assert_eq!(results.shown("a::b"), Ok(both));
        assert_eq!(results.shown("TestE"), Ok(Shown { etcd: false, jine: true }));
        assert_eq!((results.shown("f"), results.shown("=f")), (Ok(Shown { etcd: false, jine: true }), Ok(both)));
        assert_eq!(results.shown("c"), Err("c has failed".into()));
        assert_eq!(results.shown("d"), Err("d has not run".into()));
        assert_eq!(results.shown("a::half"), Err("a::on_etcd::half has not run".into()));
        results.add("test f ... FAILED\n");
        assert_eq!(results.shown("=f"), Err("f has failed".into()));
    }
}
