//! One interface: its rings, and the wait for it while it is gone.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::block::{Captured, Cursor};
use super::clock::EvenClock;
use super::ring::{Geometry, Link, Ring, Wish, link};
use super::{LiveConfig, LiveError, LiveEvent};
use crate::{Filter, FrameBatch, InputReport, LinkType, Timestamp};

/// A block of the ring: what a batch holds, so that frames come out in groups of a batch at high rates.
const BLOCK: u32 = 256 * 1024;

/// A block with frames in it is handed over after one to two times this.
pub(super) const RETIRE: Duration = Duration::from_millis(50);

/// A frame comes out of the ring at most this much after its capture time, if the machine is not overloaded.
pub(super) const LATENESS: Duration = Duration::from_millis(200);

/// How often an interface that is gone is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// Silence is told after this long: an interface of a living network hears something every few seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// An interface.
pub(super) struct Tap {
    input: u16,
    link: LinkType,
    found: Link,
    readers: Vec<Reader>,
    state: State,
    pub(super) report: InputReport,
    pub(super) outages: u64,
    pub(super) downtime: Duration,
    heard: Instant,
    silent: bool,
}

enum State {
    Open,
    /// What is in the rings is still read.
    Gone {
        since: Instant,
        next_try: Instant,
    },
}

/// A ring and the place of reading in its oldest block.
struct Reader {
    ring: Ring,
    cursor: Option<Cursor>,
}

impl Tap {
    pub(super) fn open(name: &str, input: u16, config: &LiveConfig) -> Result<Self, LiveError> {
        let (readers, link, found) = open_rings(name, config)?;
        let mut report = InputReport::new(PathBuf::from(name));
        report.link_type(link);
        report.interfaces = 1;
        if config.filter.is_some() && readers.iter().any(|reader| !reader.ring.filtered) {
            let text = format!("{name}: the kernel does not take the filter, so every frame is looked at here");
            report.warn(text);
        }
        let (state, heard) = (State::Open, Instant::now());
        let (outages, downtime) = (0, Duration::ZERO);
        Ok(Self { input, link, found, readers, state, report, outages, downtime, heard, silent: false })
    }

    pub(super) fn name(&self) -> String {
        self.report.path.display().to_string()
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Open)
    }

    pub(super) fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.readers.iter().map(|reader| &reader.ring)
    }

    /// Capture time of the oldest frame that is ready, and the ring it is in.
    pub(super) fn oldest(&mut self, clock: &EvenClock) -> Option<(Timestamp, usize)> {
        let ready = self.readers.iter_mut().enumerate();
        ready.filter_map(|(place, reader)| Some((clock.even(reader.peek()?.time), place))).min()
    }

    /// The rings in which nothing is ready: what they hand over next may be earlier than what is ready in others.
    pub(super) fn behind(&self) -> impl Iterator<Item = &Ring> {
        self.rings().filter(|ring| self.is_up() && ring.block().is_none())
    }

    /// Whether so much waits in a ring that its frames cannot wait for others.
    pub(super) fn is_pressed(&self, ring: usize) -> bool {
        self.readers.get(ring).is_some_and(|reader| reader.ring.is_half_full())
    }

    /// Takes the oldest frame of a ring, captured at `time`, into the batch, if it is one that counts.
    pub(super) fn take(&mut self, ring: usize, time: Timestamp, filter: Option<&mut Filter>, batch: &mut FrameBatch) {
        let (link, input, loopback) = (self.link, self.input, self.found.loopback);
        let Some(reader) = self.readers.get_mut(ring) else { return };
        let filtered = reader.ring.filtered;
        let Some(captured) = reader.peek().map(|captured| Captured { time, ..captured }) else { return };
        // What a machine sends to itself would come twice: when it leaves and when it arrives.
        if !(loopback && captured.outgoing) {
            push(&captured, link, input, batch);
            let asks = !filtered || captured.vlan.is_some();
            if let (Some(filter), true, Some(index)) = (filter, asks, batch.frames.last())
                && !filter.matches(link, batch.data(index), index.length)
            {
                batch.frames.pop();
            }
        }
        reader.advance();
    }

    /// Once a second: counts, errors, silence, and the interface's return.
    pub(super) fn keep(&mut self, config: &LiveConfig, now: Instant, heard: bool, events: &mut Vec<LiveEvent>) {
        let name = self.name();
        self.count_drops(events);
        if heard {
            self.heard = now;
            if std::mem::take(&mut self.silent) {
                events.push(LiveEvent::Heard { interface: name.clone() });
            }
        }
        match self.state {
            State::Open => {
                if let Some(error) = self.take_errors() {
                    events.push(LiveEvent::Gone { interface: name, reason: error.to_string() });
                    self.outages += 1;
                    self.state = State::Gone { since: now, next_try: now + RETRY };
                } else if !self.silent && now.duration_since(self.heard) >= SILENCE {
                    self.silent = true;
                    events.push(LiveEvent::Silent { interface: name, silence: SILENCE });
                }
            }
            State::Gone { since, next_try } if now >= next_try => {
                if self.listen_again(&name, config).is_ok() {
                    // What the rings noted while the interface was away is over.
                    self.take_errors();
                    let outage = now.duration_since(since);
                    self.downtime += outage;
                    self.heard = now;
                    self.state = State::Open;
                    events.push(LiveEvent::Back { interface: name, outage });
                } else {
                    self.state = State::Gone { since, next_try: now + RETRY };
                }
            }
            State::Gone { .. } => {}
        }
    }

    /// The first error that the kernel has noted; all are forgotten.
    fn take_errors(&self) -> Option<io::Error> {
        self.rings().fold(None, |first, ring| first.or(ring.take_error()))
    }

    /// How long the interface was away in all, an outage that goes on included.
    pub(super) fn outage(&self, now: Instant) -> Duration {
        match self.state {
            State::Gone { since, .. } => self.downtime + now.duration_since(since),
            State::Open => self.downtime,
        }
    }

    /// Looks for the interface, and listens to it if it is there: with the sockets there are, which takes no right, unless it is
    /// a new one of the same name and the rings are a group, which cannot change over.
    fn listen_again(&mut self, name: &str, config: &LiveConfig) -> Result<(), LiveError> {
        let refused = |error| LiveError::new(name, error, config.buffer);
        let found = self.readers[0].ring.look_up(name).map_err(refused)?;
        if !found.up {
            return Err(LiveError::Down { interface: name.to_owned() });
        }
        if link_type(found.hardware) != Some(self.link) {
            return Err(LiveError::LinkLayer { interface: name.to_owned(), hardware: found.hardware });
        }
        // The kernel goes on by itself where an interface went down and up again.
        if found.index != self.found.index {
            match self.readers.as_slice() {
                [reader] => reader.ring.listen(found.index, config.promiscuous).map_err(refused)?,
                _ => self.readers = open_rings(name, config)?.0,
            }
        }
        self.found = found;
        Ok(())
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    fn count_drops(&mut self, events: &mut Vec<LiveEvent>) {
        let all = self.rings().filter_map(|ring| ring.statistics().ok());
        let (received, dropped) = all.fold((0, 0), |sum, one| (sum.0 + one.received, sum.1 + one.dropped));
        if dropped > 0 {
            self.report.dropped += dropped;
            events.push(LiveEvent::Dropped { interface: self.name(), dropped, received });
        }
    }
}

impl Reader {
    /// The oldest frame; blocks that hold none any more go back to the kernel.
    fn peek(&mut self) -> Option<Captured<'_>> {
        loop {
            let block = self.ring.block()?;
            let cursor = *self.cursor.get_or_insert_with(|| Cursor::new(block));
            if cursor.peek(block).is_some() {
                break;
            }
            self.cursor = None;
            self.ring.release();
        }
        self.cursor?.peek(self.ring.block()?)
    }

    fn advance(&mut self) {
        if let (Some(cursor), Some(block)) = (&mut self.cursor, self.ring.block()) {
            cursor.advance(block);
        }
    }
}

/// Copies a frame out of the ring, with the VLAN tag where it was: behind the two addresses.
fn push(captured: &Captured<'_>, link: LinkType, input: u16, batch: &mut FrameBatch) {
    const ADDRESSES: usize = 12;
    let Captured { time, length, data, vlan, .. } = *captured;
    match vlan {
        Some(tag) if link == LinkType::ETHERNET && data.len() >= ADDRESSES => {
            let (addresses, rest) = data.split_at(ADDRESSES);
            let length = length.saturating_add(tag.len() as u32);
            batch.push_parts(time, link, length, input, [addresses, &tag, rest]);
        }
        _ => batch.push(time, link, length, input, data),
    }
}

fn open_rings(name: &str, config: &LiveConfig) -> Result<(Vec<Reader>, LinkType, Link), LiveError> {
    let refused = |error| LiveError::new(name, error, config.buffer);
    let found = link(name).map_err(refused)?;
    if !found.up {
        return Err(LiveError::Down { interface: name.to_owned() });
    }
    let link = link_type(found.hardware)
        .ok_or_else(|| LiveError::LinkLayer { interface: name.to_owned(), hardware: found.hardware })?;
    let program = match &config.filter {
        None => None,
        Some(filter) => {
            let program = filter.compile(link);
            program.map_err(|source| LiveError::Filter { interface: name.to_owned(), source })?.for_socket()
        }
    };
    let rings = config.rings.clamp(1, LiveConfig::MOST_RINGS);
    let fanout = (rings > 1).then(|| group(found.index));
    let wish = Wish { link: found, promiscuous: config.promiscuous, fanout, program: program.as_deref() };
    let blocks = (config.buffer / rings / BLOCK as usize).clamp(2, 1 << 14) as u32;
    let geometry = Geometry { block: BLOCK, blocks, retire: RETIRE };
    let open = |_| Ok(Reader { ring: Ring::open(wish, geometry).map_err(refused)?, cursor: None });
    let readers = (0..rings).map(open).collect::<Result<Vec<_>, _>>()?;
    Ok((readers, link, found))
}

/// A number for the group of this process's rings on an interface: groups are known by number in the whole network
/// namespace, and those of two processes must differ.
fn group(index: i32) -> u16 {
    (std::process::id() as u16).wrapping_mul(31).wrapping_add(index as u16)
}

/// What frames of an interface begin with, from Linux's number of its link layer (`<linux/if_arp.h>`).
fn link_type(hardware: u16) -> Option<LinkType> {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::ETHERNET),
        libc::ARPHRD_IEEE80211 => Some(LinkType::IEEE802_11),
        libc::ARPHRD_IEEE80211_RADIOTAP => Some(LinkType::IEEE802_11_RADIOTAP),
        // Tunnels in layer three: tun, WireGuard, and modems that hand over IP.
        libc::ARPHRD_NONE | 519 => Some(LinkType::RAW),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_goes_back_behind_the_addresses() {
        let mut batch = FrameBatch::default();
        let data: Vec<u8> = (0..60).collect();
        let captured = Captured {
            time: Timestamp::default(),
            length: 60,
            data: &data,
            vlan: Some([0x81, 0, 0, 7]),
            outgoing: false,
        };
        push(&captured, LinkType::ETHERNET, 0, &mut batch);
        push(&Captured { vlan: None, ..captured }, LinkType::ETHERNET, 0, &mut batch);
        push(&Captured { data: &data[..5], ..captured }, LinkType::ETHERNET, 0, &mut batch);
        let frames: Vec<_> = batch.iter().collect();
        assert_eq!((frames[0].length, frames[0].data.len()), (64, 64));
        assert_eq!(frames[0].data[10..18], [10, 11, 0x81, 0, 0, 7, 12, 13]);
        assert_eq!(frames[1].data, data);
        assert_eq!(frames[2].data, &data[..5]);
    }
}
