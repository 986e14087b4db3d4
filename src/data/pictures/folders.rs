//! Opens data sets of image files.

use super::cache::{OpenEvent, check};
use super::folder::{Files, Layout, Part};
use super::image_file::ResizeCrop;
use super::listing::Skipped;
use super::shared::shared_images;
use super::{Images, PictureSplits, Pictures, SKIPPED};
use crate::data::{Meaning, Source};
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// Default image size, in pixels: that of Tiny ImageNet, and of Food-101 in the published code.
const SIDE: usize = 64;

/// The largest image size, in pixels.
const LARGEST_SIDE: usize = 1024;

/// The largest number of classes: labels are u16.
const MOST_CLASSES: usize = 1 << 16;

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
        match dir.is_dir() {
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
        let Layout { mut listing, meaning, mut train, mut validation, mut test } = layout;
        if let Meaning::Classes(names) = &meaning
            && names.len() > MOST_CLASSES
        {
            let message = format!("expected at most {MOST_CLASSES} classes, found {}", names.len());
            return Err(Error::setting("data_dir", message));
        }
        let all = [&train, &validation, &test].map(|part| part.entries.len());
        let mut cached = None;
        if self.cache.is_some() || self.skip_bad {
            let everything = [&train, &validation, &test].map(|part| part.entries.clone()).concat();
            let checked = check(&Files::new(&listing.root, everything, frame), self.cache, self.skip_bad, report)?;
            let mut good = vec![true; all.iter().sum()];
            checked.bad.iter().for_each(|(bad, _)| good[*bad as usize] = false);
            let (of_train, rest) = good.split_at(all[0]);
            let (of_validation, of_test) = rest.split_at(all[1]);
            train.keep(of_train);
            validation.keep(of_validation);
            test.keep(of_test);
            listing.skipped.extend(checked.bad.into_iter().map(|(_, skipped)| skipped));
            cached = checked.cache;
        }
        let counted = [listing.passed_over(), left_out(&listing.skipped)];
        let shared = match self.name {
            "tiny-imagenet" | "food-101" => vec![],
            _ => shared_images(&listing, [("training", &train), ("validation", &validation), ("test", &test)]),
        };
        let notes = listing.notes.iter().cloned().chain(counted.into_iter().flatten()).chain(shared);
        notes.for_each(|note| report(OpenEvent::Note(&note)));
        let (root, skipped) = (listing.root, Arc::<[Skipped]>::from(listing.skipped));
        let pictures = |part: Part, first: usize| {
            if part.entries.is_empty() {
                let message = format!("expected training and test images in {}, found none of one", root.display());
                return Err(Error::setting("data_dir", message));
            }
            let files = Files::new(&root, part.entries, frame);
            let images = match &cached {
                Some(cached) => Images::Cached(cached.part(files, first)),
                None => Images::Files(files),
            };
            let pictures = Pictures::framed(self.name, frame, meaning.clone(), images, part.labels);
            Ok(Pictures { skipped: skipped.clone(), ..pictures })
        };
        let held_out = validation.entries.len();
        train.append(validation);
        let after = train.entries.len();
        let (train, test) = (pictures(train, 0)?, pictures(test, after)?);
        if train.len() == held_out {
            return Err(Error::setting(
                "data_dir",
                format!("expected training images in {}, found none", root.display()),
            ));
        }
        Ok(PictureSplits { train: Pictures { held_out, ..train }, test })
    }
}

/// Files that a note names. Further ones are only counted.
const MOST_NAMED: usize = 3;

/// A note about the files that were left out, if there are any.
fn left_out(skipped: &[Skipped]) -> Option<String> {
    let named = skipped.iter().take(MOST_NAMED).map(|Skipped { file, reason }| format!("{file}: {reason}"));
    let more = if skipped.len() > MOST_NAMED { "; ..." } else { "" };
    let named = named.collect::<Vec<_>>().join("; ");
    let count = skipped.len();
    (count > 0).then(|| format!("{count} bad files are left out; a run lists them in {SKIPPED}: {named}{more}"))
}
