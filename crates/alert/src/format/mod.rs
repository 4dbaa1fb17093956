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

#[cfg(test)]
mod tests {
    use lapwing_capture::Timestamp;
    use lapwing_decode::Address;
    use lapwing_detect::{Detection, Subject, kind_info};

    use super::*;
    use crate::{AlertConfig, Merger};

    #[test]
    fn every_form_says_what_was_simulated() {
        let subject = Subject::Host(Address::v4([192, 168, 77, 66]));
        let detection = Detection::new(kind_info("port-scan").unwrap(), subject, "test", Timestamp::from_seconds(7));
        let mut merger = Merger::new(AlertConfig { simulated: true, ..AlertConfig::default() });
        merger.take_in(&detection);
        let alerts = merger.into_alerts();
        let written = |write: fn(&[Alert], &mut dyn Write) -> io::Result<()>| {
            let mut bytes = Vec::new();
            write(&alerts, &mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let (json, eve) = (written(write_jsonl), written(write_eve));
        assert!(json.contains(r#""simulated":true"#) && eve.contains(r#""simulated":true"#));
        assert!(eve.contains(r#""signature":"Simulated: Port scan""#), "{eve}");
        for text in [json, eve, written(write_csv), render_table(&alerts, 100, false)] {
            assert!(text.contains("Simulated: Port scan"), "{text}");
        }
    }
}
