//! The experiments of the paper on the command line.

use crate::common::errors::assert_contains;
use crate::common::program::{assert_refused, json};
use crate::common::{Test, test};

/// Published results, and one's own next to them.
fn the_paper_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let page = dir.path().join("paper.html");
    let own = dir.path().join("lstm-rte");
    std::fs::create_dir(&own).unwrap();
    let compared = r#"{"measure": {"factor": 100.0}, "arms": [{"arm": "lerac", "seeds": [0, 1], "test_score": 0.5, "test_score_sd": 0.01}]}"#;
    std::fs::write(own.join("compare.json"), compared).unwrap();
    std::fs::write(own.join("compare.toml"), "[training]\nepochs = 2\n").unwrap();
    let options = ["--out", out, "--data-dir", out];
    let report = json(&[&["paper", "--json", "--html", page.to_str().unwrap()], &options[..]].concat());
    let rows = report["rows"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["experiment"]["row"] == name).unwrap();
    assert_eq!((rows.len(), report["ablations"].as_array().unwrap().len()), (34, 50));
    let rte = row("lstm-rte");
    assert_eq!(rte["experiment"]["results"][2]["mean"], 55.71);
    assert_eq!((&rte["here"]["has_recipe"], &rte["here"]["has_data"]), (&true.into(), &false.into()));
    assert_eq!((&rte["own"]["arms"][0]["mean"], &rte["own"]["arms"][0]["seeds"]), (&50.0.into(), &2.into()));
    assert!(rte["own"]["shortened"].as_str().unwrap().contains("2 of "), "{rte}");
    // The form of CIFAR is known without its files.
    assert!(row("resnet18-cifar10")["here"]["bytes"].as_u64().unwrap() > 1 << 28);
    let page = std::fs::read_to_string(page).unwrap();
    assert_contains(&page, &["72.90 ± 0.28", "shortened", "reversed"]);
    assert_refused(&["paper", "run", "resnet18"], "ROW", &["resnet18-cifar10"]);
    std::fs::write(own.join("compare.json"), "{").unwrap();
    assert_refused(&[&["paper"], &options[..]].concat(), "compare.json", &[]);
}

pub fn tests() -> Vec<Test> {
    vec![test("paper: its experiments are listed", |_| the_paper_is_listed())]
}
