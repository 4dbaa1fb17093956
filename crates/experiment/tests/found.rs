//! What the detectors that are shipped find in the simulated home: the attacks, and nothing else that is worth somebody's time.

use std::sync::Arc;
use std::time::Duration;

use lapwing_alert::{Alert, AlertConfig};
use lapwing_capture::Timestamp;
use lapwing_detect::Severity;
use lapwing_detect::signature::shipped;
use lapwing_engine::{Control, Detecting, PipelineConfig, run};
use lapwing_experiment::{Attack, AttackKind, Attacks, Simulated, Simulation};

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// The alerts of medium severity and more, and the attacks that there were.
fn scanned(seed: u64, length: Duration, attacks: Attacks) -> (Vec<Alert>, Vec<Attack>) {
    let mut source = Simulated::new(&Simulation { seed, start: START, length: Some(length), attacks });
    let truth = source.truth();
    let local = Arc::default();
    let (mut stage, scoring, _) = Detecting::new(&local, &shipped(), Vec::new(), AlertConfig::default());
    let ran = run(&mut source, &PipelineConfig::default(), &scoring, &mut stage, &Control::default());
    assert!(ran.error.is_none() && ran.decode.undecoded.is_empty());
    let mut alerts = stage.finish(ran.span.map(|(_, last)| last)).alerts;
    alerts.retain(|alert| alert.severity >= Severity::Medium);
    (alerts, truth.attacks())
}

/// Whether the alert is what the attack should raise: ARP is told of by hardware addresses, and ports that were tried again after a
/// while are a slow scan besides.
fn tells_of(alert: &Alert, attack: &Attack) -> bool {
    let attacker = attack.attacker.to_string();
    if attack.kind == AttackKind::PortScan && alert.kind == "slow-scan" {
        return alert.device == attacker;
    }
    let is_about = alert.device == attacker || alert.device == "02:00:4d:00:00:42" && attacker == "192.168.77.66";
    alert.kind == attack.kind.alert() && (is_about || alert.peers.contains(&attacker))
}

fn told(alerts: &[Alert]) -> Vec<String> {
    alerts
        .iter()
        .map(|alert| format!("{} {} {}: {}", alert.severity, alert.kind, alert.device, alert.explanation))
        .collect()
}

#[test]
fn every_attack_is_found_and_nobody_else_is_accused() {
    for kind in AttackKind::ALL {
        let attacks = Attacks::These(vec![(Duration::from_secs(120), kind)]);
        let (alerts, truth) = scanned(7, Duration::from_secs(600), attacks);
        assert_eq!(truth.len(), 1);
        assert!(alerts.iter().any(|alert| tells_of(alert, &truth[0])), "{kind:?}: {:#?}", told(&alerts));
        assert!(alerts.iter().all(|alert| tells_of(alert, &truth[0])), "{kind:?}: {:#?}", told(&alerts));
    }
}

#[test]
fn attacks_that_come_now_and_then_are_found() {
    let (alerts, truth) = scanned(11, Duration::from_secs(30 * 60), Attacks::NowAndThen);
    assert!(truth.len() >= 7, "{truth:?}");
    for attack in truth.iter().filter(|attack| attack.until.is_some()) {
        assert!(alerts.iter().any(|alert| tells_of(alert, attack)), "{attack:?}: {:#?}", told(&alerts));
    }
    let unfounded = |alert: &&Alert| !truth.iter().any(|attack| tells_of(alert, attack));
    let unfounded: Vec<Alert> = alerts.iter().filter(unfounded).cloned().collect();
    assert!(unfounded.is_empty(), "{:#?}", told(&unfounded));
}

#[test]
fn a_quiet_day_is_quiet() {
    let (alerts, truth) = scanned(5, Duration::from_secs(24 * 60 * 60), Attacks::None);
    assert!(truth.is_empty());
    assert!(alerts.is_empty(), "{:#?}", told(&alerts));
}
