//! What Home Assistant is told of us: <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>.

use serde_json::{Value, json};

/// Retained messages (topic, payload) that make one device with three entities: the latest alert, an event for each alert to
/// hang automations on, and whether the sensor is there.
pub(super) fn messages(prefix: &str, node: &str, sensor: &str, alert: &str, status: &str) -> Vec<(String, String)> {
    let device = json!({
        "identifiers": [format!("lapwing_{node}")],
        "name": format!("Lapwing {sensor}"),
        "manufacturer": "Lapwing",
        "model": "network sensor",
        "sw_version": env!("CARGO_PKG_VERSION"),
    });
    let entity = |component: &str, object: &str, mut settings: Value| {
        settings["unique_id"] = json!(format!("lapwing_{node}_{object}"));
        settings["device"] = device.clone();
        (format!("{prefix}/{component}/lapwing_{node}/{object}/config"), settings.to_string())
    };
    vec![
        entity(
            "sensor",
            "last_alert",
            json!({
                "name": "Last alert",
                "icon": "mdi:shield-alert",
                "state_topic": alert,
                // A state holds 255 characters.
                "value_template": "{{ (value_json.title ~ ' at ' ~ value_json.device)[:255] }}",
                "json_attributes_topic": alert,
                "availability_topic": status,
            }),
        ),
        entity(
            "event",
            "alert",
            json!({
                "name": "Alert",
                "icon": "mdi:shield-alert",
                "state_topic": alert,
                "event_types": ["informational", "low", "medium", "high", "critical"],
                "value_template": "{{ {'event_type': value_json.severity, 'id': value_json.id, \
                    'revision': value_json.revision, 'kind': value_json.kind, 'title': value_json.title, \
                    'device': value_json.device, 'explanation': value_json.explanation} | to_json }}",
                "availability_topic": status,
            }),
        ),
        entity(
            "binary_sensor",
            "watching",
            json!({
                "name": "Watching",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": status,
                "payload_on": "online",
                "payload_off": "offline",
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entity_has_an_id_of_its_own_and_the_same_device() {
        let messages = messages("homeassistant", "barn", "Barn", "lapwing/barn/alert", "lapwing/barn/status");
        let settings: Vec<Value> = messages.iter().map(|(_, payload)| serde_json::from_str(payload).unwrap()).collect();
        let mut ids: Vec<&str> = settings.iter().map(|settings| settings["unique_id"].as_str().unwrap()).collect();
        ids.dedup();
        assert_eq!(ids, ["lapwing_barn_last_alert", "lapwing_barn_alert", "lapwing_barn_watching"]);
        assert!(settings.iter().all(|settings| settings["device"]["identifiers"][0] == "lapwing_barn"));
        assert_eq!(messages[0].0, "homeassistant/sensor/lapwing_barn/last_alert/config");
    }
}
