// Small files in the formats that the page reads.

import { crc32, deflateSync, gzipSync } from 'node:zlib';

const words = (...values) => {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32BE(value, 4 * i));
  return bytes;
};

/// A byte of example `i` of class `label`: bright rows that depend on the class, on noise.
const pixel = (i, label, at, width) => (Math.floor(at / width) % 10 === label ? 200 : 40) + ((i * 31 + at * 17) % 29);

/// The four files of a set of N and M images of 32x32 in IDX, compressed.
export function idx(train, test) {
  const part = (prefix, count) => {
    const labels = Buffer.from(Array.from({ length: count }, (_, i) => i % 10));
    const images = Buffer.alloc(count * 1024);
    labels.forEach((label, i) => { for (let at = 0; at < 1024; at++) images[i * 1024 + at] = pixel(i, label, at, 32); });
    return [
      { name: `${prefix}-images-idx3-ubyte.gz`, bytes: gzipSync(Buffer.concat([words(0x803, count, 32, 32), images])) },
      { name: `${prefix}-labels-idx1-ubyte.gz`, bytes: gzipSync(Buffer.concat([words(0x801, count), labels])) },
    ];
  };
  return [...part('train', train), ...part('t10k', test)];
}

/// The six files of CIFAR-10, with `count` records each.
export function cifar(count) {
  const record = (i) => Buffer.from([i % 10, ...Array.from({ length: 3072 }, (_, at) => pixel(i, i % 10, at % 1024, 32))]);
  const bytes = Buffer.concat(Array.from({ length: count }, (_, i) => record(i)));
  return [...[1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), 'test_batch.bin'].map((name) => ({ name, bytes }));
}

/// A PNG of `side` x `side` pixels; `colour(x, y)` is red, green and blue.
function png(side, colour) {
  const chunk = (type, content) => {
    const body = Buffer.concat([Buffer.from(type), content]);
    return Buffer.concat([words(content.length), body, words(crc32(body))]);
  };
  const rows = Buffer.concat(Array.from({ length: side }, (_, y) => Buffer.from([
    0, ...Array.from({ length: side }, (_, x) => colour(x, y)).flat(),
  ])));
  const header = Buffer.concat([words(side, side), Buffer.from([8, 2, 0, 0, 0])]);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/// A folder of images for each of three classes.
export function folder(perClass) {
  const classes = ['across', 'down', 'neither'];
  return classes.flatMap((name, label) => Array.from({ length: perClass }, (_, i) => {
    const stripe = (x, y) => [Math.floor(y / 4) % 2, Math.floor(x / 4) % 2, 0.5][label];
    const noise = (x, y) => (x * 13 + y * 7 + i * 37) % 50;
    const colour = (x, y) => [0, 1, 2].map((c) => Math.floor(190 * stripe(x + i, y + i)) + noise(x + c, y));
    return { name: `pictures/${name}/${i}.png`, bytes: png(40, colour) };
  }));
}
