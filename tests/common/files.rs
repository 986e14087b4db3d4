//! Files that tests write: directories, gzip, IDX.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

/// Writes a file. Creates its parent directories.
pub fn add(dir: impl AsRef<Path>, name: &str, bytes: &[u8]) {
    let path = dir.as_ref().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A temporary directory that holds these files.
pub fn directory<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    files.iter().for_each(|(name, bytes)| add(&dir, name.as_ref(), bytes.as_ref()));
    dir
}

/// `bytes` as one gzip member.
pub fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An IDX file: big-endian 32-bit words, then the content.
pub fn idx(words: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend(content);
    bytes
}

/// Prints to standard error directly. The test harness hides the output of `eprintln` in passing
/// tests.
pub fn print(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

/// Reports that something is not tested, and why.
pub fn skip(what: &str, why: &str) {
    print(&format!("SKIP: {what} is not tested: {why}"));
}
