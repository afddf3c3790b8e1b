//! What the server's error to a publish proves. Pure. Read in nats-server 2.15.1 (stream.go, jetstream_batching.go).

use crate::store::log::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was stored and nothing will be.
    Refused(Refusal),
    /// The same, if the group's first message is not in the log.
    RefusedUnlessBegun(Refusal),
    Unknown(String),
}

/// `commit`: the answer to the last message of a batch.
pub(super) fn of(code: u64, text: String, commit: bool) -> Verdict {
    match code {
        // Wrong last sequence. On a cluster the number in the text is the proposed one; it proves nothing more.
        10071 | 10164 => Verdict::Refused(Refusal::Sequence),
        // The account's, the server's or the stream's space. Tested before a batch is committed and again while it is.
        10002 | 10023 | 10028 | 10047 => space(text, commit),
        // "Store failed" with the reason as its text. Other reasons than limits may come after a write.
        10077 if text.starts_with("maximum ") => space(text, commit),
        // The message is too large or its header is, the stream is sealed, batches are off or used wrongly: tested before anything.
        10054 | 10097 | 10109 | 10174 | 10175 | 10177 | 10179 | 10199 | 10200 | 10201 => {
            Verdict::Refused(Refusal::Other(text))
        }
        // Among them 10176 (batch incomplete: its leader changed or it was given up) and 10210 (too many batches): nothing is stored,
        // but trying again will help, and that is what an unknown outcome leads to.
        _ => Verdict::Unknown(format!("{text} ({code})")),
    }
}

fn space(text: String, commit: bool) -> Verdict {
    let refusal = Refusal::NoSpace(text);
    if commit { Verdict::RefusedUnlessBegun(refusal) } else { Verdict::Refused(refusal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_is_refused() {
        let no_space = |text: &str| Refusal::NoSpace(text.into());
        for (code, text, commit, verdict) in [
            (10071, "wrong last sequence: 7", true, Verdict::Refused(Refusal::Sequence)),
            (10164, "wrong last sequence", false, Verdict::Refused(Refusal::Sequence)),
            (10077, "maximum bytes exceeded", false, Verdict::Refused(no_space("maximum bytes exceeded"))),
            (10077, "maximum bytes exceeded", true, Verdict::RefusedUnlessBegun(no_space("maximum bytes exceeded"))),
            (10002, "full", true, Verdict::RefusedUnlessBegun(no_space("full"))),
            (10077, "i/o error", false, Verdict::Unknown("i/o error (10077)".into())),
            (10054, "too large", true, Verdict::Refused(Refusal::Other("too large".into()))),
            (10176, "incomplete", true, Verdict::Unknown("incomplete (10176)".into())),
            (10063, "skew", false, Verdict::Unknown("skew (10063)".into())),
            (0, "?", false, Verdict::Unknown("? (0)".into())),
        ] {
            assert_eq!(of(code, text.into(), commit), verdict);
        }
    }
}
