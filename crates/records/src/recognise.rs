//! What a file is, by its first bytes: the name says nothing, except that reports of open connections may be called `open_conn` there
//! alone.

use std::fmt;
use std::path::Path;

use crate::argus::Argus;
use crate::conn::Conn;
use crate::eve::Eve;
use crate::json::JsonLines;
use crate::separated::Separated;
use crate::syntax::Syntax;
use crate::zeek::ZeekText;

/// How a log is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// Zeek's text `conn.log`.
    ZeekText,
    /// Zeek's `conn.log` as JSON lines.
    ZeekJson,
    /// Suricata's EVE.
    Eve,
    /// Separated values with Zeek's names, as `lapwing flows --format csv` writes them.
    Csv,
    /// Argus's `binetflow`.
    Argus,
}

impl fmt::Display for LogKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::ZeekText => "Zeek conn.log",
            Self::ZeekJson => "Zeek conn.log (JSON)",
            Self::Eve => "Suricata EVE",
            Self::Csv => "flow CSV",
            Self::Argus => "Argus binetflow",
        })
    }
}

/// What the first bytes of a file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// A log that is read.
    Log(LogKind),
    /// A log of a kind that tells of no connections, or that nothing here reads yet: what it is.
    OtherLog(String),
    /// No log.
    Nothing,
}

/// Bytes at the start of a file that are looked at, decompressed.
pub(crate) const HEAD: usize = 1 << 16;

/// Lines of JSON that are tried: the first may be damaged.
const TRIED: usize = 16;

/// Tells what a file is by its first bytes.
#[must_use]
pub fn recognise(head: &[u8]) -> Recognised {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.trim_ascii_start();
    match head.first() {
        Some(b'#') => zeek_text(head),
        Some(b'{') => json(head),
        Some(byte) if byte.is_ascii_alphabetic() || *byte == b'"' => table(head),
        _ => Recognised::Nothing,
    }
}

/// Logs of connections: Zeek's, and the reports of open ones that a script writes beside it.
const PATHS: [&str; 2] = ["conn", "open_conn"];

/// The lines that begin with `#` at the start of one of Zeek's text logs.
fn header(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').take_while(|line| line.first() == Some(&b'#'))
}

/// The `#path` of one of Zeek's text logs.
fn header_path(head: &[u8]) -> Option<&[u8]> {
    let path = header(head).find_map(|line| line.strip_prefix(b"#path"))?;
    Some(path.get(1..).unwrap_or_default().trim_ascii())
}

fn zeek_text(head: &[u8]) -> Recognised {
    if !header(head).any(|line| line.starts_with(b"#fields")) {
        return Recognised::Nothing;
    }
    let has = |name: &[u8]| header(head).any(|line| memchr::memmem::find(line, name).is_some());
    match header_path(head) {
        Some(path) if PATHS.iter().any(|known| known.as_bytes() == path) => Recognised::Log(LogKind::ZeekText),
        None if has(b"id.orig_h") && has(b"conn_state") => Recognised::Log(LogKind::ZeekText),
        Some(path) => Recognised::OtherLog(format!("a Zeek {} log", name(path))),
        None => Recognised::OtherLog("a Zeek log without a #path".to_owned()),
    }
}

/// The first object in lines of JSON.
fn first_object(head: &[u8]) -> Option<serde_json::Map<String, serde_json::Value>> {
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.take(TRIED).find_map(|line| match serde_json::from_slice(line) {
        Ok(serde_json::Value::Object(object)) => Some(object),
        _ => None,
    })
}

/// The `_path` of a line of Zeek's JSON, where a script notes it.
fn noted_path(object: &serde_json::Map<String, serde_json::Value>) -> Option<&str> {
    object.get("_path").and_then(serde_json::Value::as_str)
}

fn json(head: &[u8]) -> Recognised {
    if let Some(object) = first_object(head) {
        let has = |name: &str| object.contains_key(name);
        if has("event_type") && has("timestamp") {
            return Recognised::Log(LogKind::Eve);
        }
        let names_ends = has("id.orig_h") || object.get("id").is_some_and(serde_json::Value::is_object);
        return match noted_path(&object) {
            Some(path) if PATHS.contains(&path) => Recognised::Log(LogKind::ZeekJson),
            Some(path) => Recognised::OtherLog(format!("a Zeek {} log", name(path.as_bytes()))),
            None if names_ends && has("proto") && (has("conn_state") || has("orig_pkts")) => {
                Recognised::Log(LogKind::ZeekJson)
            }
            None if has("ts") => Recognised::OtherLog("a JSON log of Zeek's other than conn.log".to_owned()),
            None => Recognised::Nothing,
        };
    }
    // The first lines are cut off or longer than what was looked at.
    if memchr::memmem::find(head, b"\"event_type\":").is_some() && memchr::memmem::find(head, b"\"flow_id\":").is_some()
    {
        return Recognised::Log(LogKind::Eve);
    }
    Recognised::Nothing
}

fn table(head: &[u8]) -> Recognised {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(separator) = table_separator(line) else { return Recognised::Nothing };
    let has = |wanted: &[u8]| {
        line.split(|byte| *byte == separator).any(|name| name.trim_ascii().trim_ascii_end() == wanted)
            || line.split(|byte| *byte == separator).any(|name| unquoted(name) == wanted)
    };
    if has(b"StartTime") && has(b"SrcAddr") && has(b"DstAddr") {
        return Recognised::Log(LogKind::Argus);
    }
    if has(b"ts") && has(b"id.orig_h") && has(b"id.resp_h") {
        return Recognised::Log(LogKind::Csv);
    }
    Recognised::Nothing
}

fn unquoted(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii();
    name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name)
}

/// The separator that the first line of a table has most of.
fn table_separator(line: &[u8]) -> Option<u8> {
    let count = |separator: u8| memchr::memchr_iter(separator, line).count();
    let most = [b',', b'\t', b';'].into_iter().max_by_key(|separator| count(*separator))?;
    (count(most) >= 3).then_some(most)
}

fn name(path: &[u8]) -> String {
    path[..path.len().min(40)].escape_ascii().to_string()
}

/// The reader of a log of that kind; `head` are its first bytes, `path` its name.
pub(crate) fn syntax(kind: LogKind, head: &[u8], path: &Path) -> Box<dyn Syntax> {
    let says_open = header_path(head) == Some(b"open_conn")
        || first_object(head).is_some_and(|object| noted_path(&object) == Some("open_conn"));
    let open = says_open || path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"open_"));
    let line = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let separator = table_separator(line).unwrap_or(b',');
    match kind {
        LogKind::ZeekText => Box::new(ZeekText::new(Conn::new(open), &PATHS)),
        LogKind::ZeekJson => Box::new(JsonLines::new(Conn::new(open))),
        LogKind::Eve => Box::new(JsonLines::new(Eve::default())),
        LogKind::Csv => Box::new(Separated::new(Conn::new(open), separator)),
        LogKind::Argus => Box::new(Separated::new(Argus::default(), separator)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_known_by_their_content() {
        for (head, expected) in [
            ("#separator \\x09\n#path\tconn\n#fields\tts\n", Recognised::Log(LogKind::ZeekText)),
            ("#fields\tts\tid.orig_h\tconn_state\n", Recognised::Log(LogKind::ZeekText)),
            ("#separator \\x09\n#path\tdns\n#fields\tts\n", Recognised::OtherLog("a Zeek dns log".into())),
            (r#"{"ts":1,"id.orig_h":"10.0.0.1","proto":"tcp","conn_state":"S0"}"#, Recognised::Log(LogKind::ZeekJson)),
            ("#separator \\x09\n#path\topen_conn\n#fields\tts\n", Recognised::Log(LogKind::ZeekText)),
            (r#"{"_path":"open_conn","ts":1}"#, Recognised::Log(LogKind::ZeekJson)),
            ("{\"cut\n{\"_path\":\"conn\"}", Recognised::Log(LogKind::ZeekJson)),
            (
                r#"{"ts":1,"uid":"C","query":"x"}"#,
                Recognised::OtherLog("a JSON log of Zeek's other than conn.log".into()),
            ),
            (r#"{"timestamp":"x","event_type":"alert"}"#, Recognised::Log(LogKind::Eve)),
            ("ts,uid,id.orig_h,id.resp_h\n", Recognised::Log(LogKind::Csv)),
            ("\"ts\";\"uid\";\"id.orig_h\";\"id.resp_h\"\n", Recognised::Log(LogKind::Csv)),
            ("StartTime\tDur\tProto\tSrcAddr\tDstAddr\n", Recognised::Log(LogKind::Argus)),
            ("hello, world\n", Recognised::Nothing),
            ("# Notes\n", Recognised::Nothing),
            ("{}", Recognised::Nothing),
            ("", Recognised::Nothing),
            ("\u{0}\u{1}", Recognised::Nothing),
        ] {
            assert_eq!(recognise(head.as_bytes()), expected, "{head}");
        }
    }
}
