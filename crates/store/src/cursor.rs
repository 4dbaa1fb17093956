//! Where a page ended, so that the next goes on after it.

use std::fmt;
use std::str::FromStr;

use lapwing_capture::Timestamp;

use crate::StoreError;
use crate::sql::{Conditions, Value};

/// The longest name of a row in a cursor.
const LONGEST: usize = 96;

/// Rows of the same time and name that a cursor goes on behind: each page after it reads them again.
const MOST_SHOWN: usize = 10_000;

/// Where a page of a list ended: a query that has it as `after` goes on behind it. Rows that come in the meantime move nothing:
/// walking page after page shows each row that was there once. (An alert or device that is seen again in the meantime moves to
/// the list's front, and is met by who begins anew.)
///
/// Its text, by [`fmt::Display`] and [`FromStr`], is for passing it on and means nothing to others; it is made of letters,
/// digits and `.:_-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    list: List,
    /// By which the list is sorted, latest first.
    pub(crate) time: Timestamp,
    /// By which rows of the same time are.
    pub(crate) name: String,
    /// Rows of that time and name that were shown already; lists whose names are unique have none.
    pub(crate) shown: usize,
}

/// The lists that have cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Alerts,
    Devices,
    Flows,
    Audit,
}

impl List {
    const ALL: [Self; 4] = [Self::Alerts, Self::Devices, Self::Flows, Self::Audit];

    const fn letter(self) -> char {
        match self {
            Self::Alerts => 'a',
            Self::Devices => 'd',
            Self::Flows => 'f',
            Self::Audit => 'u',
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Devices => "devices",
            Self::Flows => "flows",
            Self::Audit => "the audit trail",
        }
    }
}

impl Cursor {
    pub(crate) fn new(list: List, time: Timestamp, name: impl Into<String>) -> Self {
        Self { list, time, name: name.into(), shown: 0 }
    }

    /// The cursor if it is one of that list.
    pub(crate) fn of(cursor: Option<&Self>, list: List) -> Result<Option<&Self>, StoreError> {
        match cursor {
            Some(cursor) if cursor.list != list => {
                Err(StoreError::Refused(format!("the cursor is not one of {}", list.name())))
            }
            other => Ok(other),
        }
    }
}

impl Conditions {
    /// Rows behind the cursor in a list that is sorted by the column `time`, latest first, then by another: `behind` says what
    /// of it comes after the value, as `id >`.
    pub(crate) fn go_on(&mut self, time: &str, behind: &str, cursor: &Cursor, value: impl Into<Value>) {
        // By itself it lets an index begin at the right place.
        self.add(&format!("{time} <= ?"), cursor.time.micros());
        let same = self.values.len();
        self.values.push(value.into());
        self.add_plain(&format!("({time} < ?{same} OR {behind} ?{})", same + 1));
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}.{}.{}", self.list.letter(), self.time.micros(), self.shown, self.name)
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        parse(text).ok_or_else(|| StoreError::Refused("it is not a cursor that a page ended with".to_owned()))
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let list = List::ALL.into_iter().find(|list| text.starts_with(list.letter()))?;
    let mut parts = text[1..].splitn(3, '.');
    let mut number = || parts.next().filter(|part| part.len() <= 20);
    let time = Timestamp::from_micros(number()?.parse().ok()?);
    let shown = number()?.parse().ok().filter(|shown| *shown <= MOST_SHOWN)?;
    let name = parts.next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:_-".contains(&byte);
    let valid =
        name.len() <= LONGEST && name.bytes().all(plain) && (list != List::Audit || name.parse::<i64>().is_ok());
    valid.then(|| Cursor { list, time, name: name.to_owned(), shown })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_read_as_it_is_written_or_refused(text in "[adfux]?-?[0-9.:]{0,24}\\PC{0,9}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            }
        }
    }

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        for (list, name) in [
            (List::Alerts, "00c3e2a99fd2a6c1"),
            (List::Devices, "02:00:00:00:00:01"),
            (List::Devices, "fe80::1"),
            (List::Devices, "192.168.0.7"),
            (List::Audit, "17"),
            (List::Flows, ""),
        ] {
            let cursor = Cursor { shown: 3, ..Cursor::new(list, Timestamp::from_micros(-1_700), name) };
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
    }

    #[test]
    fn what_no_page_ended_with_is_refused() {
        for text in [
            "",
            "a",
            "a1.0",
            "x1.0.id",
            "a1.0.i'd",
            "a1.-1.id",
            "aone.0.id",
            "u1.0.id",
            "ü1.0.id",
            "a1.0.\u{0}",
            "f1.10001.x",
            "f1.18446744073709551615.x",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        assert!(format!("a1.0.{}", "x".repeat(LONGEST + 1)).parse::<Cursor>().is_err());
        let cursor = "a1.0.id".parse::<Cursor>().unwrap();
        assert!(Cursor::of(Some(&cursor), List::Flows).is_err());
    }
}
