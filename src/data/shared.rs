//! Finds files that are in two parts of a set, by their content.

use super::listing::{Entry, Listing};
use crate::cores::in_parallel;
use crate::files::OpenFile;
use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Most files that are compared.
const MOST_COMPARED: usize = 200_000;

/// Bytes in the middle of a file that are compared first.
const SAMPLE: u64 = 4096;

/// What identifies the content of a file: its length and a CRC-32; `None` if it cannot be read.
type Digest = Option<(u64, u32)>;

/// A file of a part that may also be in another one.
struct Candidate<'p> {
    part: usize,
    entry: &'p Entry,
    digest: Digest,
}

/// The candidates whose digest is that of one in another part.
fn in_two_parts(candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let mut parts: HashMap<(u64, u32), HashSet<usize>> = HashMap::new();
    for Candidate { part, digest, .. } in &candidates {
        digest.map(|digest| parts.entry(digest).or_default().insert(*part));
    }
    let is_shared = |digest: Digest| digest.is_some_and(|digest| parts[&digest].len() > 1);
    candidates.into_iter().filter(|candidate| is_shared(candidate.digest)).collect()
}

/// CRC-32 of `most` bytes from the byte `start` on.
fn checksum(path: &Path, start: u64, most: u64) -> Option<u32> {
    let mut file = OpenFile::open(path).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let (mut hasher, mut buffer, mut left) = (crc32fast::Hasher::new(), [0; 4096], file.take(most));
    loop {
        match left.read(&mut buffer).ok()? {
            0 => return Some(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Sentences about the files that two of the parts share, each with their number and an example.
pub(super) fn shared_files<'e>(listing: &Listing, parts: [(&str, Vec<&'e Entry>); 3]) -> Vec<String> {
    let many = listing.kind.many;
    let mut candidates = vec![];
    for (part, (_, files)) in parts.iter().enumerate() {
        let candidate = |&entry: &&'e Entry| Candidate { part, entry, digest: Some((entry.bytes, 0)) };
        candidates.extend(files.iter().map(candidate));
    }
    candidates = in_two_parts(candidates);
    if candidates.len() > MOST_COMPARED {
        return vec![format!("{} {many} are too many to look for equal ones in training and test", candidates.len())];
    }
    for whole in [false, true] {
        let digest = |candidate: &mut Candidate<'_>| {
            let bytes = candidate.entry.bytes;
            let (start, most) = if whole { (0, u64::MAX) } else { ((bytes / 2).saturating_sub(SAMPLE / 2), SAMPLE) };
            candidate.digest = checksum(&listing.path(&candidate.entry.name), start, most).map(|crc| (bytes, crc));
            Ok::<(), ()>(())
        };
        in_parallel(candidates.iter_mut(), digest).expect("a file that cannot be read is no error here");
        candidates = in_two_parts(candidates);
    }
    let sentence = |(from, to): (usize, usize)| {
        let of = |part: usize| candidates.iter().filter(move |candidate| candidate.part == part);
        let known: HashMap<Digest, &str> = of(from).map(|c| (c.digest, c.entry.name.as_str())).collect();
        let found: Vec<_> = of(to).filter_map(|c| Some((&c.entry.name, known.get(&c.digest)?))).collect();
        let (name, other) = found.first()?;
        let (count, all) = (found.len(), parts[to].1.len());
        Some(format!(
            "{count} of {all} {} {many} are also {} {many}, byte for byte, such as {name} and {other}",
            parts[to].0, parts[from].0
        ))
    };
    [(0, 2), (0, 1), (1, 2)].into_iter().filter_map(sentence).collect()
}
