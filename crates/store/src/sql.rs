//! The little that Lapwing needs of an SQL database, so that SQLite and PostgreSQL run the same statements.

use crate::StoreError;

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// None.
    Null,
    /// A count, a time, an ordinal.
    Integer(i64),
    /// Text.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of a result.
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    pub(crate) fn integer(&self, column: usize) -> i64 {
        self.optional_integer(column).unwrap_or_default()
    }

    pub(crate) fn optional_integer(&self, column: usize) -> Option<i64> {
        if let Some(Value::Integer(value)) = self.0.get(column) { Some(*value) } else { None }
    }

    /// Counts are never negative; a sum beyond `i64` would have been refused by the database.
    pub(crate) fn count(&self, column: usize) -> u64 {
        u64::try_from(self.integer(column)).unwrap_or_default()
    }

    pub(crate) fn text(&mut self, column: usize) -> String {
        self.optional_text(column).unwrap_or_default()
    }

    pub(crate) fn optional_text(&mut self, column: usize) -> Option<String> {
        match self.0.get_mut(column).map(|value| std::mem::replace(value, Value::Null)) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// A connection within a transaction. Parameters are `?1`, `?2` …; statements keep to what both databases understand.
pub(crate) trait Sql {
    /// Runs a statement; returns how many rows it changed.
    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, StoreError>;
    /// Hands every row of a result to `each`.
    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
    /// Runs several statements without parameters.
    fn script(&mut self, statements: &str) -> Result<(), StoreError>;
}

/// The rows of a result.
pub(crate) fn rows(sql: &mut dyn Sql, statement: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    sql.query(statement, values, &mut |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// What is done within one transaction.
pub(crate) type Work<'a> = dyn FnMut(&mut dyn Sql) -> Result<(), StoreError> + 'a;

/// A database: transactions for one writer at a time and many readers.
pub(crate) trait Database: Send + Sync {
    /// Does the work in one transaction, which is on disk when this returns. It may be done again after it failed.
    fn write(&self, work: &mut Work<'_>) -> Result<(), StoreError>;
    /// Does the work on one consistent state.
    fn read(&self, work: &mut Work<'_>) -> Result<(), StoreError>;
    /// Bytes it takes.
    fn size(&self) -> Result<u64, StoreError>;
    /// Gives back to the system what deleted rows took.
    fn shrink(&self) -> Result<(), StoreError>;
}

/// A count as the databases keep it.
pub(crate) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The conditions of a statement under construction, with their values.
#[derive(Default)]
pub(crate) struct Conditions {
    text: String,
    pub(crate) values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition; every `?` in it stands for `value`.
    pub(crate) fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let place = format!("?{}", self.values.len());
        self.add_plain(&condition.replace('?', &place));
    }

    /// Adds a condition without a value.
    pub(crate) fn add_plain(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        self.text.push_str(condition);
    }

    /// Adds that the column has one of these values; nothing where there are none.
    pub(crate) fn add_one_of(&mut self, column: &str, values: impl IntoIterator<Item = impl Into<Value>>) {
        let before = self.values.len();
        self.values.extend(values.into_iter().map(Into::into));
        let places: Vec<String> = (before + 1..=self.values.len()).map(|place| format!("?{place}")).collect();
        if !places.is_empty() {
            self.add_plain(&format!("{column} IN ({})", places.join(", ")));
        }
    }

    /// Adds that one of two conditions applies to one of these pairs of values; nothing where there are none.
    pub(crate) fn add_any<A: Into<Value>, B: Into<Value>>(
        &mut self,
        one: &str,
        other: &str,
        pairs: impl IntoIterator<Item = (A, B)>,
    ) {
        let mut parts = Vec::new();
        let mut part = |condition: &str, value: Value| {
            self.values.push(value);
            parts.push(condition.replace('?', &format!("?{}", self.values.len())));
        };
        for (left, right) in pairs {
            part(one, left.into());
            part(other, right.into());
        }
        if !parts.is_empty() {
            self.add_plain(&format!("({})", parts.join(" OR ")));
        }
    }

    /// The `WHERE` clause; empty if there is no condition.
    pub(crate) fn clause(&self) -> &str {
        &self.text
    }
}

/// `text` as a pattern of `LIKE … ESCAPE '\'` that finds it anywhere, in small letters.
pub(crate) fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_number_their_values() {
        let mut conditions = Conditions::default();
        assert_eq!(conditions.clause(), "");
        conditions.add("device = ?", "a");
        conditions.add_plain("suppressed_by IS NULL");
        conditions.add("(kind = ? OR words LIKE ?)", "b");
        conditions.add_one_of("severity", [3, 4]);
        conditions.add_one_of("status", Vec::<&str>::new());
        assert_eq!(
            conditions.clause(),
            " WHERE device = ?1 AND suppressed_by IS NULL AND (kind = ?2 OR words LIKE ?2) AND severity IN (?3, ?4)"
        );
    }

    #[test]
    fn a_search_text_is_no_pattern() {
        assert_eq!(containing("50%_X\\"), "%50\\%\\_x\\\\%");
    }
}
