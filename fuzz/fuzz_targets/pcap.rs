//! The capture reader over classic pcap bytes.
#![no_main]

use lapwing_fuzz::read_both_ways;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    // pcapng and the decompressors have no place here: mutation would wander off into them.
    if !matches!(data, [0xa1, ..] | [_, _, _, 0xa1, ..]) {
        return Corpus::Reject;
    }
    read_both_ways(data, data.len() % 37);
    Corpus::Keep
});
