// Line charts as inline SVG.

const LEAST_WIDTH = 240, HEIGHT = 260, LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 40;
const MOST_POINTS = 600;

/// Numbers from `low` to `high` at round steps.
function ticks(low, high, most) {
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

/// At most MOST_POINTS of `points`, the last one included.
function thinned(points) {
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => (points.length - 1 - i) % every === 0);
}

function element(name, attributes, text = '') {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.textContent = text;
  return made;
}

/// Draws curves into `place`. A curve has `name`, `style`, `line` and `dots`: points [x, y].
export function draw(place, curves, { title, xLabel, percent = false }) {
  const points = curves.flatMap(({ line, dots }) => [...line, ...dots]).filter(([, y]) => Number.isFinite(y));
  if (points.length === 0) {
    place.replaceChildren();
    return;
  }
  const highX = Math.max(...points.map(([x]) => x), 1e-9);
  const highY = percent ? 1 : Math.max(...points.map(([, y]) => y)) * 1.05 || 1;
  const width = Math.max(LEAST_WIDTH, place.clientWidth);
  const x = (value) => LEFT + (value / highX) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value / highY) * (HEIGHT - TOP - BOTTOM);
  const last = curves.map(({ name, line }) => `${name}: ${line.length ? shown(line.at(-1)[1], percent) : 'no value'}`);
  const svg = element('svg', {
    viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': `${title}. Latest values: ${last.join(', ')}.`,
  });
  for (const value of ticks(0, highY, 5)) {
    svg.append(element('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(element('text', { x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end' }, shown(value, percent, 0)));
  }
  for (const value of ticks(0, highX, width / 90)) {
    svg.append(element('text', { x: x(value), y: HEIGHT - BOTTOM + 18, 'text-anchor': 'middle' }, String(value)));
  }
  svg.append(element('text', { x: (LEFT + width) / 2, y: HEIGHT - 4, 'text-anchor': 'middle' }, xLabel));
  curves.forEach(({ name, style }, i) => {
    svg.append(element('text', { class: `key ${style}`, x: width - RIGHT - 18 * (curves.length - i), y: TOP + 12 }, name));
  });
  for (const { style, line, dots } of curves) {
    const path = thinned(line.filter(([, value]) => Number.isFinite(value)));
    svg.append(element('polyline', {
      class: `curve ${style}`, points: path.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' '),
    }));
    dots.filter(([, value]) => Number.isFinite(value))
      .forEach(([a, b]) => svg.append(element('circle', { class: style, cx: x(a), cy: y(b), r: 4 })));
  }
  place.replaceChildren(svg);
}

function shown(value, percent, digits = 2) {
  if (value === null || value === undefined) {
    return 'not finite';
  }
  return percent ? `${(100 * value).toFixed(digits)} %` : String(Number(value.toPrecision(4)));
}
