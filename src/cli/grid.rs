//! The grid of `lerac compare`: methods x seeds x folds x k x range.

use crate::curriculum::Range;
use crate::error::{Error, Result};
use crate::train::{Config, Method};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// The largest number of seeds. The list of runs must fit in memory.
const MAX_SEEDS: u32 = 10_000;

/// The folds of ESC-50.
const FOLDS: u32 = 5;

/// The grid, from options or from the table `[grid]` of a file.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Grid {
    /// Methods to compare; the first one is the baseline
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Grid::default().methods, help_heading = "Grid")]
    pub(super) methods: Vec<Method>,
    /// Number of seeds, starting at --seed; the same for every method
    #[arg(long, default_value_t = Grid::default().seeds, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SEEDS)), help_heading = "Grid")]
    pub(super) seeds: u32,
    /// Run every fold of the data set, for each method and seed, and report the mean over folds
    #[arg(long, help_heading = "Grid")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) folds: bool,
    /// Values of --k to compare; every method with a ramp is run with each of them
    #[arg(long, allow_hyphen_values = true, value_delimiter = ',', help_heading = "Grid")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ks: Vec<f64>,
    /// Values of --range to compare; every method with a ramp is run with each of them
    #[arg(long, allow_hyphen_values = true, value_delimiter = ',', help_heading = "Grid")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ranges: Vec<Range>,
}

impl Default for Grid {
    fn default() -> Self {
        let methods = vec![Method::Conventional, Method::Lerac, Method::Cbs];
        Self { methods, seeds: 1, folds: false, ks: vec![], ranges: vec![] }
    }
}

/// One run of the grid.
pub(super) struct Run {
    /// The method; with its k and range if several of them are compared.
    pub(super) arm: String,
    pub(super) config: Config,
    pub(super) dir: PathBuf,
}

impl Run {
    /// The name of its directory, which no other run of the grid has.
    pub(super) fn name(&self) -> String {
        self.dir.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
    }

    pub(super) fn title(&self) -> String {
        let fold = self.config.data.fold.map_or(String::new(), |fold| format!(" fold {fold}"));
        format!("{} seed {}{fold}", self.arm, self.config.training.seed)
    }
}

/// Checks that no value is given twice.
fn check_distinct<T: PartialEq + Display>(option: &str, values: &[T]) -> Result<()> {
    let twice = (1..values.len()).find(|&i| values[..i].contains(&values[i]));
    twice.map_or(Ok(()), |i| Err(Error::option(option, format!("{} is given twice; remove one", values[i]))))
}

impl Grid {
    /// Every method; those with a ramp once for each k and range.
    fn arms(&self, config: &Config) -> Vec<(String, Config)> {
        let ks: Vec<_> =
            if self.ks.is_empty() { vec![config.curriculum.k] } else { self.ks.iter().copied().map(Some).collect() };
        let ranges: Vec<_> = if self.ranges.is_empty() {
            vec![config.curriculum.range]
        } else {
            self.ranges.iter().copied().map(Some).collect()
        };
        let mut arms = vec![];
        for &method in &self.methods {
            if !method.has_ramp() {
                let arm = config.clone().with(|c| {
                    c.curriculum.method = method;
                    if !method.grows_rates() {
                        c.curriculum.schedule_during_curriculum = None;
                    }
                });
                arms.push((method.to_string(), arm));
                continue;
            }
            for &k in &ks {
                for &range in &ranges {
                    let mut name = method.to_string();
                    if let (Some(k), true) = (k, ks.len() > 1) {
                        name.push_str(&format!(" k={k}"));
                    }
                    if let (Some(range), true) = (range, ranges.len() > 1) {
                        name.push_str(&format!(" {range}"));
                    }
                    arms.push((
                        name,
                        config.clone().with(|c| {
                            c.curriculum.method = method;
                            c.curriculum.k = k;
                            c.curriculum.range = range;
                        }),
                    ));
                }
            }
        }
        arms
    }

    /// All runs, ordered by seed, each with its directory in `out`. The options of all runs are
    /// checked.
    ///
    /// # Errors
    /// [`Error::Option`] for an invalid grid; [`Error::Setting`] for invalid options of a run.
    pub(super) fn runs(&self, config: &Config, out: &Path) -> Result<Vec<Run>> {
        if !(1..=MAX_SEEDS).contains(&self.seeds) {
            return Err(Error::option("--seeds", format!("expected 1 to {MAX_SEEDS}, found {}", self.seeds)));
        }
        if self.methods.is_empty() {
            return Err(Error::option("--methods", "expected at least one"));
        }
        check_distinct("--methods", &self.methods)?;
        check_distinct("--ks", &self.ks)?;
        check_distinct("--ranges", &self.ranges)?;
        // The value of --k of a run comes from --ks, so the error names that option.
        let of_grid = |error: Error| match error {
            Error::Setting { field: "k", message } if !self.ks.is_empty() => Error::setting("ks", message),
            Error::Setting { field: "range", message } if !self.ranges.is_empty() => Error::setting("ranges", message),
            other => other,
        };
        let arms = self.arms(config);
        let run = |seed: u32, fold: Option<u32>, (arm, config): &(String, Config)| {
            let mut config = config.clone().with(|c| c.training.seed = config.training.seed.wrapping_add(seed.into()));
            config.data.fold = fold.or(config.data.fold);
            let of_fold = fold.map_or(String::new(), |fold| format!("-fold{fold}"));
            let arm_in_name = arm.replace(' ', "-").replace('=', "");
            let dir = out.join(format!("{arm_in_name}-seed{}{of_fold}", config.training.seed));
            config.check().map_err(of_grid).map(|()| Run { arm: arm.clone(), config, dir })
        };
        let folds = self.folds_of(config)?;
        let of_seed = |seed| folds.iter().map(move |fold| (seed, *fold));
        let places = (0..self.seeds).flat_map(of_seed);
        places.flat_map(|(seed, fold)| arms.iter().map(move |arm| run(seed, fold, arm))).collect()
    }

    /// The folds to run; only `None` without `--folds`.
    fn folds_of(&self, config: &Config) -> Result<Vec<Option<u32>>> {
        match (self.folds, config.data.name.as_str()) {
            (false, _) => Ok(vec![None]),
            (true, "esc50") => Ok((1..=FOLDS).map(Some).collect()),
            (true, other) => Err(Error::option("--folds", format!("is for esc50; {other} has no folds"))),
        }
    }

    /// The text of a file that reproduces the same runs with `--config`.
    pub(super) fn file(&self, config: &Config) -> String {
        let form = "every option has a TOML form";
        format!("{}\n[grid]\n{}", toml::to_string(config).expect(form), toml::to_string(self).expect(form))
    }
}
