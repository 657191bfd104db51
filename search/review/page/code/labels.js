// Labels beside points that neither cover each other nor leave the chart.

const SIZE = { letter: 6.6, height: 14 };
const PLACES = [[9, 4, "start"], [-9, 4, "end"], [0, -9, "middle"], [0, 18, "middle"], [8, -8, "start"], [8, 16, "start"], [-8, -8, "end"], [-8, 16, "end"]];

/**
 * Places for labels, first come first served.
 * @param {{x: number, y: number, text: string}[]} wanted points with their labels
 * @param {{x: number, y: number}[]} points that labels should not cover
 * @param {{left: number, right: number, top: number, bottom: number}} edges
 * @returns {{x: number, y: number, text: string, anchor: string}[]} one for each; those without room are left out
 */
export function placed(wanted, points, edges) {
  const taken = points.map(({ x, y }) => ({ left: x - 4, right: x + 4, top: y - 4, bottom: y + 4 }));
  const done = [];
  for (const label of wanted) {
    const found = PLACES.map((place) => laid(label, place)).find(({ box }) => inside(box, edges) && !taken.some((other) => meet(box, other)));
    if (!found) continue;
    taken.push(found.box);
    done.push({ ...label, px: label.x, py: label.y, x: found.x, y: found.y, anchor: found.anchor });
  }
  return done;
}

function laid({ x, y, text }, [dx, dy, anchor]) {
  const length = text.length * SIZE.letter;
  const left = x + dx - (anchor === "end" ? length : anchor === "middle" ? length / 2 : 0);
  return { x: x + dx, y: y + dy, anchor, box: { left, right: left + length, top: y + dy - SIZE.height + 3, bottom: y + dy + 3 } };
}

function inside(box, edges) {
  return box.left >= edges.left + 1 && box.right <= edges.right + 14 && box.top >= edges.top - 14 && box.bottom <= edges.bottom;
}

function meet(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}
