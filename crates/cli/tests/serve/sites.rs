//! Pages of other sites: what their requests carry is the browser's cookie, and that is not enough.

use crate::server::{Asked, PASSWORD, Server};
use serde_json::json;

/// What a browser keeps of a login.
fn cookie(server: &Server) -> String {
    let answer = server.post("/auth/login", "", &json!({ "username": "admin", "password": PASSWORD }));
    let cookies = answer.headers("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for cookie in &cookies {
        assert!(cookie.contains("; HttpOnly; SameSite=Strict;"), "{cookie}");
    }
    let refresh = cookies.iter().find(|cookie| cookie.starts_with("lapwing_refresh=")).unwrap();
    assert!(refresh.contains("; Path=/auth;"), "{refresh}");
    let session = cookies.iter().find(|cookie| cookie.starts_with("lapwing_session=")).unwrap();
    session.split(';').next().unwrap().to_owned()
}

/// How a request of another site's page looks, whichever way it is made.
fn foreign(server: &Server) -> Vec<Vec<(&'static str, String)>> {
    let port = server.address.port();
    vec![
        vec![],
        vec![("Origin", "null".to_owned())],
        vec![("Origin", "http://evil.example".to_owned()), ("Sec-Fetch-Site", "cross-site".to_owned())],
        vec![("Origin", format!("http://evil.example:{port}"))],
        vec![("Origin", format!("http://127.0.0.1:{port}.evil.example"))],
        vec![("Origin", format!("http://localhost:{port}"))],
        // Another service of this machine.
        vec![("Origin", format!("http://127.0.0.1:{}", port ^ 1))],
        vec![("Sec-Fetch-Site", "cross-site".to_owned())],
        vec![("Sec-Fetch-Site", "same-site".to_owned())],
    ]
}

fn with(mut asked: Asked, headers: &[(&'static str, String)]) -> Asked {
    for (name, value) in headers {
        asked = asked.header(name, value);
    }
    asked
}

#[test]
fn another_sites_page_changes_nothing_with_the_cookie() {
    let server = Server::start();
    let cookie = cookie(&server);
    let token = json!({ "name": "stolen", "role": "admin" });
    for headers in foreign(&server) {
        let asked = Asked::new("POST", "/api/v1/tokens").header("Cookie", &cookie).json(&token);
        assert_eq!(server.send(&with(asked, &headers)).status, 403, "{headers:?}");
        let asked = Asked::new("DELETE", "/api/v1/source").header("Cookie", &cookie);
        assert_eq!(server.send(&with(asked, &headers)).status, 403, "{headers:?}");
    }
    // A form can send these without asking the server first.
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let asked = Asked::new("POST", "/api/v1/tokens").header("Cookie", &cookie);
        let asked = asked.header("Origin", "http://evil.example").body(media_type, token.to_string().as_bytes());
        assert_eq!(server.send(&asked).status, 403, "{media_type}");
    }
    assert_eq!(server.get("/api/v1/tokens", &server.admin).given()["data"], json!([]));
    let ours = Asked::new("POST", "/api/v1/tokens").header("Cookie", &cookie).json(&token);
    let ours = ours.header("Origin", &format!("http://{}", server.address)).header("Sec-Fetch-Site", "same-origin");
    assert_eq!(server.send(&ours).status, 201);
}

#[test]
fn another_sites_page_cannot_log_somebody_in_or_out_or_refresh() {
    let server = Server::start();
    let cookie = cookie(&server);
    let login = json!({ "username": "admin", "password": PASSWORD });
    for headers in foreign(&server).into_iter().filter(|headers| !headers.is_empty()) {
        let asked = Asked::new("POST", "/auth/login").json(&login);
        server.send(&with(asked, &headers)).refused(403);
        let asked = Asked::new("POST", "/auth/refresh").header("Cookie", &cookie).json(&json!({}));
        server.send(&with(asked, &headers)).refused(403);
        let asked = Asked::new("POST", "/auth/logout").header("Cookie", &cookie);
        server.send(&with(asked, &headers)).refused(403);
    }
    let still = Asked::new("GET", "/auth/session").header("Cookie", &cookie);
    assert_eq!(server.send(&still).status, 200);
}

#[test]
fn another_sites_page_reads_nothing_for_no_other_origin_is_allowed() {
    let server = Server::start();
    let cookie = cookie(&server);
    let asked = Asked::new("GET", "/api/v1/stats").header("Cookie", &cookie).header("Origin", "http://evil.example");
    let answer = server.send(&asked);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
    let asked = Asked::new("OPTIONS", "/api/v1/tokens")
        .header("Origin", "http://evil.example")
        .header("Access-Control-Request-Method", "POST");
    let answer = server.send(&asked);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("access-control-allow-methods"), None);
}

#[test]
fn another_sites_page_cannot_listen() {
    let server = Server::start();
    let cookie = cookie(&server);
    let upgrade = |headers: &[(&'static str, String)]| {
        let asked = Asked::new("GET", "/ws")
            .header("Cookie", &cookie)
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let bytes = with(asked, headers).bytes(server.address);
        let text = String::from_utf8(bytes).unwrap().replace("Connection: close", "Connection: Upgrade");
        server.raw(text.as_bytes()).status
    };
    for headers in foreign(&server) {
        assert_eq!(upgrade(&headers), 403, "{headers:?}");
    }
    assert_eq!(upgrade(&[("Origin", format!("http://{}", server.address))]), 101);
}
