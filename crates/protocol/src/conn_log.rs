//! Flows written down: Zeek's `conn.log` as text and JSON, and CSV.
//!
//! Every column comes from [`CONN_FIELDS`], so a field has the same name and value in all forms. Times are capture times,
//! those in the header included, so the same capture gives the same bytes.

use std::io::Write as _;

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;

use crate::fields::{EachField, each_field};
use crate::line::Line;
use crate::{CONN_FIELDS, FieldValue, LocalNetworks};

/// How flows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Zeek's tab-separated text with its header.
    Zeek,
    /// Zeek's JSON: one object a line, unset fields absent.
    Json,
    /// Comma-separated values with one header line (RFC 4180); unset fields are empty.
    Csv,
}

/// Writes flows into a buffer that its owner empties.
#[derive(Debug)]
pub struct ConnLog {
    format: LogFormat,
    local: LocalNetworks,
    line: Line,
}

impl ConnLog {
    /// A writer in one form.
    #[must_use]
    pub fn new(format: LogFormat, local: LocalNetworks) -> Self {
        Self { format, local, line: Line::new() }
    }

    /// Appends what stands before the rows; `first` is the time of the first packet.
    pub fn header(&self, first: Timestamp, out: &mut Vec<u8>) {
        let names = CONN_FIELDS.iter().map(|field| field.name);
        match self.format {
            LogFormat::Json => {}
            LogFormat::Csv => {
                out.extend_from_slice(names.collect::<Vec<_>>().join(",").as_bytes());
                out.push(b'\n');
            }
            LogFormat::Zeek => {
                out.extend_from_slice(
                    b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t",
                );
                open_time(first, out);
                out.extend_from_slice(b"\n#fields");
                for name in names {
                    out.push(b'\t');
                    out.extend_from_slice(name.as_bytes());
                }
                out.extend_from_slice(b"\n#types");
                for field in CONN_FIELDS {
                    out.push(b'\t');
                    out.extend_from_slice(field.zeek_type.as_str().as_bytes());
                }
                out.push(b'\n');
            }
        }
    }

    /// Appends one flow.
    pub fn row(&mut self, flow: &Flow, out: &mut Vec<u8>) {
        let Self { line, local, format } = self;
        line.clear();
        match format {
            LogFormat::Zeek => each_field(flow, local, &mut Separated { line, separator: b'\t', unset: b"-" }),
            LogFormat::Csv => each_field(flow, local, &mut Separated { line, separator: b',', unset: b"" }),
            LogFormat::Json => {
                line.byte(b'{');
                each_field(flow, local, &mut Json { line });
            }
        }
        line.replace_last(if *format == LogFormat::Json { b"}\n" } else { b"\n" });
        out.extend_from_slice(line.bytes());
    }

    /// Appends what stands after the rows; `last` is the time of the last packet.
    pub fn footer(&self, last: Timestamp, out: &mut Vec<u8>) {
        if self.format == LogFormat::Zeek {
            out.extend_from_slice(b"#close\t");
            open_time(last, out);
            out.push(b'\n');
        }
    }
}

/// A row of separated values.
struct Separated<'a> {
    line: &'a mut Line,
    separator: u8,
    unset: &'static [u8],
}

impl EachField for Separated<'_> {
    #[inline(always)]
    fn field(&mut self, _name: &'static str, value: FieldValue<'_>) {
        match value {
            FieldValue::Unset => self.line.word(self.unset),
            FieldValue::Bool(value) => self.line.byte(if value { b'T' } else { b'F' }),
            // A service may be a list.
            FieldValue::Text(text) if self.separator == b',' && text.contains(',') => {
                self.line.byte(b'"');
                self.line.word(text.as_bytes());
                self.line.byte(b'"');
            }
            value => self.line.value(value),
        }
        self.line.byte(self.separator);
    }
}

/// A row of JSON.
struct Json<'a> {
    line: &'a mut Line,
}

impl EachField for Json<'_> {
    #[inline(always)]
    fn field(&mut self, name: &'static str, value: FieldValue<'_>) {
        let quoted = match value {
            FieldValue::Unset => return,
            FieldValue::Time(_)
            | FieldValue::Interval(_)
            | FieldValue::Count(_)
            | FieldValue::Port(_)
            | FieldValue::Bool(_) => false,
            FieldValue::Uid(_)
            | FieldValue::CommunityId(_)
            | FieldValue::Mac(_)
            | FieldValue::Text(_)
            | FieldValue::Address(_) => true,
        };
        self.line.byte(b'"');
        self.line.word(name.as_bytes());
        self.line.word(if quoted { b"\":\"" } else { b"\":" });
        match value {
            FieldValue::Bool(value) => self.line.word(if value { b"true" } else { b"false" }),
            value => self.line.value(value),
        }
        self.line.word(if quoted { b"\"," } else { b"," });
    }
}

const MEMORY: &str = "writing into memory does not fail";

/// `2026-11-21-01-25-34`, UTC: the form of Zeek's `#open`. Days since the epoch into a date by the proleptic Gregorian
/// calendar (Hinnant, *chrono-compatible low-level date algorithms*).
fn open_time(time: Timestamp, out: &mut Vec<u8>) {
    let seconds = time.seconds();
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    write!(out, "{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}").expect(MEMORY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::flow;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_zeek_row_has_as_many_columns_as_the_header_names() {
        let mut log = ConnLog::new(LogFormat::Zeek, LocalNetworks::default());
        let header = text(|out| log.header(Timestamp::from_seconds(1_700_000_000), out));
        assert!(header.contains("#open\t2023-11-14-22-13-20\n"), "{header}");
        let row = text(|out| log.row(&flow(), out));
        for line in header.lines().filter(|line| line.starts_with("#fields") || line.starts_with("#types")) {
            assert_eq!(line.split('\t').count() - 1, row.trim_end().split('\t').count());
        }
        assert!(row.starts_with("10.000000\tC"), "{row}");
        assert!(row.contains("\t2.000000\t100\t900\tSF\tT\tF\t7\tShADadFf\t"), "{row}");
    }

    #[test]
    fn json_leaves_out_what_is_unset() {
        let mut log = ConnLog::new(LogFormat::Json, LocalNetworks::default());
        let row = text(|out| log.row(&flow(), out));
        assert!(row.contains("\"ts\":10.000000,") && row.contains("\"local_orig\":true"), "{row}");
        assert!(!row.contains("service") && row.ends_with("}\n"), "{row}");
    }

    #[test]
    fn times_before_the_epoch_and_leap_days_are_dates_too() {
        for (seconds, expected) in [(-1, "1969-12-31-23-59-59"), (951_782_400, "2000-02-29-00-00-00")] {
            assert_eq!(text(|out| open_time(Timestamp::from_seconds(seconds), out)), expected);
        }
    }
}
