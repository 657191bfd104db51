// One layer: why it has its encoding, what each other one would do, and what it cannot have.
import { computed, html } from "preact";
import { bytesOf, lossOf, offers, run } from "data";
import { counted, difference, digits, kilobytes, megabytes, percent } from "format";
import { alternatives, exchangeRate } from "reasons";
import { minus } from "layer_rows";
import { Chip } from "shares";
import { a } from "state";
import { base, edit, expectedNear, outcome } from "what_if";

const rate = computed(() => (a.value ? exchangeRate(a.value.choice) : 0));

/** What a configuration with one group changed gives: its size, and the divergence to expect. */
export function changed(group, id) {
  if (!base.value) return null;
  const choice = Uint8Array.from(base.value);
  for (const layer of run.groups[group].layers) choice[layer.index] = id;
  const found = outcome(choice);
  return { ...found, expected: expectedNear(a.value, found.loss) ?? found.predicted?.value ?? null };
}

/** The details below a layer's row. */
export function LayerDetail({ layer }) {
  const id = a.value.choice[layer.index];
  const rows = alternatives(layer, a.value.choice, rate.value);
  return html`<div class="detail"><div class="why"><${Why} layer=${layer} id=${id} best=${rows[0]} /><${Together} layer=${layer} /><${Refused} layer=${layer} /></div>
    <table class="figures menu"><thead><tr><th scope="col">instead</th><th scope="col" class="bytes-more">bytes</th><th scope="col" class="alone">alone</th><th scope="col">file</th><th scope="col">divergence</th><th scope="col"><span class="unseen-by-eye">try</span></th></tr></thead>
    <tbody>${[...rows].sort((one, other) => one.id - other.id).map((row) => html`<${Alternative} key=${row.id} layer=${layer} row=${row} />`)}</tbody></table></div>`;
}

function Why({ layer, id, best }) {
  const [bytes, loss] = [bytesOf(layer, id), lossOf(layer, id)];
  const name = run.encodings[id].name;
  const foreign = offers(layer, id) ? "" : html` It is not in this layer's menu; the configuration was brought along.`;
  const share = a.value.loss > 0 && loss != null ? `, ${percent(loss / a.value.loss)} of the whole` : "";
  return html`<p><b>${name}</b> saves ${kilobytes(minus(layer.floatBytes, bytes))} against fp16 and is predicted to cost ${digits(loss)} of divergence${share}${layer.method ? ` (${layer.method})` : ""}.${foreign}</p>
    ${best?.loss != null && html`<p>At this size a kB buys ${digits(rate.value * 1e3)}. <${Next} best=${best} /></p>`}`;
}

/** Why the next best encoding was not taken. */
function Next({ best }) {
  const name = run.encodings[best.id].name;
  const price = digits(Math.abs(best.bytes) * rate.value);
  if (best.bytes > 0 && best.loss < 0) {
    return html`Next best is <b>${name}</b>: ${kilobytes(best.bytes)} more would lower it by ${digits(-best.loss)}; elsewhere they buy ${price}.`;
  }
  if (best.bytes < 0) return html`Next best is <b>${name}</b>: ${kilobytes(-best.bytes)} less, worth ${price} elsewhere, for ${digits(best.loss)} more.`;
  return html`Next best is <b>${name}</b>: ${difference(best.bytes) || "as many bytes"}, ${digits(best.loss)} more.`;
}

function Together({ layer }) {
  const group = run.groups[layer.owner];
  if (group.layers.length < 2) return null;
  return html`<p class="muted">Shares its encoding with ${counted(group.layers.length - 1, "other layer")}: ${group.layers.filter((one) => one !== layer).slice(0, 4).map((one) => one.name).join(", ")}${group.layers.length > 5 ? " …" : ""}. Figures beside are of all of them.</p>`;
}

function Refused({ layer }) {
  if (!layer.reason.size) return null;
  return html`<p class="muted">Not possible here: ${[...layer.reason].map(([id, reason], i) => html`${i ? "; " : ""}<b>${run.encodings[id].name}</b> (${reason})`)}.</p>`;
}

function Alternative({ layer, row }) {
  const found = changed(layer.owner, row.id);
  return html`<tr><th scope="row"><${Chip} id=${row.id} /></th><td class="bytes-more">${difference(row.bytes) || "same"}</td><td class="alone">${digits(lossOf(layer, row.id))}</td>
    <td>${megabytes(found?.mb)} MB</td><td>${digits(found?.expected)}</td>
    <td><button type="button" class="small" onClick=${() => edit(layer.owner, row.id)}>What if</button></td></tr>`;
}
