// Which rows of a long list are on the screen: only these are drawn, so that a thousand layers stay smooth.
import { Component, signal, useEffect, useLayoutEffect, useRef, useState } from "preact";
import { printing } from "state";

const SPARE = 24; // rows drawn beyond either edge, so that a quick scroll shows no gap
const STEP = 8;
const FEW = 90; // so many rows are drawn all at once

const media = matchMedia("(max-width: 760px)");

/** Whether the page is as narrow as a phone. */
export const narrow = signal(media.matches);
media.addEventListener("change", () => (narrow.value = media.matches));

/**
 * The part of a list to draw.
 * @param {number} count rows
 * @param {number} height of a row in pixels
 * @returns {{box: object, start: number, end: number, before: number, after: number}} `box` is the list's ref, `before`
 *   and `after` the heights in pixels of what is left out
 */
export function useVisibleRows(count, height) {
  const box = useRef(null);
  const [range, setRange] = useState([0, 64]);
  const look = () => {
    if (!box.current) return;
    const top = box.current.getBoundingClientRect().top;
    const start = Math.max(0, Math.floor(-top / height / STEP) * STEP - SPARE);
    const end = Math.max(0, Math.ceil((innerHeight - top) / height / STEP) * STEP + SPARE);
    setRange((old) => (old[0] === start && old[1] === end ? old : [start, end]));
  };
  useEffect(() => {
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, [height]);
  useLayoutEffect(look, [count, height]);
  const all = printing.value || count <= FEW;
  const start = all ? 0 : Math.min(range[0], count);
  const end = all ? count : Math.min(range[1], count);
  return { box, start, end, before: start * height, after: (count - end) * height };
}

/** A component that is drawn again only when its properties change; it may not read signals. */
export function drawnOnce(draw) {
  return class extends Component {
    shouldComponentUpdate(next) {
      return Object.keys(next).some((key) => next[key] !== this.props[key]);
    }

    render() {
      return draw(this.props);
    }
  };
}
