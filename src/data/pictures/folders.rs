//! Opens data sets of image files.

use super::cache::{Cached, OpenEvent, check};
use super::folder::{Files, Layout, OnInvalidName, Part};
use super::image_file::ResizeCrop;
use super::{Images, PictureSplits, Pictures};
use crate::data::{Meaning, Source};
use crate::error::{Error, Result};
use std::path::PathBuf;

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
            false => Err(Error::setting("data_dir", format!("the directory {} does not exist", dir.display()))),
        }
    }

    /// The pictures of UTKFace. A file with an invalid name is left out with `skip_bad`, otherwise
    /// it is an error.
    pub(in crate::data) fn faces(
        &self,
        layout: fn(&std::path::Path, &mut OnInvalidName<'_>) -> Result<Layout>,
        report: &mut dyn FnMut(OpenEvent<'_>),
    ) -> Result<PictureSplits> {
        let layout = layout(&self.named_dir()?, &mut |fault| match self.skip_bad {
            true => {
                report(OpenEvent::Note(&format!("left out: {fault}")));
                Ok(())
            }
            false => Err(fault),
        })?;
        self.folder(layout, report)
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
        let Layout { root, meaning, mut train, mut test } = layout;
        if let Meaning::Classes(names) = &meaning
            && names.len() > MOST_CLASSES
        {
            let message = format!("expected at most {MOST_CLASSES} classes, found {}", names.len());
            return Err(Error::setting("data_dir", message));
        }
        let mut parts = [None, None];
        if self.cache.is_some() || self.skip_bad {
            let everything = [train.entries.clone(), test.entries.clone()].concat();
            let checked = check(&Files::new(&root, everything, frame), self.cache, self.skip_bad, report)?;
            let (of_train, all) = (train.entries.len(), train.entries.len() + test.entries.len());
            let mut good = vec![true; all];
            checked.bad.iter().for_each(|&bad| good[bad as usize] = false);
            keep(&mut train, &good[..of_train]);
            keep(&mut test, &good[of_train..]);
            if let Some(cache) = checked.cache {
                parts = [Some((cache.clone(), 0)), Some((cache, train.entries.len()))];
            }
        }
        let [of_train, of_test] = parts;
        let pictures = |part: Part, cache: Option<(Cached, usize)>| {
            if part.entries.is_empty() {
                let message = format!("expected training and test images in {}, found none of one", root.display());
                return Err(Error::setting("data_dir", message));
            }
            let files = Files::new(&root, part.entries, frame);
            let images = match cache {
                Some((cache, first)) => Images::Cached(cache.part(files, first)),
                None => Images::Files(files),
            };
            Ok(Pictures::framed(self.name, frame, meaning.clone(), images, part.labels))
        };
        Ok(PictureSplits { train: pictures(train, of_train)?, test: pictures(test, of_test)? })
    }
}

/// Removes the files that are not good.
fn keep(part: &mut Part, good: &[bool]) {
    let mut of_entry = good.iter();
    part.entries.retain(|_| *of_entry.next().expect("one for each"));
    let mut of_label = good.iter();
    part.labels.retain(|_| *of_label.next().expect("one for each"));
}
