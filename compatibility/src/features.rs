//! `features.txt`: what there is, and which tests show it. The form is told at its head.

#[derive(Debug, PartialEq)]
pub struct Feature {
    /// Counts from 1.
    pub line: usize,
    pub name: String,
    pub told: Told,
}

#[derive(Debug, PartialEq)]
pub enum Told {
    /// An RPC or a field.
    Served { tests: Vec<String>, remark: Option<String> },
    /// An RPC.
    NotServed { reason: String },
    /// What is meant to differ.
    Differs { etcd: String, jine: String, tests: Vec<String> },
    /// What clients are made of.
    Used { tests: Vec<String> },
}

/// Whatever is wrong is told with its line.
pub fn parse(text: &str) -> Result<Vec<Feature>, String> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| feature(line, text).map_err(|why| format!("line {line}: {why}"))).collect()
}

fn feature(line: usize, text: &str) -> Result<Feature, String> {
    let (name, rest) = text.split_once(": ").ok_or("no colon")?;
    let (name, told) = match name {
        "differs" => {
            let none = rest.strip_suffix(':').map(|words| (words, ""));
            let (words, tests) = none.or_else(|| rest.rsplit_once(": ")).ok_or("no tests")?;
            let [what, etcd, jine] = words.split(" | ").collect::<Vec<_>>()[..] else {
                return Err("not three parts".into());
            };
            (what, Told::Differs { etcd: etcd.into(), jine: jine.into(), tests: list(tests) })
        }
        "used" => {
            let (what, tests) = rest.split_once(": ").ok_or("no tests")?;
            (what, Told::Used { tests: some(tests)? })
        }
        name => match rest.strip_prefix("not served: ") {
            Some(reason) => (name, Told::NotServed { reason: reason.into() }),
            None => {
                let (tests, remark) =
                    rest.split_once(" | ").map_or((rest, None), |(tests, r)| (tests, Some(r.to_owned())));
                (name, Told::Served { tests: some(tests)?, remark })
            }
        },
    };
    Ok(Feature { line, name: name.into(), told })
}

fn list(tests: &str) -> Vec<String> {
    tests.split(',').map(|test| test.trim().to_owned()).filter(|test| !test.is_empty()).collect()
}

fn some(tests: &str) -> Result<Vec<String>, String> {
    let tests = list(tests);
    if tests.is_empty() { Err("no tests".into()) } else { Ok(tests) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_rpc_a_field_or_a_difference() {
        let told = |text| feature(1, text).map(|feature| (feature.name, feature.told));
        let names = |tests: &[&str]| tests.iter().map(|test| test.to_string()).collect::<Vec<_>>();
        let served = |tests: &[&str], remark| Told::Served { tests: names(tests), remark };
        assert_eq!(told("KV.Put: a::b, =c").unwrap(), ("KV.Put".into(), served(&["a::b", "=c"], None)));
        let remark = Some("always 1".to_owned());
        assert_eq!(told("Status.term: a | always 1").unwrap(), ("Status.term".into(), served(&["a"], remark)));
        let not_served = Told::NotServed { reason: "no: file".into() };
        assert_eq!(told("M.Snapshot: not served: no: file").unwrap(), ("M.Snapshot".into(), not_served));
        let differs = Told::Differs { etcd: "no".into(), jine: "yes".into(), tests: Vec::new() };
        assert_eq!(told("differs: Pings (`:`) | no | yes:").unwrap(), ("Pings (`:`)".into(), differs));
        let tests = names(&["c::d", "=e::f"]);
        let differs = Told::Differs { etcd: "a: b".into(), jine: "none".into(), tests };
        assert_eq!(told("differs: Quota | a: b | none: c::d, =e::f").unwrap(), ("Quota".into(), differs));
        assert!(told("KV.Put").is_err() && told("KV.Put: ").is_err() && told("differs: a | b: c").is_err());
    }
}
