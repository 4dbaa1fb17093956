//! SentryNet's routes, called as its documents call them; only the token is new.

use serde_json::{Value, json};

use crate::server::{PASSWORD, Server, fields};

/// The fields of an object are those, in any order.
#[track_caller]
fn assert_fields(object: &Value, expected: &str) {
    let mut expected: Vec<&str> = expected.split(' ').collect();
    expected.sort_unstable();
    assert_eq!(fields(object), expected);
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn login_gives_a_token_and_the_role_or_invalid_credentials() {
    let server = Server::start();
    let given = server.post("/auth/login", "", &json!({ "username": "admin", "password": PASSWORD })).given();
    assert_eq!(given["role"], "admin");
    assert_eq!(server.get("/api/v1/stats", given["token"].as_str().unwrap()).status, 200);
    for (username, password) in [("admin", "sentrynet2025"), ("nobody", PASSWORD)] {
        let refused = server.post("/auth/login", "", &json!({ "username": username, "password": password }));
        assert_eq!(refused.refused(401)["detail"], "Invalid credentials");
    }
}

#[test]
fn health_has_its_fields_for_whoever_has_logged_in_and_two_for_others() {
    let server = Server::start();
    let open = server.get("/health", "").given();
    assert_fields(&open, "status version");
    assert_eq!(open["status"], "healthy");
    let known = server.get("/health", &server.admin).given();
    assert_fields(
        &known,
        "status version zeek_live auto_response agent_active model_trained connections total_alerts blocked_ips \
         total_incidents",
    );
    for flag in ["zeek_live", "auto_response", "agent_active", "model_trained"] {
        assert!(known[flag].is_boolean(), "{flag}");
    }
    assert!(known["connections"].as_u64().unwrap() > 1_000);
    assert_eq!(known["total_alerts"], 8);
}

#[test]
fn traffic_is_the_latest_flows_oldest_first() {
    let server = Server::start();
    let given = server.get("/api/v1/traffic?limit=20", &server.admin).given();
    assert_fields(&given, "count data");
    assert_eq!(given["count"], 20);
    let entries = list(&given["data"]);
    assert_eq!(entries.len(), 20);
    for entry in entries {
        assert_fields(
            entry,
            "ts src_ip dst_ip src_port dst_port proto bytes packets duration service conn_state geoip uid attack_type \
             anomaly_score is_anomaly severity simulated",
        );
        assert!(entry["ts"].as_str().unwrap().ends_with('Z'), "a time is RFC 3339, not a number in a string");
        assert!(entry["bytes"].as_u64() >= entry["packets"].as_u64(), "packets count packets");
    }
    let whole = server.get("/api/v1/traffic", &server.admin).given();
    assert_eq!(whole["count"], 100, "by default");
    let began = |entries: &[Value]| entries.iter().map(|entry| entry["ts"].to_string()).collect::<Vec<_>>();
    assert!(began(entries).is_sorted() && began(list(&whole["data"])).is_sorted(), "the latest come last");
    assert!(entries.iter().all(|entry| list(&whole["data"]).contains(entry)), "the latest of more");
    server.get("/api/v1/traffic?limit=1001", &server.admin).refused(400);
}

#[test]
fn flows_of_alerts_are_marked_and_most_are_not() {
    let server = Server::start();
    let given = server.get("/api/v1/traffic?limit=1000", &server.admin).given();
    let entries = list(&given["data"]);
    let marked: Vec<&Value> = entries.iter().filter(|entry| entry["is_anomaly"] == true).collect();
    assert!(!marked.is_empty());
    assert!(marked.len() * 2 < entries.len(), "{} of {}", marked.len(), entries.len());
    for entry in marked {
        assert!(entry["attack_type"].is_string(), "{entry}");
    }
}

#[test]
fn alerts_are_filtered_before_they_are_limited_and_the_newest_come_first() {
    let server = Server::start();
    let get = |query: &str| server.get(&format!("/api/v1/alerts{query}"), &server.admin).given();
    let all = get("");
    let alerts = list(&all["data"]);
    assert_eq!(all["count"], 8);
    for alert in alerts {
        for field in
            "id timestamp src_ip dst_ip dst_port attack_type severity anomaly_score bytes packets geoip message"
                .split(' ')
        {
            assert!(alert.get(field).is_some(), "{field}: {alert}");
        }
        let message = alert["message"].as_str().unwrap();
        let severity = alert["severity"].as_str().unwrap().to_uppercase();
        let kind = alert["attack_type"].as_str().unwrap();
        let source = alert["device"].as_str().unwrap();
        assert!(message.starts_with(&format!("[{severity}] {kind} detected from {source}")), "{message}");
        let same = list(&get(&format!("?attack_type={}&limit=500", kind.replace(' ', "%20")))["data"]).to_vec();
        assert!(same.contains(alert), "{kind}");
    }
    let times: Vec<&str> = alerts.iter().map(|alert| alert["last_seen"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|left, right| left >= right), "{times:?}");
    for severity in ["critical", "high", "medium", "low"] {
        let expected: Vec<&Value> = alerts.iter().filter(|alert| alert["severity"] == severity).collect();
        assert!(!expected.is_empty(), "{severity}");
        assert_eq!(list(&get(&format!("?severity={severity}"))["data"]).iter().collect::<Vec<_>>(), expected);
        let one = get(&format!("?severity={severity}&limit=1"));
        assert_eq!(list(&one["data"]), [expected[0].clone()], "a limit takes from those that are wanted");
    }
    let guesses = get("?attack_type=Brute%20Force");
    assert_eq!(guesses["count"], 2);
    assert_eq!(get("?attack_type=Port+Scan&limit=1")["data"][0]["attack_type"], "Port Scan");
    assert_eq!(get("?attack_type=DDoS")["count"], 0);
    server.get("/api/v1/alerts?limit=501", &server.admin).refused(400);
}

#[test]
fn what_no_alert_can_be_is_refused_with_what_it_can() {
    let server = Server::start();
    let later = "since=2250-01-01T00:00:00Z";
    let nothing = server.get(&format!("/api/v1/statistics/traffic?{later}"), &server.admin).given();
    assert!(list(&nothing["data"]).is_empty(), "a quiet time is no error");
    let turned = format!("/api/v1/statistics/traffic?{later}&until=2249-01-01T00:00:00Z");
    server.get(&turned, &server.admin).refused(400);
    let kinds = vec!["beacon"; 65].join(",");
    server.get(&format!("/api/v1/alerts?kind={kinds}"), &server.admin).refused(400);
    for (query, known) in [
        ("alerts?severity=terrible", "critical"),
        ("alerts?min_severity=terrible", "informational"),
        ("alerts?status=gone", "acknowledged"),
        ("alerts?kind=port-scan,port-skan", "port-scan"),
        ("alerts?attack_type=Flood", "Data Exfiltration"),
        ("alerts/counts?group=kind&kind=port-skan", "slow-scan"),
        ("alerts/counts?group=colour", "severity"),
        ("packets?host=here", "192.168.7.20"),
        ("packets?pattern=dog", "turtle"),
    ] {
        let refused = server.get(&format!("/api/v1/{query}"), &server.admin).refused(400);
        let detail = refused["detail"].as_str().unwrap();
        let (_, wrong) = query.split_once('?').unwrap();
        let field = wrong.rsplit('&').next().unwrap().split('=').next().unwrap();
        assert!(detail.starts_with(&format!("{field}: '")) && detail.contains(known), "{query}: {detail}");
    }
    for kind in ["brute-force", "Brute%20Force", "Password+guessing", "signature"] {
        server.get(&format!("/api/v1/alerts?attack_type={kind}"), &server.admin).given();
    }
    let nothing = serde_json::json!({ "matcher": {} });
    let previewed = server.post("/api/v1/suppressions/preview", &server.admin, &nothing).refused(400);
    let reasoned = serde_json::json!({ "matcher": {}, "reason": "all of it" });
    let added = server.post("/api/v1/suppressions", &server.admin, &reasoned).refused(400);
    assert_eq!(previewed["detail"], added["detail"]);
}

#[test]
fn bytes_and_packets_of_an_alert_are_those_of_the_flows_that_it_names() {
    let server = Server::start();
    let alerts = server.get("/api/v1/alerts", &server.admin).given();
    let number = |value: &Value, field: &str| value[field].as_u64().unwrap_or_else(|| panic!("{field}: {value}"));
    for alert in list(&alerts["data"]) {
        if list(&alert["evidence"]).is_empty() {
            assert!(alert["bytes"].is_null() && alert["packets"].is_null(), "{alert}");
            continue;
        }
        for field in ["bytes", "packets"] {
            let sum: u64 = list(&alert["evidence"]).iter().map(|flow| number(flow, field)).sum();
            assert_eq!(number(alert, field), sum, "{alert}");
        }
        for flow in list(&alert["evidence"]) {
            let uid = flow["uid"].as_str().unwrap();
            let kept = server.get(&format!("/api/v1/flows?uid={uid}"), &server.admin).given();
            let whole = &kept["data"][0];
            let packets = number(whole, "orig_pkts") + number(whole, "resp_pkts");
            assert!(number(flow, "packets") <= packets, "{flow} {whole}");
        }
    }
}

#[test]
fn every_page_of_alerts_goes_on_where_the_one_before_ended() {
    let server = Server::start();
    let whole = server.get("/api/v1/alerts", &server.admin).given();
    let (mut seen, mut path) = (Vec::new(), "/api/v1/alerts?limit=3".to_owned());
    loop {
        let page = server.get(&path, &server.admin).given();
        seen.extend(list(&page["data"]).to_vec());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/alerts?limit=3&cursor={next}");
    }
    assert_eq!(seen, list(&whole["data"]));
}

#[test]
fn statistics_top_hosts_and_attacks_agree_with_each_other() {
    let server = Server::start();
    let stats = server.get("/api/v1/stats", &server.admin).given();
    assert_fields(
        &stats,
        "total_traffic total_alerts top_ips top_ports protocol_distribution attack_distribution bytes_over_time",
    );
    assert_eq!(list(&stats["top_ips"]).len(), 10);
    assert_fields(&stats["top_ips"][0], "ip bytes packets conns");
    assert_fields(&stats["top_ports"][0], "port count");
    assert_fields(&stats["bytes_over_time"][0], "ts bytes packets");
    assert_eq!(stats["bytes_over_time"][0]["ts"].as_str().unwrap().len(), "02:57:13".len());
    let flows: u64 = stats["protocol_distribution"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(stats["total_traffic"], flows);
    let top = server.get("/api/v1/top-ips", &server.admin).given();
    assert_eq!(top["data"], stats["top_ips"]);
    let more = server.get("/api/v1/top-ips?limit=50", &server.admin).given();
    assert!(list(&more["data"]).len() > 10, "more than ten can be had");
    let attacks = server.get("/api/v1/attack-summary", &server.admin).given();
    assert_fields(&attacks, "attack_distribution total_alerts");
    assert_eq!(attacks["attack_distribution"], stats["attack_distribution"]);
    let sum: u64 = attacks["attack_distribution"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(attacks["total_alerts"], sum);
    assert_eq!(attacks["attack_distribution"]["Port Scan"], 3);
    assert_eq!(attacks["attack_distribution"]["Brute Force"], 2);
}

#[test]
fn responses_and_investigations_answer_honestly_that_there_are_none() {
    let server = Server::start();
    let status = server.get("/api/v1/response/status", &server.admin).given();
    assert_fields(&status, "blocked_ips isolated_hosts total_actions recent_actions dry_run available");
    assert_eq!((&status["dry_run"], &status["available"]), (&json!(true), &json!(false)));
    let unblocked = server.post("/api/v1/response/unblock/192.0.2.1", &server.admin, &json!({})).given();
    assert_eq!(unblocked, json!({ "success": false, "ip": "192.0.2.1" }));
    server.post("/api/v1/response/unblock/everything", &server.admin, &json!({})).refused(400);
    let agent = server.get("/api/v1/agent/status", &server.admin).given();
    assert_fields(&agent, "total_incidents total_auto_resolved queue_size processing recent_reports available");
    assert_eq!(server.get("/api/v1/agent/reports", &server.admin).given(), json!({ "reports": [] }));
}

#[test]
fn documents_are_a_page_that_needs_no_other_site() {
    let server = Server::start();
    let page = server.get("/docs", "");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(!page.text().contains("//cdn") && !page.text().contains("https://"), "{}", page.text());
    server.get("/openapi.json", "").refused(401);
    assert_eq!(server.get("/openapi.json", &server.admin).given()["openapi"], "3.1.0");
}
