// Every kernel of a directory in the browser's WGSL compiler.

import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const BATCH = 200;

/// Kernels that a compiler must refuse, so that the check is known to see faults.
const BAD = [
  'fn broken( {',
  '@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n@compute @workgroup_size(64) fn main() { x[0] = 1u; }',
  '@compute @workgroup_size(64) fn main() { undefined_function(); }',
  '@group(0) @binding(0) var<storage, read> x: array<f32>;\n@compute @workgroup_size(1) fn main() { x[0] = 1.0; }',
];

/// The messages of the browser's compiler about each of `texts`.
async function compiled(page, texts) {
  return page.evaluate(async (texts) => {
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    device.onuncapturederror = (event) => event.preventDefault();
    const found = await Promise.all(texts.map(async (code) => {
      const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
      return messages.map(({ type, lineNum, message }) => `${type} in line ${lineNum}: ${message}`);
    }));
    device.destroy();
    return found;
  }, texts);
}

/// Compiles the files of `dir`. Throws for messages, errors and warnings alike, and if a bad kernel passes.
export async function compileAll(page, dir) {
  const refused = await compiled(page, BAD);
  refused.forEach((messages, i) => {
    if (!messages.some((message) => message.startsWith('error'))) {
      throw new Error(`the compiler accepts bad kernel ${i}, so the check sees nothing`);
    }
  });
  const names = (await readdir(dir)).filter((name) => name.endsWith('.wgsl')).sort();
  if (names.length < 1000) {
    throw new Error(`expected more than 1000 kernels in ${dir}, found ${names.length}`);
  }
  const faults = [];
  for (let start = 0; start < names.length; start += BATCH) {
    const batch = names.slice(start, start + BATCH);
    const texts = await Promise.all(batch.map((name) => readFile(join(dir, name), 'utf8')));
    (await compiled(page, texts)).forEach((messages, i) => faults.push(...messages.map((text) => `${batch[i]}: ${text}`)));
  }
  if (faults.length > 0) {
    const kinds = new Set(faults.map((text) => text.replace(/^[^:]*: /, '')));
    throw new Error(`${faults.length} messages about kernels, ${[...kinds].slice(0, 10).join('; ')}:\n${faults.slice(0, 20).join('\n')}`);
  }
  return names.length;
}
