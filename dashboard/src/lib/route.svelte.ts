// Where one is: `#/alerts/ID?severity=high`. Filters live here, so that an address can be kept and passed on.

import type { Parameters } from "./http";
import { queryOf } from "./http";

interface Route {
  /** The parts of the path, decoded: `["alerts", "ID"]`. */
  path: string[];
  query: Record<string, string>;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function read(): Route {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query ?? "")),
  };
}

export const route = $state<Route>(read());

addEventListener("hashchange", () => Object.assign(route, read()));

/** The address of a page: `href(["alerts", id], { severity: "high" })`. An upload that is looked at stays looked at. */
export function href(path: string[], query: Parameters = {}): string {
  return `#/${path.map(encodeURIComponent).join("/")}${queryOf(query)}`;
}

export function go(path: string[], query: Parameters = {}): void {
  location.hash = href(path, query);
}

/** Changes filters in place: no new entry in the browser's history for each letter typed. */
export function refine(changes: Parameters): void {
  const query = { ...route.query, ...changes };
  history.replaceState(null, "", href(route.path, query));
  Object.assign(route, read());
}
