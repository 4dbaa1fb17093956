//! Who may do what: tokens that are none or no longer, and roles that want more.

use std::sync::Arc;
use std::time::Duration;

use lapwing_api::auth::{Accounts, Client, Role};
use lapwing_capture::Timestamp;
use lapwing_store::{Change, Store, StoreSettings};
use serde_json::{Value, json};

use crate::server::{Asked, PASSWORD, Server};

/// Where anybody with a token gets an answer.
const PROTECTED: &str = "/api/v1/stats";

fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::default().plus(since_epoch)
}

/// The accounts of a server, as another process has them.
fn accounts(server: &Server) -> Accounts {
    let store = Store::open(&server.folder().join("store"), StoreSettings::default()).unwrap();
    Accounts::new(Arc::new(store), now()).unwrap()
}

#[test]
fn without_a_token_nothing_is_answered() {
    let server = Server::start();
    let refused = server.get(PROTECTED, "");
    refused.refused(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn what_is_no_token_is_refused() {
    let server = Server::start();
    let stolen = &server.admin;
    let mut forged: Vec<String> =
        ["Bearer", "Bearer ", "Bearer null", "Bearer undefined", "Basic YWRtaW46YWRtaW4=", "Token x", "bearer"]
            .map(str::to_owned)
            .into();
    // Nearly right ones: a letter less, a letter more, another letter, in capitals; and what earlier programs took.
    forged.push(format!("Bearer {}", &stolen[..stolen.len() - 1]));
    forged.push(format!("Bearer {stolen}A"));
    forged.push(format!("Bearer {}{}", &stolen[..stolen.len() - 1], if stolen.ends_with('A') { 'B' } else { 'A' }));
    forged.push(format!("Bearer {}", stolen.to_uppercase()));
    forged.push(format!("Bearer {stolen},{stolen}"));
    forged.push(stolen.clone());
    forged.push("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiJ9.".to_owned());
    forged.push("Bearer ' OR '1'='1".to_owned());
    forged.push(format!("Bearer {}", "a".repeat(8_000)));
    for header in forged {
        let refused = server.send(&Asked::new("GET", PROTECTED).header("Authorization", &header));
        assert_eq!(refused.status, 401, "{header}: {refused:?}");
    }
    let doubled = Asked::new("GET", PROTECTED).token("forged").token(stolen);
    server.send(&doubled).refused(401);
    assert_eq!(server.get(PROTECTED, stolen).status, 200);
}

#[test]
fn a_token_in_the_address_is_none() {
    let server = Server::start();
    for path in [format!("{PROTECTED}?token={}", server.admin), format!("/ws?token={}", server.admin)] {
        let refused = server.get(&path, "");
        assert!(matches!(refused.status, 400 | 401 | 403), "{path}: {refused:?}");
    }
}

#[test]
fn an_expired_token_is_refused() {
    let server = Server::start();
    let accounts = accounts(&server);
    let before = |seconds: u64| now().minus(Duration::from_secs(seconds));
    let made = Change { who: "test", at: before(2 * 86_400) };
    let (_, token) = accounts.add_token_of("admin", "yesterday's", Role::Admin, Some(1), made).unwrap();
    server.get(PROTECTED, &token).refused(401);
    let client = Client { address: [127, 0, 0, 9].into(), user_agent: "test" };
    let session = accounts.log_in("admin", PASSWORD, client, before(16 * 60)).unwrap();
    server.get(PROTECTED, &session.token).refused(401);
    let refreshed = server.post("/auth/refresh", "", &json!({ "refresh_token": session.refresh_token })).given();
    assert_eq!(server.get(PROTECTED, refreshed["token"].as_str().unwrap()).status, 200, "that lasts longer");
    let session = accounts.log_in("admin", PASSWORD, client, before(13 * 3_600)).unwrap();
    server.post("/auth/refresh", "", &json!({ "refresh_token": session.refresh_token })).refused(401);
}

#[test]
fn a_revoked_token_is_refused_at_once() {
    let server = Server::start();
    let token = json!({ "name": "script", "role": "viewer" });
    let made = server.post("/api/v1/tokens", &server.admin, &token).json();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(server.get(PROTECTED, token).status, 200);
    let revoked = server.send(&Asked::new("DELETE", &format!("/api/v1/tokens/{id}")).token(&server.admin));
    assert_eq!(revoked.status, 204, "{revoked:?}");
    server.get(PROTECTED, token).refused(401);
}

#[test]
fn a_session_that_ended_is_refused_at_once() {
    let server = Server::start();
    let session = server.log_in("admin");
    assert_eq!(server.get(PROTECTED, &session).status, 200);
    assert_eq!(server.post("/auth/logout", &session, &json!({})).status, 204);
    server.get(PROTECTED, &session).refused(401);
}

#[test]
fn a_refresh_token_that_was_used_ends_its_session_after_a_moment() {
    let server = Server::start();
    let login = json!({ "username": "admin", "password": PASSWORD });
    let first = server.post("/auth/login", "", &login).given();
    let refresh = |given: &Value| server.post("/auth/refresh", "", &json!({ "refresh_token": given["refresh_token"] }));
    let second = refresh(&first).given();
    assert_eq!(server.get(PROTECTED, second["token"].as_str().unwrap()).status, 200);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    refresh(&first).refused(409);
    refresh(&json!({ "refresh_token": "lwr_forged" })).refused(401);
    // A session's token is no refresh token, and the other way round.
    refresh(&json!({ "refresh_token": second["token"] })).refused(401);
    server.get(PROTECTED, second["refresh_token"].as_str().unwrap()).refused(401);
}

#[test]
fn a_changed_password_or_role_and_a_disabled_or_removed_account_take_effect_at_once() {
    let server = Server::start();
    let patch = |change: &Value| {
        let asked = Asked::new("PATCH", "/api/v1/accounts/analyst").token(&server.admin).json(change);
        assert_eq!(server.send(&asked).status, 204);
    };
    let session = server.account("analyst");
    let preview = json!({ "matcher": { "kind": "beacon" } });
    assert_eq!(server.post("/api/v1/suppressions/preview", &session, &preview).status, 200);
    patch(&json!({ "role": "viewer" }));
    let status = server.post("/api/v1/suppressions/preview", &session, &preview).status;
    assert!(matches!(status, 401 | 403), "{status}");
    let session = server.log_in("analyst");
    patch(&json!({ "password": "another horse battery" }));
    server.get(PROTECTED, &session).refused(401);
    patch(&json!({ "password": PASSWORD }));
    let session = server.log_in("analyst");
    patch(&json!({ "disabled": true }));
    server.get(PROTECTED, &session).refused(401);
    patch(&json!({ "disabled": false }));
    let session = server.log_in("analyst");
    let removed = server.send(&Asked::new("DELETE", "/api/v1/accounts/analyst").token(&server.admin));
    assert_eq!(removed.status, 204);
    server.get(PROTECTED, &session).refused(401);
}

#[test]
fn nobody_gets_a_role_that_an_admin_did_not_give() {
    let server = Server::start();
    for role in ["viewer", "analyst"] {
        let session = server.account(role);
        let promote = json!({ "role": "admin" });
        let own = Asked::new("PATCH", &format!("/api/v1/accounts/{role}")).token(&session).json(&promote);
        server.send(&own).refused(403);
        let account = json!({ "username": "mallory", "password": PASSWORD, "role": "admin" });
        server.post("/api/v1/accounts", &session, &account).refused(403);
        server.post("/api/v1/tokens", &session, &json!({ "name": "more", "role": "admin" })).refused(403);
        // What is sent beside a login or a new password is no way either.
        let login = json!({ "username": role, "password": PASSWORD, "role": "admin" });
        server.post("/auth/login", "", &login).refused(400);
        let password = json!({ "current": PASSWORD, "new": "another horse battery", "role": "admin" });
        server.post("/auth/password", &session, &password).refused(400);
        assert_eq!(server.get("/auth/session", &session).given()["role"], role);
    }
    let analyst = server.log_in("analyst");
    server.post("/api/v1/alerts/status", &server.log_in("viewer"), &json!({})).refused(403);
    server.post("/api/v1/reload", &analyst, &json!({})).refused(403);
    server.send(&Asked::new("DELETE", "/api/v1/source").token(&analyst)).refused(403);
    server.get("/api/v1/audit", &analyst).refused(403);
}

#[test]
fn a_token_may_do_no_more_than_its_owner_may_now() {
    let server = Server::start();
    let analyst = server.account("analyst");
    let made = server.post("/api/v1/tokens", &analyst, &json!({ "name": "script", "role": "analyst" }));
    assert_eq!(made.status, 201, "{made:?}");
    let (token, id) = (made.json()["token"].clone(), made.json()["id"].clone());
    let (token, id) = (token.as_str().unwrap(), id.as_str().unwrap());
    let preview = json!({ "matcher": { "kind": "beacon" } });
    assert_eq!(server.post("/api/v1/suppressions/preview", token, &preview).status, 200);
    // What expires must not make what does not, nor lock its owner out.
    server.post("/api/v1/tokens", token, &json!({ "name": "child", "role": "viewer" })).refused(403);
    let password = json!({ "current": PASSWORD, "new": "another horse battery" });
    server.post("/auth/password", token, &password).refused(403);
    let demoted =
        Asked::new("PATCH", "/api/v1/accounts/analyst").token(&server.admin).json(&json!({ "role": "viewer" }));
    assert_eq!(server.send(&demoted).status, 204);
    server.post("/api/v1/suppressions/preview", token, &preview).refused(403);
    assert_eq!(server.get("/auth/session", token).given()["role"], "viewer");
    // Others' tokens are neither seen nor revoked.
    let account = json!({ "username": "other", "password": PASSWORD, "role": "analyst" });
    assert_eq!(server.post("/api/v1/accounts", &server.admin, &account).status, 201);
    let other = server.log_in("other");
    assert_eq!(server.get("/api/v1/tokens", &other).given()["data"], json!([]));
    server.send(&Asked::new("DELETE", &format!("/api/v1/tokens/{id}")).token(&other)).refused(404);
    assert_eq!(server.get(PROTECTED, token).status, 200);
}

#[test]
fn the_last_admin_cannot_go() {
    let server = Server::start();
    let path = "/api/v1/accounts/admin";
    server.send(&Asked::new("DELETE", path).token(&server.admin)).refused(409);
    for change in [json!({ "role": "viewer" }), json!({ "disabled": true })] {
        server.send(&Asked::new("PATCH", path).token(&server.admin).json(&change)).refused(409);
    }
    assert_eq!(server.get(PROTECTED, &server.admin).status, 200);
}

#[test]
fn the_first_account_is_made_once_and_with_the_code_alone() {
    let server = Server::bare(&[]);
    assert_eq!(server.get("/auth/setup", "").given(), json!({ "needed": true }));
    let account = |code: &str| json!({ "code": code, "username": "admin", "password": PASSWORD });
    for code in ["guess", &server.code[1..], &server.code.to_uppercase()] {
        server.post("/auth/setup", "", &account(code)).refused(401);
    }
    let short = json!({ "code": server.code, "username": "admin", "password": "short" });
    server.post("/auth/setup", "", &short).refused(400);
    assert_eq!(server.post("/auth/setup", "", &account(&server.code)).given()["role"], "admin");
    assert_eq!(server.get("/auth/setup", "").given(), json!({ "needed": false }));
    server.post("/auth/setup", "", &account(&server.code)).refused(401);
}

#[test]
fn what_expires_makes_nothing_that_does_not() {
    let server = Server::start();
    let token = json!({ "name": "deploy", "role": "admin", "expires_in_days": 1 });
    let made = server.post("/api/v1/tokens", &server.admin, &token);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/api/v1/accounts", &token).status, 200, "it is an admin's");
    let account = json!({ "username": "left-behind", "password": PASSWORD, "role": "admin" });
    server.post("/api/v1/accounts", &token, &account).refused(403);
    let asked = |method: &str, path: &str| Asked::new(method, path).token(&token);
    for change in [json!({ "password": "another long password" }), json!({ "role": "viewer" })] {
        server.send(&asked("PATCH", "/api/v1/accounts/admin").json(&change)).refused(403);
    }
    server.send(&asked("DELETE", "/api/v1/accounts/admin")).refused(403);
    server.post("/api/v1/tokens", &token, &json!({ "name": "again", "role": "viewer" })).refused(403);
    server.log_in("admin");
}

#[test]
fn where_files_lie_is_told_to_admins_alone() {
    let logs = tempfile::tempdir().unwrap();
    let place = logs.path().to_str().unwrap();
    let server = Server::with_admin(&["--zeek", place]);
    let sources = server.get("/api/v1/sources", &server.admin).given();
    assert_eq!(sources["current"]["paths"][0], format!("{place}/current"));
    assert_eq!(sources["current"]["names"][0], "current");
    for role in ["viewer", "analyst"] {
        let token = server.account(role);
        for path in ["sources", "overview", "coverage", "sinks", "signatures", "models"] {
            let told = server.get(&format!("/api/v1/{path}"), &token).given().to_string();
            assert!(!told.contains(place), "{role} {path}: {told}");
        }
    }
}

#[test]
fn what_is_simulated_says_so_and_stays_apart_from_what_is_real() {
    let server = Server::with_admin(&["--simulate", "--seed", "7", "--speed", "100"]);
    let list = |path: &str| server.get(path, &server.admin).given()["data"].as_array().unwrap().clone();
    for path in ["/api/v1/flows", "/api/v1/traffic", "/api/v1/devices"] {
        server.until(path, |_| !list(path).is_empty());
        assert!(list(path).iter().all(|one| one["simulated"] == true), "{path}");
    }
    let asked = Asked::new("PUT", "/api/v1/source").token(&server.admin).json(&json!({ "kind": "replay" }));
    let refused = server.send(&asked).refused(400);
    assert!(refused["detail"].as_str().unwrap().contains("--simulate"), "{refused}");
    let storage = server.get("/api/v1/storage", &server.account("analyst")).given();
    assert!(storage["free_bytes"].as_u64().unwrap() > 0 && storage["uploads_bytes"] == 0, "{storage}");
    assert!(storage["oldest"].is_string() && storage["captures_bytes"].is_null(), "{storage}");
    assert!(server.folder().join("simulated").exists());
}
