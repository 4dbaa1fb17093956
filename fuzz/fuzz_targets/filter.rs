//! Capture filters: any text compiled for every link type, and the programs run on any frame.
//!
//! The text ends at the first zero byte; the frame follows.
#![no_main]

use lapwing_capture::{Filter, LinkType};
use libfuzzer_sys::{Corpus, fuzz_target};

const LINK_TYPES: [LinkType; 12] = [
    LinkType::ETHERNET,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::PPP,
    LinkType::PPP_ETHERNET,
    LinkType::RAW,
    LinkType::IPV6,
    LinkType::IEEE802_11,
    LinkType::IEEE802_11_RADIOTAP,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType(999),
];

fuzz_target!(|data: &[u8]| -> Corpus {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (text, frame) = data.split_at(end);
    let frame = frame.get(1..).unwrap_or_default();
    let Ok(text) = str::from_utf8(text) else { return Corpus::Reject };
    match Filter::new(text) {
        Ok(mut filter) => {
            for link in LINK_TYPES {
                for captured in [frame.len(), frame.len() / 2, 0] {
                    let taken = filter.matches(link, &frame[..captured], frame.len() as u32);
                    assert_eq!(taken, filter.matches(link, &frame[..captured], frame.len() as u32));
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});
