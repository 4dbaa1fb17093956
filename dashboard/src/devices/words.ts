// What a device is called and what it is.

import type { Device } from "../api";

/** Its given name, else its maker with its address, else its address. */
export function titleOf(device: Device): string {
  return device.name || device.address || device.mac || device.id;
}

export function kindOf(device: Device): string[] {
  return [device.router ? "router" : "", device.random_mac ? "random MAC" : ""].filter(Boolean);
}

const SERVICES: Record<string, string> = {
  "tcp/21": "FTP",
  "tcp/22": "SSH",
  "tcp/23": "Telnet",
  "tcp/25": "SMTP",
  "tcp/53": "DNS",
  "udp/53": "DNS",
  "udp/67": "DHCP",
  "udp/68": "DHCP",
  "tcp/80": "HTTP",
  "udp/123": "NTP",
  "udp/137": "NetBIOS",
  "tcp/443": "HTTPS",
  "udp/443": "QUIC",
  "tcp/445": "SMB",
  "tcp/502": "Modbus",
  "tcp/554": "RTSP",
  "tcp/853": "DNS over TLS",
  "tcp/1883": "MQTT",
  "udp/1900": "SSDP",
  "tcp/3389": "RDP",
  "udp/5353": "mDNS",
  "udp/5683": "CoAP",
  "udp/5684": "CoAP over DTLS",
  "tcp/5900": "VNC",
  "tcp/8080": "HTTP",
  "tcp/8123": "Home Assistant",
  "tcp/8883": "MQTT over TLS",
  "tcp/20000": "DNP3",
};

/** `tcp/80` → `tcp/80 (HTTP)`: what the port is usually for, not a proof. */
export function service(name: string): string {
  return SERVICES[name] ? `${name} (${SERVICES[name]})` : name;
}
