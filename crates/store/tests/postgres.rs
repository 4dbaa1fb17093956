//! The suite over PostgreSQL: `.ci/with-postgres cargo test -p lapwing-store --test postgres -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod suite;

use std::path::Path;
use std::sync::Arc;

use lapwing_store::Store;

/// The URL of an empty database of that name on the server that `LAPWING_POSTGRES` names.
fn database(name: &str) -> Option<String> {
    let Ok(server) = std::env::var("LAPWING_POSTGRES") else {
        eprintln!("skipped: LAPWING_POSTGRES names no server");
        return None;
    };
    let mut client = postgres::Client::connect(&server, postgres::NoTls).unwrap();
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    Some(format!("{}/{name}", server.rsplit_once('/').unwrap().0))
}

fn open(url: &str) -> Store {
    Store::open(Path::new(url), suite::settings()).unwrap()
}

macro_rules! claims {
    ($($claim:ident)*) => {$(
        #[test]
        #[ignore = "needs a PostgreSQL server, named by LAPWING_POSTGRES"]
        fn $claim() {
            let Some(url) = database(stringify!($claim)) else { return };
            suite::$claim(&Arc::new(open(&url)));
        }
    )*};
}

suite::for_each_claim!(claims);

#[test]
#[ignore = "needs a PostgreSQL server, named by LAPWING_POSTGRES"]
fn several_programs_may_write_at_once() {
    let Some(url) = database("several_programs") else { return };
    std::thread::scope(|scope| {
        for program in 1..=4 {
            let url = &url;
            scope.spawn(move || {
                let store = open(url);
                for time in 0..20 {
                    let device = format!("192.168.{program}.{time}");
                    let found = suite::detection("beacon", &device, 443, suite::at(time));
                    store.put_alert(&suite::alert(&[found])).unwrap();
                }
            });
        }
    });
    assert_eq!(open(&url).alerts(&lapwing_store::AlertQuery::default()).unwrap().items.len(), 80);
}
