//! etcdctl at one server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use regex::Regex;

use super::same::Same;
use super::script::{Action, Command};
use crate::support::{eventually, eventually_within, kill, tool};
use crate::wire::target::Target;

/// `check perf` takes more than a minute.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) struct Side {
    target: Target,
    same: Same,
    /// What `{NAME}` stands for.
    kept: BTreeMap<String, String>,
    running: BTreeMap<String, Running>,
}

/// How a command has ended.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// The exit code, or the signal.
    pub(super) code: String,
    /// Standard output and standard error, with names for what may differ.
    pub(super) output: String,
    pub(super) errors: String,
}

impl Side {
    pub(super) fn new(target: Target) -> Side {
        let same = Same::new(target.endpoint());
        Side { target, same, kept: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// What there is to compare, if anything.
    pub(super) fn act(&mut self, action: &Action) -> Option<Outcome> {
        match action {
            Action::Run { command, keep, .. } => {
                let outcome = self.start(command, true).end();
                if let Some(name) = keep {
                    let id = Regex::new(r"\b[0-9a-f]{16}\b").unwrap();
                    let found = id.find(&outcome.output).unwrap_or_else(|| panic!("no id: {outcome:?}"));
                    self.kept.insert(name.clone(), found.as_str().to_owned());
                }
                return Some(self.named(outcome));
            }
            Action::Start { name, command, .. } => {
                let running = self.start(command, false);
                self.running.insert(name.clone(), running);
            }
            Action::Send { name, text } => self.of(name).send(text),
            Action::AwaitOutput { name, text } => {
                let (text, running) = (self.filled(text), self.of(name));
                eventually(&format!("{name} prints {text}"), || running.output.text().contains(&text).then_some(()));
            }
            Action::AwaitAnswer { command, text } => {
                let text = self.filled(text);
                eventually(&format!("{} prints {text}", command.text), || {
                    self.start(command, true).end().output.contains(&text).then_some(())
                });
            }
            Action::Stop { name } => {
                let running = self.running.remove(name).unwrap_or_else(|| panic!("{name} is not there"));
                kill(running.child.id(), "TERM");
                return Some(self.ended(running));
            }
            Action::End { name } => {
                let running = self.running.remove(name).unwrap_or_else(|| panic!("{name} is not there"));
                return Some(self.ended(running));
            }
            Action::Kill { name } => drop(self.running.remove(name)),
        }
        None
    }

    fn ended(&mut self, running: Running) -> Outcome {
        let outcome = running.end();
        self.named(outcome)
    }

    fn named(&mut self, outcome: Outcome) -> Outcome {
        Outcome { code: outcome.code, output: self.same.of(&outcome.output), errors: self.same.of(&outcome.errors) }
    }

    fn of(&mut self, name: &str) -> &mut Running {
        self.running.get_mut(name).unwrap_or_else(|| panic!("{name} is not there"))
    }

    /// With an input that ends, if it is all there is.
    fn start(&self, command: &Command, whole: bool) -> Running {
        let mut etcdctl = std::process::Command::new(tool("etcdctl"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCDCTL_")) {
            etcdctl.env_remove(name);
        }
        // In front: behind a `--` it would belong to the command that a watch is to run. A second one would add to it.
        if !command.arguments.iter().any(|argument| argument == "--endpoints") {
            etcdctl.args(["--endpoints", self.target.endpoint()]);
        }
        etcdctl.args(command.arguments.iter().map(|argument| self.filled(argument)));
        etcdctl.envs(command.environment.iter().map(|(name, value)| (name, value)));
        let mut child =
            etcdctl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("etcdctl");
        let output = Pipe::read(child.stdout.take().expect("a pipe"));
        let errors = Pipe::read(child.stderr.take().expect("a pipe"));
        let text = command.text.clone();
        let mut running = Running { command: text, input: child.stdin.take(), child, output, errors };
        running.write(&self.filled(&command.input));
        if whole {
            running.input = None;
        }
        running
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.replace("{endpoint}", self.target.endpoint());
        for (name, value) in &self.kept {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        let many = Regex::new(r"\{(\d+) (.)\}").unwrap();
        many.replace_all(&text, |found: &regex::Captures| found[2].repeat(found[1].parse().unwrap())).into_owned()
    }
}

/// Killed when dropped.
struct Running {
    command: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Pipe,
    errors: Pipe,
}

impl Running {
    fn send(&mut self, line: &str) {
        self.write(&format!("{line}\n"));
    }

    /// One that has ended does not read, which is not for the test to tell.
    fn write(&mut self, text: &str) {
        if let Some(input) = &mut self.input {
            let _ = input.write_all(text.as_bytes()).and_then(|()| input.flush());
        }
    }

    fn end(mut self) -> Outcome {
        let what = format!("the end of etcdctl {}", self.command);
        let status = eventually_within(PATIENCE, &what, || self.child.try_wait().expect("its status"));
        Outcome { code: code(status), output: self.output.whole(), errors: self.errors.whole() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(status: ExitStatus) -> String {
    status.code().map_or_else(|| format!("signal {}", status.signal().unwrap_or_default()), |code| code.to_string())
}

/// Reads as it comes.
struct Pipe {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn read(mut from: impl Read + Send + 'static) -> Pipe {
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = text.clone();
        let reader = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut some) {
                shared.lock().unwrap().extend_from_slice(&some[..n]);
            }
        });
        Pipe { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Once the other end is closed.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.text()
    }
}
