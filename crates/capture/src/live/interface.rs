//! The interfaces of this machine.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use if_addrs::{Interface, get_if_addrs};

/// An interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: String,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it has a link: a cable, an access point.
    pub carrier: bool,
    /// Its link-layer address, if it has one.
    pub address: Option<String>,
    /// Its IP addresses, those of version 4 first.
    pub ips: Vec<IpAddr>,
    /// Whether it leads back to this machine.
    pub loopback: bool,
    /// Linux's number of its link layer (`ARPHRD_`): 1 is Ethernet.
    pub hardware: u16,
    /// The longest packet it carries.
    pub mtu: u32,
    /// Mbit/s, where it says so.
    pub speed: Option<u32>,
}

/// Every interface, by name; needs no rights.
///
/// # Errors
/// When the system does not list them.
pub fn interfaces() -> io::Result<Vec<InterfaceInfo>> {
    let mut found = Vec::new();
    // Interfaces are worth a list without their addresses.
    let addresses = get_if_addrs().unwrap_or_default();
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.path().join("flags").exists()) {
            let mut ips: Vec<IpAddr> = addresses.iter().filter(|it| it.name == name).map(Interface::ip).collect();
            ips.sort_by_key(IpAddr::is_ipv6);
            found.push(InterfaceInfo { ips, ..info(name, &entry.path()) });
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

fn info(name: String, folder: &Path) -> InterfaceInfo {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned());
    let number = |file: &str| read(file).and_then(|text| text.parse::<i64>().ok());
    let flags = read("flags").and_then(|text| i32::from_str_radix(text.trim_start_matches("0x"), 16).ok()).unwrap_or(0);
    let address = read("address").filter(|address| address.bytes().any(|byte| !matches!(byte, b'0' | b':')));
    InterfaceInfo {
        name,
        up: flags & libc::IFF_UP != 0,
        carrier: number("carrier") == Some(1),
        address,
        ips: Vec::new(),
        loopback: flags & libc::IFF_LOOPBACK != 0,
        hardware: number("type").and_then(|number| u16::try_from(number).ok()).unwrap_or(0),
        mtu: number("mtu").and_then(|number| u32::try_from(number).ok()).unwrap_or(0),
        speed: number("speed").and_then(|number| u32::try_from(number).ok()).filter(|speed| *speed > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_them() {
        let found = interfaces().unwrap();
        let lo = found.iter().find(|interface| interface.name == "lo").expect("every machine has it");
        assert!(lo.loopback && lo.ips.contains(&IpAddr::from([127, 0, 0, 1])), "{lo:?}");
    }
}
