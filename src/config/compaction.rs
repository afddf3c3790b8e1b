//! Compacting without being asked by clients: etcd's two ways, and kine's.

use std::time::Duration;

use super::{Arguments, Compaction, Error, about, values};

pub(super) fn of(arguments: &Arguments) -> Result<Compaction, Error> {
    let every = interval(&arguments.compact_interval)?;
    let retention = retention(&arguments.auto_compaction_mode, &arguments.auto_compaction_retention)?;
    match (every, retention) {
        (None, retention) => Ok(retention),
        (Some(interval), Compaction::Clients) => Ok(Compaction::Every(interval)),
        (Some(_), _) => {
            Err(Error::new("--auto-compaction-retention: --compact-interval compacts, too; give one of them"))
        }
    }
}

fn interval(text: &str) -> Result<Option<Duration>, Error> {
    let flag = "compact-interval";
    match values::duration(text).map_err(about(flag))? {
        Duration::ZERO => Ok(None),
        interval if interval >= Duration::from_secs(1) => Ok(Some(interval)),
        _ => Err(Error(format!("--{flag}: '{text}' is below 1s"))),
    }
}

fn retention(mode: &str, text: &str) -> Result<Compaction, Error> {
    let flag = "auto-compaction-retention";
    let number = text.parse::<u32>();
    match (mode, number) {
        ("periodic" | "revision", Ok(0)) => Ok(Compaction::Clients),
        ("periodic", Ok(hours)) => Ok(Compaction::Periodic(Duration::from_secs(u64::from(hours) * 3600))),
        ("periodic", Err(_)) => match values::duration(text).map_err(about(flag))? {
            Duration::ZERO => Ok(Compaction::Clients),
            period if period >= Duration::from_secs(1) => Ok(Compaction::Periodic(period)),
            _ => Err(Error(format!("--{flag}: '{text}' is below 1s"))),
        },
        ("revision", Ok(revisions)) => Ok(Compaction::Revisions(i64::from(revisions))),
        ("revision", Err(_)) => Err(Error(format!("--{flag}: '{text}' is not a number of revisions"))),
        (other, _) => Err(Error(format!("--auto-compaction-mode: '{other}' is neither periodic nor revision"))),
    }
}
