//! nats-server's log becomes part of ours.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// How nats-server says that it has given up writing.
const WRITE_FAILED: [&str; 3] = ["ritical write error", "will be DISABLED", "disabling JetStream"];

/// What its log has told that others need to know.
#[derive(Clone, Default)]
pub(super) struct Told {
    /// The last line that was an error: what to say if the server ends.
    last_error: Arc<Mutex<Option<String>>>,
    /// A write has failed (a full disk, say). The stream takes no more then, and only a restart brings it back.
    pub(super) cannot_write: watch::Sender<bool>,
}

impl Told {
    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Until the pipe is closed.
pub(super) async fn forward(pipe: impl AsyncRead + Unpin, told: Told) {
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        let (level, text) = parse(&line);
        match level {
            "ERR" | "FTL" => {
                tracing::error!(target: "nats_server", "{text}");
                *told.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
            }
            "WRN" => tracing::warn!(target: "nats_server", "{text}"),
            "DBG" | "TRC" => tracing::trace!(target: "nats_server", "{text}"),
            // Start and stop take some twenty lines that say nothing to someone who runs jine.
            _ => tracing::debug!(target: "nats_server", "{text}"),
        }
        if WRITE_FAILED.iter().any(|sign| text.contains(sign)) {
            told.cannot_write.send_replace(true);
        }
    }
}

/// `[123] [INF] Server is ready` → (`INF`, `Server is ready`). What the server prints otherwise (usage, the trace of a
/// crash) has no level.
fn parse(line: &str) -> (&str, &str) {
    let rest = line.split_once("] [").filter(|(pid, _)| pid.starts_with('['));
    match rest.and_then(|(_, rest)| rest.split_once("] ")) {
        Some((level, text)) => (level, text.trim()),
        None if line.starts_with("nats-server: ") => ("FTL", line),
        None => ("", line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read() {
        assert_eq!(parse("[12] [INF]   Starting nats-server"), ("INF", "Starting nats-server"));
        assert_eq!(parse("[12] [WRN] a] [b] c"), ("WRN", "a] [b] c"));
        assert_eq!(parse("goroutine 1 [running]:"), ("", "goroutine 1 [running]:"));
        assert_eq!(parse("nats-server: parse error"), ("FTL", "nats-server: parse error"));
    }
}
