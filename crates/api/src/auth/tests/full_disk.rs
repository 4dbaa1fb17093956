//! A store that cannot be written for a while.

use lapwing_store::StoreError;

use super::*;

/// Tables that a login, a logout or a note writes to.
const TABLES: [&str; 6] = ["sessions", "spent_refresh_tokens", "audit", "accounts", "api_tokens", "migrations"];

/// Whoever holds this lets nobody write.
struct FullDisk(rusqlite::Connection);

impl FullDisk {
    fn of(place: &Place) -> Self {
        let database = rusqlite::Connection::open(place.folder.path().join("lapwing.db")).unwrap();
        Self::each(
            "CREATE TRIGGER full_TABLE_VERB BEFORE VERB ON TABLE BEGIN SELECT RAISE(ABORT, 'no room'); END",
            &database,
        );
        Self(database)
    }

    fn each(statement: &str, database: &rusqlite::Connection) {
        for table in TABLES {
            for verb in ["INSERT", "UPDATE", "DELETE"] {
                database.execute_batch(&statement.replace("TABLE", table).replace("VERB", verb)).unwrap();
            }
        }
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        Self::each("DROP TRIGGER full_TABLE_VERB", &self.0);
    }
}

fn told(place: &mut Place) -> Arc<std::sync::Mutex<Vec<String>>> {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    place.accounts.tell = Box::new(move |text| telling.lock().unwrap().push(text.to_owned()));
    told
}

#[test]
fn who_comes_to_see_what_is_wrong_gets_in_and_the_store_is_told_later() {
    let mut place = Place::with_accounts();
    let told = told(&mut place);
    let (_, secret) = place.accounts.add_token_of("lee", "t", Role::Viewer, None, by_kim(0)).unwrap();
    let disk = FullDisk::of(&place);
    let kim = place.log_in("kim", 100);
    assert_eq!(place.who(&kim.token, 101).unwrap().role, Role::Admin);
    assert_eq!(place.who(&secret, 101).unwrap().username, "lee");
    let wrong = place.accounts.log_in("lee", "not the password", from(9), at(102));
    assert!(matches!(wrong, Err(AuthError::InvalidCredentials)));
    let sessions = |name: &str| {
        let accounts = place.accounts.accounts(at(103)).unwrap();
        accounts.iter().find(|account| account.username == name).unwrap().sessions
    };
    assert_eq!((sessions("kim"), sessions("lee")), (2, 0));
    let kim = place.accounts.refresh(&kim.refresh_token, from(1).address, at(900)).unwrap();
    let who = place.who(&kim.token, 1_500).unwrap();
    assert_eq!(place.accounts.again(&who, at(1_500)).unwrap().id, kim.session.id);
    let refused = place.accounts.add("new", PASSWORD, Role::Viewer, by_kim(1_500));
    assert!(matches!(refused, Err(AuthError::Store(StoreError::Database(_)))));
    let left = place.log_in("lee", 1_600);
    place.accounts.log_out(&place.who(&left.token, 1_600).unwrap(), at(1_601)).unwrap();
    assert!(
        place.is_refused(&left.token, 1_601)
            && place.accounts.refresh(&left.refresh_token, from(1).address, at(1_601)).is_err()
    );
    place.accounts.make_up(at(1_650));
    assert!(place.accounts.is_failing());
    assert_eq!(place.audited("login"), ["kim: from 192.168.0.1"], "the set-up, before");
    assert_eq!(told.lock().unwrap().len(), 1, "it is said once");

    drop(disk);
    place.accounts.tidy(at(1_700)).unwrap();
    assert!(!place.accounts.is_failing());
    let said = told.lock().unwrap().clone();
    assert!(said.len() == 2 && said[1].contains("2 logins were held"), "{said:?}");
    let from_kim = "kim: from 192.168.0.1";
    assert_eq!(place.audited("login"), [from_kim, from_kim, "lee: from 192.168.0.1"]);
    assert_eq!(place.audited("login failed"), ["lee: from 192.168.0.9"]);
    assert_eq!((place.audited("logout").len(), place.audited("store written again").len()), (1, 1));
    // As another start of the program would see it.
    assert_eq!(place.other_process().authenticate(&kim.token, at(1_701)).unwrap().id, kim.session.id);
    assert_eq!(place.who(&kim.token, 1_701).unwrap().id, kim.session.id);
    place.accounts.refresh(&kim.refresh_token, from(1).address, at(1_702)).unwrap();
}

#[test]
fn a_session_that_was_there_before_goes_on_and_can_be_ended() {
    let place = Place::with_accounts();
    let (one, other, third) = (place.log_in("kim", 0), place.log_in("kim", 1), place.log_in("kim", 2));
    let disk = FullDisk::of(&place);
    let next = place.accounts.refresh(&one.refresh_token, from(1).address, at(100)).unwrap();
    assert!(place.is_refused(&one.token, 100), "the token before is worth nothing");
    assert!(matches!(
        place.accounts.refresh(&one.refresh_token, from(1).address, at(105)),
        Err(AuthError::JustRefreshed)
    ));
    place.accounts.log_out(&place.who(&other.token, 105).unwrap(), at(105)).unwrap();
    assert!(
        place.is_refused(&other.token, 105)
            && place.accounts.refresh(&other.refresh_token, from(1).address, at(105)).is_err()
    );
    let thief = place.accounts.refresh(&third.refresh_token, from(1).address, at(105)).unwrap();
    assert!(matches!(
        place.accounts.refresh(&third.refresh_token, from(1).address, at(120)),
        Err(AuthError::InvalidToken)
    ));
    assert!(place.is_refused(&thief.token, 120) && place.is_refused(&third.token, 120), "it is over for both");
    drop(disk);
    // Before the store is told.
    assert!(
        place.is_refused(&other.token, 121)
            && place.accounts.refresh(&other.refresh_token, from(1).address, at(121)).is_err()
    );
    let next = place.accounts.refresh(&next.refresh_token, from(1).address, at(121)).unwrap();
    place.accounts.tidy(at(130)).unwrap();
    let again = place.other_process();
    assert_eq!(again.authenticate(&next.token, at(131)).unwrap().id, one.session.id);
    for token in [&other.token, &third.token, &thief.token] {
        assert!(matches!(again.authenticate(token, at(131)), Err(AuthError::InvalidToken)));
    }
    assert_eq!(place.audited("session revoked").len(), 1);
}

#[test]
fn what_is_changed_of_an_account_ends_what_is_held_of_it() {
    let place = Place::with_accounts();
    let disk = FullDisk::of(&place);
    let (lee, val) = (place.log_in("lee", 0), place.log_in("val", 0));
    place.who(&lee.token, 1).unwrap();
    drop(disk);
    let new = "another lapwing on the wing";
    place.accounts.change("val", None, Some(new), None, by_kim(1)).unwrap();
    assert!(
        place.is_refused(&val.token, 1) && place.accounts.refresh(&val.refresh_token, from(1).address, at(1)).is_err()
    );
    place.accounts.change("lee", None, None, Some(true), by_kim(1)).unwrap();
    place.accounts.change("lee", None, None, Some(false), by_kim(1)).unwrap();
    assert!(place.is_refused(&lee.token, 1), "what ended stays so");
    place.accounts.tidy(at(2)).unwrap();
    assert!(place.is_refused(&lee.token, 2) && place.is_refused(&val.token, 2));
    assert!(!place.accounts.is_failing());
}
