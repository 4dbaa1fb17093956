mod full_disk;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapwing_capture::Timestamp;
use lapwing_store::{AuditQuery, Change, Store, StoreError, StoreSettings};

use super::{Accounts, AuthError, Client, Identity, LoggedIn, MEMORY_LASTS, Role, TokenKind};

const PASSWORD: &str = "a lapwing on the wing";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

fn from(last: u8) -> Client<'static> {
    Client { address: IpAddr::from([192, 168, 0, last]), user_agent: "test" }
}

fn by_kim(seconds: i64) -> Change<'static> {
    Change { who: "kim", at: at(seconds) }
}

struct Place {
    folder: tempfile::TempDir,
    accounts: Accounts,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::new(open(&folder), at(0)).unwrap();
        Self { folder, accounts }
    }

    /// With an admin, an analyst and a viewer.
    fn with_accounts() -> Self {
        let place = Self::new();
        let code = place.accounts.setup_code(at(0)).unwrap();
        place.accounts.set_up(&code, "kim", PASSWORD, from(1), at(0)).unwrap();
        for (name, role) in [("lee", Role::Analyst), ("val", Role::Viewer)] {
            place.accounts.add(name, PASSWORD, role, by_kim(0)).unwrap();
        }
        place
    }

    /// The same store as another process sees it.
    fn other_process(&self) -> Accounts {
        Accounts::new(open(&self.folder), at(0)).unwrap()
    }

    fn log_in(&self, name: &str, seconds: i64) -> LoggedIn {
        self.accounts.log_in(name, PASSWORD, from(1), at(seconds)).unwrap()
    }

    fn who(&self, token: &str, seconds: i64) -> Result<Identity, AuthError> {
        self.accounts.authenticate(token, at(seconds))
    }

    fn is_refused(&self, token: &str, seconds: i64) -> bool {
        matches!(self.who(token, seconds), Err(AuthError::InvalidToken))
    }

    fn audited(&self, action: &str) -> Vec<String> {
        let entries = self.accounts.store.audit(&AuditQuery::default()).unwrap().items;
        let of = entries.into_iter().rev().filter(|entry| entry.action == action);
        of.map(|entry| format!("{}: {}", entry.subject, entry.detail)).collect()
    }
}

fn open(folder: &tempfile::TempDir) -> Arc<Store> {
    Arc::new(Store::open(folder.path(), StoreSettings::default()).unwrap())
}

#[test]
fn the_first_account_is_made_once_and_with_the_code() {
    let place = Place::new();
    let accounts = &place.accounts;
    assert!(accounts.needs_setup().unwrap());
    let code = accounts.setup_code(at(0)).unwrap();
    assert_ne!(place.other_process().setup_code(at(0)).unwrap(), code, "another start, another code");
    let set_up = |code: &str, password: &str| accounts.set_up(code, "kim", password, from(1), at(5));
    assert!(matches!(set_up("guess", PASSWORD), Err(AuthError::InvalidCode)));
    assert!(matches!(set_up(&code, "short"), Err(AuthError::Password(_))));
    let first = set_up(&code, PASSWORD).unwrap();
    assert_eq!((first.session.username.as_str(), first.session.role), ("kim", Role::Admin));
    assert_eq!(place.who(&first.token, 6).unwrap().role, Role::Admin);
    assert!(matches!(set_up(&code, PASSWORD), Err(AuthError::InvalidCode)));
    assert!(!accounts.needs_setup().unwrap());
    assert_eq!((accounts.setup_code(at(6)), place.other_process().setup_code(at(6))), (None, None));
}

#[test]
fn a_code_is_of_no_use_once_somebody_else_made_an_account() {
    let place = Place::new();
    let code = place.accounts.setup_code(at(0)).unwrap();
    place.other_process().add("kim", PASSWORD, Role::Admin, by_kim(0)).unwrap();
    let done = place.accounts.set_up(&code, "eve", PASSWORD, from(1), at(1));
    assert!(matches!(done, Err(AuthError::InvalidCode)));
}

#[test]
fn a_session_ends_after_a_quarter_of_an_hour_unless_it_is_refreshed() {
    let place = Place::with_accounts();
    let first = place.log_in("lee", 0);
    let who = place.who(&first.token, 899).unwrap();
    assert_eq!((who.username.as_str(), who.role, who.kind), ("lee", Role::Analyst, TokenKind::Session));
    assert!(place.is_refused(&first.token, 900));
    let second = place.accounts.refresh(&first.refresh_token, from(1).address, at(900)).unwrap();
    assert_eq!(second.session.id, first.session.id);
    assert_eq!(place.who(&second.token, 1_799).unwrap().id, first.session.id);
    assert_eq!(place.accounts.again(&who, at(1_799)).unwrap().expires, Some(at(1_800)));
    assert!(matches!(
        place.accounts.refresh(&second.refresh_token, from(1).address, at(900 + 43_200)),
        Err(AuthError::InvalidToken)
    ));
    assert!(matches!(place.accounts.again(&who, at(900 + 43_201)), Err(AuthError::InvalidToken)));
}

#[test]
fn a_stolen_refresh_token_ends_the_session_for_both() {
    let place = Place::with_accounts();
    let first = place.log_in("lee", 0);
    let thief = place.accounts.refresh(&first.refresh_token, from(1).address, at(10)).unwrap();
    let window = place.accounts.refresh(&first.refresh_token, from(1).address, at(12));
    assert!(matches!(window, Err(AuthError::JustRefreshed)), "two windows at once are no theft");
    place.who(&thief.token, 13).unwrap();
    assert!(matches!(
        place.accounts.refresh(&first.refresh_token, from(1).address, at(21)),
        Err(AuthError::InvalidToken)
    ));
    assert!(place.is_refused(&thief.token, 21));
    assert!(matches!(
        place.accounts.refresh(&thief.refresh_token, from(1).address, at(22)),
        Err(AuthError::InvalidToken)
    ));
    assert_eq!(place.audited("session revoked").len(), 1);
}

#[test]
fn forged_tokens_are_worth_nothing() {
    let place = Place::with_accounts();
    let lee = place.log_in("lee", 0);
    let (_, secret) = place.accounts.add_token_of("lee", "t", Role::Viewer, None, by_kim(0)).unwrap();
    let hash = super::token_hash(&lee.token);
    let forged = [
        String::new(),
        "lws_".to_owned(),
        lee.token[..lee.token.len() - 1].to_owned(),
        lee.token.replace("lws_", "lwt_"),
        secret.replace("lwt_", "lws_"),
        lee.refresh_token.clone(),
        lee.refresh_token.replace("lwr_", "lws_"),
        format!("lws_{hash}"),
        hash,
        lee.session.id.clone(),
        format!("id {:?} {}", TokenKind::Session, lee.session.id),
        "lws_' OR '1'='1' --".to_owned(),
        format!("lws_{}", "A".repeat(43)),
    ];
    for token in forged {
        assert!(place.is_refused(&token, 1), "{token}");
        assert!(
            token == lee.refresh_token || place.accounts.refresh(&token, from(1).address, at(1)).is_err(),
            "{token}"
        );
    }
    let flipped = if lee.token.ends_with('A') { "B" } else { "A" };
    assert!(place.is_refused(&format!("{}{flipped}", &lee.token[..lee.token.len() - 1]), 1));
    place.who(&lee.token, 1).unwrap();
    place.who(&secret, 1).unwrap();
}

#[test]
fn whatever_is_changed_takes_effect_at_once() {
    let place = Place::with_accounts();
    let accounts = &place.accounts;
    let (one, other) = (place.log_in("lee", 0), place.log_in("lee", 1));
    let lee = place.who(&one.token, 2).unwrap();
    place.who(&other.token, 2).unwrap();
    accounts.log_out(&place.who(&other.token, 2).unwrap(), at(2)).unwrap();
    assert!(place.is_refused(&other.token, 2));
    let other = place.log_in("lee", 3);

    let (token, secret) = accounts.add_token(&lee, "backup", Role::Analyst, None, at(3)).unwrap();
    assert_eq!(place.who(&secret, 3).unwrap().role, Role::Analyst);
    let role = |role| accounts.change("lee", Some(role), None, None, by_kim(3)).unwrap();
    role(Role::Viewer);
    assert_eq!(
        (place.who(&one.token, 3).unwrap().role, place.who(&secret, 3).unwrap().role),
        (Role::Viewer, Role::Viewer)
    );
    role(Role::Admin);
    assert_eq!(
        (place.who(&one.token, 3).unwrap().role, place.who(&secret, 3).unwrap().role),
        (Role::Admin, Role::Analyst)
    );
    assert_eq!(accounts.again(&lee, at(3)).unwrap().role, Role::Admin);

    let new = "another lapwing on the wing";
    let lee = place.who(&one.token, 4).unwrap();
    assert!(matches!(accounts.change_password(&lee, "wrong", new, from(1), at(4)), Err(AuthError::WrongPassword)));
    accounts.change_password(&lee, PASSWORD, new, from(1), at(4)).unwrap();
    assert!(place.is_refused(&other.token, 4));
    place.who(&one.token, 4).unwrap();
    place.who(&secret, 4).unwrap();
    assert!(matches!(accounts.log_in("lee", PASSWORD, from(1), at(5)), Err(AuthError::InvalidCredentials)));
    accounts.log_in("lee", new, from(1), at(5)).unwrap();

    accounts.change("lee", None, None, Some(true), by_kim(6)).unwrap();
    assert!(place.is_refused(&one.token, 6) && place.is_refused(&secret, 6));
    assert!(matches!(accounts.log_in("lee", new, from(1), at(6)), Err(AuthError::InvalidCredentials)));
    accounts.change("lee", None, None, Some(false), by_kim(7)).unwrap();
    assert!(place.is_refused(&one.token, 7), "what ended stays so");
    place.who(&secret, 7).unwrap();
    accounts.revoke_token(&lee, &token.id, at(8)).unwrap();
    assert!(place.is_refused(&secret, 8));
    let again = accounts.log_in("lee", new, from(1), at(8)).unwrap();
    accounts.remove("lee", by_kim(8)).unwrap();
    assert!(place.is_refused(&again.token, 8));
}

#[test]
fn what_another_process_changes_takes_effect_within_five_seconds() {
    let place = Place::with_accounts();
    let lee = place.log_in("lee", 0);
    place.who(&lee.token, 100).unwrap();
    place.other_process().change("lee", None, None, Some(true), by_kim(100)).unwrap();
    assert!(MEMORY_LASTS < Duration::from_secs(5));
    assert!(place.is_refused(&lee.token, 104));
}

#[test]
fn a_token_reaches_no_further_than_whoever_makes_it() {
    let place = Place::with_accounts();
    let accounts = &place.accounts;
    let who = |name: &str| place.who(&place.log_in(name, 0).token, 0).unwrap();
    let (kim, lee, val) = (who("kim"), who("lee"), who("val"));
    assert!(matches!(accounts.add_token(&val, "t", Role::Analyst, None, at(1)), Err(AuthError::Forbidden(_))));
    let (token, secret) = accounts.add_token(&lee, "t", Role::Viewer, Some(1), at(1)).unwrap();
    let by_token = place.who(&secret, 1).unwrap();
    assert_eq!((by_token.kind, by_token.role, by_token.expires), (TokenKind::Token, Role::Viewer, Some(at(86_401))));
    assert!(matches!(accounts.add_token(&by_token, "t", Role::Viewer, None, at(1)), Err(AuthError::NeedsLogin)));
    let refused = accounts.change_password(&by_token, PASSWORD, "a long enough one", from(1), at(1));
    assert!(matches!(refused, Err(AuthError::NeedsLogin)));
    assert!(place.is_refused(&secret, 86_401));
    for days in [0, 3_651] {
        let refused = accounts.add_token(&lee, "t", Role::Viewer, Some(days), at(1));
        assert!(matches!(refused, Err(AuthError::Store(StoreError::Refused(_)))));
    }
    assert_eq!((accounts.tokens(&val).unwrap().len(), accounts.tokens(&kim).unwrap().len()), (0, 1));
    let refused = accounts.revoke_token(&val, &token.id, at(2));
    assert!(matches!(refused, Err(AuthError::Store(StoreError::NotFound { .. }))));
    accounts.revoke_token(&kim, &token.id, at(2)).unwrap();
}

#[test]
fn ten_thousand_failed_logins_cost_little() {
    let place = Place::with_accounts();
    let begun = Instant::now();
    let (mut failed, mut refused) = (0, 0);
    // 10 accounts, two of them real, from 10 addresses, within 100 seconds.
    for place_in_line in 0..10_000_u32 {
        let name = ["kim", "lee", "a", "b", "c", "d", "e", "f", "g", "h"][place_in_line as usize % 10];
        let client = from(50 + (place_in_line / 10 % 10) as u8);
        match place.accounts.log_in(name, "not the password", client, at(10 + i64::from(place_in_line) / 100)) {
            Err(AuthError::InvalidCredentials) => failed += 1,
            Err(AuthError::TooManyTries { wait }) => {
                assert!((1..=900).contains(&wait.as_secs()));
                refused += 1;
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
    assert_eq!(failed + refused, 10_000);
    // 10 failures of each account, and one more when the first minute is over.
    assert!((100..=120).contains(&failed), "{failed} passwords were hashed");
    println!("{failed} of 10,000 passwords were hashed, in {:?}", begun.elapsed());
    place.accounts.log_in("kim", PASSWORD, from(1), at(111)).expect("the address is known");
    assert!(matches!(place.accounts.log_in("kim", PASSWORD, from(2), at(111)), Err(AuthError::TooManyTries { .. })));
    assert!(place.accounts.locked_until("kim", at(111)).is_some());
    place.accounts.tidy(at(2_000)).unwrap();
    place.accounts.finish(at(2_000));
    let lines = place.audited("login failed");
    assert!((5..10).contains(&lines.len()), "{lines:?}");
    assert!(
        lines.iter().all(|line| ["kim: ", "lee: ", "(no such account): "].iter().any(|name| line.starts_with(name)))
    );
}

#[test]
fn what_happens_is_noted() {
    let place = Place::with_accounts();
    let lee = place.log_in("lee", 5);
    let who = place.who(&lee.token, 5).unwrap();
    let _ = place.accounts.log_in("lee", "wrong", from(9), at(6));
    let _ = place.accounts.log_in("<script>", "wrong", from(9), at(6));
    place.accounts.log_out(&who, at(7)).unwrap();
    assert_eq!(place.audited("login"), ["kim: from 192.168.0.1", "lee: from 192.168.0.1"]);
    assert_eq!(place.audited("logout"), ["lee: session of 192.168.0.1"]);
    assert_eq!(place.audited("login failed"), ["lee: from 192.168.0.9", "(no such account): from 192.168.0.9"]);
    assert_eq!(place.audited("account added").len(), 3);
}
