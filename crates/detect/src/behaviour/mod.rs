//! Quantities per host, host pair, device and network, measured for the signatures to judge.

mod arp;
mod attempts;
mod beacon;
mod broker_session;
mod exfiltration;
mod flood;
mod growth;
mod guessed;
mod horizontal_scan;
mod login;
mod newcomer;
mod outcomes;
mod probe;
mod recent;
mod reflection;
mod reflector;
mod scattered_scan;
mod slow_request;
mod sweep;
mod vertical_scan;

pub use arp::ArpWatch;
pub use beacon::Beacon;
pub use broker_session::BrokerSession;
pub use exfiltration::Exfiltration;
pub use flood::Flood;
pub use guessed::Guessed;
pub use horizontal_scan::HorizontalScan;
pub use login::Login;
pub use newcomer::Newcomer;
pub use reflection::Reflection;
pub use reflector::Reflector;
pub use scattered_scan::ScatteredScan;
pub use slow_request::SlowRequest;
pub use sweep::SWEEP_SECONDS;
pub use vertical_scan::VerticalScan;

pub(crate) use arp::INFO as ARP;
pub(crate) use beacon::INFO as BEACON;
pub(crate) use broker_session::INFO as BROKER_SESSION;
pub(crate) use exfiltration::INFO as EXFILTRATION;
pub(crate) use flood::INFO as FLOOD;
pub(crate) use guessed::INFO as GUESSED;
pub(crate) use horizontal_scan::INFO as HORIZONTAL_SCAN;
pub(crate) use login::INFO as LOGIN;
pub(crate) use newcomer::INFO as NEWCOMER;
pub(crate) use reflection::INFO as REFLECTION;
pub(crate) use reflector::INFO as REFLECTOR;
pub(crate) use scattered_scan::INFO as SCATTERED_SCAN;
pub(crate) use slow_request::INFO as SLOW_REQUEST;
pub(crate) use vertical_scan::INFO as VERTICAL_SCAN;

use lapwing_capture::Timestamp;

/// Capture time in whole seconds, as the windows count it; a time before 1970 counts as 0.
fn second(time: Timestamp) -> u32 {
    u32::try_from(time.seconds().max(0)).unwrap_or(u32::MAX)
}

/// The protocol as rules name it: `ip` is what is neither TCP nor UDP nor ICMP.
fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        1 | 6 | 17 | 58 => lapwing_protocol::transport(protocol),
        _ => "ip",
    }
}
