//! What a store promises of accounts, sessions and tokens.

use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_store::{
    AccountChange, AuditQuery, Change, MOST_SESSIONS, NewAccount, NewSession, NewToken, Role, Rotation, RotationRules,
    Session, SessionKeys, Store, StoreError, Upload, UploadState,
};

use super::{KIM, at};

fn add(store: &Store, username: &str, role: Role) -> Result<(), StoreError> {
    store.add_account(&NewAccount { username, role, password_hash: "hash" }, KIM)
}

fn keys<'a>(token_hash: &'a str, refresh_hash: &'a str, seconds: i64) -> SessionKeys<'a> {
    SessionKeys { token_hash, refresh_hash, token_expires: at(seconds + 900), refresh_expires: at(seconds + 43_200) }
}

fn log_in(store: &Store, username: &str, id: &str, seconds: i64) -> Result<Session, StoreError> {
    let (token, refresh) = (format!("{id} token"), format!("{id} refresh"));
    let keys = keys(&token, &refresh, seconds);
    let session = NewSession { id, username, keys, peer: "192.168.0.9", user_agent: &"Браузер".repeat(100) };
    store.start_session(&session, at(seconds))
}

fn actions(store: &Store) -> Vec<String> {
    let entries = store.audit(&AuditQuery::default()).unwrap().items;
    entries.into_iter().rev().map(|entry| format!("{}: {} {}", entry.who, entry.action, entry.subject)).collect()
}

pub(crate) fn an_account_has_a_plain_name_that_nobody_else_has(store: &Store) {
    assert!(!store.has_accounts().unwrap());
    assert!(matches!(add(store, "lee", Role::Analyst), Err(StoreError::Conflict(_))));
    store.add_first_account("kim", "hash", KIM).unwrap();
    assert!(store.has_accounts().unwrap());
    assert!(matches!(store.add_first_account("eve", "hash", KIM), Err(StoreError::Conflict(_))));
    for name in ["", "k m", "<b>kim</b>", "kïm", "kim\n", &"k".repeat(65)] {
        assert!(matches!(add(store, name, Role::Viewer), Err(StoreError::Refused(_))), "{name}");
    }
    for name in ["kim", "KIM"] {
        assert!(matches!(add(store, name, Role::Viewer), Err(StoreError::Conflict(_))), "{name}");
    }
    add(store, "lee.o_k-1@home", Role::Analyst).unwrap();
    let accounts = store.accounts(at(0)).unwrap();
    let told: Vec<_> = accounts.iter().map(|account| (account.username.as_str(), account.role)).collect();
    assert_eq!(told, [("kim", Role::Admin), ("lee.o_k-1@home", Role::Analyst)]);
    assert_eq!(store.credentials("kim").unwrap().unwrap().1, "hash");
    assert!(store.credentials("KIM").unwrap().is_none());
    assert_eq!(actions(store), ["kim: account added kim", "kim: account added lee.o_k-1@home"]);
}

pub(crate) fn the_last_admin_stays(store: &Store) {
    store.add_first_account("kim", "hash", KIM).unwrap();
    add(store, "lee", Role::Viewer).unwrap();
    let demoted = AccountChange { role: Some(Role::Analyst), ..AccountChange::default() };
    let disabled = AccountChange { disabled: Some(true), ..AccountChange::default() };
    let both = AccountChange { role: Some(Role::Admin), disabled: Some(true), ..AccountChange::default() };
    let refused = |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::Conflict(_))), "{done:?}");
    refused(store.change_account("kim", &demoted, KIM));
    refused(store.change_account("kim", &disabled, KIM));
    refused(store.remove_account("kim", KIM));
    store.change_account("lee", &both, KIM).unwrap();
    refused(store.remove_account("kim", KIM));
    let enabled = AccountChange { disabled: Some(false), ..AccountChange::default() };
    store.change_account("lee", &enabled, KIM).unwrap();
    store.change_account("kim", &demoted, KIM).unwrap();
    refused(store.change_account("lee", &disabled, KIM));
    store.remove_account("kim", KIM).unwrap();
    assert!(matches!(store.remove_account("kim", KIM), Err(StoreError::NotFound { .. })));
    let noted = [
        "kim: account added kim",
        "kim: account added lee",
        "kim: account role lee",
        "kim: account disabled lee",
        "kim: account enabled lee",
        "kim: account role kim",
        "kim: account removed kim",
    ];
    assert_eq!(actions(store), noted, "what was refused is not noted");
}

pub(crate) fn a_session_ends_with_what_it_rests_on(store: &Store) {
    store.add_first_account("kim", "hash", KIM).unwrap();
    add(store, "lee", Role::Analyst).unwrap();
    let session = log_in(store, "lee", "one", 0).unwrap();
    assert_eq!(store.session("one token").unwrap(), Some(session.clone()));
    assert_eq!((session.role, session.user_agent.chars().count()), (Role::Analyst, 200));
    assert_eq!(store.session("one refresh").unwrap(), None);
    assert_eq!(store.accounts(at(5)).unwrap()[1].sessions, 1);
    assert_eq!(store.accounts(at(5)).unwrap()[1].last_login, Some(at(0)));

    let demoted = AccountChange { role: Some(Role::Viewer), ..AccountChange::default() };
    store.change_account("lee", &demoted, KIM).unwrap();
    assert_eq!(store.session("one token").unwrap().unwrap().role, Role::Viewer, "at once");
    log_in(store, "lee", "two", 1).unwrap();
    let password = AccountChange { password_hash: Some("new"), keep_session: Some("two"), ..AccountChange::default() };
    store.change_account("lee", &password, KIM).unwrap();
    assert_eq!((store.session("one token").unwrap(), store.session("two token").unwrap().is_some()), (None, true));
    assert_eq!(store.credentials("lee").unwrap().unwrap().1, "new");
    let disabled = AccountChange { disabled: Some(true), ..AccountChange::default() };
    store.change_account("lee", &disabled, KIM).unwrap();
    assert_eq!(store.session("two token").unwrap(), None);
    assert!(matches!(log_in(store, "lee", "three", 2), Err(StoreError::Refused(_))));
    assert!(matches!(log_in(store, "nobody", "three", 2), Err(StoreError::NotFound { .. })));

    for (number, seconds) in (10..).take(MOST_SESSIONS + 3).zip(100..) {
        log_in(store, "kim", &number.to_string(), seconds).unwrap();
    }
    let sessions = store.sessions(Some("kim"), at(200)).unwrap();
    assert_eq!((sessions.len(), sessions[MOST_SESSIONS - 1].id.as_str()), (MOST_SESSIONS, "13"), "the oldest go");
    assert!(store.end_session("13", "logout", KIM).unwrap());
    assert!(!store.end_session("13", "logout", KIM).unwrap());
    assert_eq!(store.session("13 token").unwrap(), None);
    assert_eq!(store.expire(at(100_000)).unwrap().sessions, MOST_SESSIONS as u64 - 1);
    assert!(store.sessions(None, at(0)).unwrap().is_empty());
}

pub(crate) fn a_refresh_token_that_comes_twice_ends_its_session(store: &Store) {
    let day = Duration::from_secs(86_400);
    let rules = RotationRules { grace: Duration::from_secs(10), longest: 7 * day };
    store.add_first_account("kim", "hash", KIM).unwrap();
    log_in(store, "kim", "one", 0).unwrap();
    let rotate = |old: &str, new: &str, seconds: i64| {
        let (token, refresh) = (format!("{new} token"), format!("{new} refresh"));
        store.rotate_session(&format!("{old} refresh"), &keys(&token, &refresh, seconds), rules, at(seconds)).unwrap()
    };
    let done = rotate("one", "1", 100);
    let session = store.session("1 token").unwrap().unwrap();
    assert_eq!((session.id.as_str(), session.token_expires), ("one", at(1_000)));
    assert_eq!((store.session("one token").unwrap(), done), (None, Rotation::Done(session.clone())));
    assert_eq!(store.session_of_id("one").unwrap(), Some(session));
    assert_eq!(rotate("one", "2", 105), Rotation::JustDone);
    assert!(matches!(rotate("1", "3", 1_000), Rotation::Done(_)));
    assert_eq!(rotate("never", "4", 1_000), Rotation::Unknown);
    let reused = Rotation::Reused { id: "one".into(), username: "kim".into() };
    assert_eq!(rotate("one", "5", 1_100), reused);
    assert_eq!(store.session("3 token").unwrap(), None, "whoever has the later one is out too");
    assert_eq!(rotate("one", "6", 1_200), Rotation::Unknown);
    assert_eq!(rotate("3", "7", 1_200), Rotation::Unknown);
    assert!(actions(store).contains(&"lapwing: session revoked kim".to_owned()));

    log_in(store, "kim", "late", 2_000).unwrap();
    assert_eq!(rotate("late", "8", 2_000 + 43_200), Rotation::Unknown, "it has expired");
    log_in(store, "kim", "long", 100_000).unwrap();
    let mut last = "long".to_owned();
    for half_days in 1..=14 {
        let (next, seconds) = (format!("long {half_days}"), 100_000 + 43_199 * half_days);
        assert!(matches!(rotate(&last, &next, seconds), Rotation::Done(_)));
        last = next;
    }
    let end = at(100_000).plus(7 * day);
    assert_eq!(store.session_of_id("long").unwrap().unwrap().refresh_expires, end, "seven days and no more");
}

pub(crate) fn a_token_may_what_its_owner_may_and_no_more(store: &Store) {
    store.add_first_account("kim", "hash", KIM).unwrap();
    add(store, "lee", Role::Analyst).unwrap();
    let token = |id: &'static str, owner, role, expires: Option<Timestamp>| {
        let hash = format!("{id} hash");
        store.add_token(&NewToken { id, name: "backup", owner, role, token_hash: &hash, expires }, KIM)
    };
    assert!(matches!(token("0", "lee", Role::Admin, None), Err(StoreError::Refused(_))));
    assert!(matches!(token("0", "nobody", Role::Viewer, None), Err(StoreError::NotFound { .. })));
    let made = token("1", "lee", Role::Analyst, None).unwrap();
    assert_eq!(store.token("1 hash").unwrap(), Some(made));
    assert_eq!(store.token("1").unwrap(), None);
    token("2", "kim", Role::Viewer, Some(KIM.at.plus(Duration::from_secs(60)))).unwrap();
    store.note_token_used("1", at(7)).unwrap();
    let theirs = store.tokens(Some("lee")).unwrap();
    assert_eq!((theirs.len(), theirs[0].last_used, store.tokens(None).unwrap().len()), (1, Some(at(7)), 2));

    let role = |role| AccountChange { role: Some(role), ..AccountChange::default() };
    store.change_account("lee", &role(Role::Viewer), KIM).unwrap();
    assert_eq!(store.token("1 hash").unwrap().unwrap().role, Role::Viewer, "at once");
    store.change_account("lee", &role(Role::Admin), KIM).unwrap();
    assert_eq!(store.token("1 hash").unwrap().unwrap().role, Role::Analyst, "no more than it was made for");
    let disabled = |disabled| AccountChange { disabled: Some(disabled), ..AccountChange::default() };
    store.change_account("lee", &disabled(true), KIM).unwrap();
    assert_eq!(store.token("1 hash").unwrap(), None);
    store.change_account("lee", &disabled(false), KIM).unwrap();
    assert!(store.token("1 hash").unwrap().is_some());

    assert!(matches!(store.revoke_token("2", Some("lee"), KIM), Err(StoreError::NotFound { .. })));
    store.revoke_token("1", Some("lee"), KIM).unwrap();
    assert_eq!(store.token("1 hash").unwrap(), None);
    assert_eq!(store.expire(KIM.at.plus(Duration::from_secs(60))).unwrap().tokens, 1);
    token("3", "lee", Role::Viewer, None).unwrap();
    store.remove_account("lee", KIM).unwrap();
    assert_eq!(store.token("3 hash").unwrap(), None);
}

pub(crate) fn uploads_are_kept_until_they_expire(store: &Store) {
    let upload = |id: &str, seconds| Upload {
        id: id.into(),
        name: "../<b>.pcap".repeat(100),
        bytes: 0,
        state: UploadState::Receiving,
        filter: Some("tcp".into()),
        model: None,
        by: "kim".into(),
        created: at(seconds),
        ended: None,
        expires: at(seconds + 100),
        error: None,
        summary: None,
    };
    store.add_upload(&upload("one", 0)).unwrap();
    store.add_upload(&upload("two", 1)).unwrap();
    let mut done = store.upload("one").unwrap();
    assert_eq!(done.name.len(), 255);
    (done.bytes, done.state, done.ended) = (7, UploadState::Done, Some(at(9)));
    done.summary = Some(serde_json::json!({"packets": 3}));
    store.update_upload(&done).unwrap();
    assert_eq!(store.upload("one").unwrap(), done);
    let ids: Vec<String> = store.uploads().unwrap().into_iter().map(|upload| upload.id).collect();
    assert_eq!(ids, ["two", "one"]);
    assert_eq!(store.expire(at(500)).unwrap().uploads, ["one"], "one that is still read does not go");
    assert!(matches!(store.upload("one"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.update_upload(&done), Err(StoreError::NotFound { .. })));
    store.remove_upload("two", Change { who: "lee", at: at(600) }).unwrap();
    assert!(matches!(store.remove_upload("two", KIM), Err(StoreError::NotFound { .. })));
    assert_eq!(actions(store), ["kim: upload one", "kim: upload two", "lee: upload removed two"]);
}
