//! Which facts a source carries: a capture all of them, a log some.

/// A kind of fact that something may need, and a log may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Fact {
    /// ARP packets.
    Arp,
    /// The times of single packets: gaps and bursts.
    PacketTimes,
    /// The sizes of single packets.
    PacketSizes,
    /// TTLs and hop limits.
    Ttl,
    /// Reports of flows while they last.
    Progress,
    /// The flags of every TCP packet: a FIN scan differs from the close of an old connection in them alone.
    EveryFlag,
    /// Which TCP flags each side sent at all.
    Flags,
    /// The order in which things happened: Zeek's `history`.
    History,
    /// How the connection stands: Zeek's `conn_state`.
    State,
    /// Packets of each side.
    Packets,
    /// Bytes of IP packets of each side.
    IpBytes,
    /// Payload bytes of each side.
    PayloadBytes,
    /// How many packets of each side carried payload.
    PayloadPackets,
}

impl Fact {
    /// Every fact.
    pub const ALL: [Self; 13] = [
        Self::Arp,
        Self::PacketTimes,
        Self::PacketSizes,
        Self::Ttl,
        Self::Progress,
        Self::EveryFlag,
        Self::Flags,
        Self::History,
        Self::State,
        Self::Packets,
        Self::IpBytes,
        Self::PayloadBytes,
        Self::PayloadPackets,
    ];

    /// What it is, for people: the end of "the log does not carry …".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arp => "ARP packets",
            Self::PacketTimes => "the times of single packets",
            Self::PacketSizes => "the sizes of single packets",
            Self::Ttl => "TTLs",
            Self::Progress => "reports of flows while they last",
            Self::EveryFlag => "the flags of every TCP packet",
            Self::Flags => "the TCP flags of each side",
            Self::History => "the history of connections",
            Self::State => "the state of connections",
            Self::Packets => "packets of each side",
            Self::IpBytes => "IP bytes of each side",
            Self::PayloadBytes => "payload bytes of each side",
            Self::PayloadPackets => "the number of packets with payload",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of facts, some of them perhaps only estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    known: u16,
    estimated: u16,
}

impl Facts {
    /// No facts.
    pub const NONE: Self = Self { known: 0, estimated: 0 };

    /// These facts, as they are.
    #[must_use]
    pub const fn of(facts: &[Fact]) -> Self {
        let (mut known, mut index) = (0, 0);
        while index < facts.len() {
            known |= facts[index].bit();
            index += 1;
        }
        Self { known, estimated: 0 }
    }

    /// With one more fact, as it is.
    #[must_use]
    pub const fn with(self, fact: Fact) -> Self {
        Self { known: self.known | fact.bit(), estimated: self.estimated & !fact.bit() }
    }

    /// With one more fact, estimated from others. What is known stays known.
    #[must_use]
    pub const fn with_estimated(self, fact: Fact) -> Self {
        if self.has(fact) { self } else { Self { estimated: self.estimated | fact.bit(), ..self } }
    }

    /// Whether the fact is there as it was.
    #[must_use]
    pub const fn has(self, fact: Fact) -> bool {
        self.known & fact.bit() != 0
    }

    /// Whether the fact was estimated from others: good enough for a threshold, not for a model.
    #[must_use]
    pub const fn has_estimate(self, fact: Fact) -> bool {
        self.estimated & fact.bit() != 0
    }
}

/// Something that is not evaluated where a fact is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The fact.
    pub fact: Fact,
    /// What is not evaluated without it; empty: nothing is.
    pub what: &'static str,
}

impl Need {
    /// Without this fact nothing is evaluated.
    #[must_use]
    pub const fn all(fact: Fact) -> Self {
        Self { fact, what: "" }
    }

    /// Without this fact only `what` is not evaluated.
    #[must_use]
    pub const fn part(fact: Fact, what: &'static str) -> Self {
        Self { fact, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_estimated() {
        let facts = Facts::of(&[Fact::State]).with_estimated(Fact::State).with_estimated(Fact::IpBytes);
        assert!(facts.has(Fact::State) && !facts.has_estimate(Fact::State));
        assert!(!facts.has(Fact::IpBytes) && facts.has_estimate(Fact::IpBytes));
        assert!(!facts.with(Fact::IpBytes).has_estimate(Fact::IpBytes));
        assert!(!facts.has(Fact::Arp) && !facts.has_estimate(Fact::Arp));
    }

    #[test]
    fn every_fact_has_a_bit_of_its_own() {
        let mut all = Facts::NONE;
        for fact in Fact::ALL {
            assert!(!all.has(fact));
            all = all.with(fact);
        }
        assert!(Fact::ALL.iter().all(|fact| all.has(*fact)));
    }
}
