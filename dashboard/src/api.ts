// What the server says: the shapes of `/api/v1`, as its OpenAPI document has them. Times are RFC 3339 in UTC.

export type Severity = "informational" | "low" | "medium" | "high" | "critical";
export type Status = "open" | "acknowledged" | "closed";
export type Role = "viewer" | "analyst" | "admin";
export type Counts = Record<Severity, number>;

export interface List<T> {
  /** How many are in `data`. */
  count: number;
  data: T[];
  next: string | null;
}

export interface Session {
  username: string;
  role: Role;
  expires_at: string;
}

export interface Place {
  address: string;
  country?: string;
  asn?: number;
  organization?: string;
}

export interface Measure {
  name: string;
  value: number;
  threshold: number;
}

export interface Contribution {
  feature: string;
  value: string;
  usual: string;
  amount: number;
  enough?: string;
}

export interface Evidence {
  uid: string;
  community_id: string;
  start: string;
  protocol: string;
  originator: string;
  originator_port: number;
  responder: string;
  responder_port: number;
  packets?: number;
  bytes?: number;
}

export interface Alert {
  id: string;
  revision: number;
  kind: string;
  title: string;
  severity: Severity;
  confidence: number;
  detectors: string[];
  rules: string[];
  device: string;
  peers: string[];
  first_seen: string;
  last_seen: string;
  places?: Place[];
  count: number;
  attack: string[];
  explanation: string;
  measured: Measure[];
  contributions?: Contribution[];
  evidence: Evidence[];
  status: Status;
  status_by?: string;
  status_at?: string;
  suppressed_by: string | null;
  /** Whether the device did it, or it was done to it. */
  device_role: "actor" | "target";
  attack_type: string;
  anomaly_score: number | null;
  bytes: number | null;
  packets: number | null;
  message: string;
  simulated?: boolean;
}

export interface HistoryEntry {
  at: string;
  who: string;
  action: string;
  detail: string;
}

export interface AlertDetail {
  alert: Alert;
  history: HistoryEntry[];
  related: Alert[];
  evidence: { pcap: boolean; reason?: string | null };
}

export interface Matcher {
  device?: string;
  peer?: string;
  port?: number;
  direction?: string;
  kind?: string;
  detector?: string;
}

export interface Suppression {
  id: string;
  matcher: Matcher;
  author: string;
  reason: string;
  created: string;
  expires: string | null;
  hits: number;
  last_hit?: string | null;
}

export interface Hidden extends Counts {
  total: number;
}

export interface Preview extends Hidden {
  text: string;
}

export interface NamedCount {
  name: string;
  count: number;
}

export interface SourceStatus {
  kind: "interface" | "replay" | "simulate" | "zeek" | "eve" | "none";
  names: string[];
  /** Where they are; told to admins, and only by `sources`. */
  paths?: string[];
  filter: string | null;
  state: "running" | "ended" | "stopped" | "failed";
  detail: string | null;
  simulated: boolean;
  speed: number | null;
  progress: number | null;
  since: string | null;
  packets: number;
  flows: number;
  method: string;
  models: string[];
}

export interface InterfaceCoverage {
  name: string;
  up: boolean;
  silent: boolean;
  packets: number;
  bytes: number;
  dropped: number;
  outages: number;
  downtime_seconds: number;
}

export interface Coverage {
  received: number;
  dropped: number;
  dropped_share: number;
  interfaces: InterfaceCoverage[];
  undecoded: Record<string, number>;
  lost: Record<string, number>;
  not_evaluated: string[];
}

export interface Second {
  time: string;
  packets: number;
  bytes: number;
  alerts: number;
  anomalies: number;
}

export interface Talker {
  host: string;
  name?: string | null;
  device?: string | null;
  bytes: number;
  packets: number;
  flows: number;
  threat: boolean;
}

export interface Threat {
  level: "calm" | "low" | "elevated" | "high" | "critical";
  reasons: string[];
}

export interface CountryShare {
  country: string;
  hosts: number;
  bytes: number;
  alerts: number;
}

export interface ProtocolShare {
  name: string;
  flows: number;
  bytes: number;
}

export interface Overview {
  now: string | null;
  wall: string;
  source: SourceStatus;
  rates: { packets_per_second: number; bytes_per_second: number };
  seconds: Second[];
  attack_shares: NamedCount[];
  protocol_shares: ProtocolShare[];
  top_talkers: Talker[];
  latest_alerts: Alert[];
  open: Counts;
  threat: Threat;
  coverage: Coverage;
  places: CountryShare[];
  devices: { known: number; new_today: number };
}

export interface Entry {
  ts: string;
  src_ip: string;
  dst_ip: string;
  src_port: number | null;
  dst_port: number | null;
  proto: string;
  bytes: number;
  packets: number;
  duration: number | null;
  service: string | null;
  conn_state: string | null;
  uid: string;
  attack_type: string | null;
  anomaly_score: number | null;
  is_anomaly: boolean;
  severity: Severity | null;
  simulated: boolean;
}

export interface DevicePeer {
  address: string;
  place?: Place;
  flows: number;
  sent_bytes: number;
  received_bytes: number;
  last_seen: string;
}

export interface Device {
  id: string;
  address: string | null;
  mac: string | null;
  random_mac: boolean;
  maker: string | null;
  router: boolean;
  addresses: string[];
  first_seen: string;
  last_seen: string;
  flows: number;
  sent_bytes: number;
  received_bytes: number;
  offers: string[];
  uses: string[];
  outside_networks: number;
  peers: DevicePeer[];
  hours: { hour: number; sent_bytes: number; received_bytes: number }[];
  simulated: boolean;
  name: string | null;
  note: string | null;
  open_alerts: number;
  worst: Severity | null;
}

export interface DeviceDetail extends Device {
  alerts: Alert[];
  deviations: string[];
}

/** Zeek's conn.log names. */
export interface Flow {
  ts: string | number;
  uid: string;
  "id.orig_h": string;
  "id.orig_p": number;
  "id.resp_h": string;
  "id.resp_p": number;
  proto: string;
  service?: string | null;
  duration?: number | null;
  orig_bytes?: number | null;
  resp_bytes?: number | null;
  conn_state: string;
  history?: string | null;
  missed_bytes?: number;
  orig_pkts: number;
  orig_ip_bytes: number;
  resp_pkts: number;
  resp_ip_bytes: number;
  simulated: boolean;
  [other: string]: unknown;
}

export interface Packet {
  index: number;
  timestamp: string;
  length: number;
  protocol: string;
  src: string;
  dst: string;
  src_port: number | null;
  dst_port: number | null;
  flags: { syn: boolean; ack: boolean; fin: boolean; rst: boolean; psh: boolean } | null;
  info: string;
  payload: string | null;
  is_anomaly: boolean;
  score: number | null;
  pattern: string | null;
}

export interface Pattern {
  key: string;
  emoji: string;
  name: string;
  description: string;
  count: number;
}

export interface TrafficStep {
  time: string;
  flows: number;
  packets: number;
  bytes: number;
  bytes_in: number;
  bytes_out: number;
}

export interface Job {
  id: string;
  name: string;
  bytes: number;
  state: "receiving" | "queued" | "running" | "done" | "failed" | "cancelled";
  progress: number | null;
  filter: string | null;
  model: string | null;
  by: string;
  created: string;
  ended: string | null;
  expires: string;
  error: string | null;
  summary: {
    packets: number;
    bytes: number;
    flows: number;
    alerts: number;
    first: string | null;
    last: string | null;
    worst: Severity | null;
    warnings: string[];
  } | null;
}

export interface Sources {
  current: SourceStatus;
  interfaces: {
    name: string;
    description: string;
    ip: string | null;
    addresses: string[];
    mac: string | null;
    up: boolean;
  }[];
  methods: { name: string; available: boolean; reason?: string | null }[];
}

export interface Model {
  name: string;
  kind: string;
  schema: string;
  trained?: string | null;
  rows: number;
  /** False alerts per device and week that were allowed. */
  budget?: number | null;
  expected_rate?: number | null;
  achieved_rate?: number | null;
  threshold?: number | null;
  drift?: number | null;
  verifiable: boolean;
  note: string;
  loaded: boolean;
}

export interface Signature {
  id: string;
  title: string;
  severity: Severity;
  source: string;
  techniques: string[];
  hits: number;
  last_hit?: string | null;
  problem?: string | null;
  status: string;
}

export interface Sink {
  name: string;
  kind: string;
  target: string;
  queued: number;
  delivered: number;
  failed: number;
  rejected: number;
  last_error?: string | null;
  up: boolean;
}

export interface Storage {
  bytes: number;
  limit_bytes?: number | null;
  limit_days?: number | null;
  free_bytes: number | null;
  alerts: number;
  devices: number;
  oldest: string | null;
  uploads_bytes: number;
  captures_bytes: number | null;
}

export interface Account {
  username: string;
  role: Role;
  created: string;
  last_login: string | null;
  locked_until: string | null;
  disabled?: boolean;
  sessions: number;
}

export interface Token {
  id: string;
  name: string;
  owner: string;
  role: Role;
  created: string;
  expires: string | null;
  last_used: string | null;
}

export interface AuditEntry {
  at: string;
  who: string;
  action: string;
  subject: string | null;
  detail: string | null;
}

export interface Health {
  status: "healthy" | "degraded";
  version: string;
}

export interface Ready {
  ready: boolean;
  reasons: string[];
}

/** What comes over `/ws`. */
export type Message =
  | { type: "init"; sequence: number; history: Entry[]; alerts: Alert[]; overview: Overview; gap?: boolean }
  | {
      type: "traffic_update";
      sequence: number;
      timestamp: string;
      traffic: Entry[];
      alerts: Alert[];
      second: Second | null;
      seconds: Second[];
      source: SourceStatus;
      /** Null when it could not be asked for. */
      threat: Threat | null;
    }
  | ({ type: "packet" } & Omit<Packet, "pattern"> & { pattern: Omit<Pattern, "count"> | null })
  | { type: "job"; job: Job }
  | { type: "alerts"; alerts: Alert[] }
  | { type: "lost"; count: number; of?: "packets" }
  | { type: "error"; detail: string };
