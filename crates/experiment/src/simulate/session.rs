//! TCP conversations, with handshake, acknowledgments and end.

use std::time::Duration;

use lapwing_capture::Timestamp;

use super::wire::{ACK, End, FIN, PSH, RST, SYN, Segment, tcp};
use super::world::World;

/// Bytes of a full segment.
const FULL: usize = 1_448;

/// Full segments follow each other so fast on a home's link.
const BACK_TO_BACK: Duration = Duration::from_micros(120);

/// Which end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// A TCP conversation: every call makes frames from `now` on and moves it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    client: End,
    server: End,
    /// Half of the time an answer takes.
    delay: Duration,
    pub(super) now: Timestamp,
    /// The next sequence number of client and server.
    next: [u32; 2],
}

impl Session {
    /// Opens a connection.
    pub(super) fn open(world: &mut World, now: Timestamp, client: End, server: End, delay: Duration) -> Self {
        let next = [world.random.next_u64() as u32, world.random.next_u64() as u32];
        let mut session = Self { client, server, delay, now, next };
        session.segment(world, Side::Client, SYN, &[]);
        session.wait(delay);
        session.segment(world, Side::Server, SYN | ACK, &[]);
        session.wait(delay);
        session.segment(world, Side::Client, ACK, &[]);
        session
    }

    /// A connection that is refused.
    pub(super) fn refused(world: &mut World, now: Timestamp, client: End, server: End, delay: Duration) {
        let next = [world.random.next_u64() as u32, 0];
        let mut session = Self { client, server, delay, now, next };
        session.segment(world, Side::Client, SYN, &[]);
        session.wait(delay);
        session.segment(world, Side::Server, RST | ACK, &[]);
    }

    /// Time passes.
    pub(super) fn wait(&mut self, duration: Duration) {
        self.now = self.now.plus(duration);
    }

    /// One side says something, and the other acknowledges every second segment and the last.
    pub(super) fn say(&mut self, world: &mut World, side: Side, bytes: &[u8]) {
        let count = bytes.len().div_ceil(FULL);
        for (place, piece) in (1..).zip(bytes.chunks(FULL)) {
            let push = if place == count { PSH } else { 0 };
            self.segment(world, side, ACK | push, piece);
            if place % 2 == 0 || place == count {
                let sent = self.now;
                self.wait(if place == count { self.delay } else { Duration::from_micros(40) });
                self.segment(world, side.other(), ACK, &[]);
                self.now = sent;
            }
            self.wait(BACK_TO_BACK);
        }
    }

    /// One side says so many bytes that mean nothing.
    pub(super) fn say_random(&mut self, world: &mut World, side: Side, count: usize) {
        let bytes = world.bytes(count);
        self.say(world, side, &bytes);
    }

    /// One side says an encrypted TLS record of so many bytes.
    pub(super) fn say_record(&mut self, world: &mut World, side: Side, count: usize) {
        for left in (0..count).step_by(16_384).map(|said| (count - said).min(16_384)) {
            let mut record = vec![0x17, 3, 3];
            record.extend((left as u16).to_be_bytes());
            record.extend(world.bytes(left));
            self.say(world, side, &record);
        }
    }

    /// A question and its answer, after the server has thought for a while.
    pub(super) fn ask(&mut self, world: &mut World, question: &[u8], thinks: Duration, answer: &[u8]) {
        self.say(world, Side::Client, question);
        self.wait(self.delay + thinks);
        self.say(world, Side::Server, answer);
        self.wait(self.delay);
    }

    /// One side ends it, the other does so too.
    pub(super) fn close(mut self, world: &mut World, side: Side) {
        self.wait(self.delay);
        self.segment(world, side, FIN | ACK, &[]);
        self.wait(self.delay);
        self.segment(world, side.other(), FIN | ACK, &[]);
        self.wait(self.delay);
        self.segment(world, side, ACK, &[]);
    }

    /// Half of the time an answer takes.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    fn segment(&mut self, world: &mut World, side: Side, flags: u8, payload: &[u8]) {
        let (from, to) = match side {
            Side::Client => (self.client, self.server),
            Side::Server => (self.server, self.client),
        };
        let acknowledgment = if flags & ACK != 0 { self.next[side.other() as usize] } else { 0 };
        let segment = Segment { flags, sequence: self.next[side as usize], acknowledgment };
        let frame = tcp(from, to, world.identification(), segment, payload);
        world.pass(self.now, frame);
        let takes = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[side as usize] = self.next[side as usize].wrapping_add(takes);
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}
