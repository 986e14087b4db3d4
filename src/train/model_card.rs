//! The card of a model: what is needed to use its weights. It is stored in the metadata of their
//! file.

use super::foreign::format_of;
use super::task::class_weights;
use super::{Config, Method, Task};
use crate::data::{
    BoxedPictures, DataSet, Difficult, Examples, Form, ImageInput, Meaning, PictureSplits, Pictures, SoundInput,
    SplitBy, VocYears,
};
use crate::error::{Error, Result};
use crate::files::{read_regular, text::alike};
use crate::nn::objective::{Answer, ClassWeights};
use crate::nn::{BertOptions, CvtActivation};
use crate::ops::regression::Loss;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// What is needed to use the weights of a model: its name, the form of its input, and the meaning
/// of its outputs. The vocabulary of a model of texts is a file next to the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelCard {
    /// Version of this format.
    pub format: u32,
    /// The name of the model.
    pub model: String,
    /// The name of the data set that it was trained on.
    pub data: String,
    /// The images that it reads; `None` if it reads something else.
    pub image: Option<ImageInput>,
    /// The spectrograms of sounds that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundInput>,
    /// The test fold of `esc50`, which it was not trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<u32>,
    /// What the parts of `crema-d` do not share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_by: Option<SplitBy>,
    /// What becomes of the difficult objects of `voc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficult: Option<Difficult>,
    /// The years of `voc` that it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voc_years: Option<VocYears>,
    /// The size of the model `bert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bert: Option<BertOptions>,
    /// The activation of the model `cvt-13`; `None` if it is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<CvtActivation>,
    /// The text of the file that describes the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net: Option<String>,
    /// Tokens per example of a model of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// The columns of the texts in a table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_columns: Vec<String>,
    /// What it predicts.
    pub target: CardTarget,
    /// The probability that the loss divided among all classes.
    pub label_smoothing: f64,
    /// The weight of each class in the loss; empty for 1 each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f32>,
    /// The loss of a predicted number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// The standard deviation of the blur of Curriculum by Smoothing at these weights, pixels;
    /// `None` without blur.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blur: Option<f64>,
}

/// What a model predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardTarget {
    /// One of these classes.
    Classes(Vec<String>),
    /// Boxes around objects of these classes.
    Boxes(Vec<String>),
    /// A number: an output z predicts mean + std z.
    Number {
        /// The number's unit.
        unit: String,
        /// Mean of the numbers.
        mean: f32,
        /// Standard deviation of the numbers.
        std: f32,
    },
    /// Something that only its own program knows.
    Other,
}

impl CardTarget {
    fn of(meaning: Option<&Meaning>) -> Self {
        match meaning {
            Some(Meaning::Classes(names)) => Self::Classes(names.to_vec()),
            Some(Meaning::Boxes(names)) => Self::Boxes(names.to_vec()),
            Some(Meaning::Number { unit, mean, std }) => Self::Number { unit: unit.clone(), mean: *mean, std: *std },
            _ => Self::Other,
        }
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Classes(names) => Meaning::Classes(names.clone().into()),
            Self::Boxes(names) => Meaning::Boxes(names.clone().into()),
            Self::Number { unit, mean, std } => Meaning::Number { unit: unit.clone(), mean: *mean, std: *std },
            Self::Other => Meaning::Plain,
        }
    }
}

/// The largest number of classes: labels are u16.
const MOST_CLASSES: usize = 1 << 16;

impl ModelCard {
    /// The key in the metadata. Its value is JSON.
    pub const KEY: &str = "lerac_model";

    /// Version of the format. Later ones are refused.
    pub const FORMAT: u32 = 1;

    /// The card of a task's model, whose weights are evaluated with the blur `sigma`.
    ///
    /// # Errors
    /// Those of reading the classes of the training examples.
    pub(super) fn of(task: &Task, sigma: Option<f64>) -> Result<Self> {
        let (config, form) = (&task.config, task.data.train.form());
        let sound = DataSet::named(&config.data.name).is_ok_and(|set| set.of_sounds);
        let sound = sound.then(|| config.data.source().sound.input(&config.data.name));
        let image = match sound {
            Some(_) => None,
            None => ImageInput::of(&form, config.data.normalise, config.data.resize),
        };
        Ok(Self {
            format: Self::FORMAT,
            model: config.model.name.clone(),
            data: config.data.name.clone(),
            image,
            sound,
            fold: config.data.fold,
            split_by: config.data.split_by,
            difficult: config.data.difficult,
            voc_years: config.data.voc_years,
            bert: config.model.bert.clone(),
            activation: config.model.activation,
            net: config.model.net.clone(),
            tokens: form.tokens().map(|tokens| tokens.length),
            text_columns: config.data.text_columns.clone(),
            target: CardTarget::of(form.targets.first().map(|target| &target.meaning)),
            label_smoothing: config.training.label_smoothing,
            class_weights: class_weights(config, &task.data)?,
            loss: config.training.loss,
            blur: sigma,
        })
    }

    /// The value of [`ModelCard::KEY`] in the metadata.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a card is plain data")
    }

    /// The card in the file of weights at `path`; `None` if the file has none, as those of PyTorch.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a file that is damaged, or written by a later version.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = read_regular(path)?;
        let bad = |message: String| Error::format(path, 0, message);
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|fault| {
            bad(format_of(&bytes).unwrap_or_else(|| format!("not a valid safetensors file: {fault}")))
        })?;
        let Some(json) = header.metadata().as_ref().and_then(|metadata| metadata.get(Self::KEY)) else {
            return Ok(None);
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let key = Self::KEY;
        let invalid = |fault: serde_json::Error| bad(format!("{key} in the metadata is not valid: {fault}"));
        let Format { format } = serde_json::from_str(json).map_err(invalid)?;
        if format != Self::FORMAT {
            let message = format!("{key} has format {format}, this version reads format {}", Self::FORMAT);
            return Err(bad(format!("{message}; use the version that wrote the file")));
        }
        let card: Self = serde_json::from_str(json).map_err(invalid)?;
        card.check().map_err(|what| bad(format!("{key} in the metadata is not valid: {what}")))?;
        Ok(Some(card))
    }

    /// Whether it predicts boxes.
    pub fn has_boxes(&self) -> bool {
        matches!(self.target, CardTarget::Boxes(_))
    }

    /// The name of a class; `None` if the model does not predict classes.
    pub fn class(&self, answer: &Answer) -> Option<&str> {
        match (&self.target, answer) {
            (CardTarget::Classes(names), Answer::Whole(class)) => names.get(*class as usize).map(String::as_str),
            _ => None,
        }
    }

    fn check(&self) -> std::result::Result<(), String> {
        if let CardTarget::Classes(names) | CardTarget::Boxes(names) = &self.target
            && !(1..=MOST_CLASSES).contains(&names.len())
        {
            return Err(format!("expected 1 to {MOST_CLASSES} classes, found {}", names.len()));
        }
        let in_words = |(field, message)| format!("sound: {field}: {message}");
        self.sound.as_ref().map_or(Ok(()), |sound| sound.check().map_err(in_words))?;
        self.image.as_ref().map_or(Ok(()), ImageInput::check)
    }

    /// The options of the model, under which it is evaluated. The others have their defaults.
    pub fn options(&self) -> Config {
        Config::default().with(|c| {
            (c.model.name, c.data.name) = (self.model.clone(), self.data.clone());
            c.model.bert.clone_from(&self.bert);
            c.model.activation = self.activation;
            c.model.net.clone_from(&self.net);
            (c.training.label_smoothing, c.training.loss) = (self.label_smoothing, self.loss);
            let weights = &self.class_weights;
            c.training.class_weights = (!weights.is_empty()).then(|| ClassWeights::Given(weights.clone()));
            if let Some(image) = &self.image {
                c.data.normalise = image.normalise;
                let set = DataSet::named(&self.data).ok();
                if set.is_some_and(|set| set.of_files) {
                    (c.data.image_size, c.data.resize) = (Some(image.shape[1]), Some(image.resize));
                }
                if set.is_some_and(|set| set.of_boxes) {
                    c.data.image_size = Some(image.shape[1]);
                    (c.data.difficult, c.data.voc_years) = (self.difficult, self.voc_years);
                }
            }
            if let Some(sound) = &self.sound {
                c.data.set_sound_input(sound);
                (c.data.fold, c.data.split_by) = (self.fold, self.split_by);
            }
            c.data.max_length = self.tokens;
            c.data.text_columns.clone_from(&self.text_columns);
            if let Some(sigma) = self.blur {
                c.curriculum.method = Method::Cbs;
                (c.curriculum.sigma, c.curriculum.sigma_decay) = (sigma, 1.0);
            }
        })
    }

    /// Checks that `config` does not ask for another input than that of the model.
    ///
    /// # Errors
    /// [`Error::Setting`] with both values.
    pub fn check_options(&self, config: &Config) -> Result<()> {
        if let Some(sound) = &self.sound {
            return self.check_sound(sound, config);
        }
        let (Some(image), data) = (&self.image, &config.data) else { return Ok(()) };
        let differs = |field, there: String, here: String| {
            let message = format!("the weights are for {there}, found {here}; leave the option out");
            Err(Error::setting(field, message))
        };
        let [_, side, _] = image.shape;
        match (data.image_size, data.resize) {
            (Some(size), _) if size != side => differs("image_size", side.to_string(), size.to_string()),
            (_, Some(size)) if size != image.resize => differs("resize", image.resize.to_string(), size.to_string()),
            _ if data.normalise != image.normalise => {
                differs("normalise", format!("{:?}", image.normalise), format!("{:?}", data.normalise))
            }
            _ => Ok(()),
        }
    }

    /// Checks that `config` does not ask for other spectrograms.
    fn check_sound(&self, sound: &SoundInput, config: &Config) -> Result<()> {
        let fields = |input: &SoundInput| {
            let SoundInput { sample_rate, duration, n_fft, window_length, hop, mel_bands, mel_scale, centred } = input;
            let numbers = [("n_fft", n_fft), ("window_length", window_length), ("hop", hop), ("mel_bands", mel_bands)];
            let others = [
                ("sample_rate", sample_rate.to_string()),
                ("duration", duration.to_string()),
                ("mel_scale", format!("{mel_scale:?}").to_lowercase()),
                ("centred", centred.to_string()),
            ];
            numbers.map(|(field, value)| (field, value.to_string())).into_iter().chain(others)
        };
        let wanted = config.data.source().sound.input(&config.data.name);
        match fields(sound).zip(fields(&wanted)).find(|(there, here)| there != here) {
            Some(((field, there), (_, here))) => {
                let message = format!("the weights are for {there}, found {here}; leave the option out");
                Err(Error::setting(field, message))
            }
            None => Ok(()),
        }
    }

    fn image_input(&self) -> Result<&ImageInput> {
        self.image.as_ref().ok_or_else(|| {
            let message = format!("the weights are of a model that reads no images, but {}", self.data);
            Error::setting("init", message)
        })
    }

    /// The data set without examples. It reads image files as the model needs them.
    ///
    /// # Errors
    /// [`Error::Setting`] if the model does not read images.
    pub fn pictures(&self) -> Result<Pictures> {
        let image = self.image_input()?;
        Ok(image.empty_set(&self.data, self.target.meaning()))
    }

    /// Sets the normalisation of `data` to that of the model.
    ///
    /// # Errors
    /// [`Error::Setting`] with both sides if the classes or the images of `data` differ from those
    /// of the model.
    pub fn prepare(&self, data: &mut PictureSplits) -> Result<()> {
        let own = self.pictures()?;
        let found = data.train.form();
        if own.image != data.train.image {
            let message = format!("the weights are for images {:?}, the data have {:?}", own.image, data.train.image);
            return Err(Error::setting("data", message));
        }
        self.check_classes(&found)?;
        let [there, here] = [&own, &data.train].map(|of| CardTarget::of(Some(&of.meaning)));
        if there != here {
            return Err(other_data(format!("the weights predict {there:?}, the data have {here:?}")));
        }
        self.image_input()?.normalise(data);
        Ok(())
    }

    /// Checks that the classes of data with this form are those of the model.
    ///
    /// # Errors
    /// [`Error::Setting`] with the first class that differs.
    pub fn check_classes(&self, found: &Form) -> Result<()> {
        let there = match &self.target {
            CardTarget::Classes(names) | CardTarget::Boxes(names) => &names[..],
            _ => &[],
        };
        let here = found.boxes().map_or_else(|| found.classes(), |boxes| boxes.classes);
        let Some(i) = (0..there.len().max(here.len())).find(|&i| there.get(i) != here.get(i)) else { return Ok(()) };
        let name = |of: &[String]| of.get(i).map_or("absent".to_owned(), |name| format!("{name:?}"));
        let (of_weights, of_data) = (name(there), name(here));
        let counts = format!("{} classes in the weights, {} in the data", there.len(), here.len());
        let hint = there.get(i).map_or(String::new(), |name| alike(name, here));
        Err(other_data(format!("class {i} is {of_weights} in the weights, {of_data} in the data ({counts}){hint}")))
    }

    /// The data set without examples. It reads files of images or sounds as the model needs them.
    ///
    /// # Errors
    /// [`Error::Setting`] if the model reads neither, or if sounds are not part of this build.
    pub fn empty_set(&self) -> Result<Arc<dyn Examples>> {
        match self.sound {
            #[cfg(feature = "audio")]
            Some(input) => Ok(Arc::new(crate::data::Sounds::empty(&self.data, input, self.target.meaning())?)),
            #[cfg(not(feature = "audio"))]
            Some(_) => Err(Error::setting("init", "the weights read sounds, which need the crate's feature `audio`")),
            None => match &self.target {
                CardTarget::Boxes(names) => {
                    let [_, side, _] = self.image_input()?.shape;
                    Ok(Arc::new(BoxedPictures::empty(&self.data, side, names.clone().into())))
                }
                _ => Ok(Arc::new(self.pictures()?)),
            },
        }
    }
}

/// The error about data that are not those of the weights.
fn other_data(message: String) -> Error {
    Error::setting("data", format!("{message}; give the data of these weights"))
}
