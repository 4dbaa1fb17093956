//! What the flow table counts about itself.

/// Counts of one flow table since it was made; add them up over the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Packets of TCP.
    pub tcp_packets: u64,
    /// Packets of UDP.
    pub udp_packets: u64,
    /// Packets of ICMP and ICMPv6.
    pub icmp_packets: u64,
    /// Packets of SCTP.
    pub sctp_packets: u64,
    /// Packets of other IP protocols.
    pub other_packets: u64,
    /// Packets hidden because their IP header checksum was wrong (only with checksums verified).
    pub bad_ip_checksums: u64,
    /// Packets not used because their transport checksum was wrong (only with checksums verified).
    pub bad_checksums: u64,
    /// Packets whose transport header was cut short or malformed; they belong to no flow.
    pub without_transport: u64,
    /// Flows that began.
    pub started: u64,
    /// Flows that both sides closed, one reset, or whose five-tuple a new connection took.
    pub closed: u64,
    /// Flows that fell silent.
    pub idle: u64,
    /// Flows ended early because the table was full.
    pub evicted: u64,
    /// Flows still live when the input ended.
    pub end_of_input: u64,
    /// Flows live now.
    pub active: u64,
    /// Most flows live at once; added over shards an upper bound.
    pub active_peak: u64,
    /// TCP directions whose data is no longer followed, because too much of it lies above a hole or the room for such
    /// notes is used up.
    pub given_up_directions: u64,
}

impl FlowCounters {
    /// Adds the counts of another shard.
    pub fn add(&mut self, other: &Self) {
        self.tcp_packets += other.tcp_packets;
        self.udp_packets += other.udp_packets;
        self.icmp_packets += other.icmp_packets;
        self.sctp_packets += other.sctp_packets;
        self.other_packets += other.other_packets;
        self.bad_ip_checksums += other.bad_ip_checksums;
        self.bad_checksums += other.bad_checksums;
        self.without_transport += other.without_transport;
        self.started += other.started;
        self.closed += other.closed;
        self.idle += other.idle;
        self.evicted += other.evicted;
        self.end_of_input += other.end_of_input;
        self.active += other.active;
        self.active_peak += other.active_peak;
        self.given_up_directions += other.given_up_directions;
    }
}
