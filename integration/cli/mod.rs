//! The command line: what it takes, what it says, how it ends.

mod external;
mod flags;
mod serve;
mod start;
mod systemd;
