//! A packet as Traffic-monitor's clients read it.

use lapwing_detect::packets::Pattern;
use lapwing_engine::packets::PacketRecord;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A packet as Traffic-monitor shows it.
#[derive(JsonSchema)]
pub(crate) struct Seen {
    #[schemars(flatten)]
    packet: PacketRecord,
    /// What its sender's last packets look like.
    #[expect(dead_code, reason = "describes the pattern in the JSON schema")]
    pattern: Option<PatternView>,
}

/// What packets look like.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PatternView {
    /// Its name in filters.
    key: &'static str,
    /// As a picture.
    emoji: &'static str,
    /// Its name.
    name: &'static str,
    /// What it means.
    description: &'static str,
}

impl From<Pattern> for PatternView {
    fn from(pattern: Pattern) -> Self {
        Self { key: pattern.key(), emoji: pattern.emoji(), name: pattern.name(), description: pattern.description() }
    }
}

impl From<PacketRecord> for Seen {
    fn from(packet: PacketRecord) -> Self {
        Self { packet, pattern: None }
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        seen(&self.packet).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// A packet with what its pattern is called in the place of the pattern's key.
pub(crate) fn seen(packet: &PacketRecord) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(packet)?;
    value["pattern"] = serde_json::to_value(packet.pattern.map(PatternView::from))?;
    Ok(value)
}
