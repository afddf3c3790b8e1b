//! What Prometheus is told: the registry, the store's figures under etcd's names, and the process.
//!
//! Other parts register their own figures, named `jine_…` where etcd has no name for them.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::store::{Counted, Store};

/// The registry and what is looked up each time it is told.
pub struct Metrics {
    registry: Registry,
    store: Store,
    figures: Figures,
}

/// The store's, set right before they are told.
#[derive(Clone, Debug, Default)]
struct Figures {
    has_leader: Gauge,
    is_leader: Gauge,
    db_size: Gauge<u64, AtomicU64>,
    db_size_in_use: Gauge<u64, AtomicU64>,
    quota: Gauge<u64, AtomicU64>,
    revision: Gauge,
    compacted: Gauge,
    applied: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// `version` is the etcd version we pass for.
    pub fn new(store: Store, version: &str) -> Self {
        let mut registry = Registry::default();
        let figures = Figures::default();
        figures.register(&mut registry);
        let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
        constant(&mut registry, "etcd_server_version", "Which version is running", "server_version", version);
        constant(&mut registry, "etcd_cluster_version", "Which version is running", "cluster_version", minor);
        let id = format!("{:x}", store.member_id());
        constant(&mut registry, "etcd_server_id", "Server or member ID in hexadecimal format", "server_id", &id);
        constant(&mut registry, "jine_build_info", "The version of jine", "version", env!("CARGO_PKG_VERSION"));
        registry.register_collector(Box::new(Process { started: SystemTime::now() }));
        registry.register_collector(Box::new(Log(store.clone())));
        Metrics { registry, store, figures }
    }

    /// For everyone who has something to tell.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// In the OpenMetrics text format, which the older Prometheus format can be read as.
    pub async fn text(&self) -> Result<String, fmt::Error> {
        self.figures.set(&self.store).await;
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Figures {
    fn register(&self, registry: &mut Registry) {
        let mut add = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        add("etcd_server_has_leader", "Whether linearizable requests are served. 1 is yes, 0 is no", &self.has_leader);
        add("etcd_server_is_leader", "Whether this member can write. 1 is yes, 0 is no", &self.is_leader);
        add("etcd_debugging_mvcc_current_revision", "The current revision of store", &self.revision);
        add("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store", &self.compacted);
        let mut add =
            |name: &str, help: &str, gauge: &Gauge<u64, AtomicU64>| registry.register(name, help, gauge.clone());
        let help = "Total size of the stream on disk in bytes";
        add("etcd_mvcc_db_total_size_in_bytes", help, &self.db_size);
        let help = "Total size of the stream logically in use in bytes";
        add("etcd_mvcc_db_total_size_in_use_in_bytes", help, &self.db_size_in_use);
        let help = "Current backend storage quota size in bytes; 0: none";
        add("etcd_server_quota_backend_bytes", help, &self.quota);
        add("etcd_server_proposals_applied_total", "The last place in the log that is applied", &self.applied);
    }

    async fn set(&self, store: &Store) {
        let status = store.status().await;
        let serves = i64::from(status.unavailable.is_none());
        self.has_leader.set(serves);
        self.is_leader.set(serves);
        self.db_size.set(status.db_size);
        self.db_size_in_use.set(status.db_size_in_use);
        self.quota.set(status.db_size_quota);
        self.revision.set(status.revision.0);
        self.compacted.set(status.compacted.0);
        self.applied.set(status.applied);
    }
}

/// A 1 whose label is what it is about.
fn constant(registry: &mut Registry, name: &str, help: &str, label: &str, value: &str) {
    let family = Family::<Vec<(String, String)>, Gauge>::default();
    family.get_or_create(&vec![(label.to_owned(), value.to_owned())]).set(1);
    registry.register(name, help, family);
}

/// What is counted about the store, and what jine alone has: how it gets on with the log.
struct Log(Store);

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl Collector for Log {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let figures = self.0.figures();
        for (name, help, value) in [
            ("etcd_mvcc_put", "Total number of keys put since the start", figures.puts),
            ("etcd_mvcc_delete", "Total number of keys deleted since the start", figures.deletes),
            ("jine_log_entries_applied", "Entries of the log that were applied", figures.entries_applied),
            ("jine_log_groups", "Groups of entries sent to the log", figures.groups),
            ("jine_log_group_entries", "Entries in the groups sent to the log", figures.group_entries),
            ("jine_log_settled", "Groups whose outcome had to be found out", figures.settled),
            ("jine_log_outages", "Times the log was out of reach", figures.outages),
            ("jine_log_foreign_messages", "Messages in the bucket that no jine wrote", figures.foreign_messages),
            ("jine_compaction_purged_messages", "Messages that compaction removed", figures.purged_messages),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, help, value) in [
            ("etcd_debugging_mvcc_keys_total", "Total number of keys", figures.keys),
            ("jine_compaction_pending", "Keys and leases with messages still to be removed", figures.garbage),
            ("jine_watchers_synced", "Watchers that have been told everything so far", figures.watchers),
            ("jine_leases", "Leases that are alive", figures.leases),
            ("jine_alarms", "Alarms that stand (etcdctl alarm list)", figures.alarms),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let (name, help) =
            ("jine_log_append_duration_seconds", "From sending a group to the log to its acknowledgement");
        let mut histogram = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let Counted { seconds, count, classes } = figures.appends;
        histogram.encode_histogram::<NoLabelSet>(seconds, count, &classes, None)?;
        Ok(())
    }
}

/// What Prometheus' client libraries tell of a process; nothing where there is no /proc.
#[derive(Debug)]
struct Process {
    started: SystemTime,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, value: Option<f64>| -> fmt::Result {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let since = self.started.duration_since(SystemTime::UNIX_EPOCH).map(|t| t.as_secs_f64()).ok();
        gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds", since)?;
        let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = kilobytes(&memory, "VmRSS:");
        gauge("process_resident_memory_bytes", "Resident memory size in bytes", resident)?;
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes", kilobytes(&memory, "VmSize:"))?;
        let open = std::fs::read_dir("/proc/self/fd").ok().map(|all| all.count() as f64);
        gauge("process_open_fds", "Number of open file descriptors", open)?;
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        gauge("process_max_fds", "Maximum number of open file descriptors", max_files(&limits))?;

        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let Some(seconds) = cpu_seconds(&stat) else { return Ok(()) };
        let counter = ConstCounter::new(seconds);
        let help = "Total user and system CPU time spent in seconds";
        counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)
    }
}

/// A line of /proc/self/status, in bytes.
fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok().map(|kilobytes: f64| kilobytes * 1024.0)
}

/// The soft limit in /proc/self/limits.
fn max_files(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// utime and stime of /proc/self/stat.
fn cpu_seconds(stat: &str) -> Option<f64> {
    /// Linux tells user space 100, whatever the kernel's own clock is.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The program's name, in parentheses, may have blanks in it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_told_under_the_usual_names() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process { started: SystemTime::now() }));
        constant(&mut registry, "etcd_server_version", "x", "server_version", "3.7.3");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for name in ["process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds "] {
            assert!(text.contains(&format!("\n{name}")), "{name} is not in\n{text}");
        }
        assert!(text.contains("\netcd_server_version{server_version=\"3.7.3\"} 1\n"), "{text}");
    }

    #[test]
    fn cpu_time_is_found_behind_any_program_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }
}
