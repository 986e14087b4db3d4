//! The model and its initial weights.

use super::check_paths;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The model and its initial weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelOptions {
    /// Model: cnn, lenet, resnet8, resnet20, resnet18, resnet18-imagenet, resnet34, resnet50,
    /// wide_resnet50_2, wide_resnet52-2, wide_resnet28-10, densenet121, vgg11_bn or mobilenet_v2;
    /// the last three with -imagenet after them for large images
    #[cfg_attr(
        feature = "cli",
        arg(id = "model", long = "model", value_name = "MODEL", default_value = "cnn", help_heading = "Training")
    )]
    pub name: String,
    /// Start from these weights (safetensors, names as in a PyTorch state dict) instead of random
    /// ones
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Load only the tensors of --init that match by name and shape, and list the others: to train
    /// a new head
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Training"))]
    pub init_partial: bool,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self { name: "cnn".into(), init: None, init_partial: false }
    }
}

impl ModelOptions {
    /// Checks that the options fit together.
    ///
    /// # Errors
    /// [`Error::Setting`] with the option, the expected and the found value.
    pub fn check(&self) -> Result<()> {
        self.check_storable()?;
        match self.init_partial && self.init.is_none() {
            true => Err(Error::setting("init_partial", "needs `init` FILE")),
            false => Ok(()),
        }
    }

    pub(super) fn check_storable(&self) -> Result<()> {
        check_paths(&[("init", &self.init)])
    }
}
