// The heat map of a value of every layer over time, on a logarithmic scale.

const VIRIDIS = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];

/// Most columns of a map. Beyond, every second one is left out.
const MOST_COLUMNS = 400;

/// Height of a row; that of a name in style.css.
const ROW_PIXELS = 16;

/// The colour of a value between 0 and 1.
function viridis(place) {
  const scaled = Math.min(Math.max(place, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(scaled), VIRIDIS.length - 2);
  return VIRIDIS[low].map((from, i) => Math.round(from + (VIRIDIS[low + 1][i] - from) * (scaled - low)));
}

/// Values above 0 can be drawn on a logarithmic scale.
const isDrawable = (value) => Number.isFinite(value) && value > 0;

export class HeatMap {
  /// A map in `place` of the value called `name`.
  constructor(place, name, layers) {
    this.name = name;
    this.layers = layers;
    this.columns = [];
    this.every = 1;
    this.seen = 0;
    this.at = null;
    const map = document.createElement('div');
    map.className = 'map';
    const list = document.createElement('ol');
    list.ariaHidden = 'true';
    layers.forEach((layer) => {
      const item = document.createElement('li');
      [item.textContent, item.title] = [layer, layer];
      list.append(item);
    });
    this.canvas = document.createElement('canvas');
    this.canvas.tabIndex = 0;
    this.canvas.style.height = `${ROW_PIXELS * layers.length}px`;
    this.canvas.setAttribute('role', 'img');
    this.canvas.addEventListener('keydown', (event) => this.onKey(event));
    this.canvas.addEventListener('pointermove', (event) => this.onPointer(event));
    map.append(list, this.canvas);
    this.scale = document.createElement('p');
    this.scale.className = 'scale';
    this.readout = document.createElement('p');
    this.readout.className = 'readout';
    this.readout.setAttribute('role', 'status');
    this.readout.textContent = 'Point at the map, or focus it and press arrow keys, to read values.';
    place.append(map, this.scale, this.readout);
  }

  /// Adds the values of all layers at an epoch.
  add(epoch, values) {
    if (this.seen++ % this.every === 0) {
      this.columns.push({ epoch, values });
    }
    if (this.columns.length > MOST_COLUMNS) {
      this.columns = this.columns.filter((_, i) => i % 2 === 0);
      this.every *= 2;
    }
  }

  /// The smallest and the largest value; null if there is none.
  range() {
    const values = this.columns.flatMap((column) => column.values).filter(isDrawable);
    return values.length === 0 ? null : values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, 0]);
  }

  /// Draws the map with the colours of `low` to `high`.
  draw([low, high]) {
    const [width, height] = [this.columns.length, this.layers.length];
    Object.assign(this.canvas, { width, height });
    const picture = new ImageData(width, height);
    const span = Math.log(high / low) || 1;
    this.columns.forEach(({ values }, column) => values.forEach((value, layer) => {
      if (isDrawable(value)) {
        picture.data.set([...viridis(Math.log(value / low) / span), 255], 4 * (layer * width + column));
      }
    }));
    this.canvas.getContext('2d').putImageData(picture, 0, 0);
    const [first, last] = [this.layers[0], this.layers.at(-1)];
    const now = this.columns.at(-1).values;
    this.canvas.ariaLabel = `${this.name} by layer and time. Now ${shown(now[0])} in the first layer, ${first}, and `
      + `${shown(now.at(-1))} in the last, ${last}. Arrow keys read single values.`;
    const bar = document.createElement('span');
    bar.className = 'bar';
    this.scale.replaceChildren(shown(low), bar, shown(high));
  }

  onPointer(event) {
    const box = this.canvas.getBoundingClientRect();
    const place = (offset, size, count) => Math.min(count - 1, Math.max(0, Math.floor((offset / size) * count)));
    this.read(place(event.offsetX, box.width, this.columns.length), place(event.offsetY, box.height, this.layers.length));
  }

  onKey(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step === undefined || this.columns.length === 0) {
      return;
    }
    event.preventDefault();
    const [column, layer] = this.at ?? [this.columns.length - 1, 0];
    const within = (value, count) => Math.min(count - 1, Math.max(0, value));
    this.at = [within(column + step[0], this.columns.length), within(layer + step[1], this.layers.length)];
    this.read(...this.at);
  }

  read(column, layer) {
    const { epoch, values } = this.columns[column] ?? {};
    if (values !== undefined) {
      this.readout.textContent = `${this.layers[layer]}, epoch ${epoch.toFixed(2)}: ${shown(values[layer])}`;
    }
  }
}

export const shown = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : 'not finite');
