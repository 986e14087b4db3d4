// node browser.mjs CHROMIUM PROGRAMS [FILTER]: the page of web/dist in headless Chromium on SwiftShader.
// PROGRAMS is the directory of `lerac`, and of `native`, which trains natively as the page does. Run by
// scripts/check-web.sh, from the root of the repository.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cifar, folder, idx } from './files.mjs';
import { compileAll } from './kernels.mjs';
import { serve } from './server.mjs';

const { chromium } = createRequire(join(process.env.NODE_PATH, 'here.js'))('playwright-core');
const [executablePath, programs, filter = ''] = process.argv.slice(2);
const OUT = 'out/web';
const MOST_KB = 900;
const TOLERANCE = 1e-3;

await mkdir(OUT, { recursive: true });
const { server, address } = await serve('web/dist');
const browser = await chromium.launch({
  executablePath, args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader',
    // SwiftShader may compile a kernel for longer than the browser waits for a GPU.
    '--disable-gpu-watchdog'],
});

/// A page on the given screen. Anything that it prints or asks from elsewhere is kept.
async function open({ width = 1280, dark = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: dark ? 'dark' : 'light' });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => page.complaints.push(message.text()));
  page.on('pageerror', (fault) => page.complaints.push(fault.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !/^(data|blob):/.test(request.url())) {
      page.complaints.push(`asked for ${request.url()}`);
    }
  });
  await page.goto(address);
  await page.waitForFunction(() => !document.getElementById('adapter').textContent.startsWith('Looking'));
  return page;
}

async function fill(page, values) {
  for (const [name, value] of Object.entries(values)) {
    const control = page.locator(`[name="${name}"]`);
    await (await control.evaluate((element) => element.tagName) === 'SELECT' ? control.selectOption(value) : control.fill(String(value)));
  }
}

/// What a run of the page shows and has recorded.
const state = (page, place) => page.evaluate((place) => {
  const run = window.lerac.runs[place];
  const fault = run.part('.fault');
  return {
    isOver: run.isOver, place: run.place, steps: run.steps, fault: fault.hidden ? null : fault.textContent,
    losses: run.line.loss.map(([, loss]) => loss), facts: run.facts,
    files: [...run.panel.querySelectorAll('.downloads a')].map((link) => link.download),
    notes: [...run.panel.querySelectorAll('.notes li')].map((item) => item.textContent),
  };
}, place);

async function ended(page, place = 0) {
  await page.waitForFunction((place) => window.lerac.runs[place].isOver, place, { timeout: 240_000 });
  return state(page, place);
}

const stepsDone = (page, place, count) => page.waitForFunction(
  ([place, count]) => window.lerac.runs[place].line.loss.length >= count, [place, count], { timeout: 240_000 },
);

async function download(page, name) {
  const [file] = await Promise.all([
    page.waitForEvent('download'), page.locator(`.downloads a[download="${name}"]`).first().click(),
  ]);
  return readFile(await file.path());
}

/// What a native program prints.
const print = (program, options, environment = {}) => execFileSync(join(programs, program), options, {
  encoding: 'utf8', env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28,
});

/// The intervals of a native run of these options.
function trainNatively(options) {
  const events = print('native', [JSON.stringify(options)]).trim().split('\n').map((line) => JSON.parse(line));
  return events.filter(({ kind }) => kind === 'interval');
}

const summaryOf = async (dir) => JSON.parse(await readFile(join(dir, 'summary.json'), 'utf8'));

/// The median time of a step, in words.
async function stepTime(run) {
  const rows = (await readFile(join(OUT, run, 'speed.csv'), 'utf8')).trim().split('\n').slice(1);
  const speeds = rows.map((row) => Number(row.split(',')[1])).sort((a, b) => a - b);
  return `${(1e3 * SMALL['batch-size'] / speeds[Math.floor(speeds.length / 2)]).toFixed(0)} ms`;
}

/// The native program repeats the run in `dir` from its config.toml. Its summary.
async function repeated(dir, out, environment) {
  await rm(out, { recursive: true, force: true });
  print('lerac', ['train', '--config', join(dir, 'config.toml'), '--quiet', '--out', out], environment);
  return summaryOf(out);
}

function assertClose(found, expected, what) {
  assert.equal(found.length, expected.length, `${what}: number of losses`);
  const worst = Math.max(...found.map((loss, i) => Math.abs(loss - expected[i])));
  console.log(`    ${what}: ${found.length} losses from ${found[0].toFixed(4)} to ${found.at(-1).toFixed(4)}, at most ${worst.toExponential(1)} apart`);
  assert.ok(worst <= TOLERANCE, `${what}: losses ${worst} apart, at most ${TOLERANCE}`);
}

/// Files on disk, for the native program and for the page's inputs.
async function onDisk(name, files) {
  const dir = join(OUT, name);
  await rm(dir, { recursive: true, force: true });
  for (const file of files) {
    await mkdir(dirname(join(dir, file.name)), { recursive: true });
    await writeFile(join(dir, file.name), file.bytes);
  }
  return dir;
}

const SMALL = { epochs: 1, 'batch-size': 16, 'train-examples': 640, validation: 100, 'log-every': 1 };
const OPTIONS = {
  data: { name: 'shapes', validation: 100, 'train-examples': 640 },
  model: { name: 'cnn' },
  training: { epochs: 1, 'batch-size': 16, seed: 0, 'log-every': 1 },
  optimizer: { eta: 0.05 },
  curriculum: { method: 'lerac' },
};

const tests = {
  async 'the page is small, accessible, and fits screens of 360 to 1600 pixels'() {
    const names = await readdir('web/dist');
    const sizes = await Promise.all(names.map(async (name) => gzipSync(await readFile(join('web/dist', name)), { level: 9 }).length));
    const all = sizes.reduce((sum, size) => sum + size, 0) / 1000;
    console.log(`    ${all.toFixed(0)} KB as gzip`);
    assert.ok(all < MOST_KB, `${all} KB`);
    for (const [width, dark] of [[360, false], [360, true], [1600, false]]) {
      const page = await open({ width, dark });
      const { nameless, scrolls } = await page.evaluate(() => ({
        nameless: [...document.querySelectorAll('input, select, button')]
          .filter((element) => !element.ariaLabel && !element.labels?.length && !element.textContent.trim()).map((e) => e.outerHTML),
        scrolls: document.documentElement.scrollWidth > window.innerWidth,
      }));
      assert.deepEqual(nameless, []);
      assert.ok(!scrolls, `the page is wider than ${width} pixels`);
      assert.deepEqual(page.complaints, []);
      await page.context().close();
    }
  },

  async 'a browser without WebGPU gets an explanation'() {
    const page = await (await browser.newContext()).newPage();
    await page.addInitScript(() => Object.defineProperty(navigator, 'gpu', { value: undefined }));
    await page.goto(address);
    await page.waitForSelector('#unsupported:not([hidden])');
    assert.match(await page.textContent('#reason'), /no WebGPU/);
    assert.ok(!await page.isVisible('#train'));
    await page.context().close();
  },

  async 'losses equal native ones, and the files are those of a native run'() {
    const page = await open();
    await fill(page, SMALL);
    await page.locator('#train').focus();
    await page.keyboard.press('Enter');
    const run = await ended(page);
    assert.equal(run.fault, null);
    const expected = trainNatively(OPTIONS);
    assertClose(run.losses, expected.map(({ loss }) => loss), 'cnn on shapes');
    assert.equal(run.losses.length, 40);
    assert.deepEqual(run.files, ['config.toml', 'metrics.csv', 'layers.csv', 'speed.csv', 'model.safetensors', 'predictions.csv', 'summary.json']);
    await rm(join(OUT, 'run'), { recursive: true, force: true });
    await mkdir(join(OUT, 'run'), { recursive: true });
    for (const name of run.files) {
      await writeFile(join(OUT, 'run', name), await download(page, name));
    }
    assert.deepEqual(page.complaints, []);
    await page.context().close();
    const summary = await summaryOf(join(OUT, 'run'));
    const accuracy = `test accuracy ${(100 * summary.test_accuracy).toFixed(2)} %`;
    const evaluated = print('lerac', ['eval', '--config', join(OUT, 'run/config.toml'), '--init', join(OUT, 'run/model.safetensors')]);
    assert.ok(evaluated.startsWith(accuracy), `${accuracy} in the page, natively ${evaluated}`);
    const again = await repeated(join(OUT, 'run'), join(OUT, 'repeated'));
    assert.equal(again.steps, summary.steps);
    assert.ok(Math.abs(again.test_loss - summary.test_loss) < 1e-2, `${again.test_loss}, ${summary.test_loss}`);
    const driver = join(dirname(realpathSync(executablePath)), '../lib/chromium/vk_swiftshader_icd.json');
    if (existsSync(driver)) {
      const environment = { VK_ICD_FILENAMES: driver };
      await repeated(join(OUT, 'run'), join(OUT, 'on-swiftshader'), environment);
      const [here, there] = await Promise.all(['run', 'on-swiftshader'].map(stepTime));
      console.log(`    a step takes ${here} in the page, ${there} natively on SwiftShader`);
    }
  },

  async 'two runs train side by side, and the page shows both'() {
    const page = await open({ width: 1600 });
    await fill(page, { ...SMALL, 'train-examples': 320, method: 'lerac' });
    await page.click('#train');
    await stepsDone(page, 0, 1);
    await fill(page, { method: 'conventional' });
    await page.click('#beside');
    const both = [await ended(page, 0), await ended(page, 1)];
    both.forEach((run) => assert.equal(run.fault, null));
    const of = (method) => trainNatively({ ...OPTIONS, data: { ...OPTIONS.data, 'train-examples': 320 }, curriculum: { method } });
    ['lerac', 'conventional'].forEach((method, i) => assertClose(both[i].losses, of(method).map(({ loss }) => loss), method));
    assert.equal(await page.locator('#loss polyline').count(), 2);
    assert.equal(await page.locator('article canvas').count(), 4);
    await page.locator('.rates canvas').first().focus();
    await page.keyboard.press('ArrowLeft');
    assert.match(await page.locator('.rates .readout').first().textContent(), /^conv1, epoch [\d.]+: 0\.05$/);
    await page.screenshot({ path: join(OUT, 'two-runs-1600.png'), fullPage: true });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 360, height: 800 });
    await page.locator('summary').first().click();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    await page.screenshot({ path: join(OUT, 'two-runs-360-dark.png'), fullPage: true });
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  },

  async 'a run is cancelled, and its tables can be saved'() {
    const page = await open();
    await fill(page, { ...SMALL, epochs: 1000, k: 1 });
    await page.click('#train');
    await stepsDone(page, 0, 3);
    await page.click('.stop');
    const run = await ended(page);
    assert.match(run.place, /^Stopped: interrupted after step \d+ of 40000/);
    assert.deepEqual([run.fault, run.files], [null, ['config.toml', 'metrics.csv', 'layers.csv', 'speed.csv']]);
    const rows = (await download(page, 'metrics.csv')).toString().trim().split('\n');
    assert.equal(rows.length, 1 + run.losses.length);
    await page.context().close();
  },

  async 'the loss of the device is reported'() {
    const page = await open();
    await fill(page, { ...SMALL, epochs: 1000, k: 1 });
    await page.click('#train');
    await stepsDone(page, 0, 2);
    await page.evaluate(() => window.lerac.runs[0].worker.postMessage('lose'));
    const run = await ended(page);
    assert.match(run.fault, /the device was lost/);
    await page.context().close();
  },

  async 'broken files and bad options are refused by name'() {
    const page = await open();
    await fill(page, { ...SMALL, 'train-examples': '', validation: 0 });
    const files = idx(64, 20);
    const give = (given) => page.setInputFiles('#files', given.map(({ name, bytes }) => ({ name, buffer: bytes, mimeType: '' })));
    const fault = async () => {
      await page.click('#train');
      return (await ended(page)).fault;
    };
    const cut = files.map((file, i) => (i === 0 ? { ...file, bytes: file.bytes.subarray(0, 900) } : file));
    await give(cut);
    assert.equal(await page.inputValue('[name=data]'), 'fashion-mnist');
    assert.match(await fault(), /given\/train-images-idx3-ubyte\.gz, byte \d+: .*(damaged|ends here)/);
    await give(files.slice(0, 3));
    assert.match(await fault(), /t10k-labels-idx1-ubyte/);
    await page.evaluate(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(['<html>'], 'data_batch_1.bin'));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    });
    await page.waitForFunction(() => document.getElementById('given').textContent === '1 file: data_batch_1.bin');
    assert.equal(await page.inputValue('[name=data]'), 'cifar10');
    assert.match(await fault(), /data_batch_1\.bin.*expected records of 3073 bytes/);
    await fill(page, { data: 'shapes', 'batch-size': 5000 });
    assert.match(await fault(), /batch_size: 5000 does not fit/);
    await fill(page, { 'batch-size': 16, k: 7 });
    assert.match(await fault(), /k: 7 epochs of curriculum do not fit/);
    const broken = folder(4);
    broken[2].bytes = Buffer.from('no image');
    await page.setInputFiles('#folder', join(await onDisk('broken', broken), 'pictures'));
    assert.equal(await page.inputValue('[name=data]'), 'imagefolder');
    await fill(page, { k: '' });
    assert.match(await fault(), /pictures\/across\/2\.png: this browser cannot decode the image/);
    await page.context().close();
  },

  async 'given files train as they do natively'() {
    const page = await open();
    const compare = async (name, more) => {
      await fill(page, { ...SMALL, 'train-examples': '', validation: 0 });
      await page.click('#train');
      const run = await ended(page);
      assert.equal(run.fault, null);
      const data = { name, validation: 0, 'data-dir': join(OUT, name), ...more };
      assertClose(run.losses, trainNatively({ ...OPTIONS, data }).map(({ loss }) => loss), name);
      return run;
    };
    const inMemory = async (name, files) => {
      await onDisk(name, files);
      await page.setInputFiles('#files', files.map((file) => ({ name: file.name, buffer: file.bytes, mimeType: '' })));
      return compare(name, {});
    };
    await inMemory('fashion-mnist', idx(160, 40));
    const config = (await download(page, 'config.toml')).toString();
    assert.match(config, /lerac train --config config\.toml --data-dir DIRECTORY/);
    assert.ok(!config.includes('data-dir ='));
    await inMemory('cifar10', cifar(32));
    await page.setInputFiles('#folder', join(await onDisk('imagefolder', folder(30)), 'pictures'));
    const run = await compare('imagefolder', { 'image-size': 32 });
    assert.ok(run.notes.some((note) => note.includes('a fifth of the images of each is the test set')), run.notes.join());
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  },

  async 'Chromium compiles every kernel of browsers'() {
    const page = await open();
    console.log(`    ${await compileAll(page, join(OUT, 'kernels'))} kernels`);
    await page.context().close();
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests).filter(([name]) => name.includes(filter))) {
  const began = Date.now();
  try {
    await test();
    console.log(`ok    ${name} (${((Date.now() - began) / 1000).toFixed(0)} s)`);
  } catch (fault) {
    failed += 1;
    console.log(`FAILED  ${name}\n${fault.stack}`);
  }
}
await browser.close();
server.close();
process.exitCode = failed === 0 ? 0 : 1;
