//! Settings of the flow table, and Zeek's constants that it keeps to.

use std::time::Duration;

use serde::Deserialize;

/// How long a TCP connection stays half open before the attempt counts as failed: Zeek's `tcp_attempt_delay`.
pub const TCP_ATTEMPT_DELAY: Duration = Duration::from_secs(5);
/// How long after the start a TCP flow is looked at for the first time: Zeek's `tcp_SYN_timeout`.
pub const TCP_SYN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a flow is kept after both sides closed or one reset: Zeek's `tcp_close_delay`. Zeek's `tcp_reset_delay` and
/// `tcp_partial_close_delay` act only where a script handles `connection_reset` or `connection_partial_close`; Zeek's own
/// base scripts do not, so a reset flow ends after this delay too.
pub const TCP_CLOSE_DELAY: Duration = Duration::from_secs(5);
/// When a half-closed TCP flow is looked at again: Zeek's `tcp_session_timer`.
pub const TCP_SESSION_TIMER: Duration = Duration::from_secs(6);
/// Silence after which a half-closed TCP flow counts as over: Zeek's `tcp_connection_linger`.
pub const TCP_CONNECTION_LINGER: Duration = Duration::from_secs(5);
/// How long after a flow's first packet its attempt is told of, and after a connection's close what came of it. Zeek has no such
/// timer; nearly all answers of the network come within it, and so do the last acknowledgments.
pub const SETTLE_DELAY: Duration = Duration::from_millis(500);
/// Idle timeout of an established TCP connection: Zeek's `tcp_inactivity_timeout`.
pub const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Idle timeout of a TCP connection on an interactive service: Zeek's `Conn::port_inactivity_timeouts`.
pub const INTERACTIVE_IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Idle timeout of UDP, ICMP and other protocols, and of TCP before the handshake is over: Zeek's
/// `udp_inactivity_timeout`, `icmp_inactivity_timeout`, `unknown_ip_inactivity_timeout`.
pub const SHORT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes sent without any acknowledgment seen after which delivered data is no longer kept: Zeek's
/// `tcp_max_initial_window`.
pub const TCP_MAX_INITIAL_WINDOW: u64 = 16_384;
/// Bytes above a hole, without any acknowledgment seen, after which a direction is given up: Zeek's
/// `tcp_max_above_hole_without_any_acks`.
pub const TCP_MAX_ABOVE_HOLE: u64 = 16_384;
/// Bytes held without further acknowledgment after which a direction is given up: Zeek's
/// `tcp_excessive_data_without_further_acks`.
pub const TCP_EXCESSIVE_DATA: u64 = 10 * 1024 * 1024;
/// Growth from one letter to the next of those that repeat (`c g t w`): Zeek's scaling base in `ScaledHistoryEntry`.
pub const HISTORY_SCALE: u32 = 10;
/// A jump of sequence numbers by more than this in a SYN or RST is not believed: Zeek's `TOO_LARGE_SEQ_DELTA`.
pub const TOO_LARGE_SEQUENCE_JUMP: i32 = 1_048_576;

/// How packets with a wrong checksum are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksums {
    /// They are used like any other; offload makes captured ones wrong. Zeek's `ignore_checksums=T` (`-C`).
    #[default]
    Ignore,
    /// They are discarded as Zeek does by default: a wrong IP checksum hides the packet, a wrong TCP or UDP one leaves a
    /// `c` in the history.
    Verify,
}

/// Which moments of a flow are reported. An event carries a copy of its flow: what nobody looks at is better not made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reported {
    /// Ends only.
    Ends,
    /// Progress, what settles, and the ends that add something to that: of flows that did not settle, that were answered
    /// or that went on.
    Judged,
    /// Those, and the ends of attempts that came to nothing: of all flows but those that settled as closed.
    Finished,
    /// Progress, what settles, and every end.
    Progress,
    /// Starts too.
    #[default]
    All,
}

/// Settings of one [`FlowTable`](crate::FlowTable).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowConfig {
    /// Flows held at most by all shards together; each of the [`Packet::SHARDS`](lapwing_decode::Packet::SHARDS) tables
    /// gets its share.
    pub capacity: usize,
    /// What happens to packets with a wrong checksum.
    pub checksums: Checksums,
    /// Which moments of a flow are reported.
    pub reported: Reported,
    /// Whether the VLAN id is part of what tells flows apart.
    pub vlan_in_key: bool,
    /// Whether the first 32 packet lengths, directions and gaps are kept (200 bytes a flow from the fourth packet on).
    pub packet_series: bool,
    /// Whether the entropy of each side's first payload is measured.
    pub payload_entropy: bool,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            capacity: 128 * 1024,
            checksums: Checksums::Ignore,
            reported: Reported::All,
            vlan_in_key: false,
            packet_series: false,
            payload_entropy: false,
        }
    }
}
