//! Every metric there is, by name: the field's practice, `lapwing_`, base units, `_total` for counters, no addresses as labels.

use super::{Metric, MetricKind};

macro_rules! metrics {
    ($($constant:ident $name:literal $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: concat!("lapwing_", $name), help: $help, kind: $kind, labels: &[$($label),*] };
        )*
        /// All of them, by name.
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

use MetricKind::{Counter, Gauge, Histogram};

metrics! {
    ALERTS "alerts_total" Counter, ["detector", "severity"], "Alerts opened, by the first detector that claimed them.";
    BUILD_INFO "build_info" Gauge, ["version"], "Always 1; the version is the label.";
    CAPTURE_BYTES "capture_bytes_total" Counter, ["iface"], "Bytes that the packets read had on the wire.";
    CAPTURE_DROPPED "capture_dropped_total" Counter, ["iface"], "Packets that the kernel dropped before they were read.";
    CAPTURE_OUTAGES "capture_outages_total" Counter, ["iface"], "Times the interface went away.";
    CAPTURE_PACKETS "capture_packets_total" Counter, ["iface"], "Packets read.";
    CAPTURE_UP "capture_up" Gauge, ["iface"], "1 while the interface is there and switched on, else 0.";
    DETECTOR_LATENCY "detector_latency_seconds" Histogram(&[0.001, 0.01, 0.1, 0.5, 1.0, 5.0]), [], "From the latest packet that a new alert rests on to the alert, by the wall clock.";
    EXPORT_DELIVERED "export_delivered_total" Counter, ["sink"], "Records that the receiver confirmed.";
    EXPORT_DROPPED "export_dropped_total" Counter, ["sink"], "Records that were gone before the sink got to them.";
    EXPORT_FAILED "export_failed_total" Counter, ["sink"], "Attempts that failed and were made again.";
    EXPORT_NOT_TAKEN "export_not_taken_total" Counter, [], "Alerts that found the queue before the spool full.";
    EXPORT_QUEUE_DEPTH "export_queue_depth" Gauge, ["sink"], "Records of the spool that the sink has yet to deliver.";
    EXPORT_REJECTED "export_rejected_total" Counter, ["sink"], "Records that the receiver refused for good.";
    EXPORT_SPOOL_BYTES "export_spool_bytes" Gauge, [], "Size of the spool on disk.";
    UP "up" Gauge, [], "Always 1.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_the_field_and_sorted() {
        assert!(ALL.is_sorted_by_key(|metric| metric.name));
        for metric in ALL {
            assert_eq!(metric.kind == Counter, metric.name.ends_with("_total"), "{}", metric.name);
        }
    }
}
