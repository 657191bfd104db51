// Layers in model order, where the bytes are, and a heat map: layer x encoding, with what A and B chose.
import { computed, html, signal, useEffect, useLayoutEffect, useRef } from "preact";
import { bytesOf, lossOf, offers, run } from "data";
import { counted, difference, digits, kilobytes } from "format";
import { encodingColour, heatEnds, heatStyle } from "colours";
import { changed, LayerDetail } from "layer_detail";
import { blockLosses, blockSums, differs, minus, rows, SORTS, timeIn } from "layer_rows";
import { Chip, Shares } from "shares";
import { a, b, edits, folded, onlyDifferent, opened, sorting, toggleBlock, toggleLayer, wanted } from "state";
import { drawnOnce, narrow, useVisibleRows } from "visible_rows";
import { edit, editMany } from "what_if";

const HEIGHT = { wide: 27, narrow: 50 };

/** The cell that the keyboard is on: {row, column}, column 0 is the name. */
const cursor = signal({ row: 0, column: 0, moved: false });

/** The cell below the pointer: {layer, id, x, y}. */
const pointed = signal(null);

const widest = computed(() => Math.max(...run.layers.map((layer) => layer.floatBytes), 1));
const timed = computed(() => run.layers.some((layer) => layer.latency_us));

/** The table with its controls. */
export function Layers() {
  if (!a.value) return null;
  return html`<${Controls} /><${Table} /><${Pointed} />`;
}

function Controls() {
  const foldable = run.blocks.filter((block) => block.layers.length > 1).map((block) => block.index);
  const allShut = foldable.length > 0 && foldable.every((index) => folded.value.has(index));
  const shown = rows.value.filter((row) => row.layer).length;
  return html`<div class="controls">
    <label class="find"><span class="unseen-by-eye">Find layers</span><input type="search" id="find" placeholder="Find: name, kind or encoding ( / )" value=${wanted.value} onInput=${(event) => (wanted.value = event.target.value)} /></label>
    <label>Sort by <select value=${sorting.value} onChange=${(event) => (sorting.value = event.target.value)}>${Object.entries(SORTS).map(([key, [text]]) => html`<option key=${key} value=${key} disabled=${key === "change" && !b.value}>${text}</option>`)}</select></label>
    ${b.value && html`<label class="check"><input type="checkbox" checked=${onlyDifferent.value} onChange=${(event) => (onlyDifferent.value = event.target.checked)} /> only where A and B differ (${run.layers.filter(differs).length})</label>`}
    ${foldable.length > 0 && sorting.value === "model" && html`<button type="button" class="small" onClick=${() => (folded.value = new Set(allShut ? [] : foldable))}>${allShut ? "Open all blocks" : "Fold all blocks"}</button>`}
    <span class="muted count">${shown < run.layers.length && wanted.value ? `${shown} of ` : ""}${counted(run.layers.length, "layer")}</span>
    <${Scale} />
  </div>`;
}

function Scale() {
  const [low, high] = heatEnds();
  return html`<span class="heat-scale muted" title="predicted divergence of one layer alone in one encoding, logarithmic">alone: ${digits(10 ** low)} <i></i> ${digits(10 ** high)}</span>`;
}

function Table() {
  const list = rows.value;
  const height = narrow.value ? HEIGHT.narrow : HEIGHT.wide;
  const { box, start, end, before, after } = useVisibleRows(list.length, height);
  const detail = useRef(0);
  const place = opened.value == null ? -1 : list.findIndex((row) => row.layer?.index === opened.value);
  const extra = (hidden) => (hidden ? detail.current : 0);
  const compared = Boolean(b.value);
  useFocus(box);
  return html`<div class=${`layers ${compared ? "compared" : ""} ${timed.value ? "timed" : ""}`} role="grid" aria-label="Layers and encodings" aria-rowcount=${list.length + 1} style=${`--n:${run.count};--row:${height}px`}
      onPointerOver=${point} onPointerLeave=${() => (pointed.value = null)} onFocusIn=${point} onClick=${click} onKeyDown=${(event) => move(event, list)}>
    <${Head} />
    <div ref=${box} role="rowgroup" style=${`padding-top:${before + extra(place >= 0 && place < start)}px;padding-bottom:${after + extra(place >= end)}px`}>
      ${list.slice(start, end).map((row, i) => html`<${Row} key=${row.block ? `b${row.block.index}` : row.layer.index} row=${row} number=${start + i} />
        ${row.layer && row.layer.index === opened.value && html`<${Opened} key="opened" layer=${row.layer} height=${detail} />`}`)}
    </div>
    ${list.length === 0 && html`<p class="muted">No layer is like that.</p>`}
  </div>`;
}

function Opened({ layer, height }) {
  const box = useRef(null);
  useLayoutEffect(() => void (height.current = box.current.offsetHeight));
  return html`<div role="row" ref=${box}><div role="gridcell"><${LayerDetail} layer=${layer} /></div></div>`;
}

function Head() {
  const title = (name, text) => html`<span class=${name} role="columnheader">${text}</span>`;
  return html`<div role="rowgroup" class="head-group"><div class="row head" role="row">
    ${title("name", "layer")}${title("bytes", "bytes in A, of fp16")}${title("code a", "A")}${b.value && title("code b", "B")}
    ${title("number change", b.value ? "B to A" : "to fp16")}${timed.value && title("number time", b.value ? "µs, B to A" : "µs, to fp16")}${title("number alone", "alone")}
    <span class="heat" role="presentation">${run.encodings.map((encoding, id) => html`<span key=${id} role="columnheader" class="code-name" style=${`--code:${encodingColour(id)}`}><b>${encoding.name}</b></span>`)}</span>
  </div></div>`;
}

function Row({ row, number }) {
  const column = cursor.value.row === number ? cursor.value.column : -1;
  if (row.block) return html`<${BlockRow} row=${row} number=${number} column=${column} />`;
  const { layer, inside } = row;
  const [one, other] = [a.value, b.value];
  const rounded = (trial) => trial?.activations?.[layer.index] === "1";
  return html`<${LayerRow} layer=${layer} inside=${Boolean(inside)} number=${number} column=${column} open=${opened.value === layer.index}
    id=${one.choice[layer.index]} other=${other ? other.choice[layer.index] : -1} time=${other ? minus(timeIn(layer, other), timeIn(layer, one)) : minus(timeIn(layer, one), layer.floatTime)} rounded=${rounded(one)} otherRounded=${rounded(other)} tried=${edits.value.get(layer.owner) ?? -1} />`;
}

function BlockRow({ row: { block, shut }, number, column }) {
  const sums = blockSums(block);
  const losses = blockLosses(block);
  const choices = [a.value, b.value].filter(Boolean);
  return html`<div class="row block" role="row" aria-rowindex=${number + 2}>
    <span class="name" role="gridcell"><button type="button" data-row=${number} data-column="0" data-block=${block.index} tabindex=${column === 0 ? 0 : -1} aria-expanded=${!shut}>
      <i class=${shut ? "shut" : "open"}></i><b>${block.name}</b> <span class="muted">${counted(block.layers.length, "layer")}</span></button></span>
    <span class="bytes" role="gridcell">${kilobytes(sums.bytes)} <span class="muted">of ${kilobytes(sums.float)}</span></span>
    ${choices.map((trial, i) => html`<span key=${i} class=${`code ${i ? "b" : "a"}`} role="gridcell"><${Shares} trial=${trial} layers=${block.layers} /></span>`)}
    <span class="number change" role="gridcell">${difference(sums.moreBytes)}</span>${timed.value && html`<span class="number time" role="gridcell">${timeWords(sums.moreTime)}</span>`}
    <span class="number alone" role="gridcell">${digits(sums.loss)}</span>
    <span class="heat" role="presentation">${run.encodings.map((encoding, id) => losses[id] == null
      ? html`<span key=${id} role="gridcell" class="cell none"></span>`
      : html`<button type="button" key=${id} role="gridcell" class="cell" data-row=${number} data-column=${id + 1} data-of=${block.index} data-id=${id} tabindex=${column === id + 1 ? 0 : -1}
          style=${heatStyle(losses[id].loss)} aria-label=${`all of ${block.name} in ${encoding.name}`}></button>`)}</span>
  </div>`;
}

/** One layer; `other` and `tried` are -1 where nothing is compared or tried. Drawn again only when one of these changes. */
const LayerRow = drawnOnce(({ layer, inside, number, column, open, id, other, time, rounded, otherRounded, tried }) => {
  const compared = other >= 0;
  const bytes = bytesOf(layer, id);
  const more = compared ? minus(bytesOf(layer, other), bytes) : minus(bytes, layer.floatBytes);
  return html`<div class=${`row ${inside ? "inside" : ""} ${compared && other !== id ? "differs" : ""}`} role="row" aria-rowindex=${number + 2}>
    <span class="name" role="gridcell"><button type="button" data-row=${number} data-column="0" data-layer=${layer.index} tabindex=${column === 0 ? 0 : -1} aria-expanded=${open} title=${layer.name}>
      <b>${shortName(layer, inside)}</b> <span class="muted">${layer.shape.join("×")}</span></button></span>
    <span class="bytes" role="gridcell"><${Bar} layer=${layer} bytes=${bytes} id=${id} /><span>${kilobytes(bytes)}</span></span>
    <span class="code a" role="gridcell"><${Chip} id=${id} rounded=${rounded} /></span>
    ${compared && html`<span class="code b" role="gridcell"><${Chip} id=${other} muted=${other === id} rounded=${otherRounded} /></span>`}
    <span class="number change" role="gridcell">${difference(more)}</span>
    ${layer.latency_us && html`<span class="number time" role="gridcell">${timeWords(time)}</span>`}
    <span class="number alone" role="gridcell">${digits(lossOf(layer, id))}</span>
    <span class="heat" role="presentation">${run.encodings.map((_, code) => cell(layer, code, number, { own: code === id, other: code === other, tried: code === tried, here: column === code + 1 }))}</span>
  </div>`;
});

/** A layer's name below its block: without the block's. */
function shortName(layer, inside) {
  return inside && layer.name.startsWith(`${layer.block.name}.`) ? layer.name.slice(layer.block.name.length + 1) : layer.name;
}

function Bar({ layer, bytes, id }) {
  const share = (value) => `${Math.max(0.6, (100 * value) / widest.value).toFixed(2)}%`;
  return html`<span class="bar" aria-hidden="true"><i class="whole" style=${`width:${share(layer.floatBytes)}`}></i><i style=${`width:${share(bytes ?? 0)};--code:${encodingColour(id)}`}></i></span>`;
}

/** Microseconds more or less, nothing where they are as many. */
function timeWords(more) {
  return more === 0 ? "" : `${more > 0 ? "+" : ""}${digits(more)}`;
}

/** A cell of the heat map: no component, as there are many. */
function cell(layer, code, number, { own, other, tried, here }) {
  const marks = `${own ? "own" : ""} ${other ? "other" : ""} ${tried ? "tried" : ""}`;
  const loss = lossOf(layer, code);
  if (!offers(layer, code)) return html`<span key=${code} role="gridcell" class=${`cell ${loss == null ? "none" : ""} ${marks}`} style=${heatStyle(loss)} title=${layer.reason.get(code) ?? (own || other ? "not in this layer's menu" : "")}></span>`;
  const said = `${layer.name} in ${run.encodings[code].name}: ${kilobytes(bytesOf(layer, code))}, ${digits(loss)} alone${own ? ", chosen by A" : ""}${other ? ", chosen by B" : ""}${tried ? ", what if" : ""}`;
  return html`<button type="button" key=${code} role="gridcell" class=${`cell ${loss == null ? "unknown" : ""} ${marks}`} style=${heatStyle(loss)}
    data-row=${number} data-column=${code + 1} data-cell=${layer.index} data-id=${code} tabindex=${here ? 0 : -1} aria-label=${said}></button>`;
}

/** Keep the browser's focus on the cell that the arrow keys went to. */
function useFocus(box) {
  const { row, column, moved } = cursor.value;
  useEffect(() => {
    if (!moved) return;
    const cell = box.current?.querySelector(`[data-row="${row}"][data-column="${column}"]`);
    cell?.focus({ preventScroll: true });
    cell?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [row, column, moved]);
}

function move(event, list) {
  const from = event.target.closest("[data-row]");
  if (!from) return;
  let [row, column] = [Number(from.dataset.row), Number(from.dataset.column)];
  const sideways = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const down = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12 }[event.key];
  if (sideways) column = beside(list[row], column, sideways);
  else if (down) row = Math.min(list.length - 1, Math.max(0, row + down));
  else if (event.key === "Home") column = 0;
  else return;
  event.preventDefault();
  if (column < 0 || column > run.count) return;
  if (column > 0 && !has(list[row], column - 1)) column = 0;
  cursor.value = { row, column, moved: true };
}

/** The next column that the row has a cell in. */
function beside(row, column, step) {
  let next = column + step;
  while (next > 0 && next <= run.count && !has(row, next - 1)) next += step;
  return next;
}

function has(row, id) {
  return row.layer ? offers(row.layer, id) : row.block.layers.some((layer) => offers(layer, id));
}

function click(event) {
  const target = event.target.closest("[data-row]");
  if (!target) return;
  const { layer, block, cell, of, id } = target.dataset;
  cursor.value = { row: Number(target.dataset.row), column: Number(target.dataset.column), moved: false };
  if (layer != null) toggleLayer(Number(layer));
  else if (block != null) toggleBlock(Number(block));
  else if (cell != null) edit(run.layers[Number(cell)].owner, Number(id));
  else editMany([...new Set(run.blocks[Number(of)].layers.map((one) => one.owner))].map((group) => [group, Number(id)]));
}

function point(event) {
  const cell = event.target.closest?.("[data-cell]");
  if (!cell) pointed.value = null;
  else pointed.value = { layer: run.layers[Number(cell.dataset.cell)], id: Number(cell.dataset.id), box: cell.getBoundingClientRect() };
}

/** What the cell below the pointer would cost and give. */
function Pointed() {
  if (!pointed.value || narrow.value) return null;
  const { layer, id, box } = pointed.value;
  const own = a.value.choice[layer.index];
  const found = changed(layer.owner, id);
  const more = minus(bytesOf(layer, id), bytesOf(layer, own));
  const left = Math.min(box.left, innerWidth - 290);
  const place = box.top > 170 ? `bottom:${innerHeight - box.top + 8}px` : `top:${box.bottom + 8}px`;
  return html`<div class="preview pointed" style=${`left:${left}px;${place}`}><b>${layer.name} in ${run.encodings[id].name}</b>
    <dl><dt>bytes</dt><dd>${kilobytes(bytesOf(layer, id))} <span class="muted">${id === own ? "chosen by A" : difference(more)}</span></dd>
      <dt>alone</dt><dd>${digits(lossOf(layer, id))} ${id !== own && html`<span class="muted">A: ${digits(lossOf(layer, own))}</span>`}</dd>
      ${id !== own && found?.mb != null && html`<dt>then</dt><dd>${found.mb.toFixed(2)} MB, divergence ≈ ${digits(found.expected)}</dd>`}</dl>
    ${id !== own && html`<span class="muted">click: what if</span>`}</div>`;
}
