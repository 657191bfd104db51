// The words that a reader needs, and the keys.
import { html } from "preact";
import { run } from "data";

const WORDS = () => [
  ["divergence", run.quality.divergence_words || "distance between the compressed and the float model's outputs; 0 is the same"],
  ["95 % interval", "where the divergence lies on other data like these, by resampling them"],
  ["unseen data", "data that the search never used; a member holds if its divergence there is not above its interval"],
  ["front", "the evaluations that no other one beats in every figure; each of them is a member"],
  ["knee", "the member with the best trade-off: farthest from the line between the ends of the front"],
  ["encoding", "how one layer's weights are stored: lut4 is a table of 16 values, int8 a linear scale, fp16 as it was"],
  ["alone", "predicted divergence when only this layer has this encoding"],
  ["data-free", "compressed from the weights alone; calibrated and fine-tuned weights are found with data"],
  ["escalated", "evaluated again with a dearer workflow; the arrow begins at the data-free evaluation"],
  ["what if", "a configuration that was not measured: its size is exact, its divergence predicted"],
];

const KEYS = [
  ["click, shift-click", "choose A, choose B to compare"],
  ["← →, Enter, shift-Enter", "walk along the front, choose A, choose B"],
  ["X, Esc", "change A and B, let B go (in the chart)"],
  ["arrow keys", "walk through the layers and encodings; Enter: details, or what if"],
  ["/", "find layers"],
  ["?", "this"],
];

/** A panel with both. */
export function Words() {
  const row = ([word, text]) => html`<dt>${word}</dt><dd>${text}</dd>`;
  return html`<section class="card words" aria-label="Words and keys"><div><h2>Words</h2><dl>${WORDS().map(row)}</dl></div><div><h2>Keys</h2><dl>${KEYS.map(row)}</dl></div></section>`;
}
