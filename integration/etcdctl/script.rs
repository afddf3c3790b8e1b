//! The form that the tables of command lines have (`integration/etcdctl/*.txt`).
//!
//! ```text
//! # A remark.
//! == put, as people type it            what follows belongs together
//! $ put a 1                            a command line of etcdctl, quoted as in a shell
//! < 1                                  a line for the standard input of the command above
//! = L                                  keeps the id that the command above has printed; {L} stands for it from now on
//! ~ the time it took                   what the next one prints can't be the same, and why; its exit code is
//! ! jine has no users                  why jine refuses the next one, which etcd need not
//! ? until jine hashes                  why nothing of the next one is compared yet
//! & w watch a                          starts one that goes on beside those that follow, and calls it w
//! > w progress                         a line for its standard input
//! until w : PUT                        waits until it has printed that
//! until $ get a : 1                    repeats a command until it has printed that
//! stop w                               SIGTERM; what it has printed and its exit code count now
//! kill w                               kill -9, and nothing of it counts
//! end w                                waits until it ends by itself; the same
//! ```
//!
//! `{endpoint}` stands for the server's address and `{100 x}` for the letter, a hundred times.

/// A table: what to do, in order.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Step {
    /// Counts from 1.
    pub(super) line: usize,
    /// The heading that it stands under.
    pub(super) title: String,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    Run { command: Command, keep: Option<String>, differs: Option<Differs> },
    Start { name: String, command: Command, differs: Option<Differs> },
    Send { name: String, text: String },
    AwaitOutput { name: String, text: String },
    AwaitAnswer { command: Command, text: String },
    Stop { name: String },
    End { name: String },
    Kill { name: String },
}

/// Why a command line does not do the same on both.
#[derive(Clone, Debug)]
pub(super) enum Differs {
    InPrint(String),
    Refused(String),
    StillAwaited(String),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    /// As it is written.
    pub(super) text: String,
    /// What stands before the first word that is no assignment.
    pub(super) environment: Vec<(String, String)>,
    pub(super) arguments: Vec<String>,
    pub(super) input: String,
}

impl Script {
    /// The tables are part of the test, so that it says what is wrong and ends.
    pub(super) fn parse(text: &str) -> Script {
        let mut script = Script { steps: Vec::new() };
        let (mut title, mut differs) = (String::new(), None);
        for (line, text) in text.lines().enumerate().map(|(at, text)| (at + 1, text)) {
            let (mark, rest) = text.split_once(' ').unwrap_or((text, ""));
            let action = match mark {
                "" | "#" => continue,
                "==" => {
                    title = rest.to_owned();
                    continue;
                }
                "~" | "!" | "?" => {
                    let kind = [Differs::InPrint, Differs::Refused, Differs::StillAwaited];
                    let at = "~!?".find(mark).unwrap_or_default();
                    differs = Some(kind[at](rest.to_owned()));
                    continue;
                }
                "<" | "=" => {
                    let last = script.steps.last_mut().unwrap_or_else(|| panic!("line {line}: of which command?"));
                    add(last, mark, rest);
                    continue;
                }
                "$" => Action::Run { command: command(rest), keep: None, differs: differs.take() },
                "&" => {
                    let (name, words) = two(line, rest, " ");
                    Action::Start { name, command: command(&words), differs: differs.take() }
                }
                ">" => {
                    let (name, text) = two(line, rest, " ");
                    Action::Send { name, text }
                }
                "until" => until(line, rest),
                "stop" => Action::Stop { name: rest.to_owned() },
                "kill" => Action::Kill { name: rest.to_owned() },
                "end" => Action::End { name: rest.to_owned() },
                _ => panic!("line {line}: what is '{mark}'?"),
            };
            script.steps.push(Step { line, title: title.clone(), action });
        }
        script
    }

    /// How many command lines it has.
    pub(super) fn commands(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.action, Action::Run { .. } | Action::Start { .. })).count()
    }
}

fn until(line: usize, rest: &str) -> Action {
    let (of, text) = two(line, rest, " : ");
    match of.strip_prefix("$ ") {
        Some(words) => Action::AwaitAnswer { command: command(words), text },
        None => Action::AwaitOutput { name: of, text },
    }
}

fn two(line: usize, text: &str, between: &str) -> (String, String) {
    let (one, other) = text.split_once(between).unwrap_or_else(|| panic!("line {line}: no '{between}' in '{text}'"));
    (one.to_owned(), other.to_owned())
}

fn add(step: &mut Step, mark: &str, rest: &str) {
    match (&mut step.action, mark) {
        (Action::Run { command, .. } | Action::Start { command, .. }, "<") => {
            command.input.push_str(rest);
            command.input.push('\n');
        }
        (Action::Run { keep, .. }, _) => *keep = Some(rest.to_owned()),
        _ => panic!("line {}: it takes no '{mark}'", step.line),
    }
}

fn command(text: &str) -> Command {
    let mut command = Command { text: text.to_owned(), ..Default::default() };
    for word in words(text) {
        match word.split_once('=') {
            Some((name, value)) if command.arguments.is_empty() && name.starts_with("ETCDCTL_") => {
                command.environment.push((name.to_owned(), value.to_owned()));
            }
            _ => command.arguments.push(word),
        }
    }
    command
}

/// As a shell splits them: quotes of both kinds, and in double ones the backslash.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(end), letter) if letter == end => quote = None,
            (Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    assert!(quote.is_none(), "a quote is missing: {text}");
    words.extend(word);
    words
}

#[test]
fn words_are_split_as_a_shell_does() {
    let split = words(r#"put  'a b' "c \"d\"" '' -- x"y z""#);
    assert_eq!(split, ["put", "a b", "c \"d\"", "", "--", "xy z"]);
    let command = command("ETCDCTL_API=3 get a=b");
    assert_eq!(command.environment, [("ETCDCTL_API".to_owned(), "3".to_owned())]);
    assert_eq!(command.arguments, ["get", "a=b"]);
}
