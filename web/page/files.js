// The files that the visitor drops or picks.

/// What each data set expects, and the names by which its files are recognised.
const EXPECTED = {
  'fashion-mnist': ['the four IDX files of Fashion-MNIST, such as train-images-idx3-ubyte.gz, plain or .gz', /idx[13]-ubyte/],
  mnist: ['the four IDX files of MNIST, such as train-images-idx3-ubyte.gz, plain or .gz', /idx[13]-ubyte/],
  cifar10: ['data_batch_1.bin to data_batch_5.bin and test_batch.bin of CIFAR-10’s binary version', /(data|test)_batch.*\.bin/],
  cifar100: ['train.bin and test.bin of CIFAR-100’s binary version', /^(train|test)\.bin/],
  imagefolder: ['a folder with a folder of images for each class, or with train/CLASS and test/CLASS', null],
};

const IMAGE = /\.(bmp|dib|gif|jfif|jpe|jpeg|jpg|png|tif|tiff|webp)$/i;

const baseName = (path) => path.split('/').at(-1);

/// The data set that files most likely belong to, or `chosen` if that is as likely.
function recognised(files, chosen) {
  const fits = (name) => EXPECTED[name][1] !== null && files.some(({ path }) => EXPECTED[name][1].test(baseName(path)));
  const found = Object.keys(EXPECTED).filter(fits);
  if (found.includes(chosen)) {
    return chosen;
  }
  return found[0] ?? (files.some(({ path }) => IMAGE.test(path)) ? 'imagefolder' : chosen);
}

/// The files in what was dropped, folders included, with their paths.
async function dropped(items) {
  // Items are gone after the first wait.
  const given = [...items].filter(({ kind }) => kind === 'file')
    .map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const found = given.filter(({ entry }) => !entry).map(({ file }) => ({ path: file.name, file }));
  const add = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
      found.push({ path: entry.fullPath.replace(/^\//, ''), file });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // A call returns some of the entries, and none at the end.
      const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
      if (some.length === 0) {
        return;
      }
      await Promise.all(some.map(add));
    }
  };
  await Promise.all(given.map(({ entry }) => entry).filter(Boolean).map(add));
  return found;
}

export class Given {
  constructor(form) {
    this.form = form;
    this.files = [];
    this.drop = document.getElementById('drop');
    this.select = form.elements.data;
    this.select.addEventListener('change', () => this.show());
    for (const id of ['files', 'folder']) {
      const input = document.getElementById(id);
      input.addEventListener('change', () => {
        this.take([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
        input.value = '';
      });
    }
    const over = (event) => {
      event.preventDefault();
      this.drop.classList.toggle('over', event.type === 'dragover');
    };
    // Files may be dropped anywhere on the page.
    ['dragover', 'dragleave'].forEach((type) => document.addEventListener(type, over));
    document.addEventListener('drop', async (event) => {
      over(event);
      try {
        this.take(await dropped(event.dataTransfer.items));
      } catch (fault) {
        this.say(`The files could not be read: ${fault.message}`);
      }
    });
    this.show();
  }

  say(text) {
    document.getElementById('given').textContent = text;
  }

  /// Takes files in place of the earlier ones.
  take(files) {
    if (files.length === 0) {
      return;
    }
    this.files = files.sort((a, b) => (a.path < b.path ? -1 : 1));
    this.select.value = recognised(files, this.select.value);
    this.show();
    const named = files.slice(0, 4).map(({ path }) => path).join(', ');
    this.say(`${files.length} ${files.length === 1 ? 'file' : 'files'}: ${named}${files.length > 4 ? ', …' : ''}`);
  }

  /// Shows the controls of the chosen data set.
  show() {
    const [expected] = EXPECTED[this.select.value] ?? [];
    this.drop.hidden = expected === undefined;
    document.querySelector('.own-images').hidden = this.select.value !== 'imagefolder';
    document.getElementById('expected').textContent = `Expected: ${expected}.`;
  }

  /// What a worker gets: the files, and the side that images are cropped to, or null.
  job() {
    const name = this.select.value;
    if (EXPECTED[name] === undefined) {
      return { files: [], side: null };
    }
    if (name !== 'imagefolder') {
      return { files: this.files.map(({ path, file }) => ({ path: baseName(path), file })), side: null };
    }
    const side = Number(this.form.elements['image-size'].value);
    return { files: this.files.filter(({ path }) => IMAGE.test(path)), side };
  }

  /// Why the chosen data set cannot be read; null if nothing speaks against it.
  fault() {
    const expected = EXPECTED[this.select.value];
    return expected !== undefined && this.files.length === 0 ? `Drop or pick files first: ${expected[0]}.` : null;
  }
}
