//! Capture filters: the tcpdump language (`pcap-filter(7)`), compiled to classic BPF.
//!
//! The text is parsed once; for each link type that turns up it is lowered to conditions on fields and compiled to a
//! program, which runs here in safe code or, attached to a socket, in the kernel. (The kernel hands over Ethernet frames
//! with their outer VLAN tag taken out: a live source puts it back before it filters, or does without the kernel's help
//! where a filter says `vlan`.)
//!
//! A filter takes exactly the frames that libpcap's takes, oddities included: fields of `tcp` and `udp` are those of IPv4,
//! `and` and `or` bind equally, a test that reads past the end of a frame leaves the frame. What cannot be compiled is
//! refused with its reason and place: names of hosts (nothing is looked up), `protochain`, `gateway`, and keywords of link
//! layers and systems that captures here do not come from. One difference is known: libpcap's optimizer leaves out tests
//! that cannot change the answer, so a frame too short for such a test (`tcp[13] = 2 or tcp`) is taken there and left here.

mod condition;
mod emit;
mod layout;
mod lexer;
mod lower;
mod names;
mod parser;
mod program;
mod syntax;

use thiserror::Error;

use crate::{FrameBatch, LinkType};
pub use program::{Instruction, Program};

/// Why a filter cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("filter, at {}: {reason}", place(.text, *.position))]
pub struct FilterError {
    /// The filter.
    pub text: String,
    /// Where in it, in bytes.
    pub position: usize,
    /// What is wrong there.
    pub reason: String,
}

/// The rest of the text from `position` on, or its end.
fn place(text: &str, position: usize) -> String {
    match text.get(position..).map(str::trim) {
        Some("") | None => format!("the end of {text:?}"),
        Some(rest) => format!("byte {position}, {rest:?}"),
    }
}

impl FilterError {
    fn new(text: &str, position: usize, reason: String) -> Self {
        Self { text: text.to_owned(), position, reason }
    }
}

/// A filter, ready for frames of any link type.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    /// `None` takes everything.
    expression: Option<syntax::Expression>,
    /// Programs for the link types seen, in the order of their appearance: a capture has one or two. `None` for those that
    /// the expression has no meaning for.
    programs: Vec<(LinkType, Option<Program>)>,
    uncompiled: Vec<FilterError>,
    not_evaluated: u64,
}

impl Filter {
    /// Link types that programs are kept for. A file with more is damaged or hostile: frames of the others are left.
    const LINK_TYPES: usize = 64;

    /// Parses a filter; an empty one takes every frame.
    ///
    /// # Errors
    /// When the text is no filter, or has no meaning for Ethernet frames.
    pub fn new(text: &str) -> Result<Self, FilterError> {
        let expression = parser::parse(text)?;
        let (programs, uncompiled) = (Vec::new(), Vec::new());
        let filter = Self { text: text.to_owned(), expression, programs, uncompiled, not_evaluated: 0 };
        filter.compile(LinkType::ETHERNET)?;
        Ok(filter)
    }

    /// The program for frames of a link type.
    ///
    /// # Errors
    /// When the expression has no meaning for it, or the program would be too long.
    pub fn compile(&self, link: LinkType) -> Result<Program, FilterError> {
        let refused = |position, reason| FilterError::new(&self.text, position, reason);
        let condition = match &self.expression {
            None => condition::Condition::Constant(true),
            Some(expression) => {
                lower::lower(expression, link).map_err(|refusal| refused(refusal.position, refusal.reason))?
            }
        };
        emit::program(&condition.simplified()).map_err(|excess| {
            refused(
                0,
                match excess {
                    emit::Excess::Instructions => {
                        format!("it needs more than {} instructions; split it", program::MAXIMUM_INSTRUCTIONS)
                    }
                    emit::Excess::Memory => "its arithmetic is nested too deeply; simplify it".to_owned(),
                },
            )
        })
    }

    /// Whether a frame is taken, of which `data` was captured and that had `length` bytes on the wire. Frames of a link type
    /// that the filter has no meaning for are left and counted.
    pub fn matches(&mut self, link: LinkType, data: &[u8], length: u32) -> bool {
        let known = self.programs.iter().position(|(known, _)| *known == link);
        let place = known.or_else(|| self.learn(link));
        match place.and_then(|place| self.programs[place].1.as_ref()) {
            Some(program) => program.matches(data, length),
            None => {
                self.not_evaluated += 1;
                false
            }
        }
    }

    /// Writes into `taken` the places in `batch.frames` of the frames that are taken.
    pub fn select(&mut self, batch: &FrameBatch, taken: &mut Vec<u32>) {
        taken.clear();
        for (place, frame) in (0..).zip(&batch.frames) {
            if self.matches(frame.link, batch.data(frame), frame.length) {
                taken.push(place);
            }
        }
    }

    /// Frames that were left because the filter has no meaning for their link type.
    #[must_use]
    pub fn not_evaluated(&self) -> u64 {
        self.not_evaluated
    }

    /// Why the filter has no meaning for link types that turned up.
    #[must_use]
    pub fn uncompiled(&self) -> &[FilterError] {
        &self.uncompiled
    }

    fn learn(&mut self, link: LinkType) -> Option<usize> {
        if self.programs.len() == Self::LINK_TYPES {
            return None;
        }
        let program = self.compile(link).map_err(|error| self.uncompiled.push(error)).ok();
        self.programs.push((link, program));
        Some(self.programs.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An Ethernet frame with an IPv4 TCP segment from 10.0.0.1:1234 to 10.0.0.2:80 with these flags.
    fn tcp(flags: u8) -> Vec<u8> {
        let mut frame = vec![0; 54];
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame[14] = 0x45;
        frame[23] = 6;
        frame[26..30].copy_from_slice(&[10, 0, 0, 1]);
        frame[30..34].copy_from_slice(&[10, 0, 0, 2]);
        frame[34..38].copy_from_slice(&[0x04, 0xd2, 0, 80]);
        frame[46] = 0x50;
        frame[47] = flags;
        frame
    }

    fn takes(text: &str, frame: &[u8]) -> bool {
        Filter::new(text).unwrap().matches(LinkType::ETHERNET, frame, frame.len() as u32)
    }

    fn refusal(text: &str) -> String {
        Filter::new(text).unwrap_err().to_string()
    }

    #[test]
    fn empty_filter_takes_everything() {
        assert!(takes("", &[]));
        assert!(takes(" ", &tcp(0)));
    }

    #[test]
    fn qualifiers_pass_on_to_bare_values() {
        assert!(takes("dst port 22 or 80", &tcp(0)));
        assert!(!takes("src port 22 or 80", &tcp(0)));
        assert!(takes("host 10.0.0.9 or (10.0.0.8 or 10.0.0.1)", &tcp(0)));
        assert!(takes("tcp and not port 22 and not 23", &tcp(0)));
    }

    #[test]
    fn and_and_or_bind_equally() {
        assert!(!takes("tcp or udp and icmp", &tcp(0)));
        assert!(takes("tcp or (udp and icmp)", &tcp(0)));
    }

    #[test]
    fn arithmetic_ranks_operators_as_libpcap_does() {
        assert!(takes("tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", &tcp(0x02)));
        assert!(!takes("tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", &tcp(0x12)));
        assert!(takes("1 + 2 * 3 = 7", &[]));
        assert!(takes("(tcp[12] & 0xf0) >> 2 = 20", &tcp(0)));
        assert!(takes("len = ip[2:2] + 54 - ip[2:2]", &tcp(0)));
        assert!(takes("-1 > 1", &[]), "numbers have no sign");
    }

    #[test]
    fn filter_that_reads_past_the_end_leaves_the_frame() {
        assert!(!takes("port 80", &tcp(0)[..36]));
        assert!(!takes("not port 80", &tcp(0)[..36]));
        assert!(takes("not port 80", &tcp(0)[..36]) == takes("not port 81", &tcp(0)[..36]));
    }

    #[test]
    fn encapsulation_moves_what_follows_it() {
        let mut tagged = tcp(0);
        tagged.splice(12..12, [0x81, 0, 0, 10]);
        assert!(takes("vlan 10 and tcp port 80", &tagged));
        assert!(!takes("tcp port 80", &tagged));
        assert!(!takes("vlan 11", &tagged));
    }

    #[test]
    fn long_filters_compile_and_run() {
        let hosts = (0..400).map(|n| format!("10.1.{}.{}", n / 200, n % 200)).collect::<Vec<_>>().join(" or ");
        assert!(!takes(&format!("host {hosts}"), &tcp(0)));
        assert!(takes(&format!("host {hosts} or 10.0.0.1"), &tcp(0)));
        assert!(takes(&format!("not host {hosts}"), &tcp(0)));
    }

    #[test]
    fn refusals_name_place_and_reason() {
        assert!(refusal("host example.com").contains("byte 5, \"example.com\": example.com: names are not looked up"));
        assert!(refusal("tcp and").contains("the end of \"tcp and\""));
        assert!(refusal("tcp port 80 and and").contains("byte 16"));
        assert!(refusal("port 70000").contains("65535"));
        assert!(refusal("net 10.0.0.1/8").contains("outside the network"));
        assert!(refusal("10.0.0.1").contains("Put host, net, port or proto before it"));
        assert!(refusal("ip proto tcp").contains("backslash"));
        assert!(refusal("protochain 6").contains("not supported"));
        assert!(refusal("tcp[0:3] = 1").contains("1, 2 or 4"));
        assert!(refusal("len / 0 = 1").contains("division by zero"));
        assert!(refusal("vlan 4096").contains("4095"));
    }

    #[test]
    fn frames_of_a_strange_link_type_are_left_and_counted() {
        let mut filter = Filter::new("tcp").unwrap();
        assert!(!filter.matches(LinkType(195), &tcp(0), 54));
        assert!(!filter.matches(LinkType(195), &tcp(0), 54));
        assert_eq!(filter.not_evaluated(), 2);
        assert!(filter.uncompiled()[0].reason.contains("195"));
    }

    #[test]
    fn depth_is_bounded() {
        for text in ["(".repeat(60_000), "!".repeat(60_000), "-".repeat(60_000), "tcp[".repeat(10_000)] {
            assert!(Filter::new(&text).is_err());
        }
        assert!(Filter::new(&format!("1{} = 1", "+1".repeat(30_000))).is_err());
        assert!(Filter::new(&format!("tcp{}", " or udp and icmp".repeat(3_000))).is_err());
        assert!(Filter::new(&format!("tcp{}", " or udp".repeat(500))).is_ok());
        assert!(Filter::new(&"tcp or ".repeat(20_000)).unwrap_err().reason.contains("bytes"));
    }

    /// Text made of the words of the language, so that some of it means something.
    fn words() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "tcp",
            "udp",
            "ip",
            "ip6",
            "arp",
            "icmp",
            "host",
            "net",
            "port",
            "src",
            "dst",
            "and",
            "or",
            "not",
            "(",
            ")",
            "80",
            "10.0.0.1",
            "::1",
            "fe80::/10",
            "10.0.0.0/8",
            "vlan",
            "mpls",
            "pppoes",
            "[",
            "]",
            ":",
            "2",
            "4",
            "&",
            "=",
            ">",
            "len",
            "less",
            "broadcast",
            "ether",
            "proto",
            "portrange",
            "1-9",
            "+",
            "*",
            "-",
            "tcpflags",
        ]);
        prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn any_text_is_compiled_or_refused(text in "\\PC{0,60}") {
            let _ = Filter::new(&text);
        }

        #[test]
        fn whatever_compiles_runs_on_any_frame(text in words(), data in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(mut filter) = Filter::new(&text) {
                for link in [0, 1, 9, 12, 51, 101, 108, 113, 228, 229, 276, 300] {
                    filter.matches(LinkType(link), &data, 100);
                }
            }
        }
    }
}
