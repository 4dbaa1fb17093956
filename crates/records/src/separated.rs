//! Values separated by commas, tabs or semicolons, with a first line that names them (RFC 4180).

use crate::record::{LineProblem, Record};
use crate::syntax::{Syntax, Taken};
use crate::vocabulary::{Meaning, Vocabulary};

/// Columns that a first line may name.
const MOST_COLUMNS: usize = 1_024;

/// Separated values with the words of one kind of table.
pub(crate) struct Separated<V: Vocabulary> {
    vocabulary: V,
    separator: u8,
    columns: Vec<Option<V::Column>>,
    /// The first line, to know it again where files were put behind each other.
    header: Vec<u8>,
    /// A value without its doubled quotes.
    unquoted: Vec<u8>,
}

impl<V: Vocabulary> Separated<V> {
    pub(crate) fn new(vocabulary: V, separator: u8) -> Self {
        Self { vocabulary, separator, columns: Vec::new(), header: Vec::new(), unquoted: Vec::new() }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), LineProblem> {
        let names = Fields { rest: Some(line), separator: self.separator };
        for name in names {
            let column = match self.vocabulary.meaning(unquote(name, &mut self.unquoted)) {
                Meaning::Column(column) => Some(column),
                Meaning::Object | Meaning::Unknown => None,
            };
            if self.columns.len() == MOST_COLUMNS {
                self.columns.clear();
                return Err(LineProblem::Header { reason: "it names more than 1024 columns" });
            }
            self.columns.push(column);
        }
        self.header = line.to_vec();
        Ok(())
    }

    fn row(&mut self, line: &[u8], out: &mut Vec<Record>) -> Result<bool, LineProblem> {
        self.vocabulary.clear();
        let mut found = 0;
        for value in (Fields { rest: Some(line), separator: self.separator }) {
            if let Some(Some(column)) = self.columns.get(found) {
                let value = unquote(value, &mut self.unquoted);
                if !value.is_empty() {
                    self.vocabulary.set(*column, value)?;
                }
            }
            found += 1;
        }
        if found != self.columns.len() {
            return Err(LineProblem::Columns { found, expected: self.columns.len() });
        }
        self.vocabulary.finish(out)
    }
}

impl<V: Vocabulary + Send> Syntax for Separated<V>
where
    V::Column: Send,
{
    fn line(&mut self, line: &[u8], out: &mut Vec<Record>) -> Result<Taken, LineProblem> {
        if line.trim_ascii().is_empty() || line == self.header {
            return Ok(Taken::Nothing);
        }
        if self.columns.is_empty() {
            self.header(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line))?;
            return Ok(Taken::Nothing);
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

/// The values of a line, quotes included.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.rest?;
        let mut from = 0;
        if line.first() == Some(&b'"') {
            // The closing quote is the first that is not doubled.
            from = 1;
            loop {
                let Some(quote) = memchr::memchr(b'"', &line[from..]) else {
                    from = line.len();
                    break;
                };
                from += quote + 1;
                if line.get(from) != Some(&b'"') {
                    break;
                }
                from += 1;
            }
        }
        match memchr::memchr(self.separator, &line[from..]) {
            Some(place) => {
                self.rest = Some(&line[from + place + 1..]);
                Some(&line[..from + place])
            }
            None => self.rest.take(),
        }
    }
}

/// A value without its quotes and without spaces around it.
fn unquote<'a>(value: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let value = value.trim_ascii();
    let Some(inner) = value.strip_prefix(b"\"").map(|inner| inner.strip_suffix(b"\"").unwrap_or(inner)) else {
        return value;
    };
    if !inner.contains(&b'"') {
        return inner;
    }
    buffer.clear();
    let mut after_quote = false;
    for byte in inner {
        after_quote = *byte == b'"' && !after_quote;
        if !after_quote {
            buffer.push(*byte);
        }
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;

    fn values(line: &str) -> Vec<String> {
        let fields = Fields { rest: Some(line.as_bytes()), separator: b',' };
        fields.map(|value| String::from_utf8(unquote(value, &mut Vec::new()).to_vec()).unwrap()).collect()
    }

    #[test]
    fn quotes_hold_separators_and_doubled_quotes() {
        assert_eq!(values(r#"a,"b,c", d ,"e ""f"" g","#), ["a", "b,c", "d", r#"e "f" g"#, ""]);
        assert_eq!(values(r#""never closed,x"#), ["never closed,x"]);
        assert_eq!(values(""), [""]);
    }

    #[test]
    fn a_table_is_read_by_its_first_line_wherever_that_comes_again() {
        let header = "ts,id.orig_h,id.resp_h,proto,odd";
        let (mut log, mut out) = (Separated::new(Conn::default(), b','), Vec::new());
        let lines = [header, "1,10.0.0.1,10.0.0.2,tcp,x", header, "2,10.0.0.1,,tcp,x", "3,10.0.0.1"];
        let taken: Vec<_> = lines.iter().map(|line| log.line(line.as_bytes(), &mut out)).collect();
        assert_eq!(taken[..3], [Ok(Taken::Nothing), Ok(Taken::Record), Ok(Taken::Nothing)]);
        assert_eq!(taken[3], Err(LineProblem::Missing { column: "id.resp_h" }));
        assert_eq!(taken[4], Err(LineProblem::Columns { found: 2, expected: 5 }));
    }
}
