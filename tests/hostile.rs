//! Files made to do harm: no parser panics, hangs, or takes more memory than a multiple of the file's length, and every fault is
//! told with the file and the place. Each parser gets `LERAC_CASES` inputs (2,000 unless said), mutants of whole files and of those
//! mutants that were accepted or refused for a new reason; the generator's seed is fixed, so the same number gives the same inputs.
//! What fails is printed as hex and kept in the system's temporary directory.

use flate2::Compression;
use flate2::write::GzEncoder;
use lerac::curriculum::{DuringCurriculum, PlateauState};
use lerac::data;
use lerac::error::{Error, Result};
use lerac::tape::{Choices, Variant};
use lerac::train::{
    BestEpoch, Checkpoint, Config, Method, Standing, Tensor, Totals, Written, read_safetensors, write_safetensors,
};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use safetensors::tensor::Metadata;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

// ---- memory ----

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread holds. Where memory is made larger, the old and the new count at once.
struct Counting;

impl Counting {
    fn grow(bytes: usize) {
        LIVE.set(LIVE.get().wrapping_add(bytes));
        PEAK.set(PEAK.get().max(LIVE.get()));
    }

    fn shrink(bytes: usize) {
        // What another thread allocated was not counted here.
        LIVE.set(LIVE.get().saturating_sub(bytes));
    }
}

// SAFETY: every call goes to the system's allocator as it came; the counters beside it need no memory.
#[allow(unsafe_code, reason = "an allocator cannot be had without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::shrink(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::grow(size);
        let moved = unsafe { System.realloc(pointer, layout, size) };
        Self::shrink(layout.size());
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives, and the most bytes that it held at once.
fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().saturating_sub(before))
}

// ---- parsers and their limits ----

/// What a parser may take: so many bytes a byte of input, and so many more.
#[derive(Clone, Copy)]
struct Limit {
    multiple: usize,
    constant: usize,
}

impl Limit {
    fn of(self, length: usize) -> usize {
        self.multiple * length + self.constant
    }

    #[track_caller]
    fn assert(self, what: &str, length: usize, peak: usize) {
        let Self { multiple, constant } = self;
        assert!(peak <= self.of(length), "{what}: {peak} bytes for {length}, over {multiple} a byte and {constant}");
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Buffers, the decompressor's window, and messages.
const SMALL: usize = 128 * KIB;

/// Plain IDX: the bytes themselves.
const IDX: Limit = Limit { multiple: 1, constant: SMALL };
/// Gzip: three times what a file may unfold to, since a vector that grows is held twice.
const GZIP: Limit = Limit { multiple: 3 * 64, constant: 3 * 16 * MIB + SMALL };
/// CIFAR: the images and labels.
const CIFAR: Limit = Limit { multiple: 1, constant: SMALL };
/// Lists of image folders: a name of a byte is a string and a place in a set.
const LISTS: Limit = Limit { multiple: 128, constant: SMALL };
/// Image files: whatever a header may claim below the decoder's limit, as coefficients, as pixels, as RGB, and turned.
const PICTURE: Limit = Limit { multiple: 16, constant: 5 * 256 * MIB };
/// Caches of images: one image at a time and the indices of the bad ones, and buffers of what is made again.
const CACHE: Limit = Limit { multiple: 2, constant: SMALL };
/// Checkpoints and weights: numbers of a shape take two bytes there and many more as JSON that is being sorted out.
const CHECKPOINT: Limit = Limit { multiple: 64, constant: SMALL };
/// TOML: its keys are short and its trees are not.
#[cfg(feature = "cli")]
const CONFIG: Limit = Limit { multiple: 256, constant: SMALL };
/// Tables: a field takes a byte or two there.
#[cfg(feature = "cli")]
const TABLES: Limit = Limit { multiple: 64, constant: SMALL };
/// Tuned kernels: a task of a short name takes a few bytes there, and a place in a tree.
#[cfg(feature = "cli")]
const KERNELS: Limit = Limit { multiple: 64, constant: SMALL };

/// Elements where a vector has just been made larger, and is at its emptiest.
const JUST_OVER: usize = (1 << 17) + 1;

/// The name that parsers are told.
const FILE: &str = "dir/file";

// ---- mutation ----

/// No input is longer.
const LONGEST: usize = 12 * KIB;

/// Inputs that mutants are made of, at most.
const MOST_KEPT: usize = 512;

/// Makes inputs of inputs.
struct Mutator {
    rng: ChaCha8Rng,
    /// What the format is made of; where it is text, edits go by token.
    tokens: Vec<Vec<u8>>,
}

/// Where the words, spaces and single signs of a text begin, and where it ends.
fn token_bounds(text: &[u8]) -> Vec<usize> {
    let kind = |byte: u8| match byte {
        b'_' | b'-' | b'.' | b'+' => 0,
        _ if byte.is_ascii_alphanumeric() => 0,
        b' ' => 1,
        _ => 2,
    };
    let inner = text.windows(2).enumerate().filter(|(_, pair)| kind(pair[0]) != kind(pair[1]) || kind(pair[0]) == 2);
    std::iter::once(0).chain(inner.map(|(i, _)| i + 1)).chain([text.len()]).collect()
}

/// Where lines begin, and where the last ends.
fn line_bounds(text: &[u8]) -> Vec<usize> {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(i, _)| i + 1);
    let mut bounds: Vec<usize> = std::iter::once(0).chain(ends).chain([text.len()]).collect();
    bounds.dedup();
    bounds
}

const NUMBERS: [u64; 18] = [
    0,
    1,
    2,
    9,
    10,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

impl Mutator {
    /// A place in 0..=length.
    fn place(&mut self, length: usize) -> usize {
        self.rng.random_range(0..=length)
    }

    /// Those of lines, where a text has several, or of tokens.
    fn bounds(&mut self, text: &[u8]) -> Vec<usize> {
        let lines = line_bounds(text);
        if lines.len() > 3 && self.rng.random() { lines } else { token_bounds(text) }
    }

    /// A piece between two of `bounds` that lie near each other.
    fn piece(&mut self, bounds: &[usize]) -> std::ops::Range<usize> {
        let first = self.rng.random_range(0..bounds.len());
        let last = (first + self.rng.random_range(1..=3)).min(bounds.len() - 1);
        bounds[first]..bounds[last]
    }

    /// A number worth trying in or beside a file of `length` bytes.
    fn number(&mut self, length: usize) -> u64 {
        let near = length as u64;
        match self.rng.random_range(0..4) {
            0 => near.wrapping_sub(self.rng.random_range(0..20)),
            1 => near.wrapping_add(self.rng.random_range(0..20)),
            2 => self.rng.random_range(0..300),
            _ => *NUMBERS.choose(&mut self.rng).expect("there are some"),
        }
    }

    /// A mutant of one of the corpus, whose `first` are the seeds.
    fn mutant(&mut self, corpus: &[Vec<u8>], first: usize) -> Vec<u8> {
        // What was refused is kept too, and is soon the most of the corpus.
        let parents = if self.rng.random() { &corpus[..first] } else { corpus };
        let mut bytes = parents.choose(&mut self.rng).expect("there is a seed").clone();
        let other = corpus.choose(&mut self.rng).expect("there is a seed");
        // Most often one change: what is valid but for one place gets furthest.
        for _ in 0..*[1, 1, 1, 1, 2, 2, 4, 8].choose(&mut self.rng).expect("there are eight") {
            match self.tokens.is_empty() || self.rng.random_range(0..4) == 0 {
                true => self.change_bytes(&mut bytes, other),
                false => self.change_text(&mut bytes, other),
            }
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn change_bytes(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let (length, at) = (bytes.len(), self.place(bytes.len()));
        match self.rng.random_range(0..9) {
            0 if at < length => bytes[at] ^= 1 << self.rng.random_range(0..8),
            1 if at < length => bytes[at] = self.rng.random(),
            2 => bytes.truncate(at),
            3 => {
                let more = self.rng.random_range(0..64);
                bytes.extend((0..more).map(|_| self.rng.random::<u8>()));
            }
            4 => {
                let (begin, end) = (self.place(other.len()), self.place(other.len()));
                bytes.truncate(at);
                bytes.extend_from_slice(&other[begin.min(end)..]);
            }
            5 => {
                let (begin, end) = (self.place(other.len()), self.place(other.len()));
                bytes.splice(at..at, other[begin.min(end)..begin.max(end)].iter().copied());
            }
            6 => {
                let end = (at + self.rng.random_range(1..32)).min(length);
                let times = self.rng.random_range(1..40);
                let chunk = bytes[at..end].repeat(times);
                bytes.splice(at..at, chunk);
            }
            7 => {
                let end = (at + self.rng.random_range(1..32)).min(length);
                bytes.drain(at..end);
            }
            _ => {
                let width = *[1, 2, 4, 8].choose(&mut self.rng).expect("there are four");
                let at = if self.rng.random() { at / 4 * 4 } else { at };
                let number = self.number(length);
                let end = (at + width).min(length);
                let (big, little) = (number.to_be_bytes(), number.to_le_bytes());
                let source = if self.rng.random() { &big[8 - width..] } else { &little[..width] };
                bytes[at..end].copy_from_slice(&source[..end - at]);
            }
        }
    }

    fn change_text(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let bounds = self.bounds(bytes);
        let (piece, target) = (self.piece(&bounds), *bounds.choose(&mut self.rng).expect("there are two"));
        match self.rng.random_range(0..7) {
            0 => drop(bytes.drain(piece)),
            1 => {
                let copy = bytes[piece].to_vec();
                let copies = copy.repeat(1 << self.rng.random_range(0..6));
                bytes.splice(target..target, copies);
            }
            2 => {
                let taken: Vec<u8> = bytes.drain(piece.clone()).collect();
                let target = target.min(bytes.len());
                bytes.splice(target..target, taken);
            }
            3 => {
                let bounds = self.bounds(other);
                let from = self.piece(&bounds);
                bytes.splice(piece, other[from].iter().copied());
            }
            4 => {
                let number = self.number(bytes.len());
                let text = match self.rng.random_range(0..4) {
                    0 => format!("-{number}"),
                    1 => format!("{number}.5"),
                    2 => format!("{number}e{}", self.rng.random_range(-400..400)),
                    _ => number.to_string(),
                };
                bytes.splice(piece, text.into_bytes());
            }
            5 => {
                let token = self.tokens.choose(&mut self.rng).expect("text has tokens").clone();
                bytes.splice(target..target, token);
            }
            _ => {
                let token = self.tokens.choose(&mut self.rng).expect("text has tokens").clone();
                bytes.splice(piece, token);
            }
        }
    }
}

// ---- the run over a parser ----

/// A parser under test.
struct Subject<'a> {
    name: &'a str,
    seeds: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    limit: Limit,
    /// Makes the file of an input.
    file: fn(&[u8]) -> Vec<u8>,
}

fn cases() -> usize {
    std::env::var("LERAC_CASES").map_or(2000, |text| text.parse().expect("LERAC_CASES is a number"))
}

fn keep(name: &str, input: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("lerac-hostile-{}.bin", name.replace(' ', "-")));
    let kept = std::fs::write(&path, input).map_or_else(|error| error.to_string(), |()| path.display().to_string());
    let hex = input.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!("{name}: {} bytes, kept in {kept}: {hex}", input.len())
}

/// Says so on standard error itself, since the test harness keeps what `eprintln` prints in a test that passes.
fn say(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

/// A case that takes ten minutes hangs: the program ends, with its input kept.
fn watch(name: &str) -> Arc<Mutex<(Instant, Vec<u8>)>> {
    let current = Arc::new(Mutex::new((Instant::now(), vec![])));
    let (name, watched) = (name.to_owned(), Arc::downgrade(&current));
    std::thread::spawn(move || {
        while let Some(current) = watched.upgrade() {
            if let Ok(case) = current.lock()
                && case.0.elapsed() > Duration::from_secs(600)
            {
                say(&format!("a case hangs: {}", keep(&name, &case.1)));
                std::process::exit(101);
            }
            drop(current);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    current
}

/// The message without what comes from the input: all from the first quotation to the last, and words with digits in them.
fn shape(text: &str) -> String {
    let quote = ['`', '"'];
    let ends = text.find(quote).zip(text.rfind(quote));
    let (before, behind) = ends.map_or((text, ""), |(first, last)| (&text[..first], &text[last..]));
    let words = [before, behind].into_iter().flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
    let plain = words.filter(|word| !word.is_empty() && !word.contains(|c: char| c.is_ascii_digit()));
    plain.collect::<Vec<_>>().join(" ")
}

/// The error must name a file of [`FILE`]'s directory and a place in it, and be of a length that can be read.
fn check_error(error: &Error, input: &[u8], limit: Limit) -> String {
    let text = error.to_string();
    match error {
        Error::Format { path, offset, message } => {
            assert!(path.starts_with("dir"), "{text}: no path");
            assert!(*offset <= limit.of(input.len()) as u64, "{text}: no place of {} bytes", input.len());
            assert!(!message.is_empty(), "{text}: no message");
        }
        // Whole options of another run.
        Error::Option { option, message } => assert!(option == "dir" && message.contains("other options"), "{text}"),
        _ => panic!("{text}: neither the file nor an option is at fault"),
    }
    text
}

/// Feeds mutants to `parse`; what it accepts must pass `check`.
fn run<T>(subject: Subject<'_>, parse: impl Fn(&[u8]) -> Result<T>, check: impl Fn(T)) {
    let Subject { name, seeds, tokens, limit, file } = subject;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // A stream for each parser.
    rng.set_stream(name.bytes().fold(0, |hash, byte| hash * 31 + u64::from(byte)));
    let mut mutator = Mutator { rng, tokens };
    let current = watch(name);
    let (mut corpus, mut shapes, mut accepted, mut highest) = (seeds, HashSet::new(), 0usize, 0.0f64);
    let (first, total, start) = (corpus.len(), cases(), Instant::now());
    for case in 0..total {
        // The seeds themselves come first, and are whole.
        let input = if case < first { corpus[case].clone() } else { mutator.mutant(&corpus, first) };
        if let Ok(mut current) = current.lock() {
            current.0 = Instant::now();
            current.1.clone_from(&input);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let file = file(&input);
            let (outcome, peak) = measured(|| parse(&file));
            limit.assert(name, file.len(), peak);
            highest = highest.max(100.0 * peak as f64 / limit.of(file.len()) as f64);
            match outcome {
                Ok(value) => {
                    check(value);
                    None
                }
                Err(error) => {
                    assert!(case >= first, "a seed is refused: {error}");
                    Some(shape(&check_error(&error, &file, limit)))
                }
            }
        }));
        let Ok(refusal) = outcome else { panic!("{}", keep(name, &input)) };
        let new = match refusal {
            // Accepted mutants are many; some will do.
            None => {
                accepted += 1;
                case >= first && mutator.rng.random_range(0..16) == 0
            }
            Some(shape) => shapes.insert(shape),
        };
        if new && corpus.len() < MOST_KEPT {
            corpus.push(input);
        } else if new {
            let place = mutator.rng.random_range(first..corpus.len());
            corpus[place] = input;
        }
    }
    let (seconds, share) = (start.elapsed().as_secs_f64(), 100.0 * accepted as f64 / total.max(1) as f64);
    say(&format!(
        "{name}: {total} cases in {seconds:.1} s, {share:.1} % accepted, {} kinds of refusal, {} inputs kept, {highest:.0} % of the \
         memory limit",
        shapes.len(),
        corpus.len()
    ));
}

/// What `read` makes of a file that holds `bytes`, with errors as of [`FILE`].
fn read_at<T>(path: &Path, bytes: &[u8], read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    fs::write(path, bytes).unwrap();
    read(path).map_err(|error| match error {
        Error::Format { path: told, offset, message } => {
            assert_eq!(told, path, "{message}: another file is told");
            Error::format(Path::new(FILE), offset, message)
        }
        other => other,
    })
}

fn tokens(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

// ---- IDX ----

fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip member that holds the bytes as they are.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let length = bytes.len() as u16;
    file.push(1);
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(bytes);
    file.extend(crc32fast::hash(bytes).to_le_bytes());
    file.extend((bytes.len() as u32).to_le_bytes());
    file
}

fn idx(words: &[u32], content: &[u8]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).chain(content.iter().copied()).collect()
}

fn images() -> Vec<u8> {
    idx(&[0x803, 3, 2, 3], &(0..18).collect::<Vec<u8>>())
}

fn labels() -> Vec<u8> {
    idx(&[0x801, 12], &[7, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9])
}

fn read_images(bytes: &[u8]) -> Result<([usize; 3], Vec<u8>)> {
    data::images_in(Path::new(FILE), bytes, bytes.len() as u64)
}

fn read_labels(bytes: &[u8]) -> Result<Vec<u8>> {
    data::labels_in(Path::new(FILE), bytes, bytes.len() as u64, 10)
}

fn check_images((extents, bytes): ([usize; 3], Vec<u8>)) {
    assert_eq!(extents.iter().product::<usize>(), bytes.len());
    assert!(!bytes.is_empty());
}

fn check_labels(labels: Vec<u8>) {
    assert!(!labels.is_empty() && labels.iter().all(|&label| label < 10));
}

/// A file whose header says what follows, where the first byte is 1; else the rest as it is.
fn idx_input(input: &[u8]) -> Vec<u8> {
    let mut file = input.get(1..).unwrap_or_default().to_vec();
    let header = if file.get(3) == Some(&3) { 16 } else { 8 };
    if input.first() == Some(&1) && file.len() > header {
        let count = (file.len() - header) as u32;
        file[4..8].copy_from_slice(&count.to_be_bytes());
        (8..header).for_each(|i| file[i] = u8::from(i % 4 == 3));
    }
    file
}

/// Each as it is and with its header to be made right.
fn idx_seeds(files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    files.iter().flat_map(|file| [0, 1].map(|form| [&[form], file.as_slice()].concat())).collect()
}

#[test]
fn idx_images() {
    let seeds = idx_seeds(&[images(), idx(&[0x803, 1, 1, 1], &[5]), idx(&[0x803, 2, 28, 28], &[3; 1568])]);
    run(Subject { name: "idx images", seeds, tokens: vec![], limit: IDX, file: idx_input }, read_images, check_images);
}

#[test]
fn idx_labels() {
    let seeds = idx_seeds(&[labels(), idx(&[0x801, 1], &[5]), idx(&[0x801, 1000], &[9; 1000])]);
    run(Subject { name: "idx labels", seeds, tokens: vec![], limit: IDX, file: idx_input }, read_labels, check_labels);
}

/// Files, and contents that are packed behind their mutation, so that not only the checksum is tested: the first byte says which.
#[test]
fn gzip_files() {
    let packed = [images(), labels()].map(|content| [gzip(&content, Compression::best()), stored(&content)]);
    let mut seeds: Vec<Vec<u8>> = packed.iter().flatten().map(|file| [&[0], file.as_slice()].concat()).collect();
    seeds.push([&[0], gzip(&images()[..20], Compression::fast()).as_slice(), &stored(&images()[20..])].concat());
    seeds.extend([1, 2, 3].map(|form| [&[form], images().as_slice()].concat()));
    seeds.extend([1, 2, 3].map(|form| [&[form], labels().as_slice()].concat()));
    let file = |input: &[u8]| match input.split_first() {
        Some((1, content)) => stored(content),
        Some((2, content)) => content.chunks(9).flat_map(stored).collect(),
        // Slower than the others by far.
        Some((3, content)) if content.len() < 64 => gzip(content, Compression::fast()),
        Some((_, file)) => file.to_vec(),
        None => vec![],
    };
    let parse = |file: &[u8]| match (read_images(file), read_labels(file)) {
        (Ok(images), _) => Ok((Some(images), None)),
        (_, Ok(labels)) => Ok((None, Some(labels))),
        (Err(fault), Err(other)) => Err(if file.len().is_multiple_of(2) { fault } else { other }),
    };
    run(Subject { name: "gzip", seeds, tokens: vec![], limit: GZIP, file }, parse, |(images, labels)| {
        images.into_iter().for_each(check_images);
        labels.into_iter().for_each(check_labels);
    });
}

#[test]
fn gzip_that_unfolds_too_far_is_refused_by_its_header() {
    let refuse = |file: &[u8], offset: u64, parts: &[&str]| {
        let (outcome, peak) = measured(|| read_images(file));
        let text = outcome.expect_err("this unfolds too far").to_string();
        assert!(text.starts_with(&format!("{FILE}, byte {offset}: ")), "{text}");
        parts.iter().for_each(|part| assert!(text.contains(part), "{text:?} does not say {part:?}"));
        assert!(peak < MIB, "{peak} bytes for {}", file.len());
    };
    // The header alone, and one with what it says.
    let claim = idx(&[0x803, 65_536, 256, 256], &[]);
    refuse(&gzip(&claim, Compression::best()), 4, &["at most 16779", "[65536, 256, 256]", "gunzip"]);
    let bomb = gzip(&idx(&[0x803, 64, 1024, 1024], &vec![0; 64 * MIB]), Compression::best());
    assert!(bomb.len() < 70 * KIB, "{} bytes", bomb.len());
    refuse(&bomb, 4, &["[64, 1024, 1024]", "gunzip"]);
    // What goes on behind the last image is not unfolded.
    let tail = gzip(&idx(&[0x803, 1, 1, 1], &vec![0; 64 * MIB]), Compression::best());
    refuse(&tail, 17, &["goes on"]);
    // A member's name is not collected without end.
    let mut name = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255];
    name.extend(vec![b'x'; 8 * MIB]);
    refuse(&name, 0, &["gzip", "damage"]);
}

#[test]
fn gzip_that_unfolds_far_but_no_further_is_read_in_bounds() {
    let file = gzip(&idx(&[0x803, 15, 1024, 1024], &vec![0; 15 * MIB]), Compression::best());
    let (outcome, peak) = measured(|| read_images(&file));
    assert_eq!(outcome.unwrap().1.len(), 15 * MIB);
    GZIP.assert("gzip", file.len(), peak);
    // Bytes of noise that take as many, and nothing that takes none: over the constant, under the multiple.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let noise: Vec<u8> = (0..256 * KIB).map(|_| rng.random()).collect();
    let file = gzip(&[idx(&[0x803, 97, 512, 512], &noise), vec![0; 24 * MIB]].concat(), Compression::fast());
    let (outcome, peak) = measured(|| read_images(&file));
    assert_eq!(outcome.unwrap().0, [97, 512, 512]);
    GZIP.assert("gzip", file.len(), peak);
    // Many empty members before the first byte.
    let file = [stored(&[]).repeat(20_000), stored(&images())].concat();
    let (outcome, peak) = measured(|| read_images(&file));
    assert_eq!(outcome.unwrap().1.len(), 18);
    assert!(peak < MIB, "{peak}");
}

#[test]
fn a_plain_header_is_not_believed() {
    let file = idx(&[0x803, 65_536, 256, 256], &[1; 1000]);
    let (outcome, peak) = measured(|| read_images(&file));
    assert!(outcome.unwrap_err().to_string().contains("byte 1016: expected 4294967296 bytes"));
    IDX.assert("idx", file.len(), peak);
    let file = idx(&[0x803, 4, 1024, 1024], &vec![1; 4 * MIB]);
    let ((), peak) = measured(|| check_images(read_images(&file).unwrap()));
    IDX.assert("idx", file.len(), peak);
}

#[test]
fn files_are_read_in_the_memory_of_their_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, idx(&[0x803, 4, 1024, 1024], &vec![1; 4 * MIB])).unwrap();
    let (outcome, peak) = measured(|| data::read_images(&path));
    assert_eq!(outcome.unwrap().0, [4, 1024, 1024]);
    IDX.assert("idx", 4 * MIB, peak);
}

// ---- CIFAR ----

/// Records of the labels in the input's first bytes, up to a 255, and then the rest as it is. A record takes `label_bytes` of them.
fn cifar_input(input: &[u8], label_bytes: usize) -> Vec<u8> {
    let (labels, rest) = input.split_at(input.iter().position(|&byte| byte == 255).unwrap_or(input.len()));
    let records = labels.chunks(label_bytes).take(4).flat_map(|labels| [labels, &[labels[0]; 3072]].concat());
    records.chain(rest.iter().skip(1).copied()).collect()
}

fn cifar_seeds(label: u8, label_bytes: usize) -> Vec<Vec<u8>> {
    let record = [vec![label; label_bytes], vec![7; 3072]].concat();
    vec![
        vec![label; 2 * label_bytes],
        [&[255], record.as_slice()].concat(),
        [vec![label; label_bytes].as_slice(), &[255], &record].concat(),
    ]
}

#[test]
fn cifar10() {
    let subject = Subject {
        name: "cifar10",
        seeds: cifar_seeds(9, 1),
        tokens: vec![],
        limit: CIFAR,
        file: |input| cifar_input(input, 1),
    };
    let parse = |bytes: &[u8]| data::cifar10_records(Path::new(FILE), bytes);
    run(subject, parse, |(images, labels)| {
        assert_eq!(images.len(), 3072 * labels.len());
        check_labels(labels);
    });
}

#[test]
fn cifar100() {
    let subject = Subject {
        name: "cifar100",
        seeds: cifar_seeds(99, 2),
        tokens: vec![],
        limit: CIFAR,
        file: |input| cifar_input(input, 2),
    };
    let parse = |bytes: &[u8]| data::cifar100_records(Path::new(FILE), bytes);
    run(subject, parse, |(images, labels)| {
        assert_eq!(images.len(), 3072 * labels.len());
        assert!(!labels.is_empty() && labels.iter().all(|&label| label < 100));
    });
}

// ---- image folders ----

/// The first byte says which list the rest is.
#[test]
fn lists_of_image_folders() {
    let lists: [&[u8]; 5] = [
        b"apple_pie\nwaffles\n",
        b"val_0.JPEG\tn03444034\t0\t32\t44\t62\nval_1.JPEG\tn04067472\t52\t55\t57\t59\n",
        b"apple_pie/1005649\napple_pie/1011328\nwaffles/9\n",
        b"n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\n",
        b"61_1_3_20170109142408075.jpg.chip.jpg",
    ];
    let seeds = lists.iter().enumerate().map(|(i, list)| [&[i as u8], *list].concat()).collect();
    let words =
        ["\t", "/", "..", "\r\n", "\n\n", "\0", "\\", "_", "-1", "\u{80}", "n01443537", "waffles", "val_0.JPEG"];
    let subject =
        Subject { name: "lists of image folders", seeds, tokens: tokens(&words), limit: LISTS, file: <[u8]>::to_vec };
    let inside = |name: &String| assert!(Path::new(name).components().count() == 1 && Path::new(name).is_relative());
    let parse = |input: &[u8]| {
        let path = Path::new(FILE);
        let (list, bytes) = input.split_first().unwrap_or((&0, &[]));
        match list % 5 {
            0 => data::names_in(path, bytes).map(|names| names.iter().for_each(inside)),
            1 => data::validation_annotations_in(path, bytes)
                .map(|pairs| pairs.iter().for_each(|(image, class)| [image, class].into_iter().for_each(inside))),
            2 => data::image_list_in(path, bytes)
                .map(|pairs| pairs.iter().for_each(|(class, image)| [class, image].into_iter().for_each(inside))),
            3 => data::words_in(path, bytes).map(drop),
            _ => data::face_in(path, &String::from_utf8_lossy(bytes))
                .map(|face| assert!(face.age <= 116 && face.gender <= 1)),
        }
    };
    run(subject, parse, drop);
}

#[test]
fn the_densest_lists_are_read_in_bounds() {
    let many = |line: &dyn Fn(usize) -> String| (0..JUST_OVER).map(line).collect::<String>();
    let path = Path::new(FILE);
    let names = many(&|i| format!("{i:x}\n"));
    let (outcome, peak) = measured(|| data::names_in(path, names.as_bytes()));
    assert_eq!(outcome.unwrap().len(), JUST_OVER);
    LISTS.assert("names", names.len(), peak);
    let images = many(&|i| format!("{i:x}/1\n"));
    let (outcome, peak) = measured(|| data::image_list_in(path, images.as_bytes()));
    assert_eq!(outcome.unwrap().len(), JUST_OVER);
    LISTS.assert("images", images.len(), peak);
    let annotations = many(&|i| format!("{i:x}\t1\n"));
    let (outcome, peak) = measured(|| data::validation_annotations_in(path, annotations.as_bytes()));
    assert_eq!(outcome.unwrap().len(), JUST_OVER);
    LISTS.assert("annotations", annotations.len(), peak);
}

#[test]
fn image_files() {
    let image = image::RgbImage::from_fn(24, 17, |x, y| image::Rgb([(x * 9) as u8, (y * 13) as u8, (x * y) as u8]));
    let encoded = |format| {
        let mut bytes = std::io::Cursor::new(vec![]);
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let seeds = vec![encoded(image::ImageFormat::Png), encoded(image::ImageFormat::Jpeg)];
    let subject = Subject { name: "image files", seeds, tokens: vec![], limit: PICTURE, file: <[u8]>::to_vec };
    let parse = |bytes: &[u8]| data::decode_image(Path::new(FILE), bytes);
    run(subject, parse, |image| {
        let frame = data::Frame { image: [3, 8, 8], shorter: 8 };
        assert_eq!(frame.fit(&image).len(), 3 * 64);
    });
}

// ---- caches of images ----

/// The cache as it is, or, behind a 1, its last part with the checksum that it should have.
fn cache_input(input: &[u8]) -> Vec<u8> {
    let (form, cache) = input.split_first().unwrap_or((&0, &[]));
    let mut cache = cache.to_vec();
    let word = |at: usize| u32::from_le_bytes(cache[at..at + 4].try_into().expect("four bytes"));
    if let Some(end) = cache.len().checked_sub(20).filter(|_| *form == 1) {
        let bad = 4 * word(end + 12) as usize;
        let indices = &cache[end.saturating_sub(bad)..end];
        let mut hasher = crc32fast::Hasher::new();
        [&cache[end..end + 16], indices].into_iter().for_each(|part| hasher.update(part));
        let checksum = hasher.finalize().to_le_bytes();
        cache[end + 16..].copy_from_slice(&checksum);
    }
    cache
}

/// A cache gives the images of its files, whatever is in it: those that it holds, or they are decoded again.
#[test]
fn caches_of_images() {
    let dir = tempfile::tempdir().unwrap();
    for (name, shade) in [("train/a/1.png", 10), ("train/a/2.png", 0), ("val/a/1.png", 20)] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match shade {
            0 => fs::write(path, b"no image").unwrap(),
            _ => image::RgbImage::from_pixel(2, 2, image::Rgb([shade; 3])).save(path).unwrap(),
        }
    }
    let cache = dir.path().join("cache");
    let source = data::Source { name: "imagefolder", dir: Some(dir.path()), image_size: Some(2), ..Default::default() };
    let source = data::Source { cache: Some(&cache), skip_bad: true, ..source };
    let read = |_: &Path| {
        let splits = source.open(&mut |_| ())?;
        let images = |part: &data::Dataset| (0..part.len()).map(|i| part.image(i)).collect::<Result<Vec<_>>>();
        Ok([images(&splits.train)?, images(&splits.test)?].concat())
    };
    read(&cache).unwrap();
    let whole = fs::read(&cache).unwrap();
    let seeds = [0, 1].map(|form| [&[form], whole.as_slice()].concat()).into();
    let subject = Subject { name: "caches of images", seeds, tokens: vec![], limit: CACHE, file: cache_input };
    let parse = |bytes: &[u8]| match read_at(&cache, bytes, read) {
        // Another file is not written over.
        Err(Error::Setting { field: "cache", message }) => {
            assert!(fs::read(&cache).unwrap() == bytes, "{message}: the file is another");
            Err(Error::format(Path::new(FILE), 0, message))
        }
        // A forged list may call all images of a part bad.
        Err(Error::Setting { field: "data_dir", message }) => Err(Error::format(Path::new(FILE), 0, message)),
        read => read,
    };
    run(subject, parse, |images| {
        assert_eq!(images.iter().map(|image| image.to_vec()).collect::<Vec<_>>(), [[10; 12], [20; 12]]);
    });
}

// ---- weights ----

/// A file as it is, or, behind a 1, a header up to a zero byte and the data, with the header's length before them.
fn weights_input(input: &[u8]) -> Vec<u8> {
    let (form, file) = input.split_first().unwrap_or((&0, &[]));
    let (header, data) = file.split_at(file.iter().position(|&byte| byte == 0).unwrap_or(file.len()));
    match form {
        1 => [&(header.len() as u64).to_le_bytes(), header, data.get(1..).unwrap_or_default()].concat(),
        _ => file.to_vec(),
    }
}

#[test]
fn weights() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let tensor = |name: &str, shape: &[usize], values: &[f32]| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: values.into(),
    };
    let tensors = [
        tensor("conv.weight", &[2, 1, 2], &[0.5, -1.0, 3e-39, 1e38]),
        tensor("bias", &[], &[2.0]),
        tensor("empty", &[0, 7], &[]),
        // A bit away from what is not finite.
        tensor("large", &[256], &[2f32.powi(127); 256]),
    ];
    let metadata = BTreeMap::from([("format", "pt".to_owned()), ("sigma", "0.5".to_owned())]);
    write_safetensors(&path, &tensors, metadata).unwrap();
    // As PyTorch leaves them.
    let torch = concat!(
        r#"{"n.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#,
        r#""w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
    );
    let ours = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(ours[..8].try_into().unwrap()) as usize;
    let (header, data) = ours[8..].split_at(length);
    let seeds = [
        [&[0], ours.as_slice()].concat(),
        [&[1], header, &[0], data].concat(),
        [&[1], torch.as_bytes(), &[0; 13]].concat(),
    ];
    let words = [&JSON[..], &["\"I64\"", "\"BF16\"", "num_batches_tracked"]].concat();
    let subject = Subject {
        name: "weights",
        seeds: seeds.into(),
        tokens: tokens(&words),
        limit: CHECKPOINT,
        file: weights_input,
    };
    let parse = |bytes: &[u8]| read_at(&path, bytes, read_safetensors);
    run(subject, parse, |(mut tensors, metadata)| {
        for tensor in &tensors {
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len(), "{}", tensor.name);
            assert!(tensor.values.iter().all(|value| value.is_finite()), "{}", tensor.name);
        }
        let plain = metadata.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        write_safetensors(&path, &tensors, plain).unwrap();
        let mut again = read_safetensors(&path).expect("what was read can be written and read");
        [&mut tensors, &mut again.0].into_iter().for_each(|them| them.sort_by(|a, b| a.name.cmp(&b.name)));
        assert_eq!(again, (tensors, metadata));
    });
}

// ---- checkpoints ----

/// Every option set to something else than nothing.
fn full_config() -> Config {
    Config::default().with(|c| {
        c.data.data_dir = Some("data/sets".into());
        c.data.image_size = Some(48);
        c.data.resize = Some(56);
        c.data.class_list = Some("classes.txt".into());
        c.data.cache = Some("cache".into());
        c.data.random_resized_crop = Some(0.25);
        c.data.jitter = vec![0.5, 0.25, 0.0];
        c.data.train_examples = Some(512);
        c.model.init = Some("weights.safetensors".into());
        c.curriculum.method = Method::LeracCbs;
        // Mixup needs a whole batch.
        c.training.micro_batch = Some(64);
        c.training.mixup = Some(0.5);
        c.optimizer.clip_norm = Some(1.5);
        c.optimizer.milestones = vec![1.0, 2.5];
        c.curriculum.range = "1e-1..1e-8".parse().ok();
        c.curriculum.k = Some(2.0);
        c.curriculum.schedule_during_curriculum = Some(DuringCurriculum::Off);
        c.training.early_stopping = Some(3);
        c.curriculum.stop_lr = Some(0.11);
        c.curriculum.stop_update_epoch = Some(20);
        c.kernels = Choices([("linear forward [1,1] x [1,1]".to_owned(), Variant::Registers)].into());
    })
}

fn checkpoint(best: bool) -> Checkpoint {
    let tensor = |name: &str, shape: &[usize], values: &[f32]| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: values.into(),
    };
    let mut tensors =
        vec![tensor("conv.weight", &[2, 1, 2], &[0.5, -1.0, f32::NAN, 3e-39]), tensor("bias", &[], &[2.0])];
    if best {
        tensors.push(tensor(&Checkpoint::of_best("bias"), &[1], &[1.0]));
        tensors.push(tensor("empty", &[0, 7], &[]));
    }
    let standing = Standing {
        format: Checkpoint::FORMAT,
        epoch_open: false,
        version: "0.1.0".into(),
        adapter: "some \"adapter\"".into(),
        config: if best { full_config() } else { Config::default() },
        data: 0xdead_beef,
        step: 40,
        best: best.then_some(BestEpoch { epoch: 1, step: 20, score: 0.1 + 0.2 }),
        plateau: best.then_some(PlateauState { factor: 0.1 * 0.1, best: Some(1.0 / 3.0), bad_epochs: 2 }),
        totals: Totals { loss: 1.0 / 3.0, top1: 3, error: 0.1, images: 64 },
        sums: Default::default(),
        seconds: 1.25,
        interval_seconds: 1e-3,
        tables: BTreeMap::from([
            ("metrics.csv".into(), Written { bytes: 100, crc32: 7 }),
            ("layers.csv".into(), Written { bytes: 200, crc32: u32::MAX }),
        ]),
    };
    Checkpoint { standing, tensors }
}

fn read_checkpoint(bytes: &[u8]) -> Result<Checkpoint> {
    Checkpoint::from_bytes(Path::new(FILE), bytes)
}

/// It is written and read to the same; numbers by their bits, since a weight need not be equal to itself.
fn check_checkpoint(checkpoint: Checkpoint) {
    let again = read_checkpoint(&checkpoint.to_bytes()).expect("what was read can be written and read");
    assert_eq!(again.standing, checkpoint.standing);
    let plain = |tensors: &[Tensor]| -> Vec<_> {
        let bits = |tensor: &Tensor| tensor.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone(), bits(tensor))).collect()
    };
    assert_eq!(plain(&again.tensors), plain(&checkpoint.tensors));
    for tensor in &checkpoint.tensors {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
        assert!(checkpoint.values(&tensor.name, tensor.values.len()).is_ok());
        assert!(checkpoint.values(&tensor.name, tensor.values.len() + 1).is_err());
    }
}

/// Tokens of a checkpoint's header and metadata.
const JSON: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "null",
    "true",
    "1e999",
    "-0.0",
    "1e-400",
    "\"F32\"",
    "\"F64\"",
    "\"F4\"",
    "\"I8\"",
    "\"BOOL\"",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "\"format\"",
    "[0,0]",
    "[0,18446744073709551615]",
    "\\u0000",
    "\\ud800",
    "\"crc32\"",
    "\"lerac_checkpoint\"",
    "\"tables\"",
    "\"config\"",
    "\n",
];

#[test]
fn checkpoints() {
    let seeds = [false, true].map(|best| checkpoint(best).to_bytes()).into();
    let subject = Subject { name: "checkpoint", seeds, tokens: tokens(&JSON), limit: CHECKPOINT, file: <[u8]>::to_vec };
    run(subject, read_checkpoint, check_checkpoint);
}

/// A file of these parts, with its length and checksum right where the header can be read at all.
fn sealed(standing: &str, tensors: &str, data: &[u8]) -> Vec<u8> {
    let file = |checksum: u32| {
        let standing = serde_json::to_string(standing).unwrap();
        let separator = if tensors.trim().is_empty() { "" } else { "," };
        let metadata = format!("{{\"lerac_checkpoint\":{standing},\"crc32\":\"{checksum:08x}\"}}");
        let header = format!("{{\"__metadata__\":{metadata}{separator}{tensors}}}");
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(standing.as_bytes());
    let bytes = file(0);
    let header = &bytes[8..bytes.len() - data.len()];
    if let Ok(metadata) = serde_json::from_slice::<Metadata>(header) {
        let mut names = metadata.offset_keys();
        names.sort_unstable();
        for name in names {
            let (begin, end) = metadata.info(&name).map_or((0, 0), |info| info.data_offsets);
            hasher.update(name.as_bytes());
            hasher.update(data.get(begin..end).unwrap_or_default());
        }
    }
    file(hasher.finalize())
}

/// Standing, tensors' JSON and data between zero bytes, sealed behind their mutation.
fn sealed_input(input: &[u8]) -> Vec<u8> {
    let mut parts = input.splitn(3, |&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (standing, tensors, data) = (part(), part(), part());
    sealed(&String::from_utf8_lossy(standing), &String::from_utf8_lossy(tensors), data)
}

#[test]
fn checkpoint_headers() {
    let seeds = [false, true].map(|best| {
        let standing = serde_json::to_string(&checkpoint(best).standing).unwrap();
        let tensors = [
            r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[],"data_offsets":[4,8]}"#,
            r#""a":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]}"#,
        ];
        [standing.as_bytes(), tensors[usize::from(best)].as_bytes(), if best { &[] } else { &[1; 8] }].join(&0)
    });
    let subject = Subject {
        name: "checkpoint header",
        seeds: seeds.into(),
        tokens: tokens(&JSON),
        limit: CHECKPOINT,
        file: sealed_input,
    };
    run(subject, read_checkpoint, check_checkpoint);
}

#[test]
fn a_checkpoints_header_is_not_believed() {
    let refuse = |bytes: &[u8], offset: u64, part: &str| {
        let (outcome, peak) = measured(|| read_checkpoint(bytes));
        let text = outcome.expect_err("this is no checkpoint").to_string();
        assert!(text.starts_with(&format!("{FILE}, byte {offset}: ")) && text.contains(part), "{text}");
        CHECKPOINT.assert("checkpoint", bytes.len(), peak);
    };
    refuse(b"1234567", 7, "expected 8 bytes");
    for length in [1, 99_999_999, 100_000_001, u64::MAX - 7, u64::MAX] {
        refuse(&length.to_le_bytes(), 0, &format!("expected a header of {length} bytes, the file has 0 more"));
    }
    let header = |header: &str, data: &[u8]| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
    refuse(&header("{\n \"a\": 1}", &[]), 17, "line 2 column 8");
    let claim = r#"{"a":{"dtype":"F32","shape":[2305843009213693951],"data_offsets":[0,9223372036854775804]}}"#;
    refuse(&header(claim, &[]), 8, "overflow");
    let claim = r#"{"a":{"dtype":"F32","shape":[268435456],"data_offsets":[0,1073741824]}}"#;
    refuse(&header(claim, &[0; 10]), 8 + claim.len() as u64 + 10, "expected 1073741824 bytes of tensors");
    refuse(&header("{}", &[0; 10]), 10, "expected 0 bytes of tensors");
    refuse(&header("{}", &[]), 8, "expected lerac_checkpoint in its metadata");
}

/// JSON's decimals are read to the number that was written, in its last bit as well.
#[test]
fn a_checkpoint_keeps_its_numbers() {
    let mut written = checkpoint(false);
    written.standing.config.optimizer.milestones = (1..10_000).map(|i| f64::from(i) / 997.0).collect();
    assert_eq!(read_checkpoint(&written.to_bytes()).unwrap().standing, written.standing);
}

#[test]
fn the_densest_checkpoints_are_read_in_bounds() {
    let standing = serde_json::to_string(&checkpoint(true).standing).unwrap();
    let tensor = |i: usize| format!(r#""{i}":{{"dtype":"F32","shape":[],"data_offsets":[{},{}]}}"#, 4 * i, 4 * i + 4);
    let many: Vec<String> = (0..JUST_OVER).map(tensor).collect();
    let milestones = standing.replace("2.5]", &format!("2.5{}]", ",3".repeat(JUST_OVER)));
    assert!(milestones.len() > JUST_OVER, "the standing has milestones");
    let shape = format!(r#""a":{{"dtype":"F32","shape":[0{}],"data_offsets":[0,0]}}"#, ",0".repeat(JUST_OVER));
    let nested = format!(r#""a":{}"#, "[".repeat(JUST_OVER));
    let ignored = standing.replacen('{', &format!("{{\"x\":[0{}],", ",[]".repeat(JUST_OVER)), 1);
    for (name, is_whole, file) in [
        ("many tensors", true, sealed(&standing, &many.join(","), &vec![0; 4 * JUST_OVER])),
        ("milestones", true, sealed(&milestones, "", &[])),
        ("a long shape", true, sealed(&standing, &shape, &[])),
        ("nested", false, sealed(&standing, &nested, &[])),
        ("unknown entries", true, sealed(&ignored, "", &[])),
    ] {
        let (read, peak) = measured(|| read_checkpoint(&file));
        assert_eq!(read.is_ok(), is_whole, "{name}: {:?}", read.err());
        CHECKPOINT.assert(name, file.len(), peak);
    }
}

#[cfg(feature = "cli")]
mod with_the_command_line {
    use super::*;
    use lerac::study::{Comparison, Finished, KernelCache, RunDir, Saving};
    use lerac::train::{Summary, TestResult};
    use std::io::{Error as IoError, ErrorKind};
    use std::path::PathBuf;
    use std::process::Command;

    // ---- TOML ----

    fn recipes() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    fn toml_tokens() -> Vec<Vec<u8>> {
        let mut words = tokens(&[
            "=",
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            ",",
            ".",
            "#",
            "\"",
            "'",
            "\"\"\"",
            "'''",
            "\\",
            "\\u0000",
            "\\UFFFFFFFF",
            "\n",
            "\r\n",
            "\r",
            "\u{feff}",
            "true",
            "false",
            "nan",
            "inf",
            "-inf",
            "1e999",
            "0x7f",
            "0b1",
            "1_0",
            "1979-05-27",
            "07:32:00",
            "[grid]",
            " [grid] #",
            "[[grid]]",
            "grid = ",
            "methods",
            "seeds",
            "ks",
            "ranges",
            "\"1e-1..1e-8\"",
            "\"nan..1\"",
            "[\"lerac\"]",
            "\u{80}",
            "ä",
        ]);
        let table = toml::Table::try_from(full_config()).unwrap();
        let entries = table.values().filter_map(toml::Value::as_table).flatten();
        words.extend(entries.flat_map(|(key, value)| [key.clone(), value.to_string()]).map(String::into_bytes));
        words
    }

    fn toml_of(config: &Config) -> String {
        toml::to_string(config).expect("what was read has a TOML form")
    }

    #[test]
    fn configs() {
        let parse = |bytes: &[u8]| Config::from_toml(Path::new(FILE), bytes);
        let seeds = [Config::default(), full_config()].map(|config| toml_of(&config).into_bytes()).into();
        let subject = Subject { name: "config", seeds, tokens: toml_tokens(), limit: CONFIG, file: <[u8]>::to_vec };
        run(subject, parse, |config| {
            let _ = config.check();
            assert_eq!(parse(toml_of(&config).as_bytes()).expect("what was written is read"), config);
        });
    }

    #[test]
    fn configs_with_grids() {
        let parse = |bytes: &[u8]| Config::from_toml_with_grid(Path::new(FILE), bytes);
        let mut seeds = recipes();
        seeds.push(b"eta = 0.5\n[grid]\nseeds = 2\nks = [1.0, 2.0]\nranges = [\"1e-1..1e-8\"]\n".to_vec());
        let subject =
            Subject { name: "config with grid", seeds, tokens: toml_tokens(), limit: CONFIG, file: <[u8]>::to_vec };
        run(subject, parse, |(config, grid)| {
            let text = format!("{}\n[grid]\n{grid}", toml_of(&config));
            assert_eq!(parse(text.as_bytes()).expect("what was written is read"), (config, grid));
        });
    }

    #[test]
    fn the_densest_configs_are_read_in_bounds() {
        let many: String = (0..JUST_OVER).map(|i| format!("{i}=1\n")).collect();
        for text in [
            format!("milestones=[{}]", "1,".repeat(JUST_OVER)),
            format!("milestones=[{}]", "[],".repeat(JUST_OVER)),
            format!("[kernels]\n{}", many.replace("=1", "=\"wide\"")),
            many,
            format!("{}a=1", "a.".repeat(JUST_OVER)),
            "[a]\n".repeat(JUST_OVER),
            "[[a]]\n".repeat(JUST_OVER),
            format!("data={}", "[".repeat(JUST_OVER)),
            format!("data={}", "{a=".repeat(JUST_OVER)),
            format!("data=\"{}\"", "\\n".repeat(JUST_OVER)),
            "=".repeat(JUST_OVER),
            "\n".repeat(JUST_OVER),
        ] {
            let (_, peak) = measured(|| Config::from_toml(Path::new(FILE), text.as_bytes()));
            CONFIG.assert(&text[..12], text.len(), peak);
        }
    }

    /// Neither would be equal to itself when it is read again, or could be written.
    #[test]
    fn numbers_that_cannot_be_kept_are_refused() {
        let refusal = |text: &str| Config::from_toml(Path::new(FILE), text.as_bytes()).unwrap_err().to_string();
        let text = refusal("eta = 0.1\nmin-lr = nan\n");
        assert!(text.starts_with("dir/file, byte 19: line 2: min-lr: expected a finite number, found nan"), "{text}");
        let text = refusal("milestones = [1.0, inf]\n");
        assert!(text.contains("byte 13: line 1: milestones: expected a finite number"), "{text}");
        let text = refusal("validation = 18446744073709551615\n");
        assert!(text.contains("byte 13: line 1: "), "{text}");
    }

    #[test]
    fn such_numbers_are_refused_on_the_command_line_too() {
        let refusal = |option: &str, value: &str, code: i32| {
            let program = Command::new(env!("CARGO_BIN_EXE_lerac")).args(["schedule", option, value]).output().unwrap();
            assert_eq!(program.status.code(), Some(code));
            String::from_utf8(program.stderr).unwrap()
        };
        assert_eq!(refusal("--min-lr", "nan", 1), "error: --min-lr: expected a finite number, found nan\n");
        let expected = format!("expected a whole number from 0 to {}", i64::MAX);
        let found = refusal("--validation", &u64::MAX.to_string(), 2);
        assert!(found.contains("--validation") && found.contains(&expected), "{found}");
    }

    /// A checkpoint may hold such numbers, and be held against other options.
    #[test]
    fn options_beyond_toml_are_told_apart() {
        let mut changed = checkpoint(false);
        changed.standing.config.data.validation = usize::MAX;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("checkpoints");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("step-0000000040.safetensors"), changed.to_bytes()).unwrap();
        let Err(error) = RunDir::open(dir.path(), &Config::default(), Saving::default(), false) else {
            panic!("these are other options");
        };
        assert!(error.to_string().contains("(validation: 18446744073709551615 there, 1000 here)"), "{error}");
    }

    // ---- tuned kernels ----

    #[test]
    fn tuned_kernels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernels.json");
        let device = |adapter: &str| {
            serde_json::json!({
                "adapter": adapter,
                "backend": "Vulkan",
                "driver": "some \"driver\"",
                "lerac": "0.1.0 deadbeef",
                "kernels": { "linear forward [1,1] x [1,1]": "registers", "conv2d dw": "wide", "conv2d dx": "depthwise" },
            })
        };
        let seeds = [vec![], vec![device("one")], vec![device("one"), device("two")]];
        let seeds = seeds.map(|devices| serde_json::to_vec_pretty(&devices).unwrap()).into();
        let mut words = tokens(&JSON[..17]);
        words.extend(tokens(&["\"adapter\"", "\"driver\"", "\"kernels\"", "\"shared\"", "\"wide\"", "\"other\""]));
        let subject = Subject { name: "tuned kernels", seeds, tokens: words, limit: KERNELS, file: <[u8]>::to_vec };
        let parse = |bytes: &[u8]| read_at(&path, bytes, KernelCache::read);
        run(subject, parse, |read| {
            read.clone().write().unwrap();
            assert_eq!(KernelCache::read(&path).expect("what was written is read"), read);
        });
    }

    // ---- tables ----

    const METRICS: &str = "kind,step,epoch,train_loss,train_accuracy,validation_loss,validation_accuracy\n\
        interval,5,0.5,2.3,0.1,,\ninterval,10,1.0,2.1,0.25,,\nepoch,10,1.0,2.2,0.2,2.0,0.3\n";
    const SPEED: &str = "step,images_per_second\n5,100.5\n10,1e3\n";
    const PREDICTIONS: &str = "image,label,prediction\n0,1,1\n1,2,3\n2,4,4\n";
    const LAYERS: &str = "step,epoch,depth,layer,learning_rate,gradient_norm,update_norm,weight_norm,effective_rate\n\
        4,0.4,0,conv1,0.1,1.0,0.5,2.0,0.25\n4,0.4,1,\"head, last\",0.1,1.0,0.5,2.0,0.25\n9,0.9,0,conv1,0.1,1.0,0.5,2.0,0.25\n\
        9,0.9,1,\"head, last\",0.1,1.0,0.5,2.0,0.25\n";
    const NOISE: &str = "step,epoch,depth,layer,signal_to_noise\n5,0.5,0,conv1,0.75\n5,0.5,1,\"head, last\",0.5\n";
    const NAMES: [&str; 7] =
        ["summary.json", "config.toml", "metrics.csv", "speed.csv", "predictions.csv", "layers.csv", "noise.csv"];

    fn summary() -> Summary {
        Summary {
            result: TestResult::Classes { test_accuracy: 2.0 / 3.0, test_top5: 1.0, validation_accuracy: Some(0.3) },
            test_loss: 1.5,
            test_images: 3,
            best_epoch: 1,
            steps: 10,
            images_per_epoch: 320,
            seconds: 1.0,
            images_per_second: 320.0,
            milliseconds_per_step: 100.0,
            device_bytes: 1,
            data_crc32: None,
            adapter: "adapter".into(),
            version: "0.1.0".into(),
        }
    }

    fn config_of_run() -> Config {
        full_config().with(|c| c.training.snr_every = 5)
    }

    fn run_files() -> [Vec<u8>; 7] {
        let summary = serde_json::to_string_pretty(&summary()).unwrap();
        let config = toml_of(&config_of_run());
        [&summary, &config, METRICS, SPEED, PREDICTIONS, LAYERS, NOISE].map(|text| text.as_bytes().to_vec())
    }

    /// What is made of a run's directory of which file `changed` holds `bytes`.
    fn load(files: &[Vec<u8>; 7], changed: usize, bytes: &[u8]) -> Result<Finished> {
        let config = config_of_run();
        let read = |path: &Path| {
            let place = NAMES.iter().position(|name| path == Path::new("dir").join(name));
            let place = place.ok_or_else(|| IoError::from(ErrorKind::NotFound))?;
            Ok(if place == changed { bytes.to_vec() } else { files[place].clone() })
        };
        Finished::load_from(Path::new("dir"), "arm", &config, read).map(|run| run.expect("there is a summary"))
    }

    fn check_run(run: Finished) {
        assert_eq!(run.right.len() as u64, run.summary.test_images);
        assert_eq!(run.train_loss.len(), run.train_score.len());
        let names: HashSet<&str> = run.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names.len(), run.layers.len());
        assert!(run.layers.iter().all(|layer| !layer.effective_rate.is_empty()));
        assert_eq!(Comparison::of(&[run], "arm").arms.len(), 1);
    }

    /// The first byte says which file the others are.
    #[test]
    fn tables_of_runs() {
        let files = run_files();
        let seeds = files.iter().enumerate().map(|(i, file)| [&[i as u8], file.as_slice()].concat()).collect();
        let mut words = tokens(&JSON);
        words.extend(tokens(&[
            "\r\n", "\"\"", ",,", "nan", "inf", "-1", "NaN", "interval", "epoch", "\u{80}", "step", "layer", "image",
        ]));
        let subject = Subject { name: "tables of a run", seeds, tokens: words, limit: TABLES, file: <[u8]>::to_vec };
        let parse = |input: &[u8]| {
            let (file, bytes) = input.split_first().unwrap_or((&0, &[]));
            load(&files, usize::from(*file) % NAMES.len(), bytes)
        };
        run(subject, parse, check_run);
    }

    /// Tables of so many rows, columns or signs, each with its name and the place of its file.
    fn dense_tables(count: usize) -> [(&'static str, usize, String); 11] {
        let row = |header: &str, row: &str| format!("{}\n{}", header.lines().next().unwrap(), row.repeat(count));
        let layers: String = (0..count).map(|i| format!("0,0,0,{i},0,0,0,0,0\n")).collect();
        [
            ("metrics", 2, row(METRICS, ",0,0,0,0,,\n")),
            ("speed", 3, row(SPEED, "0,0\n")),
            ("predictions", 4, row(PREDICTIONS, "0,0,0\n")),
            ("layers", 5, row(LAYERS, "0,0,0,,0,0,0,0,0\n")),
            ("as many layers as rows", 5, row(LAYERS, "") + &layers),
            ("noise", 6, row(NOISE, "0,0,0,conv1,0\n")),
            ("commas", 3, ",".repeat(2 * count)),
            ("columns", 3, format!("{},step,images_per_second\n{},1,1\n", ",".repeat(count), ",".repeat(count))),
            ("quotes", 3, "\"".repeat(2 * count)),
            ("line ends", 3, "\n".repeat(2 * count)),
            ("nested JSON", 0, "[".repeat(2 * count)),
        ]
    }

    #[test]
    fn the_densest_tables_are_read_in_bounds() {
        let files = run_files();
        for (name, file, text) in dense_tables(JUST_OVER) {
            let (_, peak) = measured(|| load(&files, file, text.as_bytes()));
            TABLES.assert(name, text.len(), peak);
        }
    }

    /// None takes many times as long as a usual table of as many rows does beside it; what holds every row against all others would.
    #[test]
    fn dense_tables_take_the_time_of_usual_ones() {
        let files = run_files();
        let tables = dense_tables(JUST_OVER);
        let mut least = [f64::INFINITY; 11];
        // In turn, and the least of three: whatever else the machine does makes times longer only.
        for _ in 0..3 {
            for ((_, file, text), least) in tables.iter().zip(&mut least) {
                let start = Instant::now();
                let _ = load(&files, *file, text.as_bytes());
                *least = least.min(start.elapsed().as_secs_f64());
            }
        }
        let ratios: Vec<_> = tables.iter().zip(least).map(|((name, ..), time)| (name, time / least[0])).collect();
        assert_eq!(*ratios[0].0, "metrics");
        assert!(ratios.iter().all(|(_, ratio)| *ratio <= 100.0), "{ratios:?}");
    }

    #[test]
    fn predictions_must_be_of_all_images() {
        let refusal = |text: &str| load(&run_files(), 4, text.as_bytes()).unwrap_err().to_string();
        for text in ["image,label,prediction\n0,1,1\n1,2,3\n", "image,label,prediction\n0,1,1\n2,2,3\n1,4,4\n"] {
            let message = refusal(text);
            assert!(
                message.starts_with("dir/predictions.csv, byte ") && message.contains("each of 3 images"),
                "{message}"
            );
        }
    }

    /// Loss and accuracy over few images would stick out of a curve.
    #[test]
    fn an_interval_that_was_cut_short_joins_the_one_before_it() {
        let mut files = run_files();
        let curve = |files: &[Vec<u8>; 7]| load(files, 3, &files[3]).unwrap().train_loss;
        assert_eq!(curve(&files), [(0.5, 2.3), (1.0, 2.1)]);
        files[2] = METRICS.replace("interval,5,", "interval,8,").into_bytes();
        files[3] = SPEED.replace("\n5,", "\n8,").into_bytes();
        let [(epoch, loss)] = curve(&files)[..] else { panic!("one point") };
        assert!(epoch == 1.0 && (loss - 2.26).abs() < 1e-12, "{loss} at {epoch}");
    }

    /// What a finished run cannot have left, each with the file and a part of the message.
    #[test]
    fn tables_must_be_of_a_finished_run() {
        let files = run_files();
        load(&files, 2, METRICS.as_bytes()).unwrap();
        let header = |text: &str| format!("{}\n", text.lines().next().unwrap());
        let (row, end) = ("holds a number that no run writes", "rows up to step 10");
        for (file, text, part) in [
            (2, header(METRICS), end),
            (2, METRICS.replace("epoch,10", "epoch,5"), end),
            (2, METRICS.replace("interval,10,1.0,2.1,0.25,,\n", ""), end),
            (2, METRICS.replace("2.1,", "NaN,"), "row 2 holds"),
            (2, METRICS.replace("0.25", "1.5"), row),
            (2, METRICS.replace("2.0,0.3", "inf,0.3"), "row 3 holds"),
            (2, METRICS.replace("2.0,0.3", "2.0,0.4"), "what summary.json says of the validation images"),
            (3, header(SPEED), "a row for each interval"),
            (3, SPEED.replace("\n5,", "\n6,"), "a row for each interval"),
            (3, SPEED.replace("100.5", "0"), "row 1 holds"),
            (3, SPEED.replace("100.5", "NaN"), row),
            (4, PREDICTIONS.replace("0,1,1", "0,1,1.0"), "expected a class as each prediction"),
            (
                4,
                PREDICTIONS.replace("0,1,1", "0,1,2"),
                "the accuracy of the 3 images is 0.3333333333333333 here, 0.6666",
            ),
            (5, header(LAYERS), "a row of each layer"),
            (5, LAYERS.replacen("9,0.9,0,conv1,0.1,1.0,0.5,2.0,0.25\n", "", 1), "a row of each layer"),
            (5, LAYERS.replacen("1.0,0.5", "NaN,0.5", 1), "row 1 holds"),
            (5, LAYERS.replacen("2.0,0.25", "2.0,NaN", 1), row),
            (6, header(NOISE), "as many rows of each layer"),
            (6, NOISE.replace("5,0.5,0,conv1,0.75\n", ""), "as many rows of each layer"),
            (6, NOISE.replace("0.75", "NaN"), row),
        ] {
            let message = load(&files, file, text.as_bytes()).unwrap_err().to_string();
            let place = format!("dir/{}, byte ", NAMES[file]);
            assert!(message.starts_with(&place) && message.contains(part), "{message:?} lacks {part:?}: {text}");
            assert!(message.contains("remove the run's directory"), "{message}");
        }
        // The same of a run that predicts ages: 1, 0.5 and 2.25 years off.
        let mut of_years = files.clone();
        let result = TestResult::Years { test_mae: 1.25, median_mae: 9.0, validation_mae: Some(4.0) };
        of_years[0] = serde_json::to_vec(&Summary { result, ..summary() }).unwrap();
        let columns =
            |text: &str| text.replace("train_accuracy", "train_mae").replace("validation_accuracy", "validation_mae");
        of_years[2] = columns(METRICS).replace("2.0,0.3", "2.0,4.0").into_bytes();
        let ages = "image,label,prediction\n0,1,2.0\n1,2,1.5\n2,4,6.25\n";
        of_years[4] = ages.into();
        load(&of_years, 4, ages.as_bytes()).unwrap();
        let summary_of = |key: &str, value: &str| {
            let text = String::from_utf8(of_years[0].clone()).unwrap();
            let changed = text.replacen(key, value, 1);
            assert_ne!(text, changed);
            changed
        };
        for (file, text, part) in [
            (
                0,
                summary_of("\"median_mae\":9.0", "\"median_mae\":-7"),
                "holds a mean absolute error that no run comes to",
            ),
            (0, summary_of("\"median_mae\":9.0,", ""), "or test_mae and median_mae"),
            (0, summary_of("\"test_mae\"", "\"test_accuracy\":0.5,\"test_mae\""), "or test_mae and median_mae"),
            (2, columns(METRICS), "what summary.json says of the validation images"),
            (2, columns(METRICS).replace("2.1,", "2.1,-"), "row 2 holds"),
            (
                4,
                ages.replace("6.25", "6.5"),
                "the mean absolute error of the 3 images is 1.3333333333333333 here, 1.25",
            ),
            (4, ages.replace("6.25", "6"), "expected an age, a number with a point, as each prediction"),
            (4, ages.replace("6.25", "NaN"), "is NaN here, 1.25"),
        ] {
            let message = load(&of_years, file, text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("remove the run's directory"), "{message}");
        }
        // Norms beyond f32 are infinite, and their quotient no number: a run may end like this.
        let beyond = LAYERS.replacen("1.0,0.5,2.0,0.25", "inf,inf,inf,NaN", 1);
        load(&files, 5, beyond.as_bytes()).unwrap();
    }
}
