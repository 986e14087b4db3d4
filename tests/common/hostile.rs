//! Runs a parser on malformed files. A parser must not panic, hang, or use more memory than a
//! multiple of the file's length. Every error must name the file and the offset.
//! Each parser gets `LERAC_CASES` inputs (default 2,000). They are mutants of valid files, of
//! accepted mutants, and of mutants that were rejected for a new reason. The seed is fixed: the
//! same number of cases gives the same inputs. A failing input is printed as hex and saved in the
//! system's temporary directory.

use crate::common::files::print;
use lerac::error::{Error, Result};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

// ---- memory ----

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts the bytes that each thread holds. During a reallocation
/// both the old and the new block count.
struct Counting;

impl Counting {
    fn grow(bytes: usize) {
        LIVE.set(LIVE.get().wrapping_add(bytes));
        PEAK.set(PEAK.get().max(LIVE.get()));
    }

    fn shrink(bytes: usize) {
        // A block that another thread allocated was not counted here.
        LIVE.set(LIVE.get().saturating_sub(bytes));
    }
}

// SAFETY: every call is passed on to the system's allocator; the counters do not allocate.
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

/// Returns the result of `work` and its peak memory in bytes.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().saturating_sub(before))
}

// ---- parsers and their limits ----

/// The memory limit of a parser: `multiple` bytes per byte of input, plus `constant`.
#[derive(Clone, Copy)]
pub struct Limit {
    pub multiple: usize,
    pub constant: usize,
}

impl Limit {
    fn of(self, length: usize) -> usize {
        self.multiple * length + self.constant
    }

    #[track_caller]
    pub fn assert(self, what: &str, length: usize, peak: usize) {
        let Self { multiple, constant } = self;
        assert!(peak <= self.of(length), "{what}: {peak} bytes for {length}, over {multiple} a byte and {constant}");
    }
}

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// For buffers, the decompressor's window and messages.
pub const SMALL: usize = 128 * KIB;

/// A number of elements at which a growing vector has just doubled its capacity, so that half of it
/// is unused.
pub const JUST_OVER: usize = (1 << 17) + 1;

/// The path that parsers are given.
pub const FILE: &str = "dir/file";

// ---- mutation ----

/// The maximum length of an input.
const LONGEST: usize = 12 * KIB;

/// The maximum number of inputs in the corpus.
const MOST_KEPT: usize = 512;

/// Generates mutants.
struct Mutator {
    rng: ChaCha8Rng,
    /// Tokens of the format. For text formats, edits work on tokens.
    tokens: Vec<Vec<u8>>,
}

/// The start of each word, space and punctuation character of a text, and the end of the text.
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

/// The start of each line, and the end of the last.
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
    /// A random offset in 0..=length.
    fn place(&mut self, length: usize) -> usize {
        self.rng.random_range(0..=length)
    }

    /// Bounds of lines if the text has several, else of tokens; chosen at random.
    fn bounds(&mut self, text: &[u8]) -> Vec<usize> {
        let lines = line_bounds(text);
        if lines.len() > 3 && self.rng.random() { lines } else { token_bounds(text) }
    }

    /// A random range between two nearby bounds.
    fn piece(&mut self, bounds: &[usize]) -> std::ops::Range<usize> {
        let first = self.rng.random_range(0..bounds.len());
        let last = (first + self.rng.random_range(1..=3)).min(bounds.len() - 1);
        bounds[first]..bounds[last]
    }

    /// A boundary value for a file of `length` bytes.
    fn number(&mut self, length: usize) -> u64 {
        let near = length as u64;
        match self.rng.random_range(0..4) {
            0 => near.wrapping_sub(self.rng.random_range(0..20)),
            1 => near.wrapping_add(self.rng.random_range(0..20)),
            2 => self.rng.random_range(0..300),
            _ => *NUMBERS.choose(&mut self.rng).expect("there are some"),
        }
    }

    /// A mutant of one input of the corpus. The first `first` inputs are the seeds.
    fn mutant(&mut self, corpus: &[Vec<u8>], first: usize) -> Vec<u8> {
        // Rejected inputs are kept too. They soon outnumber the seeds.
        let parents = if self.rng.random() { &corpus[..first] } else { corpus };
        let mut bytes = parents.choose(&mut self.rng).expect("there is a seed").clone();
        let other = corpus.choose(&mut self.rng).expect("there is a seed");
        // Usually one change: an input with one error gets furthest through a parser.
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
pub struct Subject<'a> {
    pub name: &'a str,
    pub seeds: Vec<Vec<u8>>,
    pub tokens: Vec<Vec<u8>>,
    pub limit: Limit,
    /// Converts an input to the file that is parsed.
    pub file: fn(&[u8]) -> Vec<u8>,
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

/// A case that takes ten minutes hangs. The program then saves its input and exits.
fn watch(name: &str) -> Arc<Mutex<(Instant, Vec<u8>)>> {
    let current = Arc::new(Mutex::new((Instant::now(), vec![])));
    let (name, watched) = (name.to_owned(), Arc::downgrade(&current));
    std::thread::spawn(move || {
        while let Some(current) = watched.upgrade() {
            if let Ok(case) = current.lock()
                && case.0.elapsed() > Duration::from_secs(600)
            {
                print(&format!("a case hangs: {}", keep(&name, &case.1)));
                std::process::exit(101);
            }
            drop(current);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    current
}

/// The message without parts that come from the input: everything between the first and the last
/// quotation mark, and words with digits.
fn shape(text: &str) -> String {
    let quote = ['`', '"'];
    let ends = text.find(quote).zip(text.rfind(quote));
    let (before, after) = ends.map_or((text, ""), |(first, last)| (&text[..first], &text[last..]));
    let words = [before, after].into_iter().flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
    let plain = words.filter(|word| !word.is_empty() && !word.contains(|c: char| c.is_ascii_digit()));
    plain.collect::<Vec<_>>().join(" ")
}

/// Asserts that the error names a file in [`FILE`]'s directory and an offset within the memory
/// limit.
fn check_error(error: &Error, input: &[u8], limit: Limit) -> String {
    let text = error.to_string();
    match error {
        Error::Format { path, offset, message } => {
            assert!(path.starts_with("dir"), "{text}: no path");
            assert!(*offset <= limit.of(input.len()) as u64, "{text}: no place of {} bytes", input.len());
            assert!(!message.is_empty(), "{text}: no message");
        }
        // The file is valid, but belongs to another run or another version.
        Error::Option { option, message } => {
            assert!((option == "dir" || option == FILE) && !message.is_empty(), "{text}");
        }
        _ => panic!("{text}: neither the file nor an option is at fault"),
    }
    text
}

/// Runs `parse` on mutants. Every accepted value must pass `check`.
pub fn run<T>(subject: Subject<'_>, parse: impl Fn(&[u8]) -> Result<T>, check: impl Fn(T)) {
    let Subject { name, seeds, tokens, limit, file } = subject;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // Each parser has its own stream of random numbers.
    rng.set_stream(name.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))));
    let mut mutator = Mutator { rng, tokens };
    let current = watch(name);
    let (mut corpus, mut shapes, mut accepted, mut highest) = (seeds, HashSet::new(), 0usize, 0.0f64);
    let (first, total, start) = (corpus.len(), cases(), Instant::now());
    for case in 0..total {
        // The seeds come first, and must be accepted.
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
            // Most mutants are accepted: a sixteenth of them is kept.
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
    print(&format!(
        "{name}: {total} cases in {seconds:.1} s, {share:.1} % accepted, {} kinds of refusal, {} inputs kept, {highest:.0} % of the \
         memory limit",
        shapes.len(),
        corpus.len()
    ));
}

/// Writes `bytes` to `path` and reads it. Errors are reported as errors of [`FILE`].
pub fn read_at<T>(path: &Path, bytes: &[u8], read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    fs::write(path, bytes).unwrap();
    read(path).map_err(|error| match error {
        Error::Format { path: found, offset, message } => {
            assert_eq!(found, path, "{message}: another file is named");
            Error::format(Path::new(FILE), offset, message)
        }
        other => other,
    })
}

pub fn tokens(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
