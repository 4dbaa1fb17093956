//! The home: its devices, and the hosts outside that they know.

use std::net::Ipv4Addr;

use super::wire::Host;

/// The devices.
pub(super) struct Home;

/// A service outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// A device with hardware address 02:00:4d:00:00:N, which nobody owns (locally administered).
const fn device(last: u8) -> Host {
    Host { mac: [0x02, 0, 0x4d, 0, 0, last], address: Ipv4Addr::new(192, 168, 77, last), ttl: 64 }
}

/// A host outside: its frames come from the router.
pub(super) const fn outside(address: [u8; 4]) -> Host {
    let [a, b, c, d] = address;
    Host { mac: Home::GATEWAY.mac, address: Ipv4Addr::new(a, b, c, d), ttl: 52 }
}

const fn service(name: &'static str, address: [u8; 4]) -> Service {
    Service { name, host: outside(address), port: 443 }
}

impl Home {
    pub(super) const GATEWAY: Host = device(1);
    /// A small server: MQTT broker, SSH, web pages.
    pub(super) const HUB: Host = device(10);
    pub(super) const STORAGE: Host = device(11);
    pub(super) const FRONT_CAMERA: Host = device(20);
    pub(super) const YARD_CAMERA: Host = device(21);
    pub(super) const DOORBELL: Host = device(22);
    pub(super) const PLUGS: [Host; 3] = [device(30), device(31), device(32)];
    pub(super) const THERMOSTAT: Host = device(40);
    pub(super) const SPEAKER: Host = device(41);
    pub(super) const TELEVISION: Host = device(42);
    pub(super) const PHONE: Host = device(50);
    pub(super) const LAPTOP: Host = device(51);
    /// Somebody who does not belong here.
    pub(super) const STRANGER: Host = device(66);

    /// All but the router.
    pub(super) fn devices() -> impl Iterator<Item = Host> {
        let some = [
            Self::HUB,
            Self::STORAGE,
            Self::FRONT_CAMERA,
            Self::YARD_CAMERA,
            Self::DOORBELL,
            Self::THERMOSTAT,
            Self::SPEAKER,
            Self::TELEVISION,
            Self::PHONE,
            Self::LAPTOP,
        ];
        some.into_iter().chain(Self::PLUGS)
    }
}

pub(super) const CAMERA_CLOUD: Service = service("stream.cameras.example", [198, 51, 100, 20]);
pub(super) const THERMOSTAT_CLOUD: Service = service("api.heating.example", [198, 51, 100, 40]);
pub(super) const SPEAKER_CLOUD: Service = service("voice.speaker.example", [198, 51, 100, 41]);
pub(super) const FILMS: Service = service("films.example", [192, 0, 2, 42]);
pub(super) const TIME: Host = outside([192, 0, 2, 123]);
pub(super) const WEB: [Service; 8] = [
    service("news.example", [192, 0, 2, 50]),
    service("www.shop.example", [192, 0, 2, 51]),
    service("mail.example", [192, 0, 2, 52]),
    service("static.shop.example", [192, 0, 2, 53]),
    service("maps.example", [198, 51, 100, 54]),
    service("chat.example", [198, 51, 100, 55]),
    service("pictures.example", [198, 51, 100, 56]),
    service("search.example", [198, 51, 100, 57]),
];
