//! Learning Rate Curriculum as the published code (CroitoruAlin/LeRaC, commit 6d3fdb8) computes it,
//! including float rounding.

use super::{Curriculum, Time, check_rate};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The initial rates of the blocks between stem and classifier in the published code, by
/// architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Ladder {
    /// ResNet-18: the first block has 0.1 eta. Each next block has a tenth of the rate of the block
    /// in front of it, while that is above min_lr. CvT is the same, with its first block in the
    /// layer of the first patch embedding.
    #[default]
    Resnet,
    /// Wide ResNet: the first block has eta. Each next block has a tenth of the rate of the
    /// block in front of it, while that is above min_lr.
    WideResnet,
    /// BERT: all layers have eta, except for the last two, pooler and classifier.
    Bert,
}

/// The hyperparameters of the published code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceOptions {
    /// Initial rates of the blocks.
    pub ladder: Ladder,
    /// The common learning rate.
    pub eta: f64,
    /// The initial rates of blocks fall by a factor of 10 from block to block while they are above
    /// this.
    pub min_lr: f64,
    /// The initial rate of the classifier is eta times this.
    pub clf: f64,
    /// A rate is multiplied by 10 while the product is below this.
    pub stop_lr: f64,
    /// Equally spaced points of an epoch at which rates grow.
    pub updates_per_epoch: u64,
    /// Rates grow only in the epochs before this one, counted from 1 as in the published code.
    pub stop_update_epoch: u64,
}

/// Learning Rate Curriculum of the published code.
///
/// Initially the stem has the rate eta, blocks have the rates of their [`Ladder`], and the
/// classifier has eta * clf. The rates of blocks are computed by repeated multiplication: rounding
/// may add a step below min_lr.
///
/// Rates grow at `updates_per_epoch` equally spaced points of an epoch, while fewer than
/// `stop_update_epoch` - 1 epochs are done: a rate is multiplied by 10 if the product is below
/// stop_lr. Layers reach eta one after the other.
///
/// In an epoch of S steps the points are after floor(S i / updates) steps, i = 1..updates. An epoch
/// with fewer steps than updates has a point after every step.
#[derive(Clone, Debug)]
pub struct Reference {
    options: ReferenceOptions,
    /// Factor of eta by number of updates and layer. The last row holds for all later updates.
    ladder: Vec<Vec<f64>>,
}

impl Reference {
    /// A curriculum for layers of block depths `depths`, from [`super::depths`]: 1 is the stem, the
    /// greatest depth is the classifier.
    ///
    /// # Errors
    /// [`Error::Setting`] unless f32 holds all rates and the number of updates is positive.
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
        let description = "initial learning rate of every block, and with `clf` of the classifier,";
        by_depth.iter().try_for_each(|&rate| check_rate("min_lr", description, rate))?;
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

    /// Number of updates before the next step: those of whole epochs, and all i with
    /// floor(S i / updates) <= steps done in this epoch.
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

/// The initial rates of depths 1 to `deepest`.
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
    let classifier_layers = if options.ladder == Ladder::Bert { 2 } else { 1 };
    rates[deepest.saturating_sub(classifier_layers).max(1)..].fill(options.eta * options.clf);
    rates
}

impl Curriculum for Reference {
    fn factor(&self, time: Time, layer: usize) -> f64 {
        let row = self.updates_done(time).min(self.ladder.len() as u64 - 1) as usize;
        self.ladder[row][layer]
    }

    /// Holds for epochs with at least as many steps as updates.
    fn grows_until(&self) -> f64 {
        let updates = (self.ladder.len() - 1) as f64;
        let growing = self.options.stop_update_epoch.saturating_sub(1);
        (updates / self.options.updates_per_epoch as f64).min(growing as f64)
    }
}
