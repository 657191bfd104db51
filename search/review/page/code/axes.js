// The two axes of the front: which figures, from where to where, and where their ticks are.
import { computed, signal } from "preact";
import { scaleLinear, scaleLog } from "d3";
import { figure, rises, run } from "data";
import { megabytes, milliseconds, tick } from "format";
import { across, upward } from "state";

/** Width of the chart in pixels, kept by the chart. */
export const width = signal(860);

const MARGIN = { top: 38, right: 18, bottom: 42, left: 64 };
const APART = { x: 46, y: 36 }; // pixels between ticks, at least
const SHOWN = new Set(["front", "dominated", "infeasible"]);
const DECADE = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8]];

/** Whether a trial has a place in the chart. */
export function isShown(trial, x = across.value, y = upward.value) {
  return SHOWN.has(trial.status) && figure(trial, x) != null && figure(trial, y) != null;
}

/** A figure on data that the search never saw; null where it was not measured. */
export function unseenFigure(trial, name) {
  return trial.unseen ? figure(trial.unseen, name) : null;
}

/** Scales, ticks and edges of the chart for its width and figures. */
export const geometry = computed(() => {
  const [x, y] = [across.value, upward.value];
  const shown = run.trials.filter((trial) => isShown(trial, x, y));
  const height = width.value < 560 ? 340 : Math.round(Math.min(580, Math.max(380, width.value * 0.58)));
  const edges = { left: MARGIN.left, right: width.value - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const horizontal = axis(shown.map((trial) => figure(trial, x)), [edges.left, edges.right], 0.05, true);
  const ends = shown.flatMap((trial) => [figure(trial, y), unseenFigure(trial, y), ...(trial.status === "front" && y === "divergence" ? [trial.low, trial.high] : [])]);
  const vertical = axis(ends.filter((value) => value != null), [edges.bottom, edges.top], 0.05, !rises(y));
  return {
    x, y, shown, height, width: width.value, edges,
    atX: horizontal.at, atY: vertical.at, horizontal, vertical,
    ticksX: spaced(horizontal, APART.x), ticksY: spaced(vertical, APART.y), ratios: ratios(x, horizontal),
  };
});

/** A logarithmic axis where values allow it and spread, a linear one otherwise; what is beyond its ends lies on them. */
function axis(values, range, pad, logarithmic) {
  const positive = values.filter((value) => value > 0);
  const [low, high] = [Math.min(...positive), Math.max(...positive)];
  if (logarithmic && positive.length && high / low > 1.02) {
    const zero = positive.length < values.length ? low / 3 : low; // what is 0 lies on the floor, not at minus infinity
    const room = Math.pow(high / zero, pad);
    const scale = scaleLog([zero / room, high * room], range).clamp(true);
    return { scale, at: scale, logarithmic: true };
  }
  const [least, most] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const room = (most - least || Math.abs(most) || 1) * 0.06;
  const scale = scaleLinear([least - room, most + room], range).clamp(true);
  return { scale, at: scale, logarithmic: false };
}

/** The densest set of round ticks whose labels have room. */
function spaced({ scale, logarithmic }, apart) {
  const [low, high] = scale.domain();
  if (!logarithmic || high / low < 2) return scale.copy && scaleLinear(scale.domain(), scale.range()).ticks(Math.max(2, Math.abs(scale.range()[1] - scale.range()[0]) / apart / 1.6));
  let best = [];
  for (const digitsOfDecade of DECADE) {
    const ticks = roundValues(low, high, digitsOfDecade);
    const near = ticks.some((value, i) => i && Math.abs(scale(value) - scale(ticks[i - 1])) < apart);
    if (near) break;
    best = ticks;
  }
  return best.length > 1 ? best : thinned(roundValues(low, high, [1]), scale, apart);
}

function roundValues(low, high, digitsOfDecade) {
  const values = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const digit of digitsOfDecade) values.push(Number((digit * 10 ** power).toPrecision(6)));
  }
  return values.filter((value) => value >= low && value <= high);
}

function thinned(ticks, scale, apart) {
  let last = -Infinity;
  return ticks.filter((value) => Math.abs(scale(value) - last) >= apart && ((last = scale(value)), true));
}

/** Ticks of "times smaller than fp16": [how many times, its place in MB]. */
function ratios(x, { scale, logarithmic }) {
  if (x !== "size_mb" || !logarithmic || !run.floatMb) return [];
  const [low, high] = scale.domain();
  const wanted = [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32];
  const kept = wanted.filter((ratio) => run.floatMb / ratio >= low && run.floatMb / ratio <= high);
  let last = Infinity;
  return kept
    .filter((ratio) => last - scale(run.floatMb / ratio) >= APART.x && ((last = scale(run.floatMb / ratio)), true))
    .map((ratio) => [ratio, run.floatMb / ratio]);
}

/** A value of a figure in words, and its tick. */
export function inWords(name, value) {
  if (name === "size_mb") return `${megabytes(value)} MB`;
  return name === "latency_ms" ? milliseconds(value) : tick(value);
}

/** What an axis shows, in words. */
export function axisTitle(name) {
  if (name === "size_mb") return "weight file, MB";
  if (name === "latency_ms") return `${run.measured ? "latency, measured or predicted" : "predicted latency"}${run.device ? ` on ${run.device}` : ""}, ms`;
  if (name === "divergence") return "divergence from the float model";
  return `${name}${rises(name) ? ", more is better" : ""}`;
}
