//! The options of a data set as those of its module.

use super::DataOptions;
use crate::data::{
    Augmentation, BOX_SIDE, BoxAugmentation, BoxOptions, DataSet, Difficult, SoundAugmentation, SoundInput,
    SoundOptions, Source, SplitBy, TextOptions, VocTrain,
};

impl DataOptions {
    /// The data set, and how its files are read.
    pub fn source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            dir: self.data_dir.as_deref(),
            normalise: self.normalise,
            image_size: self.image_size,
            resize: self.resize,
            class_list: self.class_list.as_deref(),
            cache: self.cache.as_deref(),
            skip_bad: self.skip_bad,
            augmentation: self.augmentation(),
            text: self.text(),
            sound: self.sound(),
            boxes: self.boxes(),
        }
    }

    /// How sounds are read.
    pub(super) fn sound(&self) -> SoundOptions {
        SoundOptions {
            sample_rate: self.sample_rate,
            duration: self.duration,
            n_fft: self.n_fft,
            window_length: self.window_length,
            hop: self.hop,
            mel_bands: self.mel_bands,
            mel_scale: self.mel_scale,
            centred: self.centred,
            fold: self.fold,
            split_by: self.split_by,
            augmentation: SoundAugmentation {
                noise: self.noise as f32,
                time_shift: self.time_shift as f32,
                speed: self.speed,
                mask_bands: self.mask_bands,
                mask_frames: self.mask_frames,
            },
        }
    }

    /// How boxes are read.
    pub(super) fn boxes(&self) -> BoxOptions {
        BoxOptions {
            voc_years: self.voc_years,
            voc_train: self.voc_train,
            difficult: self.difficult,
            augmentation: BoxAugmentation {
                scale: self.scale,
                translate: self.translate,
                mosaic: self.mosaic,
                mixup: self.box_mixup,
                hsv: std::array::from_fn(|i| self.hsv.get(i).copied().unwrap_or(0.0)),
            },
        }
    }

    /// Sets the options of a set of sounds or boxes that are not given to their defaults, so that
    /// files of options name them.
    pub fn with_defaults_of_set(mut self) -> Self {
        let Ok(set) = DataSet::named(&self.name) else { return self };
        if set.of_sounds {
            let input = self.sound().input(&self.name);
            self.set_sound_input(&input);
            self.fold = self.fold.or((self.name == "esc50").then_some(1));
            self.split_by = self.split_by.or((self.name == "crema-d").then_some(SplitBy::Speaker));
        }
        if set.of_boxes {
            self.image_size = self.image_size.or(Some(BOX_SIDE));
        }
        if self.name == "voc" {
            self.voc_train = self.voc_train.or(Some(VocTrain::Train));
            self.difficult = self.difficult.or(Some(Difficult::Drop));
        }
        self
    }

    /// Sets the options of spectrograms.
    pub(crate) fn set_sound_input(&mut self, input: &SoundInput) {
        self.sample_rate = Some(input.sample_rate);
        self.duration = Some(input.duration);
        self.n_fft = Some(input.n_fft);
        self.window_length = Some(input.window_length);
        self.hop = Some(input.hop);
        self.mel_bands = Some(input.mel_bands);
        self.mel_scale = Some(input.mel_scale);
        self.centred = Some(input.centred);
    }

    /// How texts are read.
    pub(super) fn text(&self) -> TextOptions<'_> {
        TextOptions {
            vocab: self.vocab.as_deref(),
            max_length: self.max_length,
            vocab_size: self.vocab_size,
            min_count: self.min_count,
            columns: &self.text_columns,
            label_column: self.label_column.as_deref(),
        }
    }

    /// The augmentation of training images.
    pub fn augmentation(&self) -> Augmentation {
        Augmentation {
            flip: self.flip,
            shift: self.shift,
            random_resized_crop: self.random_resized_crop,
            jitter: std::array::from_fn(|i| self.jitter.get(i).map_or(0.0, |&strength| strength as f32)),
            cutout: self.cutout,
        }
    }
}
