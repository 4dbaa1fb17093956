use super::*;
use lapwing_protocol::Observation;

use crate::testing::{Shape, flow};
use crate::{Severity, Subject, Value};

fn source(text: &'static str) -> SignatureSource {
    SignatureSource { file: "rules/test.yml".into(), text: text.into(), cases: None }
}

fn measurement(failed_ports: u64) -> Measurement {
    let address = crate::testing::endpoint("10.0.0.1:1").address;
    Measurement {
        time: Timestamp::from_seconds(1000),
        service: "pair_window",
        detector: "vertical-scan",
        subject: Subject::Host(address),
        peers: vec![],
        first: Timestamp::from_seconds(990),
        last: Timestamp::from_seconds(1000),
        evidence: vec![],
        fields: vec![("source", Value::Address(address)), ("failed_ports", Value::Count(failed_ports))],
    }
}

const RULE: &str = "title: Many ports
id: 00000000-0000-0000-0000-000000000001
logsource: {product: lapwing, service: pair_window}
detection:
  selection:
    failed_ports|gte: 15
  condition: selection
level: high
tags: [attack.discovery, attack.t1046]
lapwing:
  kind: my-scan
  explanation: '{source} tried {failed_ports} ports (threshold {failed_ports.threshold}), {style}.'
";

#[test]
fn a_measurement_over_the_threshold_becomes_a_detection_with_its_numbers() {
    let (mut signatures, report) = Signatures::load(&[source(RULE)], LocalNetworks::default());
    assert_eq!(report.problems, []);
    let mut found = Vec::new();
    signatures.judge(&[measurement(14)], &mut found);
    assert!(found.is_empty());
    signatures.judge(&[measurement(20)], &mut found);
    let detection = &found[0];
    assert_eq!(detection.explanation, "10.0.0.1 tried 20 ports (threshold 15), ?.");
    assert_eq!((detection.severity, detection.kind.as_ref()), (Severity::High, "my-scan"));
    assert_eq!(detection.techniques, ["T1046"]);
    assert_eq!((detection.measured[0].value, detection.measured[0].threshold), (20.0, 15.0));
}

#[test]
fn a_rule_for_zeek_connections_reads_flows_by_zeeks_names() {
    let rule = source(
        "title: Telnet
logsource: {product: zeek, service: conn}
detection:
  selection: {id.resp_p: 23, conn_state: SF, id.resp_h|cidr: 10.0.0.0/8}
  condition: selection
",
    );
    let (mut signatures, report) = Signatures::load(&[rule], LocalNetworks::default());
    assert_eq!(report.problems, []);
    assert!(signatures.judges_flows());
    let (telnet, web) = (
        flow("10.0.0.1:4000", "10.0.0.2:23", 6, Shape::Conversation),
        flow("10.0.0.1:4000", "10.0.0.2:80", 6, Shape::Conversation),
    );
    let mut found = Vec::new();
    for flow in [&telnet, &web] {
        let fact = Observation::FlowEnded(flow);
        signatures.observe(&[Observed { time: flow.last, frame: 1, fact }], &mut found);
    }
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind.as_ref(), found[0].title.as_ref()), ("signature", "Telnet"));
    assert_eq!(found[0].rule.as_deref(), Some("telnet"));
    assert_eq!(found[0].explanation, "Telnet: conn_state is SF, id.resp_h is 10.0.0.2, id.resp_p is 23.");
}

#[test]
fn correlations_count_over_capture_time() {
    let rules = source(
        "title: base
name: base
logsource: {product: lapwing, service: pair_window}
detection: {selection: {failed_ports|gte: 5}, condition: selection}
---
title: thrice
id: thrice
correlation:
  type: event_count
  rules: [base]
  group-by: [source]
  timespan: 10m
  condition: {gte: 3}
level: critical
",
    );
    let (mut signatures, report) = Signatures::load(&[rules], LocalNetworks::default());
    assert_eq!(report.problems, []);
    let fire = |signatures: &mut Signatures, seconds: [i64; 3]| {
        let mut found = Vec::new();
        for second in seconds {
            let event = Measurement { time: Timestamp::from_seconds(second), ..measurement(7) };
            signatures.judge(&[event], &mut found);
        }
        found.iter().filter(|detection| detection.severity == Severity::Critical).count()
    };
    assert_eq!(fire(&mut signatures, [1_000, 2_000, 3_000]), 0);
    assert_eq!(fire(&mut signatures, [10_000, 10_100, 10_200]), 1);
}

#[test]
fn a_correlation_that_could_never_fire_is_refused() {
    let problems = |condition: &str| {
        let text = format!(
            "title: base
name: base
logsource: {{product: lapwing, service: pair_window}}
detection: {{selection: {{failed_ports|gte: 5}}, condition: selection}}
---
title: Many
correlation:
  type: event_count
  rules: [base]
  group-by: [source]
  timespan: 10m
  condition: {{{condition}}}
"
        );
        let rules = SignatureSource { file: "rules/test.yml".into(), text: text.into(), cases: None };
        let (_, report) = Signatures::load(&[rules], LocalNetworks::default());
        report.problems
    };
    assert_eq!(problems("gte: 1000"), []);
    let problem = problems("gte: 1001").remove(0);
    assert_eq!(problem.line, 12);
    assert!(problem.reason.contains("'1001' events, and at most 1000"), "{}", problem.reason);
    assert_eq!(problems("gt: 1000").len(), 1);
}

#[test]
fn a_correlation_says_what_it_counted_for_whom_and_how_long() {
    let rules = |extra: &str| SignatureSource {
        file: "rules/test.yml".into(),
        text: format!(
            "title: base
name: base
logsource: {{product: lapwing, service: pair_window}}
detection: {{selection: {{failed_ports|gte: 5}}, condition: selection}}
---
title: Thrice
correlation:
  type: event_count
  rules: [base]
  group-by: [source]
  timespan: 10m
  condition: {{gte: 3}}
{extra}"
        )
        .into(),
        cases: None,
    };
    let last = |extra: &str| {
        let (mut signatures, report) = Signatures::load(&[rules(extra)], LocalNetworks::default());
        assert_eq!(report.problems, []);
        let mut found = Vec::new();
        for second in [1_000, 1_100, 1_200] {
            signatures.judge(&[Measurement { time: Timestamp::from_seconds(second), ..measurement(7) }], &mut found);
        }
        found.pop().unwrap()
    };
    let thrice = last("");
    assert_eq!(thrice.explanation, "Thrice: 3 events (threshold >= 3) within 10 minutes for source 10.0.0.1.");
    assert_eq!((thrice.measured[0].name.as_str(), thrice.measured[0].threshold), ("event_count", 3.0));
    let own = last("lapwing: {explanation: '{source}: {count} of {count.threshold} in {timespan}'}\n");
    assert_eq!(own.explanation, "10.0.0.1: 3 of 3 in 10 minutes");
}

#[test]
fn a_field_that_our_log_does_not_have_is_an_error_with_the_nearest_name() {
    let misspelt = RULE.replace("failed_ports|gte", "failed_port|gte");
    let misnamed = RULE.replace("{source} tried", "{sorce} tried");
    for (rule, line, reason) in [
        (misspelt, 6, "there is no field 'failed_port' in lapwing/pair_window; did you mean 'failed_ports'?"),
        (misnamed, 12, "there is no field 'sorce' in lapwing/pair_window; did you mean 'source'?"),
    ] {
        let rule = SignatureSource { file: "rules/test.yml".into(), text: rule.into(), cases: None };
        let (_, report) = Signatures::load(&[rule], LocalNetworks::default());
        assert_eq!(report.rules.len(), 0);
        assert_eq!((report.problems[0].line, report.problems[0].reason.as_str()), (line, reason));
    }
}

#[test]
fn a_column_that_zeek_may_have_and_we_do_not_is_a_warning() {
    let rule = source(
        "title: Cloud
logsource: {product: zeek, service: conn}
detection:
  selection: {id.resp_p: 443, resp_cc: NL}
  condition: selection
",
    );
    let (signatures, report) = Signatures::load(&[rule], LocalNetworks::default());
    assert_eq!((report.problems.len(), report.rules.len()), (0, 1));
    assert!(signatures.judges_flows());
    assert_eq!(report.warnings[0].line, 4);
    assert!(report.warnings[0].reason.contains("'resp_cc' in zeek/conn"), "{:?}", report.warnings);
}

#[test]
fn broken_rules_are_reported_by_line_and_the_rest_loads() {
    let rules = SignatureSource {
        file: "rules/mixed.yml".into(),
        text: format!(
            "{RULE}---
title: Broken
logsource: {{product: lapwing, service: pair_window}}
detection:
  selection: {{failed_ports|nonsense: 1}}
  condition: selection
---
title: Wrong block
logsource: {{product: lapwing, service: pair_window}}
detection: {{selection: {{failed_ports: 1}}, condition: selection}}
lapwing: {{knd: typo}}
---
title: [unclosed
"
        )
        .into(),
        cases: None,
    };
    let (_, report) = Signatures::load(&[rules], LocalNetworks::default());
    assert_eq!(report.rules.len(), 1);
    let lines: Vec<_> = report.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(report.problems.len(), 3, "{:#?}", report.problems);
    assert_eq!(lines[0], 17, "{:#?}", report.problems);
    assert!((18..=23).contains(&lines[1]), "{:#?}", report.problems);
    assert!(lines[2] >= 23, "{:#?}", report.problems);
    assert!(report.problems[0].to_string().starts_with("rules/mixed.yml:17: "));
}

#[test]
fn what_nothing_here_produces_is_listed_as_not_evaluated() {
    let rules = source(
        "title: Files
logsource: {product: zeek, service: smb_files}
detection: {selection: {path: x}, condition: selection}
---
title: Windows
logsource: {product: windows, category: process_creation}
detection: {selection: {Image: x}, condition: selection}
",
    );
    let (signatures, report) = Signatures::load(&[rules], LocalNetworks::default());
    let needs: Vec<_> = report.rules.iter().map(|rule| rule.standing.clone()).collect();
    let not = |needs: &str| Standing::NotEvaluated { needs: needs.to_owned() };
    assert_eq!(needs, [not("smb_files"), not("product windows")]);
    assert!(!signatures.judges_flows());
}

#[test]
fn a_kind_has_one_owner() {
    let other = SignatureSource {
        file: "rules/other.yml".into(),
        text: RULE.replace("000000000001", "000000000002").into(),
        cases: None,
    };
    let (_, report) = Signatures::load(&[source(RULE), other], LocalNetworks::default());
    assert_eq!(report.rules.len(), 1);
    assert!(report.problems[0].reason.contains("belongs to rules/test.yml"), "{:?}", report.problems);
}

#[test]
fn the_shipped_rules_load_and_do_what_their_cases_say() {
    let (results, problems) = test(&shipped());
    assert_eq!(problems, []);
    let failed: Vec<_> = results.iter().filter(|result| !result.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn the_shipped_rules_are_complete() {
    let (signatures, report) = Signatures::load(&shipped(), LocalNetworks::default());
    for rule in &report.rules {
        assert_eq!(rule.standing, Standing::Evaluated, "{}", rule.title);
        let own = &signatures.rules[&rule.id];
        let feeds = rule.feeds_only;
        assert!(
            feeds || crate::kind_info(&rule.kind).is_some_and(|kind| kind.name != crate::SIGNATURE),
            "{}",
            rule.title
        );
        assert!(feeds || own.extra.explanation.is_some(), "{} explains nothing", rule.title);
        assert!(rule.id.len() == 36, "{} has no UUID", rule.title);
    }
}
