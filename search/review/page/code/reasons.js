// Why a layer has its encoding: what a byte is worth in a configuration, and what the next best choice would be.
import { run } from "data";

/**
 * Divergence per byte at which a configuration's cheapest step up and dearest step down meet (their geometric mean),
 * as `palettune front --explain` has it; null where no step is scored.
 */
export function exchangeRate(choice) {
  let up = 1e-30;
  let down = Infinity;
  for (const group of run.groups) {
    const here = group.menu.indexOf(choice[group.layers[0].index]);
    if (here < 0) continue;
    for (let i = 0; i < group.menu.length; i++) {
      const bytes = group.bytes[i] - group.bytes[here];
      const change = group.loss[i] - group.loss[here];
      if (bytes > 0 && change < 0) up = Math.max(up, -change / bytes);
      else if (bytes < 0 && change > 0) down = Math.min(down, change / -bytes);
    }
  }
  return Math.sqrt(up * (Number.isFinite(down) ? down : up));
}

/**
 * The menu of a layer's group beside its choice, best for the exchange rate first.
 * @returns {{id: number, bytes: number, loss: number, regret: number}[]} differences from the choice
 */
export function alternatives(layer, choice, rate) {
  const group = run.groups[layer.owner];
  const here = group.menu.indexOf(choice[layer.index]);
  if (here < 0) return [];
  const rows = group.menu.map((id, i) => {
    const bytes = group.bytes[i] - group.bytes[here];
    const loss = group.loss[i] - group.loss[here];
    return { id, bytes, loss, regret: loss + rate * bytes };
  });
  return rows.filter((row) => row.id !== choice[layer.index]).sort((one, other) => one.regret - other.regret);
}
