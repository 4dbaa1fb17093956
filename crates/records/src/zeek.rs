//! Zeek's text logs: a header that says what follows, then one row a line.
//!
//! The header may come again in the middle of a file (Zeek was started anew, with other columns), may be of any version, and may name
//! columns that nobody here knows. Rows are read by the header's names, never by position.

use crate::record::{LineProblem, Record};
use crate::syntax::{Syntax, Taken};
use crate::text;
use crate::vocabulary::{Meaning, Vocabulary};

/// Columns that a header may name; Zeek's widest log has under a hundred.
const MOST_COLUMNS: usize = 1_024;

/// Label tools join their columns to the last one of Zeek with three spaces: IoT-23.
const JOINT: &[u8] = b"   ";

/// Zeek's text with the words of one kind of log.
pub(crate) struct ZeekText<V: Vocabulary> {
    vocabulary: V,
    /// What `#path` may be for this vocabulary; rows of other logs are passed over.
    paths: &'static [&'static str],
    of_these_paths: bool,
    separator: u8,
    unset: Vec<u8>,
    empty: Vec<u8>,
    /// What each place of a row is; empty before a header.
    columns: Vec<Option<V::Column>>,
    /// Columns that are joined in the last place.
    joined: Vec<Option<V::Column>>,
}

impl<V: Vocabulary> ZeekText<V> {
    pub(crate) fn new(vocabulary: V, paths: &'static [&'static str]) -> Self {
        Self {
            vocabulary,
            paths,
            of_these_paths: true,
            separator: b'\t',
            unset: b"-".to_vec(),
            empty: b"(empty)".to_vec(),
            columns: Vec::new(),
            joined: Vec::new(),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), LineProblem> {
        if let Some(escaped) = line.strip_prefix(b"#separator ") {
            self.separator =
                separator(escaped).ok_or(LineProblem::Header { reason: "its separator is not one byte" })?;
            // A new header begins: what the one before said is over.
            self.columns.clear();
            self.joined.clear();
            self.of_these_paths = true;
            return Ok(());
        }
        let place = memchr::memchr(self.separator, line).unwrap_or(line.len());
        let value = line.get(place + 1..).unwrap_or_default();
        match &line[..place] {
            b"#unset_field" => self.unset = value.to_vec(),
            b"#empty_field" => self.empty = value.to_vec(),
            b"#path" => self.of_these_paths = self.paths.iter().any(|path| path.as_bytes() == value),
            b"#fields" => self.fields(value)?,
            _ => {}
        }
        Ok(())
    }

    fn fields(&mut self, names: &[u8]) -> Result<(), LineProblem> {
        self.columns.clear();
        self.joined.clear();
        let column = |name: &[u8]| match self.vocabulary.meaning(name) {
            Meaning::Column(column) => Some(column),
            Meaning::Object | Meaning::Unknown => None,
        };
        let mut last = names;
        for name in names.split(|byte| *byte == self.separator).take(MOST_COLUMNS + 1) {
            self.columns.push(column(name));
            last = name;
        }
        if self.columns.len() > MOST_COLUMNS {
            self.columns.clear();
            return Err(LineProblem::Header { reason: "it names more than 1024 columns" });
        }
        if memchr::memmem::find(last, JOINT).is_some() {
            self.joined = split_joined(last).map(column).collect();
        }
        Ok(())
    }

    fn row(&mut self, line: &[u8], out: &mut Vec<Record>) -> Result<bool, LineProblem> {
        if self.columns.is_empty() {
            return Err(LineProblem::NoHeader);
        }
        let expected = self.columns.len();
        self.values(line).map_err(|problem| {
            // Values in the wrong places are wrong because of that.
            let found = memchr::memchr_iter(self.separator, line).count() + 1;
            if found == expected { problem } else { LineProblem::Columns { found, expected } }
        })?;
        self.vocabulary.finish(out)
    }

    fn values(&mut self, line: &[u8]) -> Result<(), LineProblem> {
        self.vocabulary.clear();
        let (mut place, mut start, last) = (0, 0, self.columns.len() - 1);
        for end in memchr::memchr_iter(self.separator, line).chain([line.len()]) {
            let value = &line[start..end];
            if place == last && !self.joined.is_empty() {
                for (column, value) in self.joined.iter().zip(split_joined(value)) {
                    set(&mut self.vocabulary, *column, value, &self.unset, &self.empty)?;
                }
            } else if let Some(column) = self.columns.get(place) {
                set(&mut self.vocabulary, *column, value, &self.unset, &self.empty)?;
            }
            (place, start) = (place + 1, end + 1);
        }
        if place != self.columns.len() {
            return Err(LineProblem::Columns { found: place, expected: self.columns.len() });
        }
        Ok(())
    }
}

fn set<V: Vocabulary>(
    vocabulary: &mut V,
    column: Option<V::Column>,
    value: &[u8],
    unset: &[u8],
    empty: &[u8],
) -> Result<(), LineProblem> {
    match column {
        Some(column) if value != unset && value != empty => vocabulary.set(column, value),
        _ => Ok(()),
    }
}

/// The parts between runs of spaces.
fn split_joined(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b' ').filter(|part| !part.is_empty())
}

/// The byte that `\x09` stands for, or the byte itself.
fn separator(escaped: &[u8]) -> Option<u8> {
    match escaped {
        [byte] => Some(*byte),
        [b'\\', b'x', high, low] => Some(text::hex(*high)? << 4 | text::hex(*low)?),
        _ => None,
    }
}

impl<V: Vocabulary + Send> Syntax for ZeekText<V>
where
    V::Column: Send,
{
    fn line(&mut self, line: &[u8], out: &mut Vec<Record>) -> Result<Taken, LineProblem> {
        if line.is_empty() {
            return Ok(Taken::Nothing);
        }
        if line[0] == b'#' {
            self.header(line)?;
            return Ok(Taken::Nothing);
        }
        if !self.of_these_paths {
            return Ok(Taken::Other);
        }
        Ok(if self.row(line, out)? { Taken::Record } else { Taken::Other })
    }

    fn flush(&mut self, out: &mut Vec<Record>) {
        self.vocabulary.flush(out);
    }

    fn is_waiting(&self) -> bool {
        self.vocabulary.is_waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;
    use lapwing_flow::ConnState;
    use lapwing_protocol::Fact;

    const HEADER: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
        #open\t2022-06-17-00-00-07\n";

    fn read(text: &str) -> (Vec<Record>, Vec<Result<Taken, LineProblem>>) {
        let (mut log, mut out) = (ZeekText::new(Conn::default(), &["conn"]), Vec::new());
        let taken = text.lines().map(|line| log.line(line.as_bytes(), &mut out)).collect();
        (out, taken)
    }

    #[test]
    fn rows_are_read_by_the_names_of_their_header_and_unknown_columns_pass() {
        let text = format!(
            "{HEADER}#fields\t_node_name\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\t\
             resp_bytes\tconn_state\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\n\
             worker-1\t10.5\tCabc\t10.0.0.1\t40000\t10.0.0.2\t443\ttcp\tssl\t2.000000\t100\t900\tSF\t0\tShADadFf\t7\t500\t8\t1300\t(empty)\n"
        );
        let (records, _) = read(&text);
        let flow = &records[0].flow;
        assert_eq!((flow.start.micros(), flow.last.micros()), (10_500_000, 12_500_000));
        assert_eq!((flow.orig.packets, flow.resp.ip_bytes, flow.orig.payload_bytes), (7, 1300, 100));
        assert_eq!((flow.state, flow.history.as_str()), (ConnState::Sf, "ShADadFf"));
        assert_eq!(flow.service.as_deref(), Some("ssl"));
        assert_eq!(flow.orig.flags, [1, 1, 0, 0, 1, 0, 0, 0]);
        let facts = records[0].facts;
        assert!(
            facts.has(Fact::PayloadBytes)
                && facts.has(Fact::Flags)
                && !facts.has(Fact::EveryFlag)
                && !facts.has(Fact::Ttl)
        );
    }

    #[test]
    fn a_header_in_the_middle_counts_from_there_on() {
        let text = format!(
            "{HEADER}#fields\tts\tid.orig_h\tid.resp_h\tproto\n1\t10.0.0.1\t10.0.0.2\ttcp\n#close\t2022-06-17-00-00-08\n\
             #separator \\x2c\n#path,conn\n#fields,proto,id.resp_h,id.orig_h,ts\nudp,10.0.0.2,10.0.0.1,2\n"
        );
        let (records, taken) = read(&text);
        assert_eq!(records.iter().map(|record| record.flow.protocol).collect::<Vec<_>>(), [6, 17]);
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    }

    #[test]
    fn labels_joined_to_the_last_column_are_found() {
        let text = format!(
            "{HEADER}#fields\tts\tid.orig_h\tid.resp_h\tproto\ttunnel_parents   label   detailed-label\n\
             1\t10.0.0.1\t10.0.0.2\ttcp\t-   Malicious   C&C\n2\t10.0.0.1\t10.0.0.2\ttcp\t-   Benign   -\n"
        );
        let labels: Vec<_> = read(&text).0.into_iter().map(|record| record.label.unwrap()).collect();
        assert_eq!(labels, ["Malicious C&C".into(), "Benign".into()]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = format!(
            "1\t2\n{HEADER}#fields\tts\tid.orig_h\tid.resp_h\tproto\n1\t10.0.0.1\t10.0.0.2\n\
                            1\t10.0.0.256\t10.0.0.2\ttcp\n-\t10.0.0.1\t10.0.0.2\ttcp\n"
        );
        let problems: Vec<String> =
            read(&text).1.into_iter().filter_map(|taken| Some(taken.err()?.to_string())).collect();
        assert_eq!(
            problems,
            [
                "a row before the header that says what its values mean",
                "3 values for 4 columns",
                "id.orig_h: '10.0.0.256' is not an address",
                "ts is missing",
            ]
        );
    }

    #[test]
    fn sizes_that_zeek_leaves_unset_follow_from_the_packet() {
        let fields = "#fields\tts\tid.orig_h\tid.resp_h\tproto\tduration\torig_bytes\tresp_bytes\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n";
        let text = format!(
            "{HEADER}{fields}1\t10.0.0.1\t10.0.0.2\tudp\t-\t-\t-\tS0\tD\t1\t328\t0\t0\n\
                            1\t10.0.0.1\t10.0.0.2\ttcp\t-\t-\t-\tS0\tS\t1\t60\t0\t0\n1\t10.0.0.1\t10.0.0.2\ttcp\t-\t-\t-\tOTH\tD\t1\t60\t0\t0\n"
        );
        let (records, _) = read(&text);
        assert_eq!(records[0].flow.orig.payload_bytes, 300);
        let carried: Vec<bool> = records.iter().map(|record| record.facts.has(Fact::PayloadBytes)).collect();
        assert_eq!(carried, [true, true, false]);
    }

    #[test]
    fn icmp_is_that_of_the_addresses_unless_its_number_is_told() {
        let text = format!(
            "{HEADER}#fields\tts\tid.orig_h\tid.resp_h\tproto\tip_proto\n1\t10.0.0.1\t10.0.0.2\ticmp\t-\n1\tfe80::1\tfe80::2\ticmp\t-\n\
             1\tfe80::1\tfe80::2\tICMP\t58\n1\tfe80::1\tfe80::2\ticmp\t1\n1\tfe80::1\tfe80::2\ticmp\t6\n"
        );
        let protocols: Vec<u8> = read(&text).0.iter().map(|record| record.flow.protocol).collect();
        assert_eq!(protocols, [1, 58, 58, 1, 58]);
    }

    #[test]
    fn rows_of_another_log_are_passed_over() {
        let (records, taken) = read("#separator \\x09\n#path\tdns\n#fields\tts\n1\n");
        assert!(records.is_empty());
        assert_eq!(taken.last(), Some(&Ok(Taken::Other)));
    }
}
