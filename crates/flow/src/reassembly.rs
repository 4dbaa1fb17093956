//! IP fragments in, datagrams out.
//!
//! Bounded in datagrams, in bytes and in time. Where fragments overlap, the bytes that came first stay, as in Zeek. What
//! contradicts itself (teardrop, ping of death) costs its own datagram only.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_decode::{Address, Fragment, Packet, flag};

/// How long a datagram may wait for its missing fragments: Zeek's documented `frag_timeout` of five minutes.
pub const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(300);
/// The largest payload that a datagram can have: the length field has 16 bits.
const LARGEST_DATAGRAM: u32 = 65_535;
/// Pieces that a datagram may be in: enough for 64 KiB over links of 68 bytes, the smallest of IPv4.
const MOST_PIECES: usize = 2_048;
/// What a piece costs besides its bytes.
const PIECE_COST: usize = 64;
/// What a datagram costs besides its pieces.
const DATAGRAM_COST: usize = 512;

/// Limits of a [`Reassembler`].
#[derive(Clone, Copy, Debug)]
pub struct ReassemblyLimits {
    /// Datagrams that may wait at once.
    pub datagrams: usize,
    /// Bytes that they may hold at once, bookkeeping included.
    pub bytes: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { datagrams: 4_096, bytes: 8 << 20 }
    }
}

/// What became of fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyCounters {
    /// Fragments that came.
    pub fragments: u64,
    /// Datagrams put together.
    pub datagrams: u64,
    /// Fragments that repeated or overlapped bytes already there.
    pub overlaps: u64,
    /// Fragments cut by the snap length: of no use.
    pub cut: u64,
    /// Fragments that reach past 64 KiB, or into too many pieces.
    pub oversized: u64,
    /// Datagrams given up because fragments stayed away for five minutes.
    pub timed_out: u64,
    /// Datagrams given up to make room: the oldest go first.
    pub evicted: u64,
}

/// A datagram to be decoded again.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// What the first fragment's headers said, with time and frame number of the fragment that completed the datagram.
    pub packet: Packet,
    /// The datagram's payload.
    pub payload: Vec<u8>,
}

/// What fragments of one datagram have in common (RFC 791 section 3.2; RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    /// IPv4 only; in IPv6 the first fragment alone says it.
    protocol: Option<u8>,
}

/// A datagram whose fragments are not all there.
#[derive(Debug)]
struct Partial {
    /// Its place in [`Reassembler::oldest_first`].
    serial: u64,
    started: Timestamp,
    /// By offset; they do not overlap.
    pieces: BTreeMap<u32, Vec<u8>>,
    first: Option<Packet>,
    /// The end, once the last fragment has come.
    end: Option<u32>,
    cost: usize,
}

/// Puts fragments together.
#[derive(Debug)]
pub struct Reassembler {
    limits: ReassemblyLimits,
    waiting: HashMap<Key, Partial>,
    oldest_first: BTreeMap<u64, Key>,
    serial: u64,
    cost: usize,
    counters: ReassemblyCounters,
}

impl Reassembler {
    /// An empty one.
    #[must_use]
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            waiting: HashMap::new(),
            oldest_first: BTreeMap::new(),
            serial: 0,
            cost: 0,
            counters: ReassemblyCounters::default(),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> ReassemblyCounters {
        self.counters
    }

    /// Takes in a fragment, whose piece of the datagram `bytes` is; returns the datagram if that completes it.
    pub fn push(&mut self, fragment: &Fragment, bytes: &[u8]) -> Option<Datagram> {
        self.counters.fragments += 1;
        self.advance(fragment.packet.time);
        if fragment.packet.payload_captured < fragment.packet.payload_length {
            self.counters.cut += 1;
            return None;
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = fragment.fragment_offset.saturating_add(length);
        if end > LARGEST_DATAGRAM {
            self.counters.oversized += 1;
            return None;
        }
        let key = Key::of(fragment);
        let partial = self.waiting.entry(key).or_insert_with(|| {
            self.serial += 1;
            self.oldest_first.insert(self.serial, key);
            self.cost += DATAGRAM_COST;
            Partial::new(self.serial, fragment.packet.time)
        });
        let cost = partial.cost;
        if partial.pieces.len() >= MOST_PIECES {
            self.counters.oversized += 1;
            return None;
        }
        if !partial.add(fragment, bytes, end) {
            self.counters.overlaps += 1;
        }
        self.cost += partial.cost - cost;
        if partial.is_complete() {
            let partial = self.remove(&key)?;
            self.counters.datagrams += 1;
            return partial.into_datagram(&fragment.packet);
        }
        while self.waiting.len() > self.limits.datagrams || self.cost > self.limits.bytes {
            let Some((_, oldest)) = self.oldest_first.first_key_value() else { break };
            let oldest = *oldest;
            self.remove(&oldest);
            self.counters.evicted += 1;
        }
        None
    }

    /// Gives up datagrams whose time is over.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.oldest_first.first_key_value() {
            let key = *key;
            let Some(partial) = self.waiting.get(&key) else { break };
            if partial.started.plus(FRAGMENT_TIMEOUT) > now {
                break;
            }
            self.remove(&key);
            self.counters.timed_out += 1;
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let partial = self.waiting.remove(key)?;
        self.oldest_first.remove(&partial.serial);
        self.cost -= partial.cost + DATAGRAM_COST;
        Some(partial)
    }
}

impl Key {
    fn of(fragment: &Fragment) -> Self {
        let packet = &fragment.packet;
        Self {
            source: packet.source,
            destination: packet.destination,
            identification: fragment.identification,
            protocol: (!packet.has(flag::IPV6)).then_some(packet.protocol),
        }
    }
}

impl Partial {
    fn new(serial: u64, started: Timestamp) -> Self {
        Self { serial, started, pieces: BTreeMap::new(), first: None, end: None, cost: 0 }
    }

    /// Adds what is new of a fragment; tells whether all of it was.
    fn add(&mut self, fragment: &Fragment, bytes: &[u8], end: u32) -> bool {
        if fragment.fragment_offset == 0 && self.first.is_none() {
            self.first = Some(fragment.packet.clone());
        }
        // A datagram is as long as its longest fragment says once the last one has come.
        if !fragment.more || self.end.is_some() {
            self.end = Some(self.end.map_or(end, |known| known.max(end)));
        }
        if !fragment.more
            && let Some((start, last)) = self.pieces.last_key_value()
        {
            self.end = self.end.max(Some(start + last.len() as u32));
        }
        let mut at = fragment.fragment_offset;
        let mut all_new = true;
        while at < end {
            if let Some((start, piece)) = self.pieces.range(..=at).next_back()
                && start + piece.len() as u32 > at
            {
                at = start + piece.len() as u32;
                all_new = false;
                continue;
            }
            let until = self.pieces.range(at..end).next().map_or(end, |(start, _)| *start);
            let from = (at - fragment.fragment_offset) as usize;
            let piece = bytes[from..from + (until - at) as usize].to_vec();
            self.cost += piece.len() + PIECE_COST;
            self.pieces.insert(at, piece);
            at = until;
        }
        all_new
    }

    fn is_complete(&self) -> bool {
        let Some(end) = self.end else { return false };
        if self.first.is_none() {
            return false;
        }
        let mut reached = 0;
        for (start, piece) in &self.pieces {
            if *start != reached {
                return false;
            }
            reached += piece.len() as u32;
        }
        reached >= end
    }

    fn into_datagram(self, last: &Packet) -> Option<Datagram> {
        let mut packet = self.first?;
        packet.time = last.time;
        packet.frame = last.frame;
        let payload = self.pieces.into_values().collect::<Vec<_>>().concat();
        Some(Datagram { packet, payload })
    }
}

#[cfg(test)]
mod tests;
