//! Accounts and tokens managed from the command line.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

const PASSWORD: &str = "a lapwing on the wing\n";

fn lapwing(data: &Path, arguments: &[&str], input: &str) -> Assert {
    let mut command = Command::cargo_bin("lapwing").unwrap();
    command.args(arguments).arg("--data-dir").arg(data).write_stdin(input).assert()
}

fn done(data: &Path, arguments: &[&str]) -> String {
    String::from_utf8(lapwing(data, arguments, PASSWORD).success().get_output().stdout.clone()).unwrap()
}

fn refused(data: &Path, arguments: &[&str], input: &str) -> String {
    String::from_utf8(lapwing(data, arguments, input).code(2).get_output().stderr.clone()).unwrap()
}

#[test]
fn accounts_are_made_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    assert!(refused(data, &["user", "list"], "").contains("there is no store"));
    let add = ["user", "add", "kim", "--password-stdin", "--by", "root"];
    assert!(
        refused(data, &[&add[..], &["--role", "viewer"]].concat(), PASSWORD).contains("the first account is an admin")
    );
    assert!(refused(data, &add, "short\n").contains("at least 12 characters"));
    assert_eq!(done(data, &add), "kim may log in as admin\n");
    assert!(refused(data, &add, PASSWORD).contains("say what kim may do"));
    assert!(
        refused(data, &["user", "add", "l ee", "--role", "viewer", "--password-stdin"], PASSWORD)
            .contains("a username is")
    );
    assert!(refused(data, &["user", "add", "lee", "--role", "viewer"], PASSWORD).contains("--password-stdin"));
    done(data, &["user", "add", "lee", "--role", "viewer", "--password-stdin"]);

    for last in [&["user", "role", "kim", "analyst"][..], &["user", "disable", "kim"], &["user", "remove", "kim"]] {
        assert!(refused(data, last, "").contains("it is the last enabled admin"));
    }
    assert_eq!(done(data, &["user", "role", "lee", "admin"]), "lee is admin from now on\n");
    done(data, &["user", "disable", "kim"]);
    done(data, &["user", "passwd", "kim", "--password-stdin"]);
    let list = done(data, &["user", "list"]);
    assert!(list.starts_with("kim ") && list.contains("never logged in, disabled\nlee "), "{list}");
    let list: Value = serde_json::from_str(&done(data, &["user", "list", "--json"])).unwrap();
    assert_eq!((list[0]["role"].as_str(), list[0]["disabled"].as_bool()), (Some("admin"), Some(true)));
    assert!(!list.to_string().contains("argon2"), "{list}");
    done(data, &["user", "enable", "kim"]);
    assert_eq!(done(data, &["user", "remove", "lee"]), "lee is no more\n");
    assert!(refused(data, &["user", "role", "lee", "viewer"], "").contains("there is no account lee"));

    let store = data.join("store");
    let mode = std::fs::metadata(&store).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "it is nobody else's");
    // Where no folder is named, it is that of serve.
    let state = folder.path().join("state/serve");
    std::fs::create_dir_all(&state).unwrap();
    std::os::unix::fs::symlink(&store, state.join("store")).unwrap();
    let mut usual = Command::cargo_bin("lapwing").unwrap();
    let usual = usual.args(["user", "list"]).env("STATE_DIRECTORY", folder.path().join("state")).assert().success();
    assert!(usual.get_output().stdout.starts_with(b"kim "));

    let mut query = Command::cargo_bin("lapwing").unwrap();
    let audit = query.args(["query", "audit", "--json", "--store"]).arg(store).assert().success();
    let audit: Vec<Value> = serde_json::from_slice(&audit.get_output().stdout).unwrap();
    let actions: Vec<&str> = audit.iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
    let expected = ["account added", "account added", "account role", "account disabled", "password changed"];
    assert_eq!(actions, [&expected[..], &["account enabled", "account removed"]].concat());
    assert_eq!(audit.last().unwrap()["who"], "root");
}

#[test]
fn tokens_are_shown_once_and_may_what_their_owner_may() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    done(data, &["user", "add", "kim", "--password-stdin"]);
    done(data, &["user", "add", "lee", "--role", "viewer", "--password-stdin"]);
    let create = |owner, role| ["token", "create", "--name", "grafana", "--owner", owner, "--role", role];
    assert!(refused(data, &create("lee", "admin"), "").contains("lee may not have a token with the role admin"));
    assert!(refused(data, &create("nobody", "viewer"), "").contains("there is no account nobody"));
    let secret = done(data, &create("lee", "viewer"));
    assert!(secret.starts_with("lwt_") && secret.trim_end().len() == 47, "{secret}");
    let made = done(data, &[&create("kim", "analyst")[..], &["--days", "30", "--json"]].concat());
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("lwt_") && made["expires"].is_string());
    let list = done(data, &["token", "list", "--json"]);
    assert!(!list.contains("lwt_"), "{list}");
    assert_eq!(serde_json::from_str::<Vec<Value>>(&list).unwrap().len(), 2);
    let of_lee = done(data, &["token", "list", "--owner", "lee"]);
    assert!(of_lee.contains("grafana of lee as viewer, for ever, never used\n"), "{of_lee}");
    let id = made["id"].as_str().unwrap();
    done(data, &["token", "revoke", id]);
    assert!(refused(data, &["token", "revoke", id], "").contains("there is no token"));
    assert_eq!(done(data, &["token", "list"]).lines().count(), 1);
}
