//! How often one may try to log in, in memory that does not grow.
//!
//! Each address has 30 tries a minute. Each account has 10 failures in 15 minutes; then nobody may try it for a minute, and
//! after each further failure for twice as long, up to 15 minutes. A try that comes in the meantime costs nothing and lengthens
//! nothing.
//!
//! Anybody who can reach the login could by failing keep the owner of an account out. So an address from which somebody logged
//! in to the account before is counted by itself: what others do does not concern it. What remains is that an owner who is at a
//! new address while somebody attacks has to wait for one of the gaps, which come every 15 minutes at the latest, go to an
//! address they used before, or start the program again.
//!
//! Accounts and addresses are counted in tables of fixed size whose places are chosen by a hash that only this process knows:
//! who floods them with names and addresses makes others wait, but is himself never forgotten, and learns nothing of which
//! names there are.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use lapwing_capture::Timestamp;

use crate::network::network;

/// Tries that an address has in [`ADDRESS_WINDOW`].
const ADDRESS_TRIES: u32 = 30;
const ADDRESS_WINDOW: Duration = Duration::from_secs(60);

/// Failures that an account has in [`ACCOUNT_WINDOW`].
const ACCOUNT_FAILURES: u32 = 10;
const ACCOUNT_WINDOW: Duration = Duration::from_secs(15 * 60);

/// How long it is locked first; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Places for accounts and for addresses: 96 and 128 kB.
const ACCOUNT_PLACES: usize = 4_096;
const ADDRESS_PLACES: usize = 8_192;

/// Accounts whose addresses are known, and addresses of each.
const KNOWN_ACCOUNTS: usize = 1_000;
const KNOWN_ADDRESSES: usize = 8;

/// Counts tries to log in.
pub(super) struct Limiter {
    hasher: RandomState,
    accounts: Vec<Failures>,
    addresses: Vec<Tries>,
    /// Addresses from which somebody logged in before, the latest last.
    known: HashMap<String, Vec<(IpAddr, Failures)>>,
}

/// Tries of an address.
#[derive(Clone, Copy, Default)]
struct Tries {
    since: Timestamp,
    count: u32,
}

/// Failures of an account.
#[derive(Clone, Copy, Default)]
struct Failures {
    since: Timestamp,
    count: u32,
    locked_until: Timestamp,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            accounts: vec![Failures::default(); ACCOUNT_PLACES],
            addresses: vec![Tries::default(); ADDRESS_PLACES],
            known: HashMap::new(),
        }
    }

    /// Counts a try, as a failure until [`Limiter::succeeded`] is told: of many at the same moment no more go on than may.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub(super) fn begin(&mut self, account: &str, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let address = network(address);
        self.try_from_address(address, now)?;
        self.failures(account, address).count(now)
    }

    /// Counts a try of something that has no account.
    ///
    /// # Errors
    /// How long to wait, where there were too many.
    pub(super) fn try_from(&mut self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        self.try_from_address(network(address), now)
    }

    /// A try was right: what was counted of the account from there is forgotten.
    pub(super) fn succeeded(&mut self, account: &str, address: IpAddr) {
        *self.failures(account, network(address)) = Failures::default();
    }

    /// A try was not looked at: it is not counted.
    pub(super) fn take_back(&mut self, account: &str, address: IpAddr) {
        let failures = self.failures(account, network(address));
        failures.count = failures.count.saturating_sub(1);
        if failures.count < ACCOUNT_FAILURES {
            failures.locked_until = Timestamp::default();
        }
    }

    /// Notes that somebody logged in to the account from there before.
    pub(super) fn know(&mut self, account: &str, address: IpAddr) {
        let address = network(address);
        if self.known.len() >= KNOWN_ACCOUNTS && !self.known.contains_key(account) {
            return;
        }
        let known = self.known.entry(account.to_owned()).or_default();
        let place = known.iter().position(|(one, _)| *one == address);
        let entry = place.map_or((address, Failures::default()), |place| known.remove(place));
        if known.len() >= KNOWN_ADDRESSES {
            known.remove(0);
        }
        known.push(entry);
    }

    /// Forgets an account that is no more.
    pub(super) fn forget(&mut self, account: &str) {
        self.known.remove(account);
    }

    /// Until when strangers may not try an account, if they may not.
    pub(super) fn locked_until(&self, account: &str, now: Timestamp) -> Option<Timestamp> {
        let failures = &self.accounts[self.place(account, ACCOUNT_PLACES)];
        Some(failures.locked_until).filter(|until| *until > now)
    }

    fn try_from_address(&mut self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let place = self.place(address, ADDRESS_PLACES);
        let tries = &mut self.addresses[place];
        if now < tries.since || now >= tries.since.plus(ADDRESS_WINDOW) {
            *tries = Tries { since: now, count: 0 };
        }
        if tries.count >= ADDRESS_TRIES {
            return Err(until(tries.since.plus(ADDRESS_WINDOW), now));
        }
        tries.count += 1;
        Ok(())
    }

    fn failures(&mut self, account: &str, address: IpAddr) -> &mut Failures {
        let known = self.known.get_mut(account);
        let known = known.and_then(|known| known.iter_mut().find(|(one, _)| *one == address));
        if let Some((_, failures)) = known {
            return failures;
        }
        let place = self.hasher.hash_one(account) as usize % ACCOUNT_PLACES;
        &mut self.accounts[place]
    }

    fn place(&self, what: impl std::hash::Hash, places: usize) -> usize {
        self.hasher.hash_one(what) as usize % places
    }
}

impl Failures {
    fn count(&mut self, now: Timestamp) -> Result<(), Duration> {
        if self.locked_until > now {
            return Err(until(self.locked_until, now));
        }
        // Since the window began, or since the lock ended.
        let begun = self.since.max(self.locked_until);
        if now < self.since || now >= begun.plus(ACCOUNT_WINDOW) {
            *self = Self { since: now, ..Self::default() };
        }
        self.count = self.count.saturating_add(1);
        if let Some(further) = self.count.checked_sub(ACCOUNT_FAILURES) {
            let wait = FIRST_WAIT.saturating_mul(1 << further.min(8));
            self.locked_until = now.plus(wait.min(LONGEST_WAIT));
        }
        Ok(())
    }
}

/// Whole seconds, so that who waits them may.
fn until(moment: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs_f64(moment.seconds_since(now).ceil().max(1.0))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    fn host(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 168, 0, last).into()
    }

    #[test]
    fn an_account_is_locked_for_longer_and_longer() {
        let mut limiter = Limiter::new();
        // Another address each time: that is of no use.
        for second in 0..10 {
            assert_eq!(limiter.begin("kim", host(second), at(second.into())), Ok(()));
        }
        let mut now = 9;
        for wait in [60, 120, 240, 480, 900, 900, 900] {
            assert_eq!(limiter.begin("kim", host(200), at(now + 1)), Err(Duration::from_secs(wait - 1)));
            assert_eq!(limiter.locked_until("kim", at(now + 1)), Some(at(now + wait as i64)));
            now += wait as i64;
            assert_eq!(limiter.begin("kim", host(200), at(now)), Ok(()), "after {wait} s");
        }
        now += 900 + 900;
        assert_eq!(limiter.begin("kim", host(200), at(now)), Ok(()));
        assert_eq!(limiter.locked_until("kim", at(now)), None, "all is forgotten after a while");
    }

    #[test]
    fn an_address_has_thirty_tries_a_minute() {
        let mut limiter = Limiter::new();
        for number in 0..30 {
            assert_eq!(limiter.begin(&format!("name{number}"), host(1), at(0)), Ok(()));
        }
        assert_eq!(limiter.begin("name", host(1), at(20)), Err(Duration::from_secs(40)));
        assert_eq!(limiter.begin("name", host(2), at(20)), Ok(()));
        assert_eq!(limiter.try_from(host(1), at(60)), Ok(()));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_and_a_mapped_address_is_the_one_it_maps() {
        let count = |text: &str| network(text.parse().unwrap());
        assert_eq!(count("2001:db8:1:2:3::4"), count("2001:db8:1:2::"));
        assert_ne!(count("2001:db8:1:3::4"), count("2001:db8:1:2::4"));
        assert_eq!(count("::ffff:192.168.0.1"), host(1));
    }

    #[test]
    fn strangers_do_not_lock_out_who_comes_from_a_known_address() {
        let mut limiter = Limiter::new();
        limiter.begin("kim", host(1), at(0)).unwrap();
        limiter.succeeded("kim", host(1));
        limiter.know("kim", host(1));
        for second in 1..=10 {
            limiter.begin("kim", host(66), at(second)).unwrap();
        }
        assert!(limiter.begin("kim", host(66), at(11)).is_err());
        assert!(limiter.begin("kim", host(2), at(11)).is_err());
        for second in 11..21 {
            assert_eq!(limiter.begin("kim", host(1), at(second)), Ok(()));
        }
        assert!(limiter.begin("kim", host(1), at(21)).is_err(), "it is not free either");
        limiter.forget("kim");
        assert!(limiter.begin("kim", host(3), at(22)).is_err());
    }

    #[test]
    fn what_was_not_looked_at_is_not_counted() {
        let mut limiter = Limiter::new();
        for second in 0..20 {
            limiter.begin("kim", host(1), at(second)).unwrap();
            limiter.take_back("kim", host(1));
        }
        assert_eq!(limiter.locked_until("kim", at(20)), None);
    }

    proptest! {
        /// Whatever is tried when and from where: from strange addresses no more than 10 tries of an account are looked at in
        /// any 15 minutes that begin with it unlocked, and once it is locked one at the end of each wait; an address has no more
        /// than 30 a minute.
        #[test]
        fn no_more_tries_are_looked_at_than_may_be(
            tries in prop::collection::vec((0_u8..4, 0_u8..3, 0_i64..40), 1..400)
        ) {
            let mut limiter = Limiter::new();
            let mut now = 0;
            let mut looked_at: Vec<(u8, u8, i64)> = Vec::new();
            for (account, address, later) in tries {
                now += later;
                match limiter.begin(&account.to_string(), host(address), at(now)) {
                    Ok(()) => looked_at.push((account, address, now)),
                    Err(wait) => prop_assert!((1..=900).contains(&wait.as_secs())),
                }
            }
            for (account, address, begun) in &looked_at {
                let of_account = looked_at.iter().filter(|(one, _, time)| one == account && (*begun..begun + 60).contains(time));
                prop_assert!(of_account.count() <= ACCOUNT_FAILURES as usize + 1);
                let of_address = looked_at.iter().filter(|(_, one, time)| one == address && (*begun..begun + 60).contains(time));
                prop_assert!(of_address.count() <= 2 * ADDRESS_TRIES as usize);
            }
            for account in 0..4 {
                let in_an_hour = looked_at.iter().filter(|(one, _, time)| *one == account && *time < 3_600).count();
                prop_assert!(in_an_hour <= 40, "{in_an_hour}");
            }
        }

        /// Names and addresses by the thousand take no more memory.
        #[test]
        fn the_tables_do_not_grow(names in prop::collection::vec("\\PC{0,20}", 1..200)) {
            let mut limiter = Limiter::new();
            for (second, name) in names.iter().enumerate() {
                let address = Ipv4Addr::from_bits(second as u32 * 7_919);
                let _ = limiter.begin(name, address.into(), at(second as i64));
                limiter.know("kim", address.into());
            }
            prop_assert_eq!((limiter.accounts.len(), limiter.addresses.len()), (ACCOUNT_PLACES, ADDRESS_PLACES));
            prop_assert!(limiter.known["kim"].len() <= KNOWN_ADDRESSES);
        }
    }
}
