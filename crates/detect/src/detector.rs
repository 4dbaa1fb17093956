//! The interface that every detector has.

use lapwing_asset::Change;
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::{Need, Observation, Observed};

use crate::{Detection, Measurement};

/// A detector's name and what it is for, as `list` and the reference pages print it.
#[derive(Debug, PartialEq, Eq)]
pub struct DetectorInfo {
    /// Its name; kebab-case.
    pub name: &'static str,
    /// What it looks for, in one sentence.
    pub summary: &'static str,
    /// The measurement services that it feeds (`logsource: product: lapwing`), for behaviours.
    pub services: &'static [&'static str],
    /// What it, or a part of it, needs to know: a log does not carry everything.
    pub needs: &'static [Need],
}

/// Logical shards of detector state, whatever the number of threads.
pub const SHARDS: usize = 64;

/// What a detector's state belongs to: all observations about one such thing reach the same shard, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// The host that acts: who really sent the flow's first packet ([`actor`]); for an ICMP error the host that it is sent to,
    /// for it answers what that host did.
    Actor,
    /// The host acted upon: the other end.
    Target,
    /// Both hosts of a flow, whoever sent first.
    HostPair,
    /// One shard for everything.
    Network,
    /// One shard for what is seen of the link itself: ARP packets, no flows.
    Link,
}

impl Partition {
    /// The shard of `fact`, below [`SHARDS`]; the same in every run. `None` where the partition does not look at it: ARP
    /// packets reach the link and the network alone, flows all but the link, and their starts none.
    #[must_use]
    pub fn shard(self, fact: &Observation<'_>) -> Option<usize> {
        // What a start says, progress and end say better: judged is what came of a flow.
        let flow = match fact {
            Observation::Arp(_) => return matches!(self, Self::Network | Self::Link).then_some(0),
            flow => flow.reported()?.0,
        };
        Some(match self {
            Self::Actor if is_icmp_error(flow) => shard_of(fold(&flow.responder.address)),
            Self::Actor => shard_of(fold(&actor(flow))),
            Self::Target => shard_of(fold(&target(flow))),
            Self::HostPair => shard_of(fold(&flow.originator.address) ^ fold(&flow.responder.address)),
            Self::Network => 0,
            Self::Link => return None,
        })
    }
}

/// Who acted first in `flow`. Zeek makes the client of a connection its originator even where only the server was
/// heard, as in backscatter; so the originator acted only if it sent anything.
#[must_use]
pub fn actor(flow: &Flow) -> Address {
    if first_packet_from_responder(flow) { flow.responder.address } else { flow.originator.address }
}

/// The other end of what the [`actor`] did.
#[must_use]
pub fn target(flow: &Flow) -> Address {
    if first_packet_from_responder(flow) { flow.originator.address } else { flow.responder.address }
}

/// Zeek's history begins with `^` where it took the receiver of the first packet for the originator.
pub(crate) fn first_packet_from_responder(flow: &Flow) -> bool {
    flow.history.first() == Some(b'^')
}

/// Messages that answer a packet which could not be delivered: RFC 792 (unreachable, source quench, redirect, time exceeded,
/// parameter problem), RFC 4443 (types below 128).
pub(crate) fn is_icmp_error(flow: &Flow) -> bool {
    match flow.protocol {
        1 => matches!(flow.originator.port, 3 | 4 | 5 | 11 | 12),
        58 => flow.originator.port < 128,
        _ => false,
    }
}

fn fold(address: &Address) -> u64 {
    let (high, low) = address.0.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
    word(high).rotate_left(29) ^ word(low)
}

fn shard_of(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

/// What came out of looking at a batch.
#[derive(Debug, Default)]
pub struct Found {
    /// Claims.
    pub detections: Vec<Detection>,
    /// Quantities for the signatures to judge.
    pub measurements: Vec<Measurement>,
}

/// Looks at observations and says what it found.
pub trait Detector: Send {
    /// Its name and purpose.
    fn info(&self) -> &'static DetectorInfo;
    /// What its state belongs to: the pipeline shards by it.
    fn partition(&self) -> Partition;
    /// Looks at one batch, oldest first, and appends what it found. Infallible: what can fail has failed in `new`.
    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found);
    /// Looks at what an observation made new in the inventory of devices; of interest to [`Partition::Network`] alone.
    fn changed(&mut self, _by: &Observed<'_>, _changes: &[Change], _found: &mut Found) {}
    /// Closes the windows that end by `now`, a whole second of capture time.
    fn advance(&mut self, _now: Timestamp, _found: &mut Found) {}
    /// Entries of its state given up because a table was full.
    fn evicted(&self) -> u64 {
        0
    }
}
