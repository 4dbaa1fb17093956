//! Requests that are too large, too slow, too many, or not what they say.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{Asked, PASSWORD, Reply, Server};

/// How long somebody who does nothing wrong may have to wait for an answer.
const SOON: Duration = Duration::from_secs(2);

#[track_caller]
fn answers_soon(server: &Server) {
    let begun = Instant::now();
    assert_eq!(server.get("/api/v1/stats", &server.admin).status, 200);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn bodies_heads_and_addresses_have_a_most() {
    let server = Server::start();
    let login = json!({ "username": "a".repeat(1 << 20), "password": PASSWORD });
    server.post("/auth/login", "", &login).refused(413);
    // What says that it is long is refused before it has come.
    let head =
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(server.raw(head.as_bytes()).status, 413);
    // And what does not say how long it is once it is too long.
    let mut chunked =
        b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    (0..600).for_each(|_| chunked.extend([b"400\r\n".to_vec(), vec![b' '; 1_024], b"\r\n".to_vec()].concat()));
    assert_eq!(server.raw(&chunked).status, 413);
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let asked = Asked::new("POST", "/auth/login").body("application/json", nested.as_bytes());
    server.send(&asked).refused(400);
    for long in ["?text=", "/"] {
        let answer = server.get(&format!("/api/v1/alerts{long}{}", "a".repeat(200_000)), &server.admin);
        assert!(matches!(answer.status, 414 | 431), "{answer:?}");
    }
    let answer = server.send(&Asked::new("GET", "/health").header("X-Long", &"a".repeat(200_000)));
    assert_eq!(answer.status, 431);
    let many = (0..2_000).fold(Asked::new("GET", "/health"), |asked, number| asked.header(&format!("X-{number}"), "y"));
    assert_eq!(server.send(&many).status, 431);
    answers_soon(&server);
}

#[test]
fn what_is_no_json_of_the_right_shape_is_refused_with_its_place() {
    let server = Server::start();
    let post = |body: &[u8]| {
        server.send(&Asked::new("POST", "/api/v1/tokens").token(&server.admin).body("application/json", body))
    };
    for (body, word) in [
        (&b""[..], "EOF"),
        (b"null", "expected"),
        (b"{\"name\":\"x\",\"role\":\"root\"}", "role"),
        (b"{\"name\":5,\"role\":\"viewer\"}", "name"),
        (b"{\"name\":\"x\",\"role\":\"viewer\",\"expires_in_days\":-1}", "expires_in_days"),
        (b"{\"name\":\"x\",\"role\":\"viewer\",\"expires_in_days\":1e99}", "expires_in_days"),
        (b"{\"name\":\"x\",\"role\":\"viewer\",\"owner\":\"admin\"}", "owner"),
        (b"{\"name\":\"x\",\"role\":\"viewer\"} trailing", "trailing"),
        (b"{\"name\":\"\xff\xfe\",\"role\":\"viewer\"}", ""),
        (b"{\"name\":\"\",\"role\":\"viewer\"}", "name"),
        (b"{\"name\":\"x\\u0000y\",\"role\":\"viewer\"}", "name"),
    ] {
        let refused = post(body).refused(400);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{}: {detail}", String::from_utf8_lossy(body));
    }
    let asked = Asked::new("POST", "/api/v1/tokens").token(&server.admin).body("text/plain", b"{}");
    server.send(&asked).refused(415);
}

#[test]
fn slow_clients_do_not_stop_others_and_are_let_go() {
    let server = Server::start();
    let begin = |head: &str| {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    // Heads that never end, bodies that never come, and answers that nobody reads.
    let heads: Vec<TcpStream> = (0..60).map(|_| begin("GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")).collect();
    let body = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let bodies: Vec<TcpStream> = (0..60).map(|_| begin(body)).collect();
    let document = Asked::new("GET", "/openapi.json").token(&server.admin).bytes(server.address);
    let document = String::from_utf8(document).unwrap().replace("Connection: close\r\n", "");
    let deaf: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = server.try_connect_from(Ipv4Addr::LOCALHOST, Some(4_096)).unwrap();
            stream.write_all(document.repeat(20).as_bytes()).unwrap();
            stream
        })
        .collect();
    let silent: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    for _ in 0..10 {
        answers_soon(&server);
    }
    let begun = Instant::now();
    for mut stream in heads.into_iter().chain(silent) {
        // A word that it took too long, or none.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop((bodies, deaf));
}

#[test]
fn more_connections_than_there_may_be_are_let_go_and_others_get_in() {
    let server = Server::start();
    let crowd: Vec<TcpStream> =
        (0..700).filter_map(|_| server.try_connect_from(Ipv4Addr::LOCALHOST, None).ok()).collect();
    let begun = Instant::now();
    let asked = Asked::new("GET", "/api/v1/stats").token(&server.admin);
    assert_eq!(server.send_from(Ipv4Addr::new(127, 0, 0, 2), &asked).status, 200, "somebody at another address");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    drop(crowd);
    server.until("the crowd is forgotten", |server| {
        let mut stream = server.connect();
        stream.write_all(&asked.bytes(server.address)).unwrap();
        Reply::read(&mut BufReader::new(stream)).is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn ten_thousand_failed_logins_lock_nobody_else_out_and_fill_nothing() {
    let server = Server::start();
    let viewer = server.account("viewer");
    let attackers = 8;
    let begun = Instant::now();
    thread::scope(|scope| {
        for attacker in 0..attackers {
            let server = &server;
            scope.spawn(move || {
                let from = Ipv4Addr::new(127, 0, 1, attacker);
                let names = ["admin", "viewer", "root", "nobody"];
                for number in 0..10_000 / u32::from(attackers) {
                    // Over one connection, as fast as it goes.
                    let name = names[number as usize % names.len()];
                    let login = json!({ "username": name, "password": format!("wrong password {number}") });
                    let asked = Asked::new("POST", "/auth/login").json(&login);
                    let answer = server.send_from(from, &asked);
                    assert!(matches!(answer.status, 401 | 429), "{answer:?}");
                    if answer.status == 429 {
                        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                        assert!((1..=900).contains(&wait), "{wait}");
                    }
                }
            });
        }
        // Meanwhile those who work go on working.
        for _ in 0..20 {
            answers_soon(&server);
            thread::sleep(Duration::from_millis(50));
        }
    });
    eprintln!("10,000 failed logins took {:?}", begun.elapsed());
    assert_eq!(server.get("/api/v1/stats", &viewer).status, 200);
    // The owner, from where they logged in before; and somebody else, from anywhere.
    server.log_in("viewer");
    let account = json!({ "username": "other", "password": PASSWORD, "role": "viewer" });
    assert_eq!(server.post("/api/v1/accounts", &server.admin, &account).status, 201);
    let login = Asked::new("POST", "/auth/login").json(&json!({ "username": "other", "password": PASSWORD }));
    assert_eq!(server.send_from(Ipv4Addr::new(127, 0, 2, 1), &login).status, 200);
    let audit = server.get("/api/v1/audit?limit=500&text=login", &server.admin).given();
    assert!(audit["count"].as_u64().unwrap() < 100, "{}", audit["count"]);
    assert!(audit["data"].as_array().unwrap().iter().any(|entry| entry["action"] == "login failed"), "{audit}");
    let accounts = server.get("/api/v1/accounts", &server.admin).given();
    let admin = &accounts["data"].as_array().unwrap()[0];
    assert!(admin["locked_until"].is_string(), "an admin sees who is attacked: {admin}");
}

#[test]
fn a_request_of_two_lengths_is_none() {
    let server = Server::start();
    let smuggled = "GET /api/v1/stats HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    for lengths in [
        format!("Content-Length: 2\r\nContent-Length: {}\r\n\r\n{{}}{smuggled}", 2 + smuggled.len()),
        format!("Content-Length: 2, {}\r\n\r\n{{}}{smuggled}", 2 + smuggled.len()),
        format!("Content-Length: +2\r\n\r\n{{}}{smuggled}"),
        format!("Content-Length: 0x2\r\n\r\n{{}}{smuggled}"),
        format!("Transfer-Encoding: chunked, identity\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!(" Content-Length: 2\r\n\r\n{{}}{smuggled}"),
    ] {
        let mut stream = server.connect();
        stream.write_all(format!("{head}{lengths}").as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let mut reader = BufReader::new(stream);
        let first = Reply::read(&mut reader).unwrap();
        assert!(matches!(first.status, 400 | 501), "{lengths:?}: {first:?}");
        assert!(Reply::read(&mut reader).is_none(), "nothing more is read: {lengths:?}");
    }
    // With both, chunks are what counts (RFC 9112, section 6.1), and the connection is not gone on with.
    let both = format!("{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{smuggled}");
    let mut stream = server.connect();
    stream.write_all(both.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let first = Reply::read(&mut reader).unwrap();
    assert_eq!(first.status, 400, "{first:?}");
    if let Some(second) = Reply::read(&mut reader) {
        second.refused(401);
    }
}

#[test]
fn other_methods_and_other_ways_of_writing_an_address_open_nothing() {
    let server = Server::start();
    for method in ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "LAPWING"] {
        let answer = server.send(&Asked::new(method, "/api/v1/audit"));
        assert!(matches!(answer.status, 400 | 401 | 404 | 405), "{method}: {answer:?}");
        let answer = server.send(&Asked::new(method, "/api/v1/audit").header("X-HTTP-Method-Override", "GET"));
        assert!(matches!(answer.status, 400 | 401 | 404 | 405), "{method}: {answer:?}");
    }
    let head = server.send(&Asked::new("HEAD", "/api/v1/stats").token(&server.admin));
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    for path in [
        "//api/v1/audit",
        "/api//v1/audit",
        "/api/v1/audit/",
        "/api/v1/audit//",
        "/api/v1/./audit",
        "/health/../api/v1/audit",
        "/assets/../api/v1/audit",
        "/api/v1/%61udit",
        "/api/v1/audit%2f",
        "/api/v1/audit%00",
        "/api/v1/audit;x=1",
        "/API/v1/audit",
        "/api/v1/AUDIT",
        "/api%2fv1%2faudit",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
        "/assets/..%2f..%2fCargo.toml",
        "http://127.0.0.1/api/v1/audit",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = server.send(&Asked::new(method, path));
            assert!(matches!(answer.status, 400 | 401 | 404 | 405), "{method} {path}: {answer:?}");
        }
    }
    for (name, value) in [
        ("X-Original-URL", "/health"),
        ("X-Rewrite-URL", "/health"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-User", "admin"),
        ("Remote-User", "admin"),
    ] {
        server.send(&Asked::new("GET", "/api/v1/audit").header(name, value)).refused(401);
    }
}

#[test]
fn a_request_id_cannot_write_into_answers_or_logs() {
    let server = Server::start();
    let given = server.send(&Asked::new("GET", "/health").header("X-Request-Id", "of-mine_7"));
    assert_eq!(given.header("x-request-id"), Some("of-mine_7"));
    for bad in ["<b>", "a b", "a\tb", "é", &"a".repeat(65), ""] {
        let given = server.send(&Asked::new("GET", "/health").header("X-Request-Id", bad));
        let id = given.header("x-request-id").unwrap();
        assert!(id != bad && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{id}");
    }
}
