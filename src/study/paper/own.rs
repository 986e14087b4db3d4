//! One's own results of an experiment, from the directory of its comparison.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The runs of a method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnArm {
    /// The method.
    pub method: String,
    /// Number of seeds.
    pub seeds: usize,
    /// Mean test score, in the unit of the measure.
    pub mean: f64,
    /// Half of the 95 % confidence interval of the mean (Student's t); `None` for one seed.
    pub half_interval: Option<f64>,
}

impl OwnArm {
    /// Method, mean, interval and seeds.
    pub fn text(&self) -> String {
        let interval = self.half_interval.map_or(String::new(), |half| format!(" ± {half:.2}"));
        let seeds = if self.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", self.seeds) };
        format!("{} {:.2}{interval} ({seeds})", self.method, self.mean)
    }
}

/// The results of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnResults {
    /// A row per method.
    pub arms: Vec<OwnArm>,
    /// How the runs are shorter than the recipe; empty if they are not.
    pub shortened: String,
}

/// The part of `compare.json` that is read.
#[derive(Deserialize)]
struct Compared {
    measure: Factor,
    arms: Vec<Arm>,
}

#[derive(Deserialize)]
struct Factor {
    factor: f64,
}

#[derive(Deserialize)]
struct Arm {
    arm: String,
    seeds: Vec<u64>,
    test_score: f64,
    test_score_sd: Option<f64>,
}

/// Half of the 95 % confidence interval of a mean.
fn half_interval(deviation: f64, count: usize) -> f64 {
    let t = StudentsT::new(0.0, 1.0, (count - 1) as f64).expect("one degree of freedom or more").inverse_cdf(0.975);
    t * deviation / (count as f64).sqrt()
}

/// The text of a file; `None` if it does not exist.
fn text(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(Error::io(path, "read")),
    }
}

/// How the options `here` are shorter than those of the recipe `there`.
fn shortened(there: &toml::Table, here: &toml::Table) -> String {
    let number = |table: &toml::Table, section: &str, key: &str| table.get(section)?.get(key)?.as_integer();
    let epochs = |table| number(table, "training", "epochs");
    let examples = |table| number(table, "data", "train-examples");
    let mut parts = vec![];
    if let (Some(there), Some(here)) = (epochs(there), epochs(here))
        && here != there
    {
        parts.push(format!("{here} of {there} epochs"));
    }
    if let Some(here) = examples(here).filter(|here| Some(*here) != examples(there)) {
        parts.push(format!("{here} training examples"));
    }
    parts.join(", ")
}

impl OwnResults {
    /// The results in `dir`, a directory of `lerac compare`, for the recipe with this text; `None`
    /// if there are none yet.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] if a file cannot be read.
    pub fn read(dir: &Path, recipe: &str) -> Result<Option<Self>> {
        let (results, options) = (dir.join("compare.json"), dir.join("compare.toml"));
        let (Some(json), Some(here)) = (text(&results)?, text(&options)?) else { return Ok(None) };
        let compared: Compared = serde_json::from_str(&json)
            .map_err(|fault| Error::format(&results, 0, format!("expected the results of a comparison: {fault}")))?;
        let table = |text: &str| {
            text.parse::<toml::Table>().map_err(|fault| Error::format(&options, 0, fault.message().to_owned()))
        };
        let factor = compared.measure.factor;
        let arms = compared.arms.into_iter().map(|arm| OwnArm {
            method: arm.arm,
            seeds: arm.seeds.len(),
            mean: factor * arm.test_score,
            half_interval: arm.test_score_sd.map(|sd| half_interval(factor * sd, arm.seeds.len())),
        });
        Ok(Some(Self { arms: arms.collect(), shortened: shortened(&table(recipe)?, &table(&here)?) }))
    }

    /// The results in a line.
    pub fn text(&self) -> String {
        let arms: Vec<_> = self.arms.iter().map(OwnArm::text).collect();
        let label = if self.shortened.is_empty() { String::new() } else { format!("shortened ({}): ", self.shortened) };
        format!("{label}{}", arms.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_student() {
        // t(0.975, 4) = 2.776445.
        assert!((half_interval(1.0, 5) - 2.776_445 / 5f64.sqrt()).abs() < 1e-5);
    }

    #[test]
    fn shorter_runs_are_labelled() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let recipe = table("[training]\nepochs = 200");
        assert_eq!(shortened(&recipe, &recipe), "");
        let short = table("[training]\nepochs = 3\n[data]\ntrain-examples = 640");
        assert_eq!(shortened(&recipe, &short), "3 of 200 epochs, 640 training examples");
    }
}
