//! Alerts as a table that a person reads.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use lapwing_detect::Severity;

use crate::{Alert, time};

/// Peers that a row names; the others are counted.
const PEERS_SHOWN: usize = 3;

/// A table of alerts, worst first. `width` is that of the terminal; `color` only where one is looking.
#[must_use]
pub fn render_table(alerts: &[Alert], width: u16, color: bool) -> String {
    let mut order: Vec<&Alert> = alerts.iter().collect();
    order.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.first_seen));
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(["severity", "first seen (UTC)", "what", "device", "peers", "why"]);
    for alert in order {
        table.add_row([
            severity(alert.severity, color),
            Cell::new(time::short(alert.first_seen)),
            Cell::new(what(alert)),
            Cell::new(&alert.device),
            Cell::new(peers(alert)),
            Cell::new(&alert.explanation),
        ]);
    }
    table.to_string()
}

fn severity(severity: Severity, color: bool) -> Cell {
    let cell = Cell::new(severity.as_str());
    if !color {
        return cell;
    }
    match severity {
        Severity::Critical => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        Severity::High => cell.fg(Color::Red),
        Severity::Medium => cell.fg(Color::Yellow),
        Severity::Low | Severity::Informational => cell,
    }
}

fn what(alert: &Alert) -> String {
    let techniques = alert.attack.join(" ");
    if techniques.is_empty() { alert.title.clone() } else { format!("{}\n{techniques}", alert.title) }
}

fn peers(alert: &Alert) -> String {
    let mut lines: Vec<String> = alert.peers.iter().take(PEERS_SHOWN).cloned().collect();
    if alert.peers.len() > PEERS_SHOWN {
        lines.push(format!("and {} more", alert.peers.len() - PEERS_SHOWN));
    }
    lines.join("\n")
}
