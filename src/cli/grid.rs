//! What `lerac compare` runs: methods x seeds x k x range.

use crate::curriculum::Range;
use crate::error::{Error, Result};
use crate::train::{Config, Method};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Enough for every interval, and few enough for a list of runs.
const MOST_SEEDS: u32 = 10_000;

/// The grid, as options and as the table `[grid]` of a file.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Grid {
    /// Methods, the one that others are held against first
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Grid::default().methods, help_heading = "Grid")]
    pub(super) methods: Vec<Method>,
    /// Number of seeds, from --seed on; every method gets the same
    #[arg(long, default_value_t = Grid::default().seeds, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SEEDS)), help_heading = "Grid")]
    pub(super) seeds: u32,
    /// Values of --k, each of which makes a method of its own of every method that has one
    #[arg(long, allow_hyphen_values = true, value_delimiter = ',', help_heading = "Grid")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ks: Vec<f64>,
    /// Values of --range, likewise
    #[arg(long, allow_hyphen_values = true, value_delimiter = ',', help_heading = "Grid")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ranges: Vec<Range>,
}

impl Default for Grid {
    fn default() -> Self {
        let methods = vec![Method::Conventional, Method::Lerac, Method::Cbs];
        Self { methods, seeds: 1, ks: vec![], ranges: vec![] }
    }
}

/// One run of the grid.
pub(super) struct Run {
    /// Which method, and with what k and range where several are compared.
    pub(super) arm: String,
    pub(super) config: Config,
    pub(super) dir: PathBuf,
}

impl Run {
    pub(super) fn title(&self) -> String {
        format!("{} seed {}", self.arm, self.config.training.seed)
    }
}

/// Whether each of `values` is there once.
fn only_once<T: PartialEq + Display>(option: &str, values: &[T]) -> Result<()> {
    let twice = (1..values.len()).find(|&i| values[..i].contains(&values[i]));
    twice.map_or(Ok(()), |i| Err(Error::option(option, format!("{} is named twice; once will do", values[i]))))
}

impl Grid {
    /// Every method, and of those that have a ramp one for each k and range.
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

    /// All runs by seed, each with a directory in `out`, checked before the first of them starts.
    ///
    /// # Errors
    /// [`Error::Option`] for a grid or a run that cannot be.
    pub(super) fn runs(&self, config: &Config, out: &Path) -> Result<Vec<Run>> {
        if !(1..=MOST_SEEDS).contains(&self.seeds) {
            return Err(Error::option("--seeds", format!("expected 1 to {MOST_SEEDS}, found {}", self.seeds)));
        }
        if self.methods.is_empty() {
            return Err(Error::option("--methods", "expected at least one"));
        }
        only_once("--methods", &self.methods)?;
        only_once("--ks", &self.ks)?;
        only_once("--ranges", &self.ranges)?;
        // What one run calls --k is one of --ks here.
        let of_grid = |error: Error| match error {
            Error::Setting { field: "k", message } if !self.ks.is_empty() => Error::setting("ks", message),
            Error::Setting { field: "range", message } if !self.ranges.is_empty() => Error::setting("ranges", message),
            other => other,
        };
        let arms = self.arms(config);
        let run = |seed: u32, (arm, config): &(String, Config)| {
            let config = config.clone().with(|c| c.training.seed = config.training.seed.wrapping_add(seed.into()));
            let dir = out.join(format!("{}-seed{}", arm.replace(' ', "-").replace('=', ""), config.training.seed));
            config.check().map_err(of_grid).map(|()| Run { arm: arm.clone(), config, dir })
        };
        (0..self.seeds).flat_map(|seed| arms.iter().map(move |arm| run(seed, arm))).collect()
    }

    /// The text of a file that `--config` makes the same runs of.
    pub(super) fn file(&self, config: &Config) -> String {
        let form = "every option has a TOML form";
        format!("{}\n[grid]\n{}", toml::to_string(config).expect(form), toml::to_string(self).expect(form))
    }
}
