// Text to copy and files to keep, also where the page may not use the clipboard (in another page's frame).
import { html, useState } from "preact";
import { run } from "data";
import { spoken } from "state";

/** Put text on the clipboard; whether that was possible. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    area.style.position = "fixed";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Hand a text over as a file. */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A button that copies and says so. */
export function CopyButton({ text, label = "Copy", name }) {
  const [said, say] = useState(null);
  const click = async () => {
    const done = await copy(typeof text === "function" ? text() : text);
    spoken.value = done ? "copied" : "the browser does not let this page copy";
    say(done ? "Copied" : "Select it");
    setTimeout(() => say(null), 1600);
  };
  return html`<button type="button" class="small" onClick=${click} aria-label=${name ?? label}>${said ?? label}</button>`;
}

/** A command on this search: what is done, and what is said beside the experiment; `null` and `false` are left out. */
export function commandLine(verb, ...words) {
  const { experiment, options } = run.commands;
  const said = [...words, options].filter((word) => word != null && word !== false && word !== "");
  return [`palettune ${verb}`, experiment ?? "EXPERIMENT.toml", ...said].join(" ");
}

/** A command line to copy. */
export function Command({ text, name }) {
  return html`<div class="command"><code>${text}</code><${CopyButton} text=${text} name=${name ?? `Copy: ${text}`} /></div>`;
}
