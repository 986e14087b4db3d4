//! The model and its initial weights.

use super::check_paths;
use crate::error::{Error, Result};
use crate::files::{read_at_most, text};
use crate::nn::{self, BertOptions, CVT_13, CvtActivation, Named};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The model whose size is in a file.
const BERT: &str = "bert";

/// Larger than any `config.json`.
const MOST_BYTES: u64 = 1 << 20;

/// The model and its initial weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelOptions {
    /// Model: cnn, lenet, resnet8, resnet20, resnet18, resnet18-imagenet, resnet34, resnet50,
    /// wide_resnet50_2, wide_resnet52-2, wide_resnet28-10, cvt-13, septr, septr-tiny, densenet121,
    /// vgg11_bn or mobilenet_v2; the last three with -imagenet after them for large images. Or a
    /// file such as net.toml that describes an image model. For boxes: yolov5n, yolov5s or
    /// yolov5m. For texts: lstm, bert, bert-tiny, bert-mini, bert-small, bert-medium, bert-base or
    /// bert-large
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
    /// bert: the size of the model, a config.json of Hugging Face [default: config.json next to
    /// --init]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE", help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_config: Option<PathBuf>,
    /// cvt-13: the activation [default: gelu]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<CvtActivation>,
    /// bert: the size of the model, as read from `model_config`.
    #[cfg_attr(feature = "cli", arg(skip))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bert: Option<BertOptions>,
    /// The text of the file that describes the model, if `name` is that of a file.
    #[cfg_attr(feature = "cli", arg(skip))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<String>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            name: "cnn".into(),
            init: None,
            init_partial: false,
            model_config: None,
            activation: None,
            bert: None,
            net: None,
        }
    }
}

impl ModelOptions {
    /// The model of this name, or of the file of this name, with default options.
    ///
    /// # Errors
    /// Those of [`ModelOptions::read_net`] and [`ModelOptions::model`].
    pub fn named(name: &str) -> Result<Self> {
        let mut options = Self { name: name.to_owned(), ..Self::default() };
        options.read_net()?;
        options.model().map(|_| options)
    }

    /// Checks that the options fit together.
    ///
    /// # Errors
    /// [`Error::Setting`] with the option, the expected and the found value.
    pub fn check(&self) -> Result<()> {
        self.check_storable()?;
        if self.name != BERT && self.model_config.is_some() {
            return Err(Error::setting("model_config", format!("is for `model` bert, found {}", self.name)));
        }
        if self.name != CVT_13 && self.activation.is_some() {
            return Err(Error::setting("activation", format!("is for `model` {CVT_13}, found {}", self.name)));
        }
        if let Some(bert) = &self.bert {
            bert.check().map_err(|message| Error::setting(BERT, message))?;
        }
        match self.init_partial && self.init.is_none() {
            true => Err(Error::setting("init_partial", "needs `init` FILE")),
            false => Ok(()),
        }
    }

    /// The model.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown name, or for `bert` of no size.
    pub fn model(&self) -> Result<Named> {
        if self.is_file() {
            return self.file_model();
        }
        if let Some(activation) = self.activation.filter(|_| self.name == CVT_13) {
            return Ok(nn::cvt13(activation));
        }
        match (&self.bert, self.name == BERT) {
            (Some(options), true) => nn::bert(options),
            (None, true) => {
                let message = "bert needs the size of the model: a config.json of Hugging Face, next to `init` or \
                               given here; or choose a size by name, such as `model` bert-mini";
                Err(Error::setting("model_config", message))
            }
            (_, false) => nn::named(&self.name),
        }
    }

    /// Whether the model is described by a file.
    fn is_file(&self) -> bool {
        Path::new(&self.name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
    }

    #[cfg(feature = "records")]
    fn file_model(&self) -> Result<Named> {
        match &self.net {
            Some(net) => nn::from_file(Path::new(&self.name), net),
            None => Err(Error::setting("model", format!("the text of {} is missing: `net`", self.name))),
        }
    }

    #[cfg(not(feature = "records"))]
    fn file_model(&self) -> Result<Named> {
        Err(Error::setting("model", format!("{}: this build reads no models from files", self.name)))
    }

    /// Sets [`ModelOptions::net`] to the text of the file that [`ModelOptions::name`] names, and
    /// the name to that of the file without its directory. Does nothing if the text is there
    /// already.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Format`] for bytes that are no text.
    pub fn read_net(&mut self) -> Result<()> {
        if !self.is_file() {
            self.net = None;
            return Ok(());
        }
        if self.net.is_none() {
            let path = PathBuf::from(&self.name);
            let bytes = read_at_most(&path, MOST_BYTES)?;
            self.net = Some(text::utf8(&path, &bytes)?.replace("\r\n", "\n"));
            self.name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        }
        Ok(())
    }

    /// Sets [`ModelOptions::bert`] from the file [`ModelOptions::model_config`], or from
    /// `config.json` next to the initial weights. Returns the path of a file that no option names.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`].
    pub fn read_model_config(&mut self) -> Result<Option<PathBuf>> {
        if self.name != BERT {
            return Ok(None);
        }
        if let Some(path) = self.model_config.take() {
            self.bert = Some(read_bert(&path)?);
            return Ok(None);
        }
        let next_to_weights = self.init.as_ref().map(|init| init.with_file_name("config.json"));
        match next_to_weights.filter(|path| self.bert.is_none() && path.is_file()) {
            Some(path) => {
                self.bert = Some(read_bert(&path)?);
                Ok(Some(path))
            }
            None => Ok(None),
        }
    }

    pub(super) fn check_storable(&self) -> Result<()> {
        check_paths(&[("init", &self.init), ("model_config", &self.model_config)])
    }
}

fn read_bert(path: &Path) -> Result<BertOptions> {
    BertOptions::from_config_json(path, &read_at_most(path, MOST_BYTES)?)
}
