//! Alerts written for people and programs.

mod comma_separated;
mod eve;
mod table;

use std::io::{self, Write};

pub use comma_separated::write_csv;
pub use eve::write_eve;
pub use table::render_table;

use crate::Alert;

/// One alert a line, as JSON.
///
/// # Errors
/// When `output` cannot be written.
pub fn write_jsonl(alerts: &[Alert], output: &mut dyn Write) -> io::Result<()> {
    for alert in alerts {
        serde_json::to_writer(&mut *output, alert)?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// The published JSON Schema of an alert, as text.
#[must_use]
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Alert);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema of plain types is valid JSON");
    text.push('\n');
    text
}
