//! The network addresses of this machine.

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{io, ptr};

/// Every IP address of this machine with the name of its interface, as the system lists them.
///
/// # Errors
/// When the system does not list them.
pub(super) fn addresses() -> io::Result<Vec<(String, IpAddr)>> {
    let mut list = List(ptr::null_mut());
    // SAFETY: the call writes one pointer, to a list that `List` frees, and only if it succeeds.
    #[expect(unsafe_code, reason = "system call")]
    let failed = unsafe { libc::getifaddrs(&raw mut list.0) } < 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    let (mut found, mut next) = (Vec::new(), list.0.cast_const());
    while !next.is_null() {
        // SAFETY: the list is valid until it is freed, each entry has a name that ends with zero, and an address that is there
        // is as long as its family says.
        #[expect(unsafe_code, reason = "a linked list of C structs")]
        let (name, address) = unsafe {
            let entry = ptr::read(next);
            next = entry.ifa_next;
            (CStr::from_ptr(entry.ifa_name), address(entry.ifa_addr))
        };
        if let (Ok(name), Some(address)) = (name.to_str(), address) {
            found.push((name.to_owned(), address));
        }
    }
    Ok(found)
}

/// The address in a `sockaddr`, if it is an IP address.
///
/// # Safety
/// `socket` is null, or points to a socket address that is as long as its family says.
#[expect(unsafe_code, reason = "a C struct whose type its first field tells")]
unsafe fn address(socket: *const libc::sockaddr) -> Option<IpAddr> {
    if socket.is_null() {
        return None;
    }
    // SAFETY: every socket address begins with its family, and that says which struct it is.
    unsafe {
        match i32::from(ptr::read_unaligned(&raw const (*socket).sa_family)) {
            libc::AF_INET => {
                let inet = ptr::read_unaligned(socket.cast::<libc::sockaddr_in>());
                Some(Ipv4Addr::from(inet.sin_addr.s_addr.to_ne_bytes()).into())
            }
            libc::AF_INET6 => {
                let inet = ptr::read_unaligned(socket.cast::<libc::sockaddr_in6>());
                Some(Ipv6Addr::from(inet.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

/// What `getifaddrs` gave.
struct List(*mut libc::ifaddrs);

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it came from `getifaddrs`, and is freed once.
            #[expect(unsafe_code, reason = "system call")]
            unsafe {
                libc::freeifaddrs(self.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_its_address() {
        let found = addresses().unwrap();
        assert!(found.contains(&("lo".to_owned(), Ipv4Addr::LOCALHOST.into())), "{found:?}");
    }
}
