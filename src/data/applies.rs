//! Which options apply to which data sets.

use super::{Augmentation, DataSet, Normalise, Source};
use crate::error::{Error, Result};

impl Source<'_> {
    /// The set in the table. An option that does not apply to it is an error.
    pub(super) fn set(&self) -> Result<&'static DataSet> {
        let set = DataSet::named(self.name)?;
        let &DataSet { of_files: is_image, of_sounds: is_sound, of_text: is_text, of_boxes: is_boxes, .. } = set;
        let of_many = is_image || is_sound || is_text || is_boxes;
        let options = [
            ("image_size", self.image_size.is_some(), is_image || is_boxes, "image files"),
            ("resize", self.resize.is_some(), is_image, "image files"),
            ("cache", self.cache.is_some(), is_image || is_sound, "image files and sounds"),
            ("skip_bad", self.skip_bad, of_many, "image files, sounds and texts"),
            ("class_list", self.class_list.is_some(), of_many, "folders of classes, voc and texts"),
        ];
        let idle = options.into_iter().find(|(_, given, applies, _)| *given && !applies);
        let idle = idle.map(|(option, .., kind)| (option, kind));
        let idle =
            idle.or_else(|| self.of_pixels().next().filter(|_| is_text || is_sound).map(|option| (option, "images")));
        let idle =
            idle.or_else(|| self.of_classes().filter(|_| is_boxes).map(|option| (option, "images of a class each")));
        let idle = idle.or_else(|| self.text.given().next().filter(|_| !is_text).map(|option| (option, "texts")));
        let idle = idle.or_else(|| self.sound.given().next().filter(|_| !is_sound).map(|option| (option, "sounds")));
        let idle =
            idle.or_else(|| self.boxes.given().next().filter(|_| !is_boxes).map(|option| (option, "sets of boxes")));
        let idle = idle.or_else(|| self.of_other_sounds().filter(|_| is_sound));
        let idle = idle.or_else(|| self.of_other_boxes().filter(|_| is_boxes));
        match idle {
            Some((option, kind)) => {
                Err(Error::setting(option, format!("only applies to {kind}, not to {}; remove it", self.name)))
            }
            None => Ok(set),
        }
    }

    /// An option of another set of sounds, if one is given, and that set.
    fn of_other_sounds(&self) -> Option<(&'static str, &'static str)> {
        let given = [
            ("fold", "esc50", self.sound.fold.is_some()),
            ("split_by", "crema-d", self.sound.split_by.is_some()),
            ("class_list", "audiofolder", self.class_list.is_some()),
        ];
        given.into_iter().find(|(_, set, given)| *given && *set != self.name).map(|(option, set, _)| (option, set))
    }

    /// An option of another set of boxes, if one is given, and that set.
    fn of_other_boxes(&self) -> Option<(&'static str, &'static str)> {
        let given = [
            ("voc_years", self.boxes.voc_years.is_some()),
            ("voc_train", self.boxes.voc_train.is_some()),
            ("difficult", self.boxes.difficult.is_some()),
            ("class_list", self.class_list.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given && self.name != "voc").map(|(option, _)| (option, "voc"))
    }

    /// An option that changes images of a class each, but not images with boxes, if one is given.
    fn of_classes(&self) -> Option<&'static str> {
        self.of_pixels().find(|option| *option != "flip")
    }

    /// The options that change pixels and are given.
    fn of_pixels(&self) -> impl Iterator<Item = &'static str> {
        let Augmentation { flip, shift, random_resized_crop, jitter, cutout } = self.augmentation;
        let given = [
            ("normalise", self.normalise != Normalise::default()),
            ("flip", flip),
            ("shift", shift != 0),
            ("random_resized_crop", random_resized_crop.is_some()),
            ("jitter", jitter != [0.0; 3]),
            ("cutout", cutout != 0),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option)
    }
}
