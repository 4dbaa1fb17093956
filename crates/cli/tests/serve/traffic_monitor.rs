//! Traffic-monitor's routes, called as its documents call them; only the token is new.

use serde_json::json;

use crate::server::{Asked, Server, corpus, fields};

#[test]
fn interfaces_are_listed_with_name_description_and_address() {
    let server = Server::start();
    let given = server.get("/api/get_interfaces", &server.admin).given();
    assert_eq!(fields(&given), ["interfaces", "scapy_available"]);
    assert_eq!(given["scapy_available"], false);
    let interfaces = given["interfaces"].as_array().unwrap();
    let loopback = interfaces.iter().find(|interface| interface["name"] == "lo").expect("lo is everywhere");
    assert_eq!(fields(loopback), ["description", "ip", "name"]);
    assert_eq!(loopback["description"], "loopback");
    assert_eq!(loopback["ip"], "127.0.0.1");
    for interface in interfaces {
        let ip = interface["ip"].as_str();
        assert!(ip.is_none_or(|ip| ip.parse::<std::net::Ipv4Addr>().is_ok()), "{interface}");
    }
    let ours = server.get("/api/v1/sources", &server.admin).given();
    let ours = ours["interfaces"].as_array().unwrap().iter().find(|interface| interface["name"] == "lo").unwrap();
    assert_eq!(
        (&ours["ip"], &ours["addresses"][0], &ours["mac"]),
        (&json!("127.0.0.1"), &json!("127.0.0.1"), &json!(null))
    );
}

#[test]
fn an_unknown_method_is_refused_with_an_error() {
    let server = Server::start();
    let refused = server.post("/api/set_detection_method", &server.admin, &json!({ "method": "crystal_ball" }));
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert!(refused.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{refused:?}");
}

#[test]
fn an_interface_that_is_not_there_or_a_filter_that_is_none_is_refused_with_an_error() {
    let server = Server::start();
    let before = server.get("/api/v1/sources", &server.admin).given()["current"].clone();
    for (interface, filter, word) in [("nowhere0", "", "nowhere0"), ("lo", "tcp port", "filter")] {
        let asked = json!({ "interface": interface, "filter": filter });
        let refused = server.post("/api/start_monitor", &server.admin, &asked).refused(400);
        assert!(refused["error"].as_str().unwrap().contains(word), "{refused}");
    }
    let after = server.get("/api/v1/sources", &server.admin).given()["current"].clone();
    assert_eq!(before, after, "what was watched is watched still");
}

#[test]
fn stopping_says_what_was_seen() {
    let server = Server::start();
    let stopped = server.post("/api/stop_monitor", &server.admin, &json!({})).given();
    assert_eq!(fields(&stopped), ["message", "packet_count", "saved_file", "success"]);
    assert_eq!(stopped["success"], false, "the replay had ended");
    assert!(stopped["saved_file"].is_null());
    assert!(stopped["packet_count"].as_u64().unwrap() > 19_000);
}

#[test]
fn a_capture_that_is_handed_in_comes_back_packet_by_packet() {
    let server = Server::start();
    let capture = std::fs::read(corpus("first-look/suspicious.pcap")).unwrap();
    let upload = |fields: &[(&str, &str)]| {
        let asked = Asked::new("POST", "/api/upload_pcap").token(&server.admin);
        server.send(&asked.form(fields, "suspicious.pcap", &capture))
    };
    let whole = upload(&[]).given();
    let expected = [
        "anomalies",
        "anomaly_count",
        "filter_applied",
        "job",
        "packets",
        "packets_count",
        "patterns",
        "success",
        "total_count",
        "total_packets",
    ];
    assert_eq!(fields(&whole), expected);
    assert_eq!(whole["success"], true);
    assert_eq!(whole["total_packets"], whole["total_count"]);
    assert!(whole["total_packets"].as_u64().unwrap() > 19_000);
    assert_eq!(whole["packets_count"], 1_000, "as many as it shows");
    assert_eq!(whole["packets"].as_array().unwrap().len(), 1_000);
    let packet = &whole["packets"][0];
    for field in "index timestamp src dst protocol length is_anomaly score pattern payload".split(' ') {
        assert!(packet.get(field).is_some(), "{field}: {packet}");
    }
    assert!(packet["payload"].is_null(), "payload is shown only where that is asked for");
    let anomalies = whole["anomalies"].as_array().unwrap();
    let count = whole["anomaly_count"].as_u64().unwrap();
    assert!(count > 0 && anomalies.len() as u64 == count.min(1_000), "{count}");
    assert!(anomalies.iter().all(|packet| packet["is_anomaly"] == true && packet["pattern"]["emoji"].is_string()));
    let shown = whole["packets"].as_array().unwrap().iter().filter(|packet| packet["is_anomaly"] == true);
    let last = &whole["packets"][999]["index"];
    let among = anomalies.iter().filter(|packet| packet["index"].as_u64() <= last.as_u64());
    assert_eq!(shown.count(), among.count(), "the lists agree");
    let mut counted = 0;
    for (emoji, pattern) in whole["patterns"].as_object().unwrap() {
        assert_eq!(fields(pattern), ["count", "description", "emoji", "key", "name"]);
        assert_eq!(pattern["emoji"], *emoji);
        counted += pattern["count"].as_u64().unwrap();
    }
    assert_eq!(counted, count, "patterns are of the packets that stand out");
    // What its own documents say matches nothing there, matches what it says here.
    let some = upload(&[("filter", "tcp port 80")]).given();
    assert_eq!(some["filter_applied"], "tcp port 80");
    assert_eq!(some["total_packets"], whole["total_packets"]);
    let count = some["total_count"].as_u64().unwrap();
    assert!(0 < count && count < whole["total_packets"].as_u64().unwrap());
    let others = upload(&[("filter", "not (tcp port 80)")]).given();
    assert_eq!(count + others["total_count"].as_u64().unwrap(), whole["total_count"].as_u64().unwrap());
    let none = upload(&[("filter", "tcp port")]).refused(400);
    assert!(none["error"].as_str().unwrap().contains("filter"), "{none}");
}
