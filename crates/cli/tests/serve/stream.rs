//! The stream: SentryNet's messages, in order, without gaps, and nobody waits for a slow client.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{HandshakeError, Message, WebSocket};

use crate::server::{Asked, Server, fields};

/// What the server says to whoever listens.
struct Listener(WebSocket<TcpStream>);

impl Listener {
    fn new(server: &Server, query: &str) -> Self {
        Self::over(server, server.connect(), query, &server.admin).expect("the stream is taken up")
    }

    /// `Err` is the status that the stream was refused with.
    fn over(server: &Server, stream: TcpStream, query: &str, token: &str) -> Result<Self, u16> {
        let mut request = format!("ws://{}/ws{query}", server.address).into_client_request().unwrap();
        if !token.is_empty() {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    fn text(&mut self) -> String {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The next message of that type.
    fn next(&mut self, kind: &str) -> Value {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < Duration::from_secs(30), "no {kind}");
            let text = self.text();
            if text == "pong" {
                continue;
            }
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    }
}

#[test]
fn whoever_comes_is_told_how_it_stands_and_then_what_is_new() {
    let server = Server::start();
    let mut listener = Listener::new(&server, "");
    let init = listener.next("init");
    for field in "history stats alerts agent_status response_status overview".split(' ') {
        assert!(init.get(field).is_some_and(|value| !value.is_null()), "{field}: {:?}", fields(&init));
    }
    assert_eq!(init["history"].as_array().unwrap().len(), 50);
    assert_eq!(init["alerts"].as_array().unwrap().len(), 8);
    assert_eq!(init["stats"]["total_alerts"], 8);
    let first = listener.next("traffic_update");
    for field in "timestamp traffic alerts auto_actions stats response_status source threat".split(' ') {
        assert!(first.get(field).is_some_and(|value| !value.is_null()), "{field}: {:?}", fields(&first));
    }
    assert_eq!(first["sequence"].as_u64(), init["sequence"].as_u64().map(|last| last + 1));
    let second = listener.next("traffic_update");
    assert_eq!(second["sequence"].as_u64(), first["sequence"].as_u64().map(|last| last + 1));
}

#[test]
fn a_ping_is_answered_with_a_pong_and_nonsense_with_an_error() {
    let server = Server::start();
    let mut listener = Listener::new(&server, "");
    listener.next("init");
    listener.say("ping");
    loop {
        match listener.text().as_str() {
            "pong" => break,
            other => assert!(other.contains("traffic_update"), "{other}"),
        }
    }
    for nonsense in ["pong", "{", "[]", "{\"type\":\"launch\"}", "{\"type\":\"subscribe\",\"more\":1}"] {
        listener.say(nonsense);
        assert!(listener.next("error")["detail"].is_string(), "{nonsense}");
    }
    listener.0.send(Message::binary(vec![0; 16])).unwrap();
    listener.next("error");
}

#[test]
fn whoever_comes_back_misses_nothing_or_is_told_of_the_gap() {
    let server = Server::start();
    let mut listener = Listener::new(&server, "");
    let mut last = listener.next("init")["sequence"].as_u64().unwrap();
    last = last.max(listener.next("traffic_update")["sequence"].as_u64().unwrap());
    drop(listener);
    // What happens while nobody listens.
    let ids: Vec<Value> = server.get("/api/v1/alerts", &server.admin).given()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["id"].clone())
        .collect();
    let status = json!({ "ids": ids, "status": "acknowledged" });
    assert_eq!(server.post("/api/v1/alerts/status", &server.admin, &status).given()["changed"], 8);
    let mut again = Listener::new(&server, &format!("?since={last}"));
    let mut changed = 0;
    while changed < 8 {
        let message: Value = serde_json::from_str(&again.text()).unwrap();
        assert_eq!(message["sequence"].as_u64(), Some(last + 1), "{:?}", fields(&message));
        last += 1;
        if message["type"] == "alerts" {
            let alerts = message["alerts"].as_array().unwrap();
            assert!(alerts.iter().all(|alert| alert["status"] == "acknowledged"));
            changed += alerts.len();
        }
    }
    let mut stranger = Listener::new(&server, "?since=1000000");
    assert_eq!(stranger.next("init")["gap"], true, "a number that this server never gave");
    let refused = Listener::over(&server, server.connect(), "?since=yesterday", &server.admin);
    assert_eq!(refused.err(), Some(400));
}

#[test]
fn a_client_that_does_not_read_loses_updates_and_is_told_how_many() {
    let server = Server::start();
    let stream = server.try_connect_from(Ipv4Addr::LOCALHOST, Some(4_096)).unwrap();
    let mut slow = Listener::over(&server, stream, "", &server.admin).unwrap();
    let mut quick = Listener::new(&server, "");
    let alerts = server.get("/api/v1/alerts", &server.admin).given();
    let ids: Vec<&Value> = alerts["data"].as_array().unwrap().iter().map(|alert| &alert["id"]).collect();
    let begun = Instant::now();
    for round in 0..150 {
        let status = if round % 2 == 0 { "acknowledged" } else { "open" };
        server.post("/api/v1/alerts/status", &server.admin, &json!({ "ids": ids, "status": status })).given();
        let told = quick.next("alerts");
        assert_eq!(told["alerts"].as_array().map(Vec::len), Some(ids.len()), "all in one message");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "who reads does not wait for who does not");
    let mut last = slow.next("init")["sequence"].as_u64().unwrap();
    loop {
        let message: Value = serde_json::from_str(&slow.text()).unwrap();
        if message["type"] == "lost" {
            last += message["count"].as_u64().unwrap();
            break;
        }
        last += 1;
        assert_eq!(message["sequence"].as_u64(), Some(last));
    }
    let next: Value = serde_json::from_str(&slow.text()).unwrap();
    assert_eq!(next["sequence"].as_u64(), Some(last + 1), "exactly so many were lost");
}

#[test]
fn the_stream_ends_with_the_session() {
    let server = Server::start();
    let token = server.log_in("admin");
    let mut listener = Listener::over(&server, server.connect(), "", &token).unwrap();
    listener.next("init");
    assert_eq!(server.post("/auth/logout", &token, &json!({})).status, 204);
    let closed = loop {
        match listener.0.read().unwrap() {
            Message::Close(frame) => break frame,
            _ => continue,
        }
    };
    assert_eq!(closed.map(|frame| u16::from(frame.code)), Some(4401));
}

#[test]
fn the_stream_is_for_those_who_have_logged_in() {
    let server = Server::start();
    let refused = |token: &str| Listener::over(&server, server.connect(), "", token).err();
    assert_eq!(refused("lws_forged"), Some(401));
    assert_eq!(refused(""), Some(403), "no page of ours, no token");
    let viewer = server.account("viewer");
    assert_eq!(refused(&viewer), None);
}

#[test]
fn packets_come_to_whoever_subscribes_and_only_those_that_are_wanted() {
    let server = Server::start();
    let mut listener = Listener::new(&server, "");
    listener.next("init");
    listener.say("{\"type\":\"subscribe\",\"packets\":true,\"filter\":\"tcp port\"}");
    assert!(listener.next("error")["detail"].as_str().unwrap().contains("filter"));
    listener.say("{\"type\":\"subscribe\",\"packets\":true,\"filter\":\"tcp port 80\"}");
    // Until the subscription is in force, no more than a message later.
    listener.say("ping");
    while listener.text() != "pong" {}
    let again = Asked::new("PUT", "/api/v1/source").token(&server.admin);
    let again = server.send(&again.json(&json!({ "kind": "replay", "speed": 50 }))).given();
    assert_eq!(again["state"], "running");
    for _ in 0..20 {
        let packet = listener.next("packet");
        for field in
            "timestamp src dst protocol length src_port dst_port is_anomaly score pattern flags payload".split(' ')
        {
            assert!(packet.get(field).is_some(), "{field}: {packet}");
        }
        assert!(packet["src_port"] == 80 || packet["dst_port"] == 80, "{packet}");
        assert!(packet["payload"].is_null());
        if !packet["pattern"].is_null() {
            assert_eq!(fields(&packet["pattern"]), ["description", "emoji", "key", "name"], "{packet}");
        }
    }
    listener.say("{\"type\":\"unsubscribe\"}");
    listener.say("ping");
    while listener.text() != "pong" {}
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let text = listener.text();
        assert!(!text.contains("\"type\":\"packet\""), "{text}");
    }
}
