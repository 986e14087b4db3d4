//! Learning Rate Curriculum as the published code (CroitoruAlin/LeRaC, 6d3fdb8) computes it, float rounding included.

use super::{Curriculum, Time, check_rate};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Where the published code starts the blocks between the stem and the classifier, by architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Ladder {
    /// ResNet-18: the first block a decade below eta, each next one a decade lower while the rate is above min_lr.
    #[default]
    Resnet,
    /// Wide ResNet and CvT: the first block at eta, then as above.
    WideResnet,
    /// BERT: every layer at eta but the last two, pooler and classifier.
    Bert,
}

/// The published code's knobs, in learning rates and epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceOptions {
    /// Where blocks start.
    pub ladder: Ladder,
    /// The common rate.
    pub eta: f64,
    /// Blocks go down a decade each while the rate is above this.
    pub min_lr: f64,
    /// The classifier starts at eta times this.
    pub clf: f64,
    /// A rate grows tenfold while ten times it is below this.
    pub stop_lr: f64,
    /// Equally spaced points of an epoch at which rates grow.
    pub updates_per_epoch: u64,
    /// Growth ends with the epoch before this one, counted from 1 as the published code counts.
    pub stop_update_epoch: u64,
}

/// Initial rates: the stem at eta; blocks as their [`Ladder`] says, by repeated multiplication, so that rounding may take one step
/// below min_lr; the classifier at eta*clf. At each of `updates_per_epoch` equally spaced points of an epoch a rate whose tenfold is
/// below stop_lr grows tenfold, as long as fewer than `stop_update_epoch` - 1 epochs are done: groups reach eta one after another.
///
/// In an epoch of S steps the points lie after floor(S i / updates) steps, i = 1..updates; an epoch of fewer steps than updates
/// has a point after every step.
#[derive(Clone, Debug)]
pub struct Reference {
    options: ReferenceOptions,
    /// Factor of eta, by number of updates done and layer; the last row stays.
    ladder: Vec<Vec<f64>>,
}

impl Reference {
    /// The ladder for layers at block `depths` (ranked from 1: the stem first, the classifier last).
    ///
    /// # Errors
    /// [`Error::Setting`] unless the device can hold all rates, and the number of updates is positive.
    pub fn new(options: ReferenceOptions, depths: &[usize]) -> Result<Self> {
        let rates = [("eta", options.eta), ("min_lr", options.min_lr), ("stop_lr", options.stop_lr)];
        rates.into_iter().try_for_each(|(field, rate)| check_rate(field, "learning rate", rate))?;
        if !(options.clf > 0.0 && options.clf.is_finite()) {
            return Err(Error::setting("clf", format!("expected a positive factor, found {}", options.clf)));
        }
        if options.updates_per_epoch == 0 {
            return Err(Error::setting("updates_per_epoch", "expected at least 1, found 0"));
        }
        let deepest = depths.iter().copied().max().unwrap_or(1);
        let by_depth = initial_rates(&options, deepest);
        let what = "learning rate for every block to start from, with `clf` for the classifier,";
        by_depth.iter().try_for_each(|&rate| check_rate("min_lr", what, rate))?;
        let mut rates: Vec<f64> = depths.iter().map(|&depth| by_depth[depth - 1]).collect();
        let mut ladder = vec![];
        loop {
            ladder.push(rates.iter().map(|rate| rate / options.eta).collect());
            let grows = |rate: f64| rate.is_normal() && rate * 10.0 < options.stop_lr;
            if !rates.iter().any(|&rate| grows(rate)) {
                return Ok(Self { options, ladder });
            }
            rates.iter_mut().filter(|rate| grows(**rate)).for_each(|rate| *rate *= 10.0);
        }
    }

    /// Points passed before the next step: those of whole epochs, and all i with floor(S i / updates) <= steps done in this one.
    fn updates_done(&self, time: Time) -> u64 {
        let updates = self.options.updates_per_epoch.min(time.steps_per_epoch);
        let growing = self.options.stop_update_epoch.saturating_sub(1);
        if time.whole_epochs() >= growing {
            return growing.saturating_mul(updates);
        }
        let within = time.step % time.steps_per_epoch;
        let passed = (u128::from(within + 1) * u128::from(updates) - 1) / u128::from(time.steps_per_epoch);
        (time.whole_epochs() * updates).saturating_add(passed as u64)
    }
}

/// The rates of depths 1 to `deepest`.
fn initial_rates(options: &ReferenceOptions, deepest: usize) -> Vec<f64> {
    let mut rates = vec![options.eta];
    let mut block = match options.ladder {
        Ladder::Resnet => options.eta * 1e-1,
        Ladder::WideResnet | Ladder::Bert => options.eta,
    };
    for _ in 1..deepest {
        rates.push(block);
        if options.ladder != Ladder::Bert && block > options.min_lr {
            block *= 1e-1;
        }
    }
    let heads = if options.ladder == Ladder::Bert { 2 } else { 1 };
    rates[deepest.saturating_sub(heads).max(1)..].fill(options.eta * options.clf);
    rates
}

impl Curriculum for Reference {
    fn factor(&self, time: Time, layer: usize) -> f64 {
        let rung = self.updates_done(time).min(self.ladder.len() as u64 - 1) as usize;
        self.ladder[rung][layer]
    }

    /// Of epochs with at least as many steps as updates.
    fn grows_until(&self) -> f64 {
        let updates = (self.ladder.len() - 1) as f64;
        let growing = self.options.stop_update_epoch.saturating_sub(1);
        (updates / self.options.updates_per_epoch as f64).min(growing as f64)
    }
}
