//! Captures that are handed in to do harm: by their names, their lengths, and what they unpack to.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Asked, Reply, Server, corpus};

fn upload(server: &Server, name: &str, bytes: &[u8]) -> Reply {
    server.send(&Asked::new("POST", "/api/v1/uploads").token(&server.admin).form(&[], name, bytes))
}

/// What came of an upload that was taken.
#[track_caller]
fn ended(server: &Server, taken: &Reply) -> Value {
    assert_eq!(taken.status, 202, "{taken:?}");
    let place = taken.header("location").unwrap().to_owned();
    let mut job = Value::Null;
    server.until("the upload is looked at", |server| {
        job = server.get(&place, &server.admin).given();
        !["receiving", "queued", "running"].contains(&job["state"].as_str().unwrap())
    });
    job
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.map_while(Result::ok) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

/// A small capture; its frames have no bytes.
fn small() -> Vec<u8> {
    let mut bytes = header();
    (0..20).for_each(|_| bytes.extend([0; 16]));
    bytes
}

fn header() -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn what_is_found_in_an_upload_is_kept_apart_from_what_is_watched() {
    let server = Server::start();
    let before = server.get("/api/v1/alerts", &server.admin).given();
    let capture = fs::read(corpus("first-look/suspicious.pcap")).unwrap();
    let job = ended(&server, &upload(&server, "again.pcap", &capture));
    assert_eq!((&job["state"], &job["name"]), (&json!("done"), &json!("again.pcap")));
    assert_eq!(job["summary"]["alerts"], 8);
    let id = job["id"].as_str().unwrap();
    let get = |path: &str| server.get(&format!("/api/v1/{path}job={id}"), &server.admin).given();
    assert_eq!(get("alerts?")["count"], 8);
    assert_eq!(get("flows?limit=10&")["count"], 10);
    assert_eq!(get("packets?limit=10&")["data"][0]["index"], 1);
    assert!(!get("devices?")["data"].as_array().unwrap().is_empty());
    let over_time = get("statistics/traffic?");
    let flows = over_time["data"].as_array().unwrap().iter().map(|point| point["flows"].as_u64().unwrap());
    assert_eq!(flows.sum::<u64>(), job["summary"]["flows"].as_u64().unwrap(), "all of its time, however long ago");
    let found = get("alerts?");
    let subject = found["data"][0]["device"].as_str().unwrap();
    let page = get(&format!("devices/{subject}?"));
    assert!(!page["alerts"].as_array().unwrap().is_empty(), "{page}");
    let ids: Vec<&str> = found["data"].as_array().unwrap().iter().map(|alert| alert["id"].as_str().unwrap()).collect();
    let closing = json!({ "ids": ids, "status": "closed", "job": id });
    assert_eq!(server.post("/api/v1/alerts/status", &server.admin, &closing).given()["changed"], 8);
    assert_eq!(get("alerts?status=closed&")["count"], 8);
    assert_eq!(server.get("/api/v1/alerts", &server.admin).given(), before, "what is watched has no more alerts");
    let removed = server.send(&Asked::new("DELETE", &format!("/api/v1/uploads/{id}")).token(&server.admin));
    assert_eq!(removed.status, 204);
    server.get(&format!("/api/v1/alerts?job={id}"), &server.admin).refused(404);
    assert_eq!(files(&server.folder().join("uploads")), Vec::<String>::new(), "nothing of it is left");
}

#[test]
fn an_alert_says_who_acts_and_who_suffers() {
    let server = Server::start();
    let found = |name: &str, kind: &str| {
        let capture = fs::read(corpus(&format!("{name}/capture.pcap.zst"))).unwrap();
        let job = ended(&server, &upload(&server, "capture.pcap", &capture));
        let id = job["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/alerts?kind={kind}&job={id}");
        let alert = server.get(&path, &server.admin).given()["data"][0].clone();
        (id, alert)
    };
    let (_, reflected) = found("amplification-dns", "amplification");
    assert_eq!((&reflected["device_role"], &reflected["dst_ip"]), (&json!("target"), &reflected["device"]));
    assert!(reflected["src_ip"].is_null(), "many sent it: {reflected}");
    assert!(reflected["message"].as_str().unwrap().contains("DDoS detected against 192.168.50.20"), "{reflected}");
    let (job, spoofed) = found("arp-spoofing", "arp-spoofing");
    assert_eq!(spoofed["device_role"], "actor");
    let address = spoofed["src_ip"].as_str().unwrap();
    assert!(address.parse::<std::net::Ipv4Addr>().is_ok() && address != "192.168.50.1", "not the gateway's: {spoofed}");
    let device = spoofed["device"].as_str().unwrap();
    let page = server.get(&format!("/api/v1/devices/{device}?job={job}"), &server.admin).given();
    let alerts = page["alerts"].as_array().unwrap();
    assert_eq!(page["open_alerts"].as_u64(), Some(alerts.len() as u64), "those that are counted are listed");
    assert!(page["deviations"].to_string().contains("ARP spoofing"), "{page}");
    let shown = server.get(&format!("/api/v1/alerts/{}?job={job}", spoofed["id"].as_str().unwrap()), &server.admin);
    let shown = shown.given();
    assert_eq!(shown["alert"]["src_ip"], spoofed["src_ip"]);
    let (job, propagation) = found("mirai-propagation", "botnet-propagation");
    let id = propagation["id"].as_str().unwrap();
    let related = server.get(&format!("/api/v1/alerts/{id}?job={job}"), &server.admin).given()["related"].clone();
    let device = propagation["device"].as_str().unwrap();
    assert!(!related.as_array().unwrap().is_empty());
    for other in related.as_array().unwrap() {
        assert!(other["device"] == device || other["peers"].to_string().contains(device), "{other}");
    }
}

#[test]
fn a_file_name_leads_nowhere() {
    let server = Server::start();
    let parent = server.folder().parent().unwrap();
    let marker = format!("lapwing-escaped-{}", std::process::id());
    let names = [
        format!("../../{marker}"),
        format!("..%2f..%2f{marker}"),
        format!("..\\..\\{marker}"),
        format!("/tmp/{marker}"),
        format!("{}/{marker}", parent.display()),
        format!("{marker}\0.pcap"),
        format!("....//....//{marker}"),
        format!("~/{marker}"),
        "../../../etc/passwd".to_owned(),
        "CON".to_owned(),
        "|id".to_owned(),
        "$(id).pcap".to_owned(),
        "-rf".to_owned(),
        "<img src=x onerror=alert(1)>.pcap".to_owned(),
        "a".repeat(5_000),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
    ];
    for name in &names {
        let answer = upload(&server, name, &small());
        if answer.status == 202 {
            let job = ended(&server, &answer);
            assert_eq!(job["state"], "done", "{name}: {job}");
            let id = job["id"].as_str().unwrap();
            assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
            assert!(job["name"].as_str().unwrap().len() <= 1_024, "{name}");
        } else {
            answer.refused(400);
        }
    }
    for folder in [server.folder().to_owned(), parent.to_owned(), "/tmp".into(), "/".into()] {
        assert!(!folder.join(&marker).exists(), "{}", folder.display());
    }
    let ours = files(&server.folder().join("uploads"));
    assert!(!ours.is_empty() && ours.iter().all(|path| !path.contains("lapwing-escaped")), "{ours:?}");
    for id in ["..", "../store", "..%2f..%2fstore", "%2e%2e", ".", "0000000000000000"] {
        let refused = server.get(&format!("/api/v1/uploads/{id}"), &server.admin);
        assert!(matches!(refused.status, 400 | 404), "{id}: {refused:?}");
        let refused = server.get(&format!("/api/v1/alerts?job={id}"), &server.admin);
        assert!(matches!(refused.status, 400 | 404), "{id}: {refused:?}");
        let refused = server.send(&Asked::new("DELETE", &format!("/api/v1/uploads/{id}")).token(&server.admin));
        assert!(matches!(refused.status, 400 | 404 | 405), "{id}: {refused:?}");
    }
}

#[test]
fn a_name_and_a_host_with_markup_come_back_as_data() {
    let server = Server::start();
    let name = "<script>alert(1)</script>\u{202e}'\"--.pcap".replace('"', "%22");
    let taken = upload(&server, &name, &small());
    let job = ended(&server, &taken);
    let answer = server.get(&format!("/api/v1/uploads/{}", job["id"].as_str().unwrap()), &server.admin);
    assert!(answer.given()["name"].as_str().unwrap().starts_with("<script>alert(1)</script>"));
    assert!(answer.header("content-security-policy").unwrap().contains("script-src 'self'"));
    // Nor is it repeated as anything else where it is wrong.
    let wrong = server.get("/api/v1/alerts?severity=%3Cscript%3Ealert(1)%3C%2Fscript%3E", &server.admin);
    wrong.refused(400);
    assert_eq!(wrong.header("x-content-type-options"), Some("nosniff"));
    for path in ["/%3Cscript%3Ealert(1)%3C/script%3E", "/api/v1/uploads/%3Cimg%20src=x%3E"] {
        server.get(path, &server.admin).refused(404);
    }
}

/// A query for a name, asked by 192.168.1.5.
fn question(labels: &[&[u8]]) -> Vec<u8> {
    let mut dns = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in labels {
        dns.push(label.len() as u8);
        dns.extend(*label);
    }
    dns.extend([0, 0, 1, 0, 1]);
    let udp = 8 + dns.len() as u16;
    captured(17, &[&[0x9c, 0x40, 0, 53, (udp >> 8) as u8, udp as u8, 0, 0], &dns[..]].concat())
}

/// What a client at 192.168.1.5 says over TCP.
fn said(port: u16, words: &[u8]) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let header = [0x9c, 0x40, high, low, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0];
    captured(6, &[&header, words].concat())
}

/// A capture of one IP packet from 192.168.1.5 to 192.168.1.1.
fn captured(protocol: u8, packet: &[u8]) -> Vec<u8> {
    let ip = 20 + packet.len() as u16;
    let mut frame = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 5], &[8, 0]].concat();
    frame.extend([0x45, 0, (ip >> 8) as u8, ip as u8, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 168, 1, 5, 192, 168, 1, 1]);
    frame.extend(packet);
    let length = frame.len() as u32;
    let mut bytes = header();
    bytes.extend([1_760_000_000, 0, length, length].iter().flat_map(|word: &u32| word.to_le_bytes()));
    bytes.extend(frame);
    bytes
}

#[test]
fn names_of_hosts_and_devices_with_markup_come_back_as_data() {
    let server = Server::start();
    let hostile = "<svg/onload=alert(1)>";
    let job = ended(&server, &upload(&server, "dns.pcap", &question(&[hostile.as_bytes(), b"example"])));
    let path = format!("/api/v1/packets?job={}", job["id"].as_str().unwrap());
    let answer = server.get(&path, &server.admin);
    assert!(answer.given()["data"][0]["info"].as_str().unwrap().contains(hostile), "{answer:?}");
    let devices = server.get("/api/v1/devices?limit=1", &server.admin).given();
    let path = format!("/api/v1/devices/{}", devices["data"][0]["id"].as_str().unwrap());
    let words = json!({ "name": hostile, "note": "</script><script>alert(2)</script>" });
    let named = server.send(&Asked::new("PATCH", &path).token(&server.admin).json(&words));
    if named.status == 200 {
        assert_eq!(server.get(&path, &server.admin).given()["name"], hostile);
    } else {
        named.refused(400);
    }
}

#[test]
fn user_agents_and_server_names_with_markup_come_back_as_data() {
    const HOSTILE: &str = "<script>alert(1)</script>";
    let capture = corpus("first-look/clean.pcap");
    let server = Server::with_admin(&["--replay", capture.to_str().unwrap(), "--speed", "max", "--payload", "200"]);
    let payload = |server: &Server, capture: &[u8]| {
        let job = ended(server, &upload(server, "said.pcap", capture));
        let path = format!("/api/v1/packets?job={}", job["id"].as_str().unwrap());
        server.get(&path, &server.admin).given()["data"][0]["payload"].as_str().unwrap().to_owned()
    };
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: {HOSTILE}\r\n\r\n");
    assert_eq!(payload(&server, &said(80, request.as_bytes())), request);
    // A client hello whose server name is markup (RFC 6066, section 3).
    let name = [&[0, HOSTILE.len() as u8 + 3, 0, 0, HOSTILE.len() as u8][..], HOSTILE.as_bytes()].concat();
    let extension = [&[0, 0, 0, name.len() as u8][..], &name].concat();
    let fixed = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0, 0, extension.len() as u8], &extension].concat();
    let hello = [&[0x16, 3, 1, 0, fixed.len() as u8 + 4, 1, 0, 0, fixed.len() as u8][..], &fixed].concat();
    let shown = payload(&server, &said(443, &hello));
    assert!(shown.starts_with("16 03 01") && !shown.contains('<'), "what is no text is shown in digits: {shown}");
}

#[test]
fn lengths_that_lie_are_found_out() {
    let server = Server::start();
    let frame = |captured: u32, length: u32, bytes: usize| {
        let words = [1, 0, captured, length];
        let mut frame = header();
        frame.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
        frame.extend(vec![0xaa; bytes]);
        frame
    };
    let mut section: Vec<u8> = [0x0a0d_0d0a_u32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    section.extend([6, u32::MAX, 0, 0].iter().flat_map(|word: &u32| word.to_le_bytes()));
    for (what, bytes) in [
        ("more than there is", frame(60_000, 60_000, 40)),
        ("four gigabytes", frame(u32::MAX, u32::MAX, 40)),
        ("more captured than there was", frame(40, 1, 40)),
        ("nothing", Vec::new()),
        ("a header and no more", header()),
        ("half a header", header()[..10].to_vec()),
        ("a block of four gigabytes", section),
        ("no capture", b"#!/bin/sh\nid\n".to_vec()),
        ("a page", b"<html><script>alert(1)</script></html>".to_vec()),
    ] {
        let answer = upload(&server, "lies.pcap", &bytes);
        if answer.status == 202 {
            let job = ended(&server, &answer);
            assert!(["done", "failed"].contains(&job["state"].as_str().unwrap()), "{what}: {job}");
            assert_eq!(job["state"] == "failed", job["error"].is_string(), "{what}: {job}");
            let error = job["error"].as_str().unwrap_or_default();
            assert!(!error.contains(server.folder().to_str().unwrap()), "where it lies is nobody's business: {error}");
        } else {
            answer.refused(400);
        }
    }
    assert_eq!(server.get("/api/v1/stats", &server.admin).status, 200);
}

/// Megabytes of blocks that hold no frames.
fn blocks(mebibytes: usize) -> Vec<u8> {
    let words: [u32; 12] = [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28, 1, 20, 1, 65_535, 20];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = (1_u32 << 20).to_le_bytes();
    let block = [&0x0bad_u32.to_le_bytes(), &length[..], &vec![0; (1 << 20) - 12], &length].concat();
    (0..mebibytes).for_each(|_| bytes.extend(&block));
    bytes
}

fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_unpacks_to_much_takes_little_memory_and_no_room_on_the_disk() {
    let server = Server::start();
    let before = resident(server.process());
    let frames = [header(), vec![0; 64 << 20]].concat();
    for (name, unpacked) in [("frames", frames), ("blocks", blocks(64))] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&unpacked).unwrap();
        for packed in [gzip.finish().unwrap(), zstd::encode_all(&unpacked[..], 1).unwrap()] {
            assert!(packed.len() * 50 < unpacked.len());
            let job = ended(&server, &upload(&server, name, &packed));
            assert_eq!(job["state"], "done", "{job}");
            let grown = resident(server.process()).saturating_sub(before);
            assert!(grown < 64 << 10, "{grown} kB");
            let kept: u64 =
                files(&server.folder().join("uploads")).iter().map(|it| fs::metadata(it).unwrap().len()).sum();
            assert!(kept < unpacked.len() as u64 / 4, "{kept} bytes");
        }
    }
}

#[test]
fn a_bomb_can_be_cancelled_and_those_behind_it_have_their_turn() {
    let server = Server::start();
    let one = zstd::encode_all(&blocks(256)[..], 1).unwrap();
    // 64 GiB, in frames of zstd one after another.
    let bomb: Vec<u8> = one.iter().copied().cycle().take(one.len() * 256).collect();
    let taken = upload(&server, "bomb.pcapng.zst", &bomb);
    let place = taken.header("location").unwrap().to_owned();
    let behind = upload(&server, "small.pcap", &small());
    server.until("it is looked at", |server| server.get(&place, &server.admin).given()["state"] == "running");
    let begun = Instant::now();
    assert_eq!(server.post(&format!("{place}/cancel"), &server.admin, &json!({})).status, 200);
    assert_eq!(ended(&server, &taken)["state"], "cancelled");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(ended(&server, &behind)["state"], "done");
}

#[test]
fn a_form_that_is_none_is_refused_and_nothing_of_it_stays() {
    let server = Server::start();
    let ask = || Asked::new("POST", "/api/v1/uploads").token(&server.admin);
    let part = |disposition: &str, body: &str| {
        format!("--limit\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{body}\r\n--limit--\r\n")
    };
    let form = "multipart/form-data; boundary=limit";
    server.send(&ask().json(&json!({}))).refused(415);
    server.send(&ask().body("multipart/form-data", b"x")).refused(415);
    for body in [
        String::new(),
        "--limit--\r\n".to_owned(),
        "no form".to_owned(),
        part("name=\"file\"; filename=\"x\"", "x").replace("--limit--", ""),
        part("name=\"filter\"", "tcp"),
        part("name=\"unknown\"", "x"),
        part("name=\"file\"; filename=\"x\"", "x").replace("--limit--\r\n", "") + &part("name=\"file\"", "y"),
        part("name=\"file\"; filename=\"x\"", "x").replace("--limit--\r\n", "") + &part("name=\"filter\"", "tcp port"),
        part("name=\"file\"; filename=\"x\"", "x").replace("--limit--\r\n", "") + &part("name=\"model\"", "../x"),
    ] {
        server.send(&ask().body(form, body.as_bytes())).refused(400);
    }
    let long = part("name=\"file\"; filename=\"x\"", "x").replace("--limit--\r\n", "");
    let long = long + &part("name=\"filter\"", &"a".repeat(100_000));
    server.send(&ask().body(form, long.as_bytes())).refused(413);
    let many = part("name=\"filter\"", "tcp").replace("--limit--\r\n", "").repeat(2_000);
    let many = server.send(&ask().body(form, many.as_bytes()));
    assert!(matches!(many.status, 400 | 413), "{many:?}");
    // Somebody hangs up in the middle of it.
    let whole = ask().form(&[], "cut.pcap", &vec![0; 1 << 20]).bytes(server.address);
    let mut stream = server.connect();
    stream.write_all(&whole[..whole.len() / 2]).unwrap();
    drop(stream);
    server.until("nothing is left", |server| files(&server.folder().join("uploads")).is_empty());
    assert_eq!(server.get("/api/v1/uploads", &server.admin).given()["data"], json!([]));
}
