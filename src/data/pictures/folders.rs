//! Opens data sets of image files.

use super::image_file::ResizeCrop;
use super::{PictureSplits, Pictures};
use crate::data::layout::Layout;
use crate::data::opening::{Opened, OpenedPart};
use crate::data::{OpenEvent, Source};
use crate::error::{Error, Result};
use crate::files::is_dir;
use std::path::PathBuf;

/// Default image size, in pixels: that of Tiny ImageNet, and of Food-101 in the published code.
const SIDE: usize = 64;

/// The largest image size, in pixels.
const LARGEST_SIDE: usize = 1024;

/// Approximate mean and standard deviation of the ages in UTKFace, in years. They are constants, so
/// that weights are valid for any part of the set.
pub(in crate::data) const AGE: [f32; 2] = [33.0, 20.0];

/// Checks an image size, the height and width of `--image-size`.
///
/// # Errors
/// [`Error::Setting`] unless it is from 1 to 1024 pixels.
pub fn check_side(side: usize) -> Result<()> {
    match (1..=LARGEST_SIDE).contains(&side) {
        true => Ok(()),
        false => Err(Error::setting("image_size", format!("expected 1 to {LARGEST_SIDE} pixels, found {side}"))),
    }
}

impl Source<'_> {
    /// The size that image files are brought to.
    ///
    /// # Errors
    /// [`Error::Setting`] if `image_size` or `resize` is out of range.
    pub(in crate::data) fn frame(&self) -> Result<ResizeCrop> {
        let side = self.image_size.unwrap_or(SIDE);
        let shorter = self.resize.unwrap_or(side);
        check_side(side)?;
        if !(side..=2 * LARGEST_SIDE).contains(&shorter) {
            let message = format!("expected {side} (`image_size`) to {} pixels, found {shorter}", 2 * LARGEST_SIDE);
            return Err(Error::setting("resize", message));
        }
        Ok(ResizeCrop { image: [3, side, side], shorter })
    }

    /// The directory of `--data-dir`, for a set that has no usual directory.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is not given or does not exist.
    pub(in crate::data) fn named_dir(&self) -> Result<PathBuf> {
        let Some(dir) = self.dir else {
            return Err(Error::setting("data_dir", format!("expected the directory of {}", self.name)));
        };
        match is_dir(dir) {
            true => Ok(dir.to_owned()),
            false => {
                let here = std::env::current_dir().unwrap_or_default();
                let whole = if dir.is_relative() { format!(" in {}", here.display()) } else { String::new() };
                Err(Error::setting("data_dir", format!("the directory {} does not exist{whole}", dir.display())))
            }
        }
    }

    /// The pictures of these files.
    ///
    /// # Errors
    /// [`Error::Setting`] if a part has no images; with a cache or `skip_bad`, the errors of the
    /// files.
    pub(in crate::data) fn folder(
        &self,
        layout: Layout,
        report: &mut dyn FnMut(OpenEvent<'_>),
    ) -> Result<PictureSplits> {
        if self.class_list.is_some() && self.name != "imagefolder" {
            return Err(Error::setting("class_list", "only applies to imagefolder; remove it"));
        }
        let frame = self.frame()?;
        let Opened { meaning, train, test, held_out, skipped } = self.of_layout(layout, frame, report)?;
        let pictures = |part: OpenedPart<ResizeCrop>| {
            let pictures = Pictures::framed(self.name, frame, meaning.clone(), part.stored.into(), part.labels);
            Pictures { skipped: skipped.clone(), ..pictures }
        };
        Ok(PictureSplits { train: Pictures { held_out, ..pictures(train) }, test: pictures(test) })
    }
}
