//! Files made to do harm, and what a parser may do with them: it may not panic, hang, or take more memory than a multiple of the file's
//! length, and every fault must name the file and the place. Each parser gets `LERAC_CASES` inputs (2,000 unless said), mutants of whole
//! files and of those mutants that were accepted or refused for a new reason; the generator's seed is fixed, so the same number gives
//! the same inputs. What fails is printed as hex and kept in the system's temporary directory.

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

// SAFETY: every call goes to the system's allocator as it came; the counters need no memory.
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
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().saturating_sub(before))
}

// ---- parsers and their limits ----

/// What a parser may take: so many bytes a byte of input, and so many more.
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

/// Buffers, the decompressor's window, and messages.
pub const SMALL: usize = 128 * KIB;

/// Elements where a vector has just been made larger, and is at its emptiest.
pub const JUST_OVER: usize = (1 << 17) + 1;

/// The name that parsers are told.
pub const FILE: &str = "dir/file";

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

    /// A number worth trying in a file of `length` bytes.
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
pub struct Subject<'a> {
    pub name: &'a str,
    pub seeds: Vec<Vec<u8>>,
    pub tokens: Vec<Vec<u8>>,
    pub limit: Limit,
    /// Makes the file of an input.
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

/// A case that takes ten minutes hangs: the program ends, with its input kept.
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

/// The message without what comes from the input: all from the first quotation to the last, and words with digits in them.
fn shape(text: &str) -> String {
    let quote = ['`', '"'];
    let ends = text.find(quote).zip(text.rfind(quote));
    let (before, after) = ends.map_or((text, ""), |(first, last)| (&text[..first], &text[last..]));
    let words = [before, after].into_iter().flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
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
        // What is whole, and of another run or another version.
        Error::Option { option, message } => {
            assert!((option == "dir" || option == FILE) && !message.is_empty(), "{text}");
        }
        _ => panic!("{text}: neither the file nor an option is at fault"),
    }
    text
}

/// Feeds mutants to `parse`; what it accepts must pass `check`.
pub fn run<T>(subject: Subject<'_>, parse: impl Fn(&[u8]) -> Result<T>, check: impl Fn(T)) {
    let Subject { name, seeds, tokens, limit, file } = subject;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // A stream for each parser.
    rng.set_stream(name.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))));
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
    print(&format!(
        "{name}: {total} cases in {seconds:.1} s, {share:.1} % accepted, {} kinds of refusal, {} inputs kept, {highest:.0} % of the \
         memory limit",
        shapes.len(),
        corpus.len()
    ));
}

/// What `read` makes of a file that holds `bytes`, with errors as of [`FILE`].
pub fn read_at<T>(path: &Path, bytes: &[u8], read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    fs::write(path, bytes).unwrap();
    read(path).map_err(|error| match error {
        Error::Format { path: told, offset, message } => {
            assert_eq!(told, path, "{message}: another file is told");
            Error::format(Path::new(FILE), offset, message)
        }
        other => other,
    })
}

pub fn tokens(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
