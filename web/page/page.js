// The page: options, runs side by side, curves.

import { draw } from './chart.js';
import { Given } from './files.js';
import { Run } from './run.js';

const form = document.getElementById('options');
const status = document.getElementById('status');
const given = new Given(form);
/// The first run and the one beside it.
const runs = [];

/// The directory in which the engine finds the given files.
const GIVEN = 'given';

/// The options of a run, with the sections and keys of config.toml.
function options() {
  const text = (name) => form.elements[name].value;
  const value = (name) => Number(text(name));
  const data = { name: text('data'), validation: value('validation') };
  if (text('train-examples') !== '') {
    data['train-examples'] = value('train-examples');
  }
  if (data.name !== 'shapes') {
    data['data-dir'] = GIVEN;
  }
  if (data.name === 'imagefolder') {
    data['image-size'] = value('image-size');
  }
  const curriculum = { method: text('method') };
  if (text('first') !== '' || text('last') !== '') {
    const [first, last] = [text('first') || text('eta'), text('last') || String(value('eta') * 1e-4)];
    curriculum.range = `${first}..${last}`;
  }
  if (text('k') !== '') {
    curriculum.k = value('k');
  }
  return {
    data,
    model: { name: text('model') },
    training: {
      epochs: value('epochs'), 'batch-size': value('batch-size'), seed: value('seed'), 'log-every': value('log-every'),
    },
    optimizer: { eta: value('eta') },
    curriculum,
  };
}

/// Starts a run as the one at `place`: 0 is the first, 1 the one beside it.
function start(place) {
  const fault = given.fault();
  status.textContent = fault ?? '';
  if (fault !== null || !form.reportValidity()) {
    return;
  }
  const chosen = options();
  const letter = 'AB'[place];
  const title = `${letter}: ${chosen.curriculum.method}, ${chosen.model.name} on ${chosen.data.name}, seed ${chosen.training.seed}`;
  runs.splice(place).forEach((run) => run.remove());
  const job = { options: chosen, ...given.job() };
  const run = new Run({ name: letter, style: place === 0 ? 'first' : 'second', title, job, changed: onChange });
  runs.push(run);
  document.getElementById('runs').append(run.panel);
  document.getElementById('beside').disabled = false;
  onChange(run);
}

function onChange(run) {
  if (run.isOver && !run.isAnnounced) {
    run.isAnnounced = true;
    status.textContent = `Run ${run.name}: ${run.place}`;
  }
  drawSoon();
}

let isDrawn = true;

/// Draws once per frame, however much was reported.
function drawSoon() {
  if (isDrawn) {
    isDrawn = false;
    requestAnimationFrame(() => {
      isDrawn = true;
      drawAll();
    });
  }
}

/// The smallest and the largest value of a heat map over all runs, so that colours mean the same.
function sharedRange(key) {
  const found = runs.map((run) => run.maps?.[key].range()).filter(Boolean);
  return found.length === 0 ? null : [Math.min(...found.map(([low]) => low)), Math.max(...found.map(([, high]) => high))];
}

function drawAll() {
  const curves = (key) => runs.map(({ name, style, line, dots }) => ({ name, style, line: line[key], dots: dots[key] ?? [] }));
  document.getElementById('curves').hidden = !runs.some((run) => run.line.loss.length > 0);
  draw(document.getElementById('loss'), curves('loss'), { title: 'Training loss by epoch', xLabel: 'epoch' });
  draw(document.getElementById('accuracy'), curves('score'), { title: 'Accuracy by epoch', xLabel: 'epoch', percent: true });
  const ranges = { rates: sharedRange('rates'), changes: sharedRange('changes') };
  runs.forEach((run) => run.draw(ranges));
}

function refuse(reason) {
  document.getElementById('unsupported').hidden = false;
  document.getElementById('reason').textContent = reason;
  document.getElementById('adapter').hidden = true;
  document.querySelector('main').hidden = true;
}

/// Tells the adapter's name, as far as the browser tells it.
async function greet() {
  if (navigator.gpu === undefined) {
    const how = window.isSecureContext ? 'This browser has no WebGPU.' : 'Browsers offer WebGPU only on https:// and on localhost.';
    return refuse(how);
  }
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) {
    return refuse('This browser has WebGPU, but offers no GPU to it. The driver may be missing, or blocked by the browser.');
  }
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(' ') || 'the browser does not tell its name';
  const slow = isFallbackAdapter ? ' It computes on the processor: expect it to be slow.' : '';
  document.getElementById('adapter').textContent = `GPU: ${name}.${slow}`;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  start(0);
});
document.getElementById('beside').addEventListener('click', () => start(1));
window.addEventListener('resize', drawSoon);
greet().catch((fault) => refuse(fault.message));
// Tests lose the device of a run on purpose.
window.lerac = { runs };
