//! Turning from one source to another, and reading anew what sources are judged by.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{Asked, PASSWORD, Server, corpus};

fn play(server: &Server, source: &Value) {
    let asked = Asked::new("PUT", "/api/v1/source").token(&server.admin).json(source);
    server.send(&asked).given();
}

fn has_ended(server: &Server) -> bool {
    server.get("/api/v1/sources", &server.admin).given()["current"]["state"] == "ended"
}

/// What is kept of what was played.
fn kept(server: &Server) -> [Value; 5] {
    let day = "since=2026-11-21T00:00:00Z&until=2026-11-22T00:00:00Z";
    let (traffic, talkers) = (format!("statistics/traffic?{day}"), format!("statistics/talkers?{day}"));
    let lists = ["flows?limit=500", "alerts?limit=200", "devices?limit=200", &traffic, &talkers];
    lists.map(|path| server.get(&format!("/api/v1/{path}"), &server.admin).given())
}

/// What does not change any more once all has been written.
fn settled(server: &Server) -> [Value; 5] {
    let mut last = kept(server);
    server.until("everything is written", |server| {
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        let now = kept(server);
        std::mem::replace(&mut last, now.clone()) == now
    });
    last
}

#[test]
fn a_capture_that_is_played_again_adds_nothing() {
    let server = Server::start();
    let before = settled(&server);
    for (list, most) in before.iter().zip([100, 3, 3, 3, 3]) {
        assert!(list.to_string().matches('{').count() > most, "there is something of each: {list}");
    }
    for speed in [0, 50] {
        play(&server, &json!({ "kind": "replay", "speed": speed }));
        if speed > 0 {
            server.until("it is on its way", |server| {
                server.get("/api/v1/sources", &server.admin).given()["current"]["flows"].as_u64() > Some(10)
            });
            server.send(&Asked::new("DELETE", "/api/v1/source").token(&server.admin)).given();
        } else {
            server.until("it is over", has_ended);
        }
        let after = settled(&server);
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after, "at speed {speed}: {before} {after}");
        }
    }
}

#[test]
fn the_threat_level_is_that_of_what_is_watched() {
    let server = Server::start();
    let threat = |server: &Server| server.get("/api/v1/overview", &server.admin).given()["threat"].clone();
    let before = threat(&server);
    assert!(before["level"] != "calm", "{before}");
    let quiet = fs::read(corpus("benign-backup/capture.pcap.zst")).unwrap();
    let upload = Asked::new("POST", "/api/v1/uploads").token(&server.admin).form(&[], "quiet.pcap", &quiet);
    let taken = server.send(&upload);
    assert_eq!(taken.status, 202, "{taken:?}");
    let job = taken.json()["id"].clone();
    play(&server, &json!({ "kind": "replay", "job": job, "speed": 0 }));
    let source = server.get("/api/v1/sources", &server.admin).given()["current"].clone();
    assert_eq!(source["names"], json!(["quiet.pcap"]), "as whoever handed it in calls it");
    server.until("nothing of it is alarming", |server| threat(server)["level"] == "calm");
    let reasons = threat(&server)["reasons"].to_string();
    assert!(reasons.contains("of what was watched before do not count"), "{reasons}");
    play(&server, &json!({ "kind": "replay", "speed": 0 }));
    server.until("it is as it was", |server| threat(server)["level"] == before["level"]);
}

/// A rule of that number.
fn write_rule(folder: &Path, number: u8) {
    let rule = format!(
        "title: Rule {number}\nid: 8a4e6b1c-2d7f-4c3a-9e5b-00000000000{number}\nlogsource: {{product: zeek, service: conn}}\n\
         detection:\n  port:\n    id.resp_p: 1{number}\n  condition: port\nlevel: low\n"
    );
    fs::write(folder.join(format!("{number}.yml")), rule).unwrap();
}

#[test]
fn rules_that_are_read_anew_are_listed_whether_something_is_watched_or_not() {
    let rules = tempfile::tempdir().unwrap();
    write_rule(rules.path(), 1);
    let capture = corpus("first-look/suspicious.pcap");
    let folder = rules.path().to_str().unwrap();
    let mut server =
        Server::bare(&["--replay", capture.to_str().unwrap(), "--no-shipped-signatures", "--signatures", folder]);
    let made = json!({ "code": server.code, "username": "admin", "password": PASSWORD });
    server.admin = server.post("/auth/setup", "", &made).given()["token"].as_str().unwrap().to_owned();
    let listed = |server: &Server| {
        let rules = server.get("/api/v1/signatures", &server.admin).given();
        let titles = rules["data"].as_array().unwrap().iter().map(|rule| rule["title"].as_str().unwrap().to_owned());
        titles.collect::<Vec<_>>()
    };
    let reload = |server: &Server| {
        assert_eq!(server.post("/api/v1/reload", &server.admin, &json!({})).status, 202);
    };
    server.until("the first is listed", |server| listed(server) == ["Rule 1"]);
    write_rule(rules.path(), 2);
    reload(&server);
    server.until("the second is listed", |server| listed(server) == ["Rule 1", "Rule 2"]);
    server.send(&Asked::new("DELETE", "/api/v1/source").token(&server.admin)).given();
    fs::remove_file(rules.path().join("1.yml")).unwrap();
    reload(&server);
    server.until("the first is gone", |server| listed(server) == ["Rule 2"]);
}

#[test]
fn what_was_chosen_outlives_reading_anew_and_the_next_source() {
    let folder = tempfile::tempdir().unwrap();
    let (clean, model) = (corpus("first-look/clean.pcap"), folder.path().join("home.model"));
    let mut train = Command::new(env!("CARGO_BIN_EXE_lapwing"));
    train.arg("train").arg(&clean).arg("--output").arg(&model);
    assert!(train.output().unwrap().status.success());
    let (clean, model) = (clean.to_str().unwrap(), model.to_str().unwrap());
    let capture = corpus("first-look/suspicious.pcap");
    let arguments = ["--replay", capture.to_str().unwrap(), "--baseline", clean, "--model", model];
    let server = Server::with_admin(&arguments);
    let in_use = |server: &Server| server.get("/api/v1/sources", &server.admin).given()["current"]["models"].clone();
    let judge = |choice: &Value| server.send(&Asked::new("PUT", "/api/v1/detection").token(&server.admin).json(choice));
    assert_eq!(in_use(&server), json!(["home.model", "baseline"]));
    judge(&json!({ "models": ["baseline"], "method": "crystal_ball" })).refused(400);
    assert_eq!(in_use(&server), json!(["home.model", "baseline"]), "nothing has changed");
    judge(&json!({ "models": ["baseline"] })).given();
    assert_eq!(server.post("/api/v1/reload", &server.admin, &json!({})).status, 202);
    play(&server, &json!({ "kind": "replay", "speed": 0 }));
    server.until("it is over", has_ended);
    assert_eq!(server.post("/api/v1/reload", &server.admin, &json!({})).status, 202);
    assert_eq!(in_use(&server), json!(["baseline"]));
    let models = server.get("/api/v1/models", &server.admin).given();
    let loaded: Vec<&Value> = models["data"].as_array().unwrap().iter().map(|model| &model["loaded"]).collect();
    assert_eq!(loaded, [false, true], "{models}");
}
