// Bytes by encoding, as a bar.
import { html } from "preact";
import { bytesOf, run, sumOver } from "data";
import { kilobytes } from "format";
import { encodingColour } from "colours";

/** Bytes and layers of each encoding in a configuration, in the order of encodings; bytes are null where unknown. */
export function bytesByEncoding(choice, layers = run.layers) {
  const found = new Map();
  for (const layer of layers) {
    const id = choice[layer.index];
    if (!found.has(id)) found.set(id, []);
    found.get(id).push(layer);
  }
  const rows = [...found].map(([id, those]) => ({ id, bytes: sumOver(those, (layer) => bytesOf(layer, id)), layers: those.length }));
  return rows.sort((one, other) => one.id - other.id);
}

/** A bar of the bytes of a configuration, or of some of its layers, as long as its size in relation to the whole. */
export function Shares({ trial, layers = run.layers, whole = null, name = "" }) {
  const rows = bytesByEncoding(trial.choice, layers);
  const sum = rows.reduce((total, row) => total + row.bytes, 0);
  const full = whole ?? sum;
  const said = rows.map((row) => `${run.encodings[row.id].name} ${kilobytes(row.bytes)}`).join(", ");
  return html`<div class="shares" role="img" aria-label=${`${name} bytes by encoding: ${said}`}>
    ${rows.map((row) => html`<i key=${row.id} title=${`${run.encodings[row.id].name}: ${kilobytes(row.bytes)}`}
      style=${`width:${((100 * row.bytes) / full).toFixed(2)}%;--code:${encodingColour(row.id)}`}></i>`)}
  </div>`;
}

/** An encoding's name on its colour. */
export function Chip({ id, muted = false, rounded = false }) {
  const name = run.encodings[id].name;
  return html`<span class=${`chip ${muted ? "same" : ""}`} style=${`--code:${encodingColour(id)}`} title=${rounded ? `${name}, inputs in int8` : name}>${name}${rounded && html` <small>int8 in</small>`}</span>`;
}
