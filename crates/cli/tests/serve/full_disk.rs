//! A disk without room: whoever comes to see what is wrong gets in, and is told what cannot be done.

use serde_json::json;

use crate::server::{Asked, PASSWORD, Server};

#[test]
fn people_log_in_and_see_what_is_wrong_and_nothing_is_changed_that_cannot_be_noted() {
    let server = Server::start().again_on_a_full_disk();
    let token = json!({ "name": "filler", "role": "viewer" });
    for (path, body) in [("/api/v1/tokens", &token), ("/api/v1/reload", &json!({}))] {
        server.until("the disk is full", |server| server.post(path, &server.admin, body).status == 503);
    }
    let login = json!({ "username": "admin", "password": PASSWORD });
    let session = server.post("/auth/login", "", &login).given();
    let admin = session["token"].as_str().unwrap();
    for path in
        ["overview", "alerts", "devices", "flows", "storage", "audit", "accounts", "tokens", "sources", "signatures"]
    {
        server.get(&format!("/api/v1/{path}"), admin).given();
    }
    assert_eq!(server.get("/health", admin).given()["status"], "degraded");
    let ready = server.get("/ready", "");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"], json!(["the store cannot be written"]));
    let wrong = json!({ "username": "admin", "password": "not the password" });
    server.post("/auth/login", "", &wrong).refused(401);
    for (method, path, body) in [
        ("POST", "/api/v1/reload", json!({})),
        ("DELETE", "/api/v1/source", json!({})),
        ("PUT", "/api/v1/source", json!({ "kind": "interface", "interfaces": ["lo"] })),
        ("PUT", "/api/v1/detection", json!({ "method": "isolation_forest" })),
        ("POST", "/api/v1/accounts", json!({ "username": "new", "password": PASSWORD, "role": "viewer" })),
    ] {
        server.send(&Asked::new(method, path).token(admin).json(&body)).refused(503);
    }
    let sources = server.get("/api/v1/sources", admin).given();
    assert_eq!((&sources["current"]["kind"], &sources["current"]["method"]), (&json!("none"), &json!("statistical")));
    let refreshed = server.post("/auth/refresh", "", &json!({ "refresh_token": session["refresh_token"] })).given();
    server.get("/api/v1/audit", admin).refused(401);
    let admin = refreshed["token"].as_str().unwrap();
    assert_eq!(server.send(&Asked::new("POST", "/auth/logout").token(admin)).status, 204);
    server.get("/api/v1/audit", admin).refused(401);
}
