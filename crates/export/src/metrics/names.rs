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
    ALERTS_SUPPRESSED "alerts_suppressed_total" Counter, ["rule"], "Alerts hidden by a suppression.";
    ALERTS "alerts_total" Counter, ["detector", "severity"], "Alerts opened, by the first detector that claimed them.";
    BLOCK_ACTIONS "block_actions_total" Counter, ["result", "dry_run"], "Blocks asked for.";
    BLOCKS_ACTIVE "blocks_active" Gauge, [], "Blocks in force.";
    BUILD_INFO "build_info" Gauge, ["version"], "Always 1; the version is the label.";
    CAPTURE_DROPPED "capture_dropped_total" Counter, ["iface"], "Packets that the kernel dropped before they were read.";
    CAPTURE_LAG "capture_lag_seconds" Gauge, [], "Wall clock less the time of the latest packet.";
    CAPTURE_PACKETS "capture_packets_total" Counter, ["iface"], "Packets read.";
    DETECTOR_LATENCY "detector_latency_seconds" Histogram(&[0.001, 0.01, 0.1, 0.5, 1.0, 5.0]), [], "From the packet that completes an alert to the alert.";
    EXPORT_DELIVERED "export_delivered_total" Counter, ["sink"], "Records that the receiver confirmed.";
    EXPORT_DROPPED "export_dropped_total" Counter, ["sink"], "Records that were gone before the sink got to them.";
    EXPORT_FAILED "export_failed_total" Counter, ["sink"], "Attempts that failed and were made again.";
    EXPORT_NOT_TAKEN "export_not_taken_total" Counter, [], "Alerts that found the queue before the spool full.";
    EXPORT_QUEUE_DEPTH "export_queue_depth" Gauge, ["sink"], "Records of the spool that the sink has yet to deliver.";
    EXPORT_REJECTED "export_rejected_total" Counter, ["sink"], "Records that the receiver refused for good.";
    EXPORT_SPOOL_BYTES "export_spool_bytes" Gauge, [], "Size of the spool on disk.";
    FLOW_EVICTIONS "flow_evictions_total" Counter, ["reason"], "Flows that ended to make room.";
    FLOWS_ACTIVE "flows_active" Gauge, [], "Flows that are open.";
    MEMCAP_HITS "memcap_hits_total" Counter, ["table"], "Times a table was full.";
    MODEL_DRIFT "model_drift_score" Gauge, ["model"], "How far traffic has moved from what a model learnt.";
    PARSE_ERRORS "parse_errors_total" Counter, ["proto"], "Messages that broke their protocol's rules.";
    UP "up" Gauge, [], "Always 1.";
    WORKER_HEARTBEAT "worker_last_heartbeat_seconds" Gauge, ["worker"], "When a worker last showed life, seconds since 1970.";
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
