//! Modules are on floors, and a file imports only from floors below its own. The test reads every
//! file of `src/` and checks its paths (`crate::X`, and `super::` chains that reach the crate's
//! root) against the table.

use std::path::{Path, PathBuf};

/// Each module with its floor. `lib.rs` is above all of them and may import everything.
const FLOORS: [(&str, u32); 18] = [
    ("error", 1),
    ("files", 1),
    ("cores", 1),
    ("clock", 1),
    ("cache_dir", 1),
    ("gpu", 2),
    ("tensor", 3),
    ("tape", 4),
    ("ops", 5),
    ("nn", 6),
    ("optim", 6),
    ("train", 7),
    ("checks", 7),
    ("records", 8),
    ("study", 9),
    ("trainer", 10),
    ("cli", 11),
    ("main", 11),
];

/// Modules that use no device. They have no floor: they import only `DEVICELESS_MAY`, and only
/// floors from `DEVICELESS_FROM` up import them.
const DEVICELESS: [&str; 2] = ["curriculum", "data"];
const DEVICELESS_FROM: u32 = 6;
const DEVICELESS_MAY: [&str; 3] = ["error", "cores", "files"];

/// Calls that only one module may make: the last two parts of a path, and that module.
const ONLY_IN: [(&str, &str, &str); 6] = [
    ("thread", "spawn", "cores"),
    ("thread", "scope", "cores"),
    ("thread", "Builder", "cores"),
    ("time", "Instant", "clock"),
    ("time", "SystemTime", "clock"),
    ("fs", "rename", "files"),
];

/// Whether a module may import another on its own floor.
fn may_on_its_floor(from: &str, to: &str) -> bool {
    floor(from) == Some(1) && to == "error"
}

fn floor(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// Why `from` may not import `to`, if it may not.
fn refusal(from: &str, to: &str) -> Option<String> {
    let deviceless = |module: &str| DEVICELESS.contains(&module);
    if from == to || from == "lib" {
        return None;
    }
    match (floor(from), floor(to)) {
        (Some(above), Some(below)) if below < above => None,
        (Some(_), Some(_)) if may_on_its_floor(from, to) => None,
        (Some(above), Some(below)) => Some(format!("{from} (floor {above}) imports {to} (floor {below})")),
        (Some(above), None) if deviceless(to) && above >= DEVICELESS_FROM => None,
        (Some(above), None) if deviceless(to) => {
            Some(format!("{from} (floor {above}) imports {to}, known from floor {DEVICELESS_FROM} up"))
        }
        (None, _) if deviceless(from) && DEVICELESS_MAY.contains(&to) => None,
        (None, _) if deviceless(from) => {
            Some(format!("{from} (without a device) imports {to}; it may only import {}", DEVICELESS_MAY.join(", ")))
        }
        (None, _) => None, // reported once for the file
        (Some(_), None) => Some(format!("{from} imports {to}, which has no floor")),
    }
}

/// A name, `::`, or any other single character of the code.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Colons,
    Other(char),
}

/// The tokens of a source file with the line of each; comments, strings and characters are left
/// out.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut found, mut line, mut i) = (vec![], 1, 0);
    while i < chars.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            '"' => i = after_string(&chars, i),
            // 'a' and '\n' are characters, 'a without a closing quote is a lifetime.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            ':' if at(i + 1) == ':' => {
                found.push((line, Token::Colons));
                i += 2;
            }
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                let name: String = chars[start..i].iter().collect();
                let hashes = (i..chars.len()).take_while(|&j| at(j) == '#').count();
                if matches!(name.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    i = after_raw_string(&chars, i + hashes, hashes);
                } else {
                    found.push((line, Token::Name(name)));
                }
            }
            c => {
                if !c.is_whitespace() {
                    found.push((line, Token::Other(c)));
                }
                i += 1;
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|&&c| c == '\n').count();
    }
    found
}

/// The index after the string that opens at `i`.
fn after_string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The index after the raw string whose quote is at `i`, closed by a quote and `hashes` hashes.
fn after_raw_string(chars: &[char], mut i: usize, hashes: usize) -> usize {
    i += 1;
    let closes = |i: usize| chars[i] == '"' && (1..=hashes).all(|j| chars.get(i + j) == Some(&'#'));
    while i < chars.len() && !closes(i) {
        i += 1;
    }
    i + 1 + hashes
}

/// All paths from `tokens[*i]` on, with groups in braces expanded. `*i` moves past them.
fn paths(tokens: &[(usize, Token)], i: &mut usize) -> Vec<Vec<(usize, String)>> {
    let token = |i: usize| tokens.get(i).map(|(_, token)| token);
    let mut path = vec![];
    loop {
        match token(*i) {
            Some(Token::Name(name)) => {
                path.push((tokens[*i].0, name.clone()));
                *i += 1;
            }
            Some(Token::Other('*')) => {
                path.push((tokens[*i].0, "*".into()));
                *i += 1;
                return vec![path];
            }
            Some(Token::Other('{')) => {
                *i += 1;
                let mut all = vec![];
                while !matches!(token(*i), None | Some(Token::Other('}'))) {
                    match token(*i) {
                        Some(Token::Name(_) | Token::Other('{' | '*')) => {
                            let tails = paths(tokens, i);
                            all.extend(tails.into_iter().map(|tail| path.iter().cloned().chain(tail).collect()));
                        }
                        _ => *i += 1,
                    }
                    // The name after `as` is not part of a path.
                    if token(*i) == Some(&Token::Name("as".into())) {
                        *i += 2;
                    }
                }
                *i += 1;
                return all;
            }
            _ => return vec![path],
        }
        if token(*i) != Some(&Token::Colons) {
            return vec![path];
        }
        *i += 1;
    }
}

/// The top-level modules that the module with this path names, each with its line.
fn imports(module: &[String], tokens: &[(usize, Token)]) -> Vec<(usize, String)> {
    let token = |i: usize| tokens.get(i).map(|(_, token)| token);
    let is = |i: usize, word: &str| matches!(token(i), Some(Token::Name(name)) if name == word);
    let mut found = vec![];
    // Modules written inside the file, by the number of braces open around each.
    let (mut braces, mut inside) = (0, vec![]);
    for i in 0..tokens.len() {
        match &tokens[i].1 {
            Token::Other('{') => {
                if i >= 2 && is(i - 2, "mod") {
                    inside.push(braces);
                }
                braces += 1;
            }
            Token::Other('}') => {
                braces -= 1;
                inside.pop_if(|outside| *outside == braces);
            }
            Token::Name(word) if ["crate", "super", "self"].contains(&word.as_str()) => {
                let inner = i >= 1 && token(i - 1) == Some(&Token::Colons);
                let visibility = i >= 2 && is(i - 2, "pub"); // pub(crate), pub(super)
                if inner || visibility {
                    continue;
                }
                for path in paths(tokens, &mut i.clone()) {
                    let climb = path.iter().take_while(|(_, part)| ["super", "self"].contains(&part.as_str()));
                    let climbed = climb.filter(|(_, part)| part == "super").count();
                    if word != "crate" && climbed < module.len() + inside.len() {
                        continue;
                    }
                    let leads = |part: &str| !["crate", "super", "self"].contains(&part);
                    let named = path.iter().find(|(_, part)| leads(part));
                    found.push(named.cloned().unwrap_or((tokens[i].0, "the whole crate".into())));
                }
            }
            _ => {}
        }
    }
    found
}

/// The calls in module `home` that only another module may make, with their lines. The tests at the
/// end of a file are exempt.
fn trespasses(home: &str, tokens: &[(usize, Token)]) -> Vec<(usize, String)> {
    let cfg_test = [Token::Name("cfg".into()), Token::Other('('), Token::Name("test".into())];
    let is_tests = |three: &[(usize, Token)]| three.iter().map(|(_, token)| token).eq(&cfg_test);
    let tokens = &tokens[..tokens.windows(3).position(is_tests).unwrap_or(tokens.len())];
    let begins = |&i: &usize| matches!(tokens[i].1, Token::Name(_)) && (i == 0 || tokens[i - 1].1 != Token::Colons);
    let written = (0..tokens.len()).filter(begins).flat_map(|mut i| paths(tokens, &mut i));
    let trespass = |path: Vec<(usize, String)>| {
        let has = |a: &str, b: &str| path.windows(2).any(|pair| pair[0].1 == a && pair[1].1 == b);
        let (a, b, only) = ONLY_IN.into_iter().find(|(a, b, only)| *only != home && has(a, b))?;
        Some((path[0].0, format!("only src/{only} may name {a}::{b}")))
    };
    let mut found: Vec<_> = written.filter_map(trespass).collect();
    // A group in braces is found once from its outside and once for each path in it.
    found.dedup();
    found
}

/// Every import of `file`, relative to `src/`, that violates the floors.
fn offences(file: &Path, source: &str) -> Vec<String> {
    let mut module: Vec<String> = file.with_extension("").iter().map(|part| part.to_string_lossy().into()).collect();
    module.pop_if(|last| last == "mod");
    let home = module[0].as_str();
    let tokens = tokens(source);
    let wgpu = tokens.iter().filter(|(_, token)| home != "gpu" && *token == Token::Name("wgpu".into()));
    let wgpu = wgpu.map(|(line, _)| (*line, "only src/gpu/ knows wgpu".to_owned()));
    let imports = imports(&module, &tokens);
    let refused = imports.iter().filter_map(|(line, to)| Some((*line, refusal(home, to)?)));
    let homeless = home != "lib" && floor(home).is_none() && !DEVICELESS.contains(&home);
    let homeless = homeless.then(|| (1, format!("{home} has no floor: give it one in tests/floors.rs")));
    let all = homeless.into_iter().chain(wgpu).chain(trespasses(home, &tokens)).chain(refused);
    all.map(|(line, why)| format!("src/{}:{line}: {why}", file.display())).collect()
}

/// Every .rs file under `folder`.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = vec![];
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_file_imports_only_from_below() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src);
    assert!(files.contains(&src.join("lib.rs")) && files.len() > 10, "src/ was not read: {files:?}");
    let found: Vec<String> = files
        .iter()
        .flat_map(|path| offences(path.strip_prefix(&src).unwrap(), &std::fs::read_to_string(path).unwrap()))
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn offending_sources_are_refused() {
    let offending = [
        ("gpu/device.rs", "use crate::tensor::Span;", "src/gpu/device.rs:1: gpu (floor 2) imports tensor (floor 3)"),
        ("error.rs", "use crate::gpu::Gpu;", "error (floor 1) imports gpu (floor 2)"),
        ("tape/mod.rs", "fn f() -> crate::ops::Kernels {}", "tape (floor 4) imports ops (floor 5)"),
        ("ops/relu.rs", "use crate::{error::Result, nn::Net};", "ops (floor 5) imports nn (floor 6)"),
        ("ops/relu.rs", "use {\n crate::error::Result,\n crate::nn::Net,\n};", "src/ops/relu.rs:3: ops"),
        ("nn/mod.rs", "use crate::optim::Rule;", "nn (floor 6) imports optim (floor 6)"),
        ("optim/mod.rs", "use crate::nn::Net;", "optim (floor 6) imports nn (floor 6)"),
        ("train/run.rs", "use crate::study::report;", "train (floor 7) imports study (floor 9)"),
        ("study/mod.rs", "use crate::cli::Arguments;", "study (floor 9) imports cli (floor 11)"),
        ("records/tables.rs", "use crate::study::Comparison;", "records (floor 8) imports study (floor 9)"),
        ("study/report.rs", "use crate::trainer::Trainer;", "study (floor 9) imports trainer (floor 10)"),
        ("ops/mod.rs", "use crate::curriculum::Layer;", "known from floor 6 up"),
        ("tape/plan.rs", "use crate::data::Pictures;", "known from floor 6 up"),
        ("curriculum/cbs.rs", "use crate::data::Pictures;", "curriculum (without a device) imports data"),
        ("data/mod.rs", "use crate::curriculum::Layer;", "data (without a device) imports curriculum"),
        ("data/batch.rs", "use crate::clock::Instant;", "it may only import error, cores, files"),
        ("files/read.rs", "use crate::cores::spawn;", "files (floor 1) imports cores (floor 1)"),
        ("error.rs", "use crate::files::read_regular;", "error (floor 1) imports files (floor 1)"),
        ("data/loader.rs", "fn f() { std::thread::spawn(g); }", "only src/cores may name thread::spawn"),
        ("data/loader.rs", "use std::thread::{Builder, JoinHandle};", "only src/cores may name thread::Builder"),
        ("gpu/call.rs", "use std::{fs, thread};\nfn f() { thread::scope(g) }", "src/gpu/call.rs:2: only src/cores"),
        ("train/run.rs", "use std::time::{Duration, Instant};", "only src/clock may name time::Instant"),
        ("study/trace.rs", "fn f() { fs::rename(a, b) }", "only src/files may name fs::rename"),
        ("data/loader.rs", "use crate::gpu::Gpu;", "data (without a device) imports gpu"),
        ("tensor/shape.rs", "use super::super::tape::Tape;", "tensor (floor 3) imports tape (floor 4)"),
        ("tensor/mod.rs", "pub mod reference { use super::super::tape::Tape; }", "tensor (floor 3) imports tape"),
        ("tensor/mod.rs", "mod a { fn f() {} }\nuse super::tape::Tape;", "src/tensor/mod.rs:2: tensor"),
        ("tensor/mod.rs", "use super::{gpu::Gpu, tape as t};", "tensor (floor 3) imports tape (floor 4)"),
        ("tensor/mod.rs", "use self::super::tape::Tape;", "tensor (floor 3) imports tape (floor 4)"),
        ("error.rs", "use super::gpu::Gpu;", "error (floor 1) imports gpu (floor 2)"),
        ("tensor/shape.rs", "use crate::*;", "tensor imports *, which has no floor"),
        ("tensor/shape.rs", "use crate as house;", "tensor imports the whole crate"),
        ("tensor/shape.rs", "use crate::{self as house};", "tensor imports the whole crate"),
        ("tensor/shape.rs", "use crate::Gpu;", "tensor imports Gpu, which has no floor"),
        ("tensor/shape.rs", "fn f(x: &'static str, y: crate::ops::Y) {}", "tensor (floor 3) imports ops"),
        ("tensor/shape.rs", "const Q: char = '\"'; use crate::ops::Y;", "tensor (floor 3) imports ops"),
        ("tensor/shape.rs", "const Q: &str = r#\"\"\"#; use crate::ops::Y;", "tensor (floor 3) imports ops"),
        ("tensor/shape.rs", "/* /* */ */ use crate::ops::Y; // crate::gpu", "tensor (floor 3) imports ops"),
        ("attic/mod.rs", "", "attic has no floor"),
        ("ops/conv2d.rs", "fn f(device: &wgpu::Device) {}", "only src/gpu/ knows wgpu"),
        ("train/mod.rs", "use wgpu as gpu_library;", "only src/gpu/ knows wgpu"),
        ("main.rs", "fn main() { wgpu::Instance::default(); }", "only src/gpu/ knows wgpu"),
        ("cli/mod.rs", "use crate::gpu::wgpu::Device;", "only src/gpu/ knows wgpu"),
    ];
    for (file, source, expected) in offending {
        let found = offences(Path::new(file), source);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{file}: {source}\nfound {found:?}, expected {expected:?}"
        );
    }
}

#[test]
fn lawful_sources_pass() {
    let lawful = [
        ("lib.rs", "pub mod cli; pub use crate::gpu::Gpu; pub use self::tape::Tape;"),
        ("main.rs", "use lerac::cli; fn main() { lerac::cli::run() }"),
        ("gpu/device.rs", "use crate::error::Result; fn f(device: wgpu::Device) {}"),
        ("gpu/call.rs", "use super::kernel::Kernel; pub(crate) fn f() {} pub(in crate::gpu) fn g() {}"),
        ("ops/relu.rs", "use crate::{error::Result, gpu::{Gpu, Kernel}, tape::*};"),
        ("ops/relu.rs", "pub mod reference { use super::super::Kernels; fn f() { super::super::super::tape::g() } }"),
        (
            "ops/mod.rs",
            "//! Like [`crate::nn`], `wgpu::Device`.\nconst S: &str = \"crate::nn, wgpu::\"; /* crate::nn */",
        ),
        ("nn/net.rs", "use crate::curriculum::Layer; use crate::ops::{self, conv2d};"),
        ("study/mod.rs", "use crate::{records::Finished, train::{Config, run}}; use crate::data::Pictures;"),
        ("train/run.rs", "use crate::{curriculum::Curriculum, data::Loader, nn, optim::Rule};"),
        ("cli/mod.rs", "use crate::{study, train, trainer::Trainer}; pub(super) fn f(self) { self.x() }"),
        ("data/idx.rs", "use super::Pictures; use crate::{error::Error, files::open_regular};"),
        ("cores.rs", "use crate::error::Result; use std::thread::{self, Builder}; fn f() { thread::scope(g) }"),
        ("files/write.rs", "use crate::error::Result; fn f() { fs::rename(a, b) }"),
        ("data/loader.rs", "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { std::thread::scope(h) } }"),
        ("cli/saving.rs", "use std::{thread, time::Duration}; fn f() { thread::sleep(g) }"),
    ];
    for (file, source) in lawful {
        assert_eq!(offences(Path::new(file), source), Vec::<String>::new(), "{file}: {source}");
    }
}
