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
    ALERTS "alerts_total" Counter, ["detector", "kind", "severity"], "Alerts opened, by the first detector that claimed them.";
    BUILD_INFO "build_info" Gauge, ["version"], "Always 1; the version is the label.";
    CAPTURE_BYTES "capture_bytes_total" Counter, ["iface"], "Bytes that the packets read had on the wire.";
    CAPTURE_CLOCK_STEPS "capture_clock_steps_total" Counter, [], "Times somebody set the system's clock, by a second or more.";
    CAPTURE_DROPPED "capture_dropped_total" Counter, ["iface"], "Packets that the kernel dropped before they were read.";
    CAPTURE_LAG "capture_lag_seconds" Gauge, [], "How far what was looked at last lies behind the system's clock.";
    CAPTURE_OUTAGES "capture_outages_total" Counter, ["iface"], "Times the interface went away.";
    CAPTURE_PACKETS "capture_packets_total" Counter, ["iface"], "Packets read.";
    CAPTURE_UP "capture_up" Gauge, ["iface"], "1 while the interface is there and switched on, else 0.";
    DETECTOR_LATENCY "detector_latency_seconds" Histogram(&[0.001, 0.01, 0.1, 0.5, 1.0, 5.0]), [], "From the latest packet that a new alert rests on to the alert, by the wall clock.";
    DEVICES "devices" Gauge, [], "Devices in the inventory.";
    EXPORT_DELIVERED "export_delivered_total" Counter, ["sink"], "Records that the receiver confirmed.";
    EXPORT_DROPPED "export_dropped_total" Counter, ["sink"], "Records that were gone before the sink got to them.";
    EXPORT_FAILED "export_failed_total" Counter, ["sink"], "Attempts that failed and were made again.";
    EXPORT_NOT_TAKEN "export_not_taken_total" Counter, [], "Alerts that found the queue before the spool full.";
    EXPORT_QUEUE_DEPTH "export_queue_depth" Gauge, ["sink"], "Records of the spool that the sink has yet to deliver.";
    EXPORT_REJECTED "export_rejected_total" Counter, ["sink"], "Records that the receiver refused for good.";
    EXPORT_SPOOL_BYTES "export_spool_bytes" Gauge, [], "Size of the spool on disk.";
    FLOW_EVICTIONS "flow_evictions_total" Counter, ["reason"], "Flows that ended before their time: `capacity`, because the table was full.";
    FLOWS_ACTIVE "flows_active" Gauge, [], "Flows that are open.";
    FLOWS "flows_total" Counter, [], "Flows that began.";
    LOG_UP "log_up" Gauge, ["log"], "1 while a log that is followed is there and can be read, else 0.";
    MEMCAP_HITS "memcap_hits_total" Counter, ["table"], "What was let go because a table was full.";
    MEMORY "memory_bytes" Gauge, [], "Memory that the program allocated and that is resident (RssAnon).";
    PACKETS_NOT_LISTED "packets_not_listed_total" Counter, [], "Packets that came faster than the list of packets takes them; detectors saw them.";
    PARSE_ERRORS "parse_errors_total" Counter, ["proto"], "Headers that contradict themselves or the layer around them.";
    RECORDS_MALFORMED "records_malformed_total" Counter, ["log"], "Lines of a followed log that could not be read.";
    RECORDS "records_total" Counter, ["log"], "Records read from a followed log.";
    STORE_ALERTS_LOST "store_alerts_lost_total" Counter, [], "Alerts lost because too many waited for a store that could not be written.";
    STORE_ALERTS "store_alerts_written_total" Counter, [], "Revisions of alerts written to the store.";
    STORE_FLOWS_LEFT_OUT "store_flows_left_out_total" Counter, [], "Flows that came faster than the store takes them, or could not be written.";
    STORE_FLOWS "store_flows_written_total" Counter, [], "Flows written to the store.";
    UP "up" Gauge, [], "Always 1.";
    WORKER_LAST_HEARTBEAT "worker_last_heartbeat_seconds" Gauge, ["worker"], "When the worker was last seen at work: seconds since 1970.";
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
