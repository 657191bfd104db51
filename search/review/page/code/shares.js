// Bytes by encoding, as a bar.
import { html } from "preact";
import { bytesOf, run } from "data";
import { kilobytes } from "format";
import { encodingColour } from "colours";

/** Bytes and layers of each encoding in a configuration, in the order of encodings; bytes are null where unknown. */
export function bytesByEncoding(choice) {
  const rows = new Map();
  for (const layer of run.layers) {
    const id = choice[layer.index];
    const row = rows.get(id) ?? { id, bytes: 0, layers: 0 };
    row.bytes += bytesOf(layer, id) ?? 0;
    row.layers += 1;
    rows.set(id, row);
  }
  return [...rows.values()].sort((one, other) => one.id - other.id);
}

/** A bar of a configuration's bytes, as long as its size in relation to the whole. */
export function Shares({ trial, whole = null, name = "" }) {
  const rows = bytesByEncoding(trial.choice);
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
