//! Configuration files, with and without a `[grid]`.

use crate::checkpoints::{checkpoint, full_config};
use crate::common::errors::{Fault, assert_error};
use crate::common::program::assert_refused;
use crate::harness::{FILE, JUST_OVER, Limit, SMALL, Subject, measured, run, tokens};
use lerac::records::{RunDir, Saving};
use lerac::train::Config;
use std::path::{Path, PathBuf};

/// TOML: keys are short, and their trees take much more memory.
const CONFIG: Limit = Limit { multiple: 256, constant: SMALL };

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

pub fn toml_of(config: &Config) -> String {
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

/// NaN is not equal to itself when it is read again, and numbers beyond 64 bits cannot be written.
#[test]
fn unstorable_numbers_are_errors() {
    for (text, offset, name) in [
        ("eta = 0.1\nmin-lr = nan\n", 19, "line 2: min-lr: "),
        ("milestones = [1.0, inf]\n", 13, "line 1: milestones: "),
        ("validation = 18446744073709551615\n", 13, "line 1: "),
    ] {
        let read = Config::from_toml(Path::new(FILE), text.as_bytes());
        assert_error(read, Fault::Format(FILE, Some(offset)), &[name]);
    }
}

#[test]
fn unstorable_numbers_are_errors_on_the_command_line() {
    assert_refused(&["schedule", "--min-lr", "nan"], "--min-lr", &["nan"]);
    let most = i64::MAX.to_string();
    assert_refused(&["schedule", "--validation", &u64::MAX.to_string()], "--validation", &[&most]);
}

/// A checkpoint may contain numbers that TOML cannot store. They are compared with other options.
#[test]
fn options_beyond_toml_are_compared() {
    let mut changed = checkpoint(false);
    changed.state.config.data.validation = usize::MAX;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("checkpoints");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("step-0000000040.safetensors"), changed.to_bytes()).unwrap();
    let opened = RunDir::open(dir.path(), &Config::default(), Saving::default(), false);
    let names = ["validation: 18446744073709551615 ", "1000"];
    assert_error(opened, Fault::Option(dir.path().to_str().unwrap()), &names);
}
