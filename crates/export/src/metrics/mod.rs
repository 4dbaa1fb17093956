//! Metrics in Prometheus' text form (version 0.0.4), and the small listener that serves them.
//!
//! The registry takes values of any crate: who owns a number sets it under its entry in [`names`], or has it fetched when
//! somebody looks.

mod listener;
pub mod names;

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

pub use listener::MetricsListener;

/// One metric: its name, what it means, its labels.
#[derive(Debug)]
pub struct Metric {
    /// Full name.
    pub name: &'static str,
    /// What it means, on one line.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: MetricKind,
    /// Names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
}

/// What kind a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// Only grows, but for restarts.
    Counter,
    /// Any value.
    Gauge,
    /// Counts of values up to each bound, ascending; `+Inf` is added.
    Histogram(&'static [f64]),
}

/// Label values kept per metric at most: what comes beyond is counted under `lapwing_metrics_refused_total`.
const MOST_SERIES: usize = 1_000;

/// Values of all metrics.
#[derive(Default)]
pub struct Metrics {
    families: Mutex<Families>,
    fetch: Mutex<Vec<Fetch>>,
}

/// Sets what is counted elsewhere.
type Fetch = Box<dyn Fn(&Metrics) + Send>;

#[derive(Debug, Default)]
struct Families {
    by_name: BTreeMap<&'static str, Family>,
    refused: u64,
}

#[derive(Debug)]
struct Family {
    metric: &'static Metric,
    series: BTreeMap<Vec<String>, Value>,
}

#[derive(Debug, Default)]
struct Value {
    value: f64,
    /// For histograms: how many values were up to each bound, not cumulated, and how many there were.
    buckets: Vec<u64>,
    count: u64,
}

impl Metrics {
    /// Adds to a counter or gauge.
    pub fn add(&self, metric: &'static Metric, labels: &[&str], more: f64) {
        self.change(metric, labels, |series| series.value += more);
    }

    /// Sets a gauge, or a counter that is counted elsewhere.
    pub fn set(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        self.change(metric, labels, |series| series.value = value);
    }

    /// Takes one value into a histogram.
    pub fn observe(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        let MetricKind::Histogram(bounds) = metric.kind else { return };
        self.change(metric, labels, |series| {
            series.buckets.resize(bounds.len(), 0);
            if let Some(place) = bounds.iter().position(|bound| value <= *bound) {
                series.buckets[place] += 1;
            }
            series.value += value;
            series.count += 1;
        });
    }

    fn change(&self, metric: &'static Metric, labels: &[&str], change: impl FnOnce(&mut Value)) {
        debug_assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let families = &mut *families;
        let family = families.by_name.entry(metric.name).or_insert_with(|| Family { metric, series: BTreeMap::new() });
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        if family.series.len() >= MOST_SERIES && !family.series.contains_key(&labels) {
            families.refused += 1;
            return;
        }
        change(family.series.entry(labels).or_default());
    }

    /// Has `fetch` called each time before the values are shown: it sets what is counted elsewhere.
    pub fn before_rendering(&self, fetch: impl Fn(&Self) + Send + 'static) {
        self.fetch.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(fetch));
    }

    /// All that has a value, in Prometheus' text form.
    #[must_use]
    pub fn render(&self) -> String {
        self.fetch.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|fetch| fetch(self));
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for family in families.by_name.values() {
            family.render(&mut text);
        }
        let _infallible = writeln!(
            text,
            "# HELP lapwing_metrics_refused_total Values left out because a metric had too many labels.\n\
             # TYPE lapwing_metrics_refused_total counter\nlapwing_metrics_refused_total {}",
            families.refused
        );
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").field("families", &self.families).finish_non_exhaustive()
    }
}

impl Family {
    fn render(&self, text: &mut String) {
        let Metric { name, help, kind, labels } = self.metric;
        let word = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram(_) => "histogram",
        };
        let mut line = |arguments: fmt::Arguments<'_>| {
            let _infallible = text.write_fmt(format_args!("{arguments}\n"));
        };
        line(format_args!("# HELP {name} {help}"));
        line(format_args!("# TYPE {name} {word}"));
        for (values, series) in &self.series {
            let pairs: Vec<String> =
                labels.iter().zip(values).map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            if let MetricKind::Histogram(bounds) = kind {
                let mut cumulated = 0;
                for (place, bound) in bounds.iter().enumerate() {
                    cumulated += series.buckets.get(place).copied().unwrap_or(0);
                    line(format_args!("{name}_bucket{} {cumulated}", braced(&pairs, Some(&format!("{bound}")))));
                }
                line(format_args!("{name}_bucket{} {}", braced(&pairs, Some("+Inf")), series.count));
                line(format_args!("{name}_sum{} {}", braced(&pairs, None), series.value));
                line(format_args!("{name}_count{} {}", braced(&pairs, None), series.count));
            } else {
                line(format_args!("{name}{} {}", braced(&pairs, None), series.value));
            }
        }
    }
}

fn braced(pairs: &[String], bound: Option<&str>) -> String {
    let mut all = pairs.to_vec();
    all.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rendered_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.add(&names::ALERTS, &["a\"b", "port-scan", "high"], 1.0);
        metrics.add(&names::ALERTS, &["a\"b", "port-scan", "high"], 2.0);
        metrics.set(&names::UP, &[], 1.0);
        for seconds in [0.0005, 0.2, 0.3, 60.0] {
            metrics.observe(&names::DETECTOR_LATENCY, &[], seconds);
        }
        let text = metrics.render();
        for line in [
            "# TYPE lapwing_alerts_total counter",
            "lapwing_alerts_total{detector=\"a\\\"b\",kind=\"port-scan\",severity=\"high\"} 3",
            "lapwing_up 1",
            "lapwing_detector_latency_seconds_bucket{le=\"0.001\"} 1",
            "lapwing_detector_latency_seconds_bucket{le=\"0.5\"} 3",
            "lapwing_detector_latency_seconds_bucket{le=\"+Inf\"} 4",
            "lapwing_detector_latency_seconds_count 4",
        ] {
            assert!(text.lines().any(|rendered| rendered == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn labels_are_bounded() {
        let metrics = Metrics::default();
        for number in 0..MOST_SERIES + 5 {
            metrics.add(&names::ALERTS, &[&number.to_string(), "port-scan", "low"], 1.0);
        }
        assert!(metrics.render().contains("lapwing_metrics_refused_total 5"));
    }

    #[test]
    fn numbers_of_others_are_fetched_when_somebody_looks() {
        let metrics = Metrics::default();
        let looks = std::sync::atomic::AtomicU32::new(0);
        metrics.before_rendering(move |metrics| {
            let look = 1 + looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            metrics.set(&names::EXPORT_SPOOL_BYTES, &[], f64::from(look));
        });
        assert!(metrics.render().contains("lapwing_export_spool_bytes 1\n"));
        assert!(metrics.render().contains("lapwing_export_spool_bytes 2\n"));
    }
}
