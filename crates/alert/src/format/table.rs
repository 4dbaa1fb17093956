//! Alerts as a list that a person reads.

use lapwing_detect::{Severity, Subject};

use crate::{Alert, time};

/// Peers that a line names; the others are counted.
const PEERS_SHOWN: usize = 3;

/// The explanation stands under the title, this far in.
const INDENT: usize = 10;

/// Narrower than this nothing is wrapped.
const LEAST_WIDTH: usize = 60;

/// Alerts for people, worst first: a line with severity, time, what and who, and the explanation under it, wrapped to
/// `width` columns. `color` only where a terminal shows it.
#[must_use]
pub fn render_table(alerts: &[Alert], width: u16, color: bool) -> String {
    let mut order: Vec<&Alert> = alerts.iter().collect();
    order.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.first_seen));
    let width = usize::from(width).max(LEAST_WIDTH);
    let mut text = String::new();
    for alert in order {
        let severity = format!("{:<INDENT$}", alert.severity.as_str());
        text.push_str(&painted(&severity, alert.severity, color));
        let techniques = alert.attack.join(" ");
        let who = match peers(alert) {
            peers if peers.is_empty() => placed(alert, &alert.device),
            peers => {
                let device = placed(alert, &alert.device);
                format!("{device} {} {peers}", if let Subject::Victim(_) = alert.subject { "<-" } else { "->" })
            }
        };
        text.push_str(&format!("{}  {}  {who}\n", time::short(alert.first_seen), alert.title));
        for line in wrapped(&alert.explanation, width - INDENT) {
            text.push_str(&format!("{:INDENT$}{line}\n", ""));
        }
        let confidence = format!("confidence {:.1}, {}", alert.confidence, times(alert.count));
        let last = if techniques.is_empty() { confidence } else { format!("{techniques}; {confidence}") };
        text.push_str(&format!("{:INDENT$}{last}\n\n", ""));
    }
    text
}

fn times(count: u64) -> String {
    if count == 1 { "seen once".to_owned() } else { format!("seen {count} times") }
}

/// ANSI colours by severity (ECMA-48 SGR).
fn painted(text: &str, severity: Severity, color: bool) -> String {
    let code = match severity {
        Severity::Critical => "1;31",
        Severity::High => "31",
        Severity::Medium => "33",
        Severity::Low | Severity::Informational => "0",
    };
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn peers(alert: &Alert) -> String {
    let mut text = alert.peers.iter().take(PEERS_SHOWN).map(|peer| placed(alert, peer)).collect::<Vec<_>>().join(", ");
    if alert.peers.len() > PEERS_SHOWN {
        text.push_str(&format!(" and {} more", alert.peers.len() - PEERS_SHOWN));
    }
    text
}

/// The host, with its place where that is known.
fn placed(alert: &Alert, host: &str) -> String {
    let place = alert.places.iter().find(|place| place.address == host);
    place.map_or_else(|| host.to_owned(), |place| format!("{host} ({})", place.brief()))
}

/// The words of `text` in lines of at most `width` letters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensibilities of words", 8), ["incomprehensibilities", "of words"]);
        assert!(wrapped("", 8).is_empty());
    }
}
