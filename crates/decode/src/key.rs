//! Hash and shard of a five-tuple, the same for both directions.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::{Address, Packet};

/// Words for [`KeyWords::fold`]: the first digits of π, so that a shard is the same in every run and on every machine.
const SHARD_KEY: [u64; 5] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89, 0x4528_21e6_38d0_1377];

/// Secret words that key the flow hash, so that nobody outside can aim packets at one bucket. Drawn once per process: every
/// decoder of the process gives the same hash.
pub(crate) fn process_key() -> [u64; 5] {
    static KEY: OnceLock<[u64; 5]> = OnceLock::new();
    *KEY.get_or_init(|| {
        let random = RandomState::new();
        std::array::from_fn(|index| random.hash_one(index))
    })
}

/// What names a flow, in an order that does not depend on the direction.
pub(crate) struct FlowKey {
    words: KeyWords,
    /// Whether the source is the higher endpoint.
    pub(crate) from_higher: bool,
}

/// The lower address, the higher address, ports and protocol.
struct KeyWords([u64; 5]);

impl FlowKey {
    /// The key of a five-tuple. With `one_way` the ports are ICMP type and code, which do not change places when the
    /// addresses do: both directions share the hash, and `flow` tells them apart.
    pub(crate) fn new(source: (Address, u16), destination: (Address, u16), protocol: u8, one_way: bool) -> Self {
        let from = u128::from_be_bytes(source.0.0);
        let to = u128::from_be_bytes(destination.0.0);
        let from_higher = from > to || from == to && source.1 > destination.1;
        let (low, high) = if from_higher { (to, from) } else { (from, to) };
        let (low_port, high_port) =
            if from_higher && !one_way { (destination.1, source.1) } else { (source.1, destination.1) };
        let last = u64::from(low_port) << 48 | u64::from(high_port) << 32 | u64::from(protocol);
        let words = KeyWords([(low >> 64) as u64, low as u64, (high >> 64) as u64, high as u64, last]);
        Self { words, from_higher }
    }

    /// Hash under the process's secret key.
    pub(crate) fn hash(&self, key: &[u64; 5]) -> u64 {
        self.words.fold(key)
    }

    /// Logical shard, below [`Packet::SHARDS`].
    pub(crate) fn shard(&self) -> u8 {
        (self.fixed_hash() >> 58) as u8 % Packet::SHARDS as u8
    }

    /// Hash that is the same in every run.
    pub(crate) fn fixed_hash(&self) -> u64 {
        self.words.fold(&SHARD_KEY)
    }
}

impl KeyWords {
    /// Folded multiplication, as foldhash and wyhash do it: each product's high half is mixed into its low half.
    fn fold(&self, key: &[u64; 5]) -> u64 {
        let Self(words) = self;
        let low = fold(words[0] ^ key[0], words[1] ^ key[1]);
        let high = fold(words[2] ^ key[2], words[3] ^ key[3]);
        fold(low ^ words[4] ^ key[4], high.rotate_left(32) ^ key[1])
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(source: (u32, u16), destination: (u32, u16), one_way: bool) -> FlowKey {
        let end = |(address, port): (u32, u16)| (Address::v4(address.to_be_bytes()), port);
        FlowKey::new(end(source), end(destination), 6, one_way)
    }

    proptest! {
        #[test]
        fn both_directions_share_hash_and_shard(source: (u32, u16), destination: (u32, u16)) {
            let (there, back) = (key(source, destination, false), key(destination, source, false));
            prop_assert_eq!(there.hash(&process_key()), back.hash(&process_key()));
            prop_assert_eq!(there.shard(), back.shard());
            prop_assert_eq!(there.from_higher != back.from_higher, source != destination);
        }

        #[test]
        fn one_way_messages_share_hash_and_shard(one: u32, other: u32, kind: u16, code: u16) {
            let (there, back) = (key((one, kind), (other, code), true), key((other, kind), (one, code), true));
            prop_assert_eq!(there.hash(&process_key()), back.hash(&process_key()));
            prop_assert_eq!(there.shard(), back.shard());
        }
    }

    /// Neighbouring addresses and ports are the usual case: 64 000 flows of one subnet, 1 000 expected per shard with a
    /// standard deviation of 31.
    #[test]
    fn shards_are_even() {
        let mut counts = [0_u32; Packet::SHARDS];
        for host in 0..250 {
            for port in 0..256 {
                let flow = key((0x0a00_0001 + host, 40_000 + port), (0x5db8_d822, 443), false);
                counts[usize::from(flow.shard())] += 1;
            }
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_shard_does_not_depend_on_the_process() {
        assert_eq!(key((0x0a00_0001, 40_000), (0x0a00_0002, 53), false).shard(), SHARD_OF_THE_EXAMPLE);
    }

    /// As first computed: another value reorders the outputs of every version since.
    const SHARD_OF_THE_EXAMPLE: u8 = 3;
}
