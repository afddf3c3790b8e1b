//! How the process ends when it does not end well.

use crate::nats_server;
use crate::store::log::LogError;

/// One sentence for the person who has to do something about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Starting again does not help.
    #[error("{0}")]
    Setup(String),
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// systemd restarts on 1 and not on 78 (EX_CONFIG of sysexits.h): see the unit in deploy/systemd.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Setup(_) => 78,
            Error::Failed(_) => 1,
        }
    }
}

impl From<nats_server::Error> for Error {
    fn from(error: nats_server::Error) -> Self {
        match error {
            nats_server::Error::Setup(why) => Error::Setup(why),
            nats_server::Error::Failed(why) => Error::Failed(why),
        }
    }
}

/// Those that are left after trying again.
impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(why) | LogError::Refused(why) => Error::Failed(why),
            LogError::StreamMissing | LogError::Fatal(_) => Error::Setup(error.to_string()),
        }
    }
}
