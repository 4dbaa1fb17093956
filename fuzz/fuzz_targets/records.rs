//! Logs of connections: Zeek's text and JSON, EVE, separated values, Argus's tables, gzip and zstd around them.
#![no_main]

use lapwing_fuzz::read_every_way;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| read_every_way(data, data.len() % 37));
