//! The first example of each page in `docs/` runs as it is written, in an empty directory.

use crate::common::{Test, test};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Pages whose examples need the repository, or have none: installing it and changing it.
const OF_REPOSITORY: [&str; 5] = ["adding.md", "browser.md", "checks.md", "install.md", "old_files.md"];

fn pages() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages: Vec<_> = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.retain(|page| !OF_REPOSITORY.contains(&name(page)));
    pages.sort();
    pages
}

fn name(page: &Path) -> &str {
    page.file_name().unwrap().to_str().unwrap()
}

/// The first block of shell commands in the text of a page.
fn first_example(text: &str) -> Option<&str> {
    let (_, block) = text.split_once("```sh\n")?;
    block.split_once("```").map(|(commands, _)| commands)
}

fn run_first_example(page: &Path) {
    let text = fs::read_to_string(page).unwrap();
    let commands = first_example(&text).unwrap_or_else(|| panic!("{} has no example", page.display()));
    let program = Path::new(env!("CARGO_BIN_EXE_lerac")).parent().unwrap().to_owned();
    let path = env::split_paths(&env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let path = env::join_paths([vec![program], path].concat()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh").args(["-ec", commands]).env("PATH", path).current_dir(&dir).output().unwrap();
    assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
}

pub fn tests() -> Vec<Test> {
    let pages = pages();
    assert!(!pages.is_empty(), "docs/ has no pages");
    pages.into_iter().map(|page| test(format!("docs: {}", name(&page)), move |_| run_first_example(&page))).collect()
}
