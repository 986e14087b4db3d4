// A run: its worker, what it reported, and its panel on the page.

import { HeatMap } from './heatmap.js';

const percent = (value) => (value === null ? 'not finite' : `${(100 * value).toFixed(2)} %`);
const number = (value) => (value === null ? 'not finite' : value.toPrecision(4));

export class Run {
  /// Starts a run. `job` is what its worker gets; `changed` is called after every report.
  constructor({ name, style, title, job, changed }) {
    Object.assign(this, { name, style, title, changed, line: { loss: [], score: [] }, dots: { score: [] } });
    this.maps = null;
    this.steps = null;
    this.isOver = false;
    this.links = [];
    this.panel = document.getElementById('run').content.firstElementChild.cloneNode(true);
    this.panel.classList.add(style);
    this.panel.ariaLabel = title;
    this.part('h2').textContent = title;
    this.part('.stop').addEventListener('click', () => this.stop());
    this.say('Loading the engine…');
    this.worker = new Worker('worker.js', { type: 'module' });
    this.worker.onmessage = ({ data }) => this.onMessage(data);
    this.worker.onerror = (event) => this.fail(`the engine stopped: ${event.message || 'it could not be loaded'}`);
    this.worker.postMessage({ train: job });
  }

  part(selector) {
    return this.panel.querySelector(selector);
  }

  say(text) {
    this.place = text;
    this.part('.place').textContent = text;
  }

  onMessage({ event, ended, failed }) {
    if (event !== undefined) {
      this[event.kind](event);
    } else if (ended !== undefined) {
      this.end(ended);
    } else {
      this.fail(failed);
    }
    this.changed(this);
  }

  // Events, by kind.

  note({ text }) {
    const item = document.createElement('li');
    item.textContent = text;
    this.part('.notes').append(item);
    this.part('.notes').hidden = false;
  }

  opened() {
    this.say('Reading the data and making the model…');
  }

  begin({ steps, bytes, layers }) {
    this.steps = steps;
    this.facts = { 'device memory': `${(bytes / 2 ** 20).toFixed(1)} MiB` };
    const map = (part, name) => new HeatMap(this.part(part), name, layers);
    this.maps = { rates: map('.rates', 'Learning rate'), changes: map('.changes', '|update| / |weight|') };
    this.say(`Step 0 of ${steps}. The first one takes longest: the browser compiles the kernels`);
  }

  interval({ step, epoch, loss, score, examplesPerSecond, rates, changes }) {
    this.line.loss.push([epoch, loss]);
    this.line.score.push([epoch, score]);
    this.maps.rates.add(epoch, rates);
    this.maps.changes.add(epoch, changes);
    this.part('progress').value = step / this.steps;
    this.say(`Step ${step} of ${this.steps}, epoch ${epoch.toFixed(2)}`);
    Object.assign(this.facts, {
      'training loss': number(loss), 'training accuracy': percent(score), 'images/s': Math.round(examplesPerSecond),
    });
  }

  reading({ part, done, examples }) {
    this.say(`Reading ${part}: ${done} of ${examples}`);
  }

  epoch({ epoch, loss, score, validation }) {
    const cells = [epoch, number(loss), percent(score)];
    if (validation !== null) {
      this.dots.score.push([epoch, validation.score]);
      this.facts['validation accuracy'] = percent(validation.score);
      cells.push(number(validation.loss), percent(validation.score));
    }
    this.part('tbody').insertRow().append(...cells.map((cell) => {
      const made = document.createElement('td');
      made.textContent = cell;
      return made;
    }));
  }

  // Ends.

  end({ text, fault, files }) {
    if (fault !== null && fault.startsWith('interrupted')) {
      this.say(`Stopped: ${fault}`);
    } else if (fault !== null) {
      this.fail(fault);
    } else {
      this.say(`Done: ${text}`);
      this.part('progress').value = 1;
    }
    this.offer(files);
    this.finish();
  }

  fail(text) {
    this.part('.fault').textContent = text;
    this.part('.fault').hidden = false;
    this.say('Ended by an error');
    this.finish();
  }

  finish() {
    this.isOver = true;
    this.part('.stop').hidden = true;
    this.worker.terminate();
    this.changed(this);
  }

  /// Links to the files, as downloads.
  offer(files) {
    const items = files.map(([name, bytes]) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([bytes]));
      link.download = name;
      link.textContent = `${name} (${Math.max(1, Math.round(bytes.length / 1024))} KiB)`;
      this.links.push(link.href);
      const item = document.createElement('li');
      item.append(link);
      return item;
    });
    this.part('.downloads ul').replaceChildren(...items);
    this.part('.downloads').hidden = items.length === 0;
  }

  /// Ends the run after the current step; at once if it has not begun, or when called again.
  stop() {
    if (this.steps === null || this.isStopping) {
      this.say(`Stopped: ${this.place}`);
      this.finish();
      return;
    }
    this.isStopping = true;
    this.worker.postMessage('stop');
    this.part('.stop').textContent = 'Stop at once, without files';
  }

  /// Removes the run from the page.
  remove() {
    this.worker.terminate();
    this.links.forEach((link) => URL.revokeObjectURL(link));
    this.panel.remove();
  }

  /// Draws the heat maps with the colours of `ranges`, and the numbers.
  draw(ranges) {
    Object.entries(this.maps ?? {}).forEach(([key, map]) => ranges[key] && map.columns.length && map.draw(ranges[key]));
    this.part('dl').replaceChildren(...Object.entries(this.facts ?? {}).map(([term, value]) => {
      const pair = document.createElement('div');
      const [dt, dd] = [document.createElement('dt'), document.createElement('dd')];
      [dt.textContent, dd.textContent] = [term, value];
      pair.append(dt, dd);
      return pair;
    }));
  }
}
