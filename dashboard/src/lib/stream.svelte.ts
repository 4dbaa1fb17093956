// The live stream: one WebSocket, taken up again after a break where it stopped.

import { untrack } from "svelte";
import type { Alert, Entry, Message, Overview } from "../api";
import { get, renew } from "./http";

const SECONDS_KEPT = 300;
const ENTRIES_KEPT = 50;
const FRESH_KEPT = 500;
const KNOWN_KEPT = 5000;
const LONGEST_WAIT_MS = 30_000;
const REFRESH_MS = 10_000;
// The server says something every second. A connection that is silent for so long leads nowhere, whatever the browser thinks;
// the first words may take longer.
const SILENCE_MS = 5_000;
const FIRST_WORDS_MS = 20_000;

type Listener = (message: Message) => void;

class Stream {
  /** The state of the whole, as `init` told it and updates went on. */
  overview = $state.raw<Overview | null>(null);
  /** Flows that ended lately, newest first. */
  entries = $state.raw<Entry[]>([]);
  /** The latest alerts that opened since this page was loaded, by id, newest last, each as it is now. */
  fresh = $state.raw<Map<string, Alert>>(new Map());
  /** How many opened since then in all. */
  opened = $state(0);
  state = $state<"connecting" | "live" | "lost">("connecting");
  /** Updates that the server could not send in time, in all. */
  missed = $state(0);
  /** When the next attempt is made, while the connection is lost. */
  retryAt = $state<number | null>(null);

  private socket: WebSocket | null = null;
  private sequence: number | null = null;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pinger: ReturnType<typeof setInterval> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;
  private refresher: ReturnType<typeof setInterval> | undefined;
  private listeners = new Set<Listener>();
  private known = new Set<string>();
  private begun = false;
  private packets: { filter: string | null } | null = null;

  open(): void {
    this.close();
    this.connect();
    this.refresher = setInterval(() => this.refresh(), REFRESH_MS);
  }

  close(): void {
    clearTimeout(this.timer);
    clearInterval(this.refresher);
    this.drop();
    Object.assign(this, {
      overview: null,
      entries: [],
      fresh: new Map(),
      opened: 0,
      sequence: null,
      failures: 0,
      missed: 0,
    });
    this.known.clear();
    this.begun = false;
    this.state = "connecting";
  }

  /** Hears every message until the function that it returns is called. */
  hear(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Asks for packets as they come; `null` ends that. */
  subscribe(packets: { filter: string | null } | null): void {
    this.packets = packets;
    this.tellSubscription();
  }

  /** Tries at once instead of waiting. */
  retry(): void {
    this.connect();
  }

  /** Shares, talkers, coverage and open alerts are not in the updates of each second: they are asked for now and then. */
  async refresh(): Promise<void> {
    if (document.hidden || this.state !== "live") return;
    const asked = await get<Overview>("/api/v1/overview").catch(() => null);
    if (!asked || !this.overview) return;
    const { seconds, attack_shares, protocol_shares, top_talkers, open, coverage, places, devices } = asked;
    const rest = { attack_shares, protocol_shares, top_talkers, open, coverage, places, devices };
    this.overview = { ...this.overview, ...rest, seconds };
  }

  /** Leaves the connection that there is; nothing is heard of it any more. */
  private drop(): void {
    clearInterval(this.pinger);
    clearInterval(this.watch);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private connect(): void {
    clearTimeout(this.timer);
    this.drop();
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const since = this.sequence === null ? "" : `?since=${this.sequence}`;
    const socket = new WebSocket(`${scheme}://${location.host}/ws${since}`);
    this.socket = socket;
    this.retryAt = null;
    let silentSince = Date.now();
    let patience = FIRST_WORDS_MS;
    this.watch = setInterval(() => {
      if (Date.now() - silentSince > patience) this.lost(0);
    }, 1000);
    socket.onopen = () => {
      if (this.socket !== socket) return;
      this.failures = 0;
      this.tellSubscription();
      this.pinger = setInterval(() => socket.send("ping"), 20_000);
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      silentSince = Date.now();
      if (event.data === "pong") return;
      patience = SILENCE_MS;
      this.state = "live";
      this.take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.lost(event.code);
    };
  }

  private lost(code: number): void {
    this.drop();
    this.state = "lost";
    // 1, 2, 4 … 30 s, a fifth of it by chance, so that many windows do not come back at once. A session that ended is
    // renewed first; browsers do not tell a refused handshake apart, so after some failures it is asked whether one is left.
    const wait = code === 4401 ? 0 : Math.min(1000 * 2 ** this.failures, LONGEST_WAIT_MS) * (0.9 + Math.random() / 5);
    this.failures += 1;
    this.retryAt = Date.now() + wait;
    this.timer = setTimeout(async () => {
      const renewed = code === 4401 && (await renew());
      if (!renewed && (code === 4401 || this.failures % 3 === 0)) await get("/auth/session").catch(() => {});
      if (this.state === "lost") this.connect();
    }, wait);
  }

  private tellSubscription(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const message = this.packets
      ? { type: "subscribe", packets: true, filter: this.packets.filter }
      : { type: "unsubscribe" };
    this.socket.send(JSON.stringify(message));
  }

  private take(message: Message): void {
    if (message.type === "init") {
      this.sequence = message.sequence;
      this.overview = message.overview;
      this.entries = message.history.slice(-ENTRIES_KEPT).reverse();
      // The first time they are what there is; later, after a gap, those unknown are new.
      const first = !this.begun;
      this.begun = true;
      if (first) for (const alert of [...message.alerts, ...message.overview.latest_alerts]) this.known.add(alert.id);
      else this.takeAlerts(message.alerts);
    } else if (message.type === "traffic_update") {
      this.sequence = message.sequence;
      if (message.traffic.length > 0)
        this.entries = [...message.traffic.toReversed(), ...this.entries].slice(0, ENTRIES_KEPT);
      if (message.alerts.length > 0) this.takeAlerts(message.alerts);
      if (this.overview) this.overview = updated(this.overview, message);
    } else if (message.type === "lost") {
      if (message.of !== "packets") this.missed += message.count;
    }
    for (const listener of this.listeners) listener(message);
  }

  private takeAlerts(alerts: Alert[]): void {
    const fresh = new Map(this.fresh);
    for (const alert of alerts) {
      if (this.known.has(alert.id) && !fresh.has(alert.id)) continue;
      if (!fresh.has(alert.id)) this.opened += 1;
      this.known.add(alert.id);
      fresh.set(alert.id, alert);
    }
    for (const id of [...fresh.keys()].slice(0, -FRESH_KEPT)) fresh.delete(id);
    for (const id of [...this.known].slice(0, -KNOWN_KEPT)) this.known.delete(id);
    this.fresh = fresh;
  }
}

function updated(overview: Overview, update: Extract<Message, { type: "traffic_update" }>): Overview {
  const { source } = update;
  const threat = update.threat ?? overview.threat;
  const rates = { packets_per_second: 0, bytes_per_second: 0 };
  // Another source has seconds of its own. Each second is told twice: the later one counts.
  const known = source.since === overview.source.since ? overview.seconds : [];
  const first = update.seconds.at(0);
  const last = update.seconds.at(-1);
  if (!first || !last) {
    return { ...overview, source, threat, rates: source.state === "running" ? overview.rates : rates, seconds: known };
  }
  if (source.state === "running")
    Object.assign(rates, { packets_per_second: last.packets, bytes_per_second: last.bytes });
  const seconds = [...known.filter((second) => second.time < first.time), ...update.seconds].slice(-SECONDS_KEPT);
  return { ...overview, source, threat, rates, seconds, now: last.time };
}

export const stream = new Stream();

/** What is now on the watched network: of what is not live the last time that was told. Not followed by effects. */
export function captureNow(): number {
  const overview = untrack(() => stream.overview);
  if (!overview?.now) return Date.now();
  const { kind, state } = overview.source;
  const live = (kind === "interface" || kind === "simulate") && state === "running";
  return live ? Date.now() : Date.parse(overview.now);
}
