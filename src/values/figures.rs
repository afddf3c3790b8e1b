//! What Prometheus is told of the values.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::BoundedValues;

#[derive(Debug)]
struct Figures(Arc<BoundedValues>);

impl BoundedValues {
    pub fn register(self: Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(Figures(self)));
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (size, used) = self.0.file.size();
        for (name, help, value) in [
            ("jine_values_memory_bytes", "Values in memory", self.0.memory.load(Ordering::Relaxed)),
            ("jine_values_file_bytes", "Size of the file with the other values", size),
            ("jine_values_file_used_bytes", "What of that file holds values", used),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let counter = ConstCounter::new(self.0.unwritten.load(Ordering::Relaxed));
        let help = "Values that stayed in memory because the file did not take them";
        counter.encode(encoder.encode_descriptor("jine_values_unwritten", help, None, counter.metric_type())?)
    }
}
