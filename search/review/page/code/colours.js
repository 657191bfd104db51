// Colours of encodings by their bits, and of predicted losses. Lightness is left to the style sheet: dark and light.
import { run } from "data";

const HUES = [[1, 18], [2, 38], [3, 62], [4, 92], [5, 140], [6, 172], [8, 235], [16, 255]]; // bits: degrees
const IN_GROUPS = 0.1; // a table for each group or block: lighter than one for the whole
const LIFT = { palette: 0, integer: 0.09, sparse: -0.09, joint: -0.05, vector: 0.05, float: 0 };

/** The colour of an encoding: cool for many bits, warm for few; families differ in lightness. */
export function encodingColour(id) {
  const { bits, family, name } = run.encodings[id];
  const lift = (LIFT[family] ?? 0) + (name.includes("-") ? IN_GROUPS : 0);
  const chroma = family === "float" ? 0.025 : family === "sparse" ? 0.07 : 0.125;
  return `oklch(calc(var(--code-lightness) + ${lift.toFixed(2)}) ${chroma} ${hue(bits).toFixed(0)})`;
}

function hue(bits) {
  const clear = Math.min(16, Math.max(1, bits));
  const above = HUES.findIndex(([end]) => clear <= end);
  if (above <= 0) return HUES[0][1];
  const [[low, from], [high, to]] = [HUES[above - 1], HUES[above]];
  return from + ((to - from) * Math.log(clear / low)) / Math.log(high / low);
}

let scale = null;

/** Place of a predicted loss between the least and the most of all layers, on a logarithmic scale: 0 to 1. */
export function heat(loss) {
  scale ??= heatEnds();
  if (loss == null) return null;
  return Math.min(1, Math.max(0, (Math.log10(Math.max(loss, 1e-300)) - scale[0]) / (scale[1] - scale[0])));
}

/** Ends of the scale of losses, as powers of ten. */
export function heatEnds() {
  let [low, high] = [Infinity, -Infinity];
  for (const layer of run.layers) {
    for (const loss of layer.loss ?? []) if (loss > 0) [low, high] = [Math.min(low, loss), Math.max(high, loss)];
  }
  if (!Number.isFinite(low)) return [-6, 0];
  const top = Math.log10(Math.min(high, run.quality.name === "divergence" && run.quality.reference ? run.quality.reference : high));
  return [Math.max(Math.log10(low), top - 6.5), Math.max(top, Math.log10(low) + 1)];
}

/** The style of a cell of the heat map. */
export function heatStyle(loss) {
  const share = heat(loss);
  if (share == null) return "";
  return `--warm:${(Math.min(1, 2 * share) * 100).toFixed(0)}%;--hot:${(Math.max(0, 2 * share - 1) * 100).toFixed(0)}%`;
}
