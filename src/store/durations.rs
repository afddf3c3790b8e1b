//! How long something took, counted in classes, as Prometheus' histograms want it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the classes but the last, which has none: 0.25 ms, doubled up to 8.192 s.
const CLASSES: usize = 16;
const FIRST: Duration = Duration::from_micros(250);

#[derive(Debug, Default)]
pub struct Durations {
    classes: [AtomicU64; CLASSES + 1],
    nanoseconds: AtomicU64,
}

/// As counted so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    pub seconds: f64,
    pub count: u64,
    /// The upper end of each class in seconds, and how many are in it and not in one before it.
    pub classes: Vec<(f64, u64)>,
}

impl Durations {
    pub fn add(&self, took: Duration) {
        let class = (0..CLASSES).find(|class| took <= FIRST * (1u32 << class)).unwrap_or(CLASSES);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    pub fn counted(&self) -> Counted {
        let end = |class| if class == CLASSES { f64::INFINITY } else { (FIRST * (1u32 << class)).as_secs_f64() };
        let classes: Vec<(f64, u64)> =
            self.classes.iter().enumerate().map(|(n, count)| (end(n), count.load(Ordering::Relaxed))).collect();
        Counted {
            seconds: self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9,
            count: classes.iter().map(|(_, count)| count).sum(),
            classes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_one_class() {
        let durations = Durations::default();
        for micros in [0, 250, 251, 500, 8_192_000, 8_192_001, 60_000_000] {
            durations.add(Duration::from_micros(micros));
        }
        let counted = durations.counted();
        assert_eq!(counted.count, 7);
        assert_eq!(counted.classes[..3], [(0.00025, 2), (0.0005, 2), (0.001, 0)]);
        assert_eq!(counted.classes[15..], [(8.192, 1), (f64::INFINITY, 2)]);
        assert!((counted.seconds - 76.385002).abs() < 1e-6, "{}", counted.seconds);
    }
}
