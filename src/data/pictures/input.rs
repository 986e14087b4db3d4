//! The images that a model reads: stored with its weights, so that it reads others in the same way.

use super::{Augmentation, Images, Normalise, PictureSplits, Pictures, check_side};
use crate::data::{Form, Meaning};
use serde::{Deserialize, Serialize};

/// Largest [`ImageInput::resize`].
const MOST_RESIZE: usize = 2048;

/// The images that a model reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageInput {
    /// C, H, W.
    pub shape: [usize; 3],
    /// Pixels of the shorter side after resizing, before the centre is cropped to H and W.
    pub resize: usize,
    /// Where mean and standard deviation come from.
    pub normalise: Normalise,
    /// Mean of each channel, on the scale `[0, 1]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, on the scale `[0, 1]`.
    pub std: Vec<f32>,
}

impl ImageInput {
    /// The images of `form`; `None` if it has none. Image files are resized to `resize` before the
    /// crop, by default to the smaller of H and W.
    pub(crate) fn of(form: &Form, normalise: Normalise, resize: Option<usize>) -> Option<Self> {
        let pixels = form.pixels()?;
        let [_, h, w] = pixels.image;
        Some(Self {
            shape: pixels.image,
            resize: resize.unwrap_or(h.min(w)),
            normalise,
            mean: pixels.mean.to_vec(),
            std: pixels.std.to_vec(),
        })
    }

    /// Checks values that were read from a file.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { shape: [c, h, w], resize, mean, std, .. } = self;
        let sides = [h, w].into_iter().try_for_each(|side| check_side(*side));
        sides.map_err(|fault| fault.to_string())?;
        let normalises = [mean, std].iter().all(|of| of.len() == *c && of.iter().all(|value| value.is_finite()))
            && std.iter().all(|&std| std > 0.0);
        let fits = [1, 3].contains(c) && (*h.min(w)..=MOST_RESIZE).contains(resize);
        match normalises && fits {
            true => Ok(()),
            false => {
                Err("image: expected 1 or 3 channels with mean and std of each, and resize at least the side".into())
            }
        }
    }

    /// The set `name` without examples. It reads image files as the model needs them.
    pub(crate) fn empty_set(&self, name: &str, meaning: Meaning) -> Pictures {
        Pictures {
            name: name.to_owned(),
            image: self.shape,
            meaning,
            images: Images::from(vec![]),
            labels: vec![],
            mean: self.mean.clone(),
            std: self.std.clone(),
            shorter: self.resize,
            augmentation: Augmentation::default(),
            held_out: 0,
            skipped: [].into(),
        }
    }

    /// Replaces the normalisation of `data` by that of the model.
    pub(crate) fn normalise(&self, data: &mut PictureSplits) {
        for part in [&mut data.train, &mut data.test] {
            (part.mean, part.std) = (self.mean.clone(), self.std.clone());
        }
    }
}
