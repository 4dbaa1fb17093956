//! JSON lines: one object a line, unset values absent.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::record::{LineProblem, Record};
use crate::syntax::{Syntax, Taken};
use crate::vocabulary::{Meaning, Vocabulary};

/// JSON with the words of one kind of log.
pub(crate) struct JsonLines<V> {
    vocabulary: V,
}

impl<V> JsonLines<V> {
    pub(crate) fn new(vocabulary: V) -> Self {
        Self { vocabulary }
    }
}

impl<V: Vocabulary + Send> Syntax for JsonLines<V> {
    fn line(&mut self, line: &[u8], out: &mut Vec<Record>) -> Result<Taken, LineProblem> {
        // Some writers end lines of an array with a comma, or put a byte order mark first.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return Ok(Taken::Nothing);
        }
        self.vocabulary.clear();
        let mut problem = None;
        let mut parser = serde_json::Deserializer::from_slice(line);
        let object = Object { vocabulary: &mut self.vocabulary, inside: "", problem: &mut problem };
        let parsed = object.deserialize(&mut parser).and_then(|()| parser.end());
        if let Some(problem) = problem {
            return Err(problem);
        }
        parsed.map_err(|error| LineProblem::Json { reason: error.to_string() })?;
        Ok(if self.vocabulary.finish(out)? { Taken::Record } else { Taken::Other })
    }

    fn flush(&mut self, out: &mut Vec<Record>) {
        self.vocabulary.flush(out);
    }

    fn is_waiting(&self) -> bool {
        self.vocabulary.is_waiting()
    }
}

/// Hands the values of an object to a vocabulary.
struct Object<'v, V> {
    vocabulary: &'v mut V,
    /// The name of the object that this one lies in; empty at the top.
    inside: &'v str,
    /// The first value that was none of its column; the rest is passed over.
    problem: &'v mut Option<LineProblem>,
}

/// Bytes of a nested name that are compared; longer ones are none of ours.
const LONGEST_NAME: usize = 64;

impl<'de, V: Vocabulary> DeserializeSeed<'de> for Object<'_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: Vocabulary> Visitor<'de> for Object<'_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key { vocabulary: &*self.vocabulary, inside: self.inside })? {
            match key {
                Named::Column(column) if self.problem.is_none() => {
                    let value: &RawValue = map.next_value()?;
                    *self.problem = take(self.vocabulary, column, value.get()).err();
                }
                Named::Object(name) if self.inside.is_empty() => {
                    let inner = Inner(Object { vocabulary: self.vocabulary, inside: &name, problem: self.problem });
                    map.next_value_seed(inner)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A nested object, or anything else in its place, which is passed over.
struct Inner<'v, V>(Object<'v, V>);

impl<'de, V: Vocabulary> DeserializeSeed<'de> for Inner<'_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let value = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        if !value.get().starts_with('{') {
            return Ok(());
        }
        // The text was parsed once already: it is an object.
        let mut parser = serde_json::Deserializer::from_str(value.get());
        self.0.deserialize(&mut parser).map_err(serde::de::Error::custom)
    }
}

/// What a key stands for.
enum Named<C> {
    Column(C),
    Object(String),
    Unknown,
}

struct Key<'v, V> {
    vocabulary: &'v V,
    inside: &'v str,
}

impl<'de, V: Vocabulary> DeserializeSeed<'de> for Key<'_, V> {
    type Value = Named<V::Column>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<V: Vocabulary> Visitor<'_> for Key<'_, V> {
    type Value = Named<V::Column>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let (mut joined, length) = ([0; LONGEST_NAME], self.inside.len() + 1 + name.len());
        let full = if self.inside.is_empty() {
            name.as_bytes()
        } else if length <= LONGEST_NAME {
            joined[..self.inside.len()].copy_from_slice(self.inside.as_bytes());
            joined[self.inside.len()] = b'.';
            joined[self.inside.len() + 1..length].copy_from_slice(name.as_bytes());
            &joined[..length]
        } else {
            return Ok(Named::Unknown);
        };
        Ok(match self.vocabulary.meaning(full) {
            Meaning::Column(column) => Named::Column(column),
            Meaning::Object => Named::Object(name.to_owned()),
            Meaning::Unknown => Named::Unknown,
        })
    }
}

/// Takes a value as its text: strings without their quotes, `true` as `true`, arrays as they stand.
fn take<V: Vocabulary>(vocabulary: &mut V, column: V::Column, raw: &str) -> Result<(), LineProblem> {
    if raw == "null" {
        return Ok(());
    }
    let Some(text) = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return vocabulary.set(column, raw.as_bytes());
    };
    if !text.contains('\\') {
        return vocabulary.set(column, text.as_bytes());
    }
    let text: String = serde_json::from_str(raw).map_err(|error| LineProblem::Json { reason: error.to_string() })?;
    vocabulary.set(column, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;

    fn read(line: &str) -> Result<Record, LineProblem> {
        let (mut log, mut out) = (JsonLines::new(Conn::default()), Vec::new());
        log.line(line.as_bytes(), &mut out)?;
        Ok(out.remove(0))
    }

    const REST: &str =
        r#""id.orig_p":40000,"id.resp_p":443,"proto":"tcp","conn_state":"SF","history":"ShADadFf","orig_pkts":7"#;

    #[test]
    fn epoch_and_iso_times_nested_and_flat_ids_are_the_same() {
        let flat = format!(r#"{{"ts":1622987986.457984,"id.orig_h":"10.0.0.1","id.resp_h":"10.0.0.2",{REST}}}"#);
        let iso = format!(
            r#"{{"ts":"2021-06-06T13:59:46.457984Z","odd":{{"x":[1,{{}}]}},"id":{{"orig_h":"10.0.0.1","resp_h":"10.0.0.2"}},{REST}}}"#
        );
        let (flat, iso) = (read(&flat).unwrap().flow, read(&iso).unwrap().flow);
        assert_eq!((flat.start, flat.originator, flat.responder), (iso.start, iso.originator, iso.responder));
        assert_eq!(flat.start.micros(), 1_622_987_986_457_984);
    }

    #[test]
    fn escapes_are_undone_and_null_is_unset() {
        let line = r#"{"ts":1,"id.orig_h":"10.0.0.\u0031","id.resp_h":"10.0.0.2","proto":"tcp","duration":null,"label":"a\tb"}"#;
        let record = read(line).unwrap();
        assert_eq!(record.flow.originator.address.ip().to_string(), "10.0.0.1");
        assert_eq!(record.label.as_deref(), Some("a\tb"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problem = |line: &str| read(line).unwrap_err().to_string();
        assert_eq!(problem(r#"{"ts":"yesterday"}"#), "ts: 'yesterday' is not a time");
        assert_eq!(problem(r#"{"ts":1}"#), "id.orig_h is missing");
        assert!(problem(r#"{"ts":1,"id.orig_h":"10."#).starts_with("not a JSON object: EOF"));
        assert!(problem("[1]").starts_with("not a JSON object"));
        assert!(problem(&"[".repeat(10_000)).starts_with("not a JSON object"));
        assert!(problem(r#"{"ts":1} x"#).starts_with("not a JSON object"));
    }
}
