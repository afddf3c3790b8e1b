//! Cells that no program can reach, and why.

pub(super) fn why(_rpc: &str, _option: &str, _outcome: &str) -> Option<&'static str> {
    None
}
