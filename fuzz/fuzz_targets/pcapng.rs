//! The capture reader over pcapng bytes.
#![no_main]

use lapwing_fuzz::read_both_ways;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !data.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        return Corpus::Reject;
    }
    read_both_ways(data, data.len() % 37);
    Corpus::Keep
});
