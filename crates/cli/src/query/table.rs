//! Columns for people, and CSV.

use std::io::{self, Write};

/// Writes rows under their names, each column as wide as it needs.
pub(super) fn write<const WIDTH: usize>(
    names: [&str; WIDTH],
    rows: Vec<[String; WIDTH]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut widths = names.map(|name| name.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let count = rows.len();
    for row in std::iter::once(names.map(ToOwned::to_owned)).chain(rows) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    writeln!(out, "{count} rows")
}

/// Writes rows as CSV (RFC 4180) with their names.
pub(super) fn write_csv<const WIDTH: usize>(
    names: [&str; WIDTH],
    rows: impl Iterator<Item = [String; WIDTH]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", names.join(","))?;
    for row in rows {
        writeln!(out, "{}", row.each_ref().map(|cell| quoted(cell)).join(","))?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
