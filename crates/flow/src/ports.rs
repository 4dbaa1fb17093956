//! Ports that a server is likely to listen on: what Zeek's `likely_server_ports` holds once its base scripts are loaded.

/// IP protocol number of ICMP for IPv4.
pub(crate) const ICMP: u8 = 1;
/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;
/// IP protocol number of UDP.
pub(crate) const UDP: u8 = 17;
/// IP protocol number of ICMP for IPv6.
pub(crate) const ICMP6: u8 = 58;
/// IP protocol number of SCTP.
pub(crate) const SCTP: u8 = 132;

/// TCP: from the `ports` of each analyser in Zeek's `scripts/base/protocols`.
const LIKELY_TCP: [u16; 49] = [
    21, 22, 25, 53, 79, 80, 81, 88, 135, 139, 143, 389, 443, 445, 465, 502, 514, 563, 585, 587, 614, 631, 636, 989,
    990, 992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5222, 5223, 5269, 5432, 6379, 6666, 6667, 6668,
    6669, 8000, 8080, 8888, 20000,
];

/// UDP: the same, and the tunnels of `scripts/base/packet-protocols`.
const LIKELY_UDP: [u16; 24] = [
    53, 67, 88, 123, 137, 161, 162, 389, 443, 514, 1812, 2123, 2152, 3389, 3544, 4011, 4754, 4789, 5060, 5072, 5353,
    5355, 6081, 20000,
];

/// Ports whose TCP connections may be silent for long: Zeek's `Conn::port_inactivity_timeouts`.
const INTERACTIVE: [u16; 4] = [21, 22, 23, 513];

/// Whether a server is likely behind this port of TCP or UDP.
pub(crate) fn is_likely_server(protocol: u8, port: u16) -> bool {
    match protocol {
        TCP => LIKELY_TCP.binary_search(&port).is_ok(),
        UDP => LIKELY_UDP.binary_search(&port).is_ok(),
        _ => false,
    }
}

/// Whether connections to this TCP port are given an hour of silence.
pub(crate) fn is_interactive(port: u16) -> bool {
    INTERACTIVE.contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_lists_are_sorted() {
        assert!(LIKELY_TCP.is_sorted() && LIKELY_UDP.is_sorted());
    }
}
