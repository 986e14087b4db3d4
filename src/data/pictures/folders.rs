//! Data sets of image files, opened.

use super::cache::{Cached, News, check};
use super::folder::{Files, Layout, Misnamed, Part};
use super::image_file::ResizeCrop;
use super::{Images, PictureSplits, Pictures};
use crate::data::{Meaning, Source};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// Sides of the images of folders, unless said otherwise: Tiny ImageNet's own, and what the published code makes of Food-101.
const SIDE: usize = 64;

/// The largest side that images are brought to.
const LARGEST_SIDE: usize = 1024;

/// As many classes as labels can tell apart.
const MOST_CLASSES: usize = 1 << 16;

/// About the mean and the deviation of the ages of UTKFace, years: the same for all parts of it, so that weights mean the same.
pub(in crate::data) const AGE: [f32; 2] = [33.0, 20.0];

/// Whether images may have this height and width, --image-size.
///
/// # Errors
/// [`Error::Setting`] where they may not.
pub fn check_side(side: usize) -> Result<()> {
    match (1..=LARGEST_SIDE).contains(&side) {
        true => Ok(()),
        false => Err(Error::setting("image_size", format!("expected 1 to {LARGEST_SIDE} pixels, found {side}"))),
    }
}

impl Source<'_> {
    /// The form that images of files are brought to.
    ///
    /// # Errors
    /// [`Error::Setting`] for sides that are not possible.
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

    /// The directory that --data-dir names, of a set that lies nowhere by itself.
    ///
    /// # Errors
    /// [`Error::Setting`] where there is none.
    pub(in crate::data) fn named_dir(&self) -> Result<PathBuf> {
        let Some(dir) = self.dir else {
            return Err(Error::setting("data_dir", format!("{} needs the directory of its images", self.name)));
        };
        match dir.is_dir() {
            true => Ok(dir.to_owned()),
            false => Err(Error::setting("data_dir", format!("there is no directory {}", dir.display()))),
        }
    }

    /// Faces: with --skip-bad, files whose names say nothing are noted; else they are errors.
    pub(in crate::data) fn faces(
        &self,
        layout: fn(&std::path::Path, &mut Misnamed<'_>) -> Result<Layout>,
        news: &mut dyn FnMut(News<'_>),
    ) -> Result<PictureSplits> {
        let layout = layout(&self.named_dir()?, &mut |fault| match self.skip_bad {
            true => {
                news(News::Note(&format!("left out: {fault}")));
                Ok(())
            }
            false => Err(fault),
        })?;
        self.folder(layout, news)
    }

    /// The pictures of these files.
    ///
    /// # Errors
    /// [`Error::Setting`] where a part has no image; those of the files, where they are looked at.
    pub(in crate::data) fn folder(&self, layout: Layout, news: &mut dyn FnMut(News<'_>)) -> Result<PictureSplits> {
        if self.class_list.is_some() && self.name != "imagefolder" {
            return Err(Error::setting("class_list", "is for imagefolder; leave it out"));
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
            let checked = check(&Files::new(&root, everything, frame), self.cache, self.skip_bad, news)?;
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
                let message = format!("{} has no image to train on or to test with", root.display());
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

/// Leaves the files out that are not good.
fn keep(part: &mut Part, good: &[bool]) {
    let mut of_entry = good.iter();
    part.entries.retain(|_| *of_entry.next().expect("one for each"));
    let mut of_label = good.iter();
    part.labels.retain(|_| *of_label.next().expect("one for each"));
}
