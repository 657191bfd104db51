// Numbers in words and digits: one way each, everywhere on the page.

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const NONE = "–";

/** A divergence, metric or ratio with about three digits; a dash where there is none. */
export function digits(value) {
  if (value == null || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size >= 0.01) return plain(value, 3);
  if (size >= 0.0001) return plain(value, 2);
  return power(value);
}

function plain(value, count) {
  const text = value.toPrecision(count);
  return text.includes("e") ? String(Math.round(value)) : text.replace("-", "−");
}

function power(value) {
  const [digit, exponent] = value.toExponential(1).split("e");
  return `${digit.replace(/\.0$/, "").replace("-", "−")}·10${raised(Number(exponent))}`;
}

/** An exponent as raised digits. */
export function raised(exponent) {
  const figures = [...String(Math.abs(exponent))].map((figure) => RAISED[figure]).join("");
  return (exponent < 0 ? "⁻" : "") + figures;
}

/** The label of a tick: 2.5, 0.01 or 10⁻⁵. */
export function tick(value) {
  const exponent = Math.floor(Math.log10(value) + 1e-9);
  if (value > 0 && value < 0.00099) {
    const digit = Number((value / 10 ** exponent).toPrecision(2));
    return `${digit === 1 ? "" : `${digit}·`}10${raised(exponent)}`;
  }
  return value >= 1e5 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

/** A size in MB (10^6 bytes). */
export function megabytes(value) {
  if (value == null) return NONE;
  return value >= 100 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value.toPrecision(2);
}

/** Bytes as kB, or MB where there are many. */
export function kilobytes(bytes) {
  if (bytes == null) return NONE;
  const kb = bytes / 1e3;
  const size = Math.abs(kb);
  const text = size >= 1e4 ? `${(kb / 1e3).toFixed(1)} MB` : size >= 100 ? `${kb.toFixed(0)} kB` : `${kb.toFixed(1)} kB`;
  return text.replace("-", "−");
}

/** The same with its sign, nothing where it is zero. */
export function difference(bytes) {
  if (bytes == null) return NONE;
  return bytes === 0 ? "" : bytes > 0 ? `+${kilobytes(bytes)}` : kilobytes(bytes);
}

/** How many times smaller. */
export function times(value) {
  return value == null || !Number.isFinite(value) ? NONE : `×${value >= 10 ? value.toFixed(1) : value.toFixed(2)}`;
}

/** What one figure is to another: ×2.5, or ÷2.5 where it is less. */
export function factor(value) {
  if (value >= 0.995 && value < 1.005) return "same";
  return value > 1 ? `×${digits(value)}` : `÷${digits(1 / value)}`;
}

/** Milliseconds. */
export function milliseconds(value) {
  return value == null ? NONE : `${value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3)} ms`;
}

/** A duration in seconds, as one would say it. */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** A share between 0 and 1 in per cent. */
export function percent(share) {
  if (share == null || !Number.isFinite(share)) return NONE;
  const value = share * 100;
  return `${value.toFixed(Math.abs(value) >= 99.95 || Math.abs(value) < 0.05 ? 0 : 1)} %`;
}

/** Counts of weights: 4.61 M. */
export function many(count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} B`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(2)} M`;
  return count.toLocaleString("en");
}

/** One or several of something. */
export function counted(count, word, words = `${word}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? word : words}`;
}
