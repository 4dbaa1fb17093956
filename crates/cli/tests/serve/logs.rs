//! Logs that are followed: what they say, and what of them cannot be read.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::server::{PASSWORD, Server};

const HEADER: &str = "#separator \\x09\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\t\
    proto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\torig_pkts\tresp_pkts\n";

fn row(number: u16, service: &str) -> String {
    format!("{}\tC{number}\t10.0.0.1\t{number}\t10.0.0.2\t445\ttcp\t{service}\t1.5\t10\t20\tSF\t4\t4\n", 1_700_000_000)
}

/// A server that follows what Zeek writes into a folder.
fn following(folder: &Path) -> Server {
    let mut server = Server::bare(&["--zeek", folder.to_str().unwrap()]);
    let made = json!({ "code": server.code, "username": "admin", "password": PASSWORD });
    let made = server.post("/auth/setup", "", &made);
    assert_eq!(made.status, 200, "{made:?}");
    server.admin = made.json()["token"].as_str().unwrap().to_owned();
    server
}

fn coverage(server: &Server) -> Value {
    server.get("/api/v1/coverage", &server.admin).json()
}

fn told_apart(of: &Value, name: &str) -> Vec<Value> {
    let mut values: Vec<Value> = of["data"].as_array().unwrap().iter().map(|flow| flow[name].clone()).collect();
    values.sort_by_key(Value::to_string);
    values
}

#[test]
fn what_a_sensor_found_in_a_connection_is_shown_kept_and_searched() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [row(1, "gssapi,smb"), row(2, "-"), row(3, "ssl")].concat();
    fs::write(folder.path().join("conn.log"), format!("{HEADER}{rows}")).unwrap();
    let server = following(folder.path());
    server.until("the flows come", |server| server.get("/api/v1/traffic", &server.admin).json()["count"] == 3);
    let shown = server.get("/api/v1/traffic", &server.admin).json();
    assert_eq!(told_apart(&shown, "service"), [json!("gssapi,smb"), json!("ssl"), Value::Null]);
    let kept = |query: &str| server.get(&format!("/api/v1/flows{query}"), &server.admin).json();
    server.until("the flows are kept", |_| kept("")["count"] == 3);
    assert_eq!(told_apart(&kept(""), "service"), [json!("gssapi,smb"), json!("ssl"), Value::Null]);
    for (query, ports) in [("?service=SMB", vec![1]), ("?service=ssl", vec![3]), ("?service=http", vec![])] {
        assert_eq!(told_apart(&kept(query), "id.orig_p"), ports, "{query}");
    }
    assert_eq!(told_apart(&kept(""), "uid"), told_apart(&shown, "uid"));
}

#[test]
fn a_log_that_cannot_be_read_is_told_as_long_as_that_is_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("conn.log");
    let server = following(folder.path());
    let source = || server.get("/api/v1/sources", &server.admin).json()["current"].clone();
    let told = |what: &str| source()["detail"].as_str().is_some_and(|detail| detail.contains(what));
    let state = |of: &Value| of["logs"][0]["state"].clone();
    server.until("nothing is there", |_| told("no log is there"));
    assert_eq!(coverage(&server)["lost"]["no_log_is_there"], 1);
    assert_eq!(state(&coverage(&server)), "waiting");
    fs::create_dir(&log).unwrap();
    server.until("it cannot be read", |_| told("cannot be read: not a file"));
    let covered = coverage(&server);
    assert_eq!((state(&covered), &covered["logs"][0]["reason"]), (json!("unreadable"), &json!("not a file")));
    assert_eq!(covered["lost"]["logs_that_cannot_be_read"], 1);
    assert_eq!(server.get("/api/v1/overview", &server.admin).json()["coverage"]["logs"], covered["logs"]);
    assert_eq!(server.get("/health", "").json()["status"], "degraded");
    fs::remove_dir(&log).unwrap();
    fs::write(&log, format!("{HEADER}{}no row\n", row(1, "ssl"))).unwrap();
    server.until("it is read", |server| coverage(server)["logs"][0]["records"] == 1);
    let covered = coverage(&server);
    assert_eq!((state(&covered), &covered["logs"][0]["malformed_lines"]), (json!("read"), &json!(1)));
    assert_eq!(
        (&covered["lost"]["malformed_lines"], &covered["lost"]["logs_that_cannot_be_read"]),
        (&json!(1), &Value::Null)
    );
    let problems = covered["logs"][0]["problems"].to_string();
    assert!(problems.contains("conn.log:6: 1 values for 14 columns"), "{problems}");
    server.until("it is told what the log does not carry", |server| {
        coverage(server)["not_evaluated"].to_string().contains("arp: the logs do not carry ARP packets")
    });
    assert_eq!(
        (source()["detail"].clone(), server.get("/health", "").json()["status"].clone()),
        (Value::Null, json!("healthy"))
    );
}
