// uPlot in the dashboard's colours and figures.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

/** A colour of the style sheet as it is now. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The same colour, `opacity` of it. */
export function faint(name: string, opacity: number): string {
  return `color-mix(in srgb, ${colour(name)} ${opacity * 100}%, transparent)`;
}

// What is counted has no halves: 1, 2, 5, 10, 20, 50 …
const STEPS = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
const font = "11px system-ui, sans-serif";
const two = (value: number) => String(value).padStart(2, "0");

/** Times on the axis in the viewer's zone, 24 hours; the day where a new one begins or steps are days. */
function timeLabels(_plot: uPlot, splits: number[], _axis: number, _space: number, step: number): string[] {
  let before = "";
  return splits.map((split) => {
    const at = new Date(split * 1000);
    const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}${step < 60 ? `:${two(at.getSeconds())}` : ""}`;
    const turned = before !== "" && day !== before;
    before = day;
    if (step >= 86400) return day;
    return turned ? `${clock}\n${day}` : clock;
  });
}

export function timeAxis(): uPlot.Axis {
  return {
    stroke: colour("muted"),
    font,
    grid: { show: false },
    ticks: { stroke: colour("line-strong"), size: 4, width: 1 },
    values: timeLabels,
    space: 80,
    size: 34,
  };
}

export function valueAxis(scale: string, label: (value: number) => string, side: 1 | 3): uPlot.Axis {
  return {
    scale,
    side,
    stroke: colour("muted"),
    font,
    size: 62,
    grid: { show: side === 3, stroke: colour("line"), width: 1 },
    ticks: { show: false },
    incrs: STEPS,
    values: (_plot, splits) => splits.map(label),
  };
}

/** From nothing to a little above the largest, and to `least` where there is hardly anything. */
export function fromZero(least: number) {
  return (_plot: uPlot, _least: number | null, most: number | null): [number, number] => [
    0,
    Math.max(most ?? 0, least) * 1.08,
  ];
}

export { uPlot };
