//! Why an interface cannot be listened to.

use std::io;

use thiserror::Error;

use crate::FilterError;

/// Why an interface cannot be listened to.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The process may not.
    #[error(
        "{interface}: listening needs the right cap_net_raw: run as root, or once `setcap cap_net_raw=ep` on the \
         program's file, or under systemd with AmbientCapabilities=CAP_NET_RAW"
    )]
    Rights {
        /// The interface.
        interface: String,
    },
    /// There is no such interface.
    #[error("{interface}: no such interface; `lapwing monitor --list-interfaces` shows those there are")]
    Missing {
        /// What was asked for.
        interface: String,
    },
    /// It is switched off.
    #[error("{interface}: the interface is down; `ip link set {interface} up` switches it on")]
    Down {
        /// The interface.
        interface: String,
    },
    /// Its frames are of a kind that is not decoded.
    #[error("{interface}: link layer {hardware} is not known; listen to Ethernet, wireless in monitor mode, or raw IP")]
    LinkLayer {
        /// The interface.
        interface: String,
        /// Linux's `ARPHRD_` number.
        hardware: u16,
    },
    /// The ring takes more memory than there is.
    #[error("{interface}: no memory for a ring of {} MiB; ask for a smaller one with --buffer", bytes >> 20)]
    Memory {
        /// The interface.
        interface: String,
        /// Bytes asked for.
        bytes: usize,
    },
    /// The filter has no meaning for its frames.
    #[error("{interface}: {source}")]
    Filter {
        /// The interface.
        interface: String,
        /// Why.
        source: FilterError,
    },
    /// The system refused for another reason.
    #[error("{interface}: the system refuses to listen: {source}")]
    System {
        /// The interface.
        interface: String,
        /// Its reason.
        source: io::Error,
    },
    /// Nothing was named.
    #[error("no interface named; `lapwing monitor --list-interfaces` shows those there are")]
    NoInterface,
}

impl LiveError {
    pub(super) fn new(interface: &str, source: io::Error, ring: usize) -> Self {
        let interface = interface.to_owned();
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Rights { interface },
            Some(libc::ENODEV | libc::ENXIO) => Self::Missing { interface },
            Some(libc::ENETDOWN) => Self::Down { interface },
            Some(libc::ENOMEM | libc::ENOBUFS) => Self::Memory { interface, bytes: ring },
            _ => Self::System { interface, source },
        }
    }
}
