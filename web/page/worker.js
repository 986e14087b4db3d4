// Runs the engine off the page's thread: one worker trains one run.

import init, { Engine, addFile, addImage } from './lerac.js';

let engine = null;

/// Copies a file into the engine. Images are decoded by the browser and cropped to `side` pixels.
async function give({ path, file }, side) {
  if (side === null) {
    addFile(path, new Uint8Array(await file.arrayBuffer()));
    return;
  }
  let picture;
  try {
    picture = await createImageBitmap(file, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  } catch (fault) {
    throw new Error(`${path}: this browser cannot decode the image (${fault.message}); repair or remove it`);
  }
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  picture.close();
  addImage(path, width, height, context.getImageData(0, 0, width, height).data, side);
}

async function train({ options, files, side }) {
  await init({ module_or_path: new URL('lerac_bg.wasm', import.meta.url) });
  let done = 0;
  for (const file of files) {
    await give(file, side);
    done += 1;
    if (done === files.length || done % 50 === 0) {
      postMessage({ event: { kind: 'reading', part: 'given files', done, examples: files.length } });
    }
  }
  engine = await Engine.open();
  postMessage({ event: { kind: 'opened' } });
  const [text, fault, contents] = await engine.train(JSON.stringify(options), (event) => {
    postMessage({ event: JSON.parse(event) });
  });
  postMessage({ ended: { text, fault, files: contents } });
}

onmessage = ({ data }) => {
  if (data.train !== undefined) {
    train(data.train).catch((fault) => postMessage({ failed: fault.message ?? String(fault) }));
  } else if (data === 'stop') {
    engine?.stop();
  } else if (data === 'lose') {
    engine?.lose();
  }
};
