//! Limits on the length of files and comments, over all sources of the repository.

use std::path::{Path, PathBuf};

/// Directories of sources, and the most lines that a file in them may have.
const LIMITS: [(&str, usize); 5] =
    [("src", 400), ("tests", 600), ("benches", 400), ("examples", 400), ("shaders", 400)];

/// The most columns of a comment line.
const COMMENT_COLUMNS: usize = 100;

/// Adds all `.rs` and `.wgsl` files in and below `dir`.
fn add_sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            add_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "wgsl") {
            found.push(path);
        }
    }
}

fn each_source(mut check: impl FnMut(&Path, &str, usize)) {
    for (dir, lines) in LIMITS {
        let mut found = vec![];
        add_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut found);
        assert!(!found.is_empty(), "{dir} has no sources");
        for path in found {
            check(&path, &std::fs::read_to_string(&path).unwrap(), lines);
        }
    }
}

#[test]
fn files_are_short() {
    let mut long = vec![];
    each_source(|path, text, most| {
        let lines = text.lines().count();
        if lines > most {
            long.push(format!("{}: {lines} lines, at most {most}", path.display()));
        }
    });
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn comments_are_narrow() {
    let mut wide = vec![];
    each_source(|path, text, _| {
        for (number, line) in (1..).zip(text.lines()) {
            let columns = line.chars().count();
            if line.trim_start().starts_with("//") && columns > COMMENT_COLUMNS {
                wide.push(format!("{}:{number}: {columns} columns, at most {COMMENT_COLUMNS}", path.display()));
            }
        }
    });
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}
