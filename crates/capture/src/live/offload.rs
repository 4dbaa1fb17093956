//! What a network card does to packets before they are captured.

use std::ffi::c_void;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use super::ring;

/// A work that the card or the driver takes from the system, and that makes captured packets differ from those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Its name for `ethtool -K`.
    pub name: &'static str,
    /// What it does.
    pub effect: &'static str,
}

/// Numbers of `<linux/ethtool.h>`: the question, and the bit of the answer that counts.
const KNOWN: [(u32, u32, Offload); 4] = [
    (
        0x2b,
        1,
        Offload {
            name: "gro",
            effect: "joins packets that arrive, so that they are fewer and longer than on the wire",
        },
    ),
    (0x25, 1 << 15, Offload { name: "lro", effect: "joins packets that arrive, and forgets what they were" }),
    (0x1e, 1, Offload { name: "tso", effect: "splits packets that leave after they were captured" }),
    (0x23, 1, Offload { name: "gso", effect: "splits packets that leave after they were captured" }),
];

const ETHTOOL: libc::c_ulong = 0x8946; // SIOCETHTOOL

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Those that are on; an interface that cannot be asked has none. Needs no rights.
///
/// # Errors
/// When there is no such interface, or no socket.
pub fn offloads(interface: &str) -> io::Result<Vec<Offload>> {
    let socket = OwnedFd::from(std::net::UdpSocket::bind(("127.0.0.1", 0))?);
    ring::request(&socket, interface, libc::SIOCGIFINDEX)?;
    let on = |(command, bit, offload): (u32, u32, Offload)| {
        let answer = ask(&socket, interface, command).ok()?;
        (answer & bit != 0).then_some(offload)
    };
    Ok(KNOWN.into_iter().filter_map(on).collect())
}

fn ask(socket: &OwnedFd, interface: &str, command: u32) -> io::Result<u32> {
    let mut value = Value { command, data: 0 };
    // SAFETY: a struct of numbers and a pointer, for which zero is a value.
    #[expect(unsafe_code, reason = "zeroed C struct")]
    let mut request: libc::ifreq = unsafe { zeroed() };
    ring::name_into(interface, &mut request)?;
    request.ifr_ifru.ifru_data = ptr::from_mut(&mut value).cast::<c_void>().cast();
    // SAFETY: the kernel reads the name, and reads and writes the eight bytes of `value`, which lives through the call.
    #[expect(unsafe_code, reason = "system call")]
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), ETHTOOL as _, &raw mut request) } < 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_can_be_asked_and_nothing_that_is_not_there() {
        assert!(offloads("lo").is_ok());
        assert!(offloads("no-such-if0").is_err());
    }
}
