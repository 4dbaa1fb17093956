//! Flows written down: Zeek's `conn.log` as text and JSON, and CSV.
//!
//! Every column comes from [`CONN_FIELDS`], so a field has the same name and value in all forms. Times are capture times,
//! those in the header included, so the same capture gives the same bytes.

use std::io::Write as _;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Flow;

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
}

impl ConnLog {
    /// A writer in one form.
    #[must_use]
    pub fn new(format: LogFormat, local: LocalNetworks) -> Self {
        Self { format, local }
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
    pub fn row(&self, flow: &Flow, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Zeek => self.separated(flow, b'\t', b"-", out),
            LogFormat::Csv => self.separated(flow, b',', b"", out),
            LogFormat::Json => self.json(flow, out),
        }
    }

    /// Appends what stands after the rows; `last` is the time of the last packet.
    pub fn footer(&self, last: Timestamp, out: &mut Vec<u8>) {
        if self.format == LogFormat::Zeek {
            out.extend_from_slice(b"#close\t");
            open_time(last, out);
            out.push(b'\n');
        }
    }

    fn separated(&self, flow: &Flow, separator: u8, unset: &[u8], out: &mut Vec<u8>) {
        for field in CONN_FIELDS {
            match (field.get)(flow, &self.local) {
                FieldValue::Unset => out.extend_from_slice(unset),
                FieldValue::Bool(value) => out.push(if value { b'T' } else { b'F' }),
                value => write_value(value, out),
            }
            out.push(separator);
        }
        out.pop();
        out.push(b'\n');
    }

    fn json(&self, flow: &Flow, out: &mut Vec<u8>) {
        out.push(b'{');
        for field in CONN_FIELDS {
            let value = (field.get)(flow, &self.local);
            let quoted = match value {
                FieldValue::Unset => continue,
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
            out.push(b'"');
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b"\":");
            if quoted {
                out.push(b'"');
            }
            match value {
                FieldValue::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
                value => write_value(value, out),
            }
            if quoted {
                out.push(b'"');
            }
            out.push(b',');
        }
        out.pop();
        out.extend_from_slice(b"}\n");
    }
}

/// Texts that reach here are words of ours (states, histories, protocol names): nothing in them needs escaping.
fn write_value(value: FieldValue<'_>, out: &mut Vec<u8>) {
    match value {
        FieldValue::Unset => {}
        FieldValue::Time(time) => seconds(time.nanos(), out),
        FieldValue::Interval(duration) => seconds(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX), out),
        FieldValue::Count(count) => integer(count, out),
        FieldValue::Port(port) => integer(u64::from(port), out),
        FieldValue::Bool(value) => out.push(if value { b'T' } else { b'F' }),
        FieldValue::Text(text) => out.extend_from_slice(text.as_bytes()),
        FieldValue::Address(address) => write_address(address, out),
        FieldValue::Mac(mac) => write_mac(mac, out),
        FieldValue::Uid(uid) => out.extend_from_slice(&uid.text()),
        FieldValue::CommunityId(id) => out.extend_from_slice(&id.text()),
    }
}

const MEMORY: &str = "writing into memory does not fail";

fn integer(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Seconds with six digits behind the point, as Zeek prints times and intervals; what is below a microsecond is cut.
fn seconds(nanos: i64, out: &mut Vec<u8>) {
    let micros = nanos / 1_000;
    if micros < 0 {
        out.push(b'-');
    }
    let micros = micros.unsigned_abs();
    integer(micros / 1_000_000, out);
    let mut digits = *b".000000";
    let mut rest = micros % 1_000_000;
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

fn write_address(address: Address, out: &mut Vec<u8>) {
    if !address.is_v4() {
        write!(out, "{}", address.ip()).expect(MEMORY);
        return;
    }
    for octet in &address.0[12..] {
        integer(u64::from(*octet), out);
        out.push(b'.');
    }
    out.pop();
}

fn write_mac(mac: [u8; 6], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b':'; 17];
    for (pair, byte) in text.chunks_mut(3).zip(mac) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out.extend_from_slice(&text);
}

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
        let log = ConnLog::new(LogFormat::Zeek, LocalNetworks::default());
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
        let log = ConnLog::new(LogFormat::Json, LocalNetworks::default());
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
