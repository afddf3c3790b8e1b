//! The command line: what it takes, what it says, how it ends.

mod flags;
mod start;
