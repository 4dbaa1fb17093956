// Numbers with units, times in the viewer's zone.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** `12,345`. */
export function count(value: number | null | undefined): string {
  return value == null ? "–" : grouped.format(value);
}

/** Three digits that count: `0.0123`, `1.5`, `966`. */
export function measure(value: number | null | undefined): string {
  if (value == null) return "–";
  if (Math.abs(value) >= 1000) return grouped.format(value);
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  return short.format(value);
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** `1.5 MB`, in steps of a thousand. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return "–";
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? grouped.format(value) : short.format(value)} ${UNITS[unit]}`;
}

/** `25 %`; what is more than nothing never shows as nothing. */
export function share(part: number): string {
  if (part > 0 && part < 0.001) return "< 0.1 %";
  const percent = part * 100;
  return `${percent >= 10 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}

/** `850 µs`, `12 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short.format(seconds * 1000)} ms`;
  if (seconds < 60) return `${short.format(seconds)} s`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const clockOf = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dayOf = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const yearOf = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const fullOf = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/** The viewer's zone with its distance from UTC at that moment: `Europe/Madrid (UTC+1)`. */
export function zoneName(at: Date = new Date()): string {
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts(at);
  const offset = (parts.find((part) => part.type === "timeZoneName")?.value ?? "UTC").replace("GMT", "UTC");
  return offset === zone ? zone : `${zone} (${offset})`;
}

/** `14:02:33`. */
export function clock(at: Date): string {
  return clockOf.format(at);
}

/** `14:02:33` of today, else `21 Nov, 14:02:33`, else `21 Nov 2025, 14:02:33`. */
export function moment(at: Date, now: Date = new Date()): string {
  if (Number.isNaN(at.getTime())) return "–";
  if (at.toDateString() === now.toDateString()) return clockOf.format(at);
  const day = at.getFullYear() === now.getFullYear() ? dayOf : yearOf;
  return `${day.format(at)}, ${clockOf.format(at)}`;
}

/** Everything about a moment, for who points at it. */
export function fullMoment(at: Date): string {
  return Number.isNaN(at.getTime()) ? "" : fullOf.format(at);
}

/** `failed_ports_minute` → `failed ports per minute`, as far as names can tell. */
export function words(name: string): string {
  return name
    .replace(/_minute$/, " per minute")
    .replace(/_mean$/, ", mean")
    .replaceAll(/[_-]/g, " ");
}

/** `192.0.2.7:80`, `[2001:db8::7]:80`, or the address alone where there are no ports. */
export function endpoint(address: string, port: number | null | undefined): string {
  if (port == null) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `1 alert`, `12 alerts`. */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** First letter large: for names that start a line. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
