//! Clips as examples: each is a spectrogram with a class.

use super::vary::Changes;
use super::{SoundAugmentation, SoundInput, Spectrogram};
use crate::data::layout::{Layout, advise};
use crate::data::opening::{Opened, OpenedPart, Stored, table_of_skipped};
use crate::data::{Column, Draw, Element, Examples, Form, Meaning, OpenEvent, Skipped, Source, Splits, bytes_of};
use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;

/// Where spectrograms come from.
#[derive(Clone, Debug, PartialEq)]
enum Clips {
    /// Bytes `[N, mel bands, frames]`.
    Memory(Arc<Vec<u8>>),
    Stored(Stored<Spectrogram>),
}

/// Clips with a class each. Clones share the clips.
#[derive(Clone, Debug, PartialEq)]
pub struct Sounds {
    name: String,
    spectrogram: Spectrogram,
    meaning: Meaning,
    clips: Clips,
    labels: Vec<u16>,
    augmentation: SoundAugmentation,
    held_out: usize,
    skipped: Arc<[Skipped]>,
}

/// A set of sounds with its training and test parts.
#[derive(Clone, Debug, PartialEq)]
pub struct SoundSplits {
    /// For training and validation.
    pub train: Sounds,
    /// For the test, once at the end of a run.
    pub test: Sounds,
}

impl From<SoundSplits> for Splits {
    fn from(SoundSplits { train, test }: SoundSplits) -> Self {
        Self { train: Arc::new(train), test: Arc::new(test) }
    }
}

impl Source<'_> {
    /// The sounds of these files.
    ///
    /// # Errors
    /// [`crate::error::Error::Setting`] for invalid options or if a part has no files; with a cache
    /// or `skip_bad`, the errors of the files.
    pub(in crate::data) fn sounds(&self, layout: Layout, report: &mut dyn FnMut(OpenEvent<'_>)) -> Result<SoundSplits> {
        self.sound.check(self.name)?;
        let spectrogram = Spectrogram::new(self.sound.input(self.name))?;
        let Opened { meaning, train, test, held_out, skipped } = self.of_layout(layout, spectrogram.clone(), report)?;
        let sounds = |part: OpenedPart<Spectrogram>| Sounds {
            name: self.name.to_owned(),
            spectrogram: spectrogram.clone(),
            meaning: meaning.clone(),
            clips: Clips::Stored(part.stored),
            labels: part.labels,
            augmentation: SoundAugmentation::default(),
            held_out: 0,
            skipped: skipped.clone(),
        };
        let train = Sounds { augmentation: self.sound.augmentation, held_out, ..sounds(train) };
        Ok(SoundSplits { train, test: sounds(test) })
    }
}

impl Sounds {
    /// The set `name` without clips. It reads sound files as `input` says.
    ///
    /// # Errors
    /// [`crate::error::Error::Setting`] for an option that is out of range.
    pub fn empty(name: &str, input: SoundInput, meaning: Meaning) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            spectrogram: Spectrogram::new(input)?,
            meaning,
            clips: Clips::Memory(Arc::default()),
            labels: vec![],
            augmentation: SoundAugmentation::default(),
            held_out: 0,
            skipped: [].into(),
        })
    }

    /// How files become spectrograms.
    pub fn spectrogram(&self) -> &Spectrogram {
        &self.spectrogram
    }

    /// The labels, as numbers of classes.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The spectrogram of the clip `index`, without augmentation: bytes `[mel bands, frames]`.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] and [`crate::error::Error::Format`].
    pub fn clip(&self, index: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.clip_bytes()];
        self.read_clip(index, &mut bytes).map(|()| bytes)
    }

    fn clip_bytes(&self) -> usize {
        self.spectrogram.input().image().iter().product()
    }

    fn read_clip(&self, index: usize, place: &mut [u8]) -> Result<()> {
        match &self.clips {
            Clips::Memory(bytes) => place.copy_from_slice(&bytes[index * place.len()..][..place.len()]),
            Clips::Stored(Stored::Files(files)) => files.read(index, place).map_err(advise)?,
            Clips::Stored(Stored::Cached(cached)) => cached.read(index, place)?,
        }
        Ok(())
    }

    /// Reads the changed clip `index`. Changes of samples need the file, also if spectrograms are
    /// in a cache.
    fn read_changed(&self, index: usize, changes: &Changes, place: &mut [u8]) -> Result<()> {
        let input = self.spectrogram.input();
        match &self.clips {
            Clips::Stored(stored) if self.augmentation.changes_samples() => {
                let seconds = self.augmentation.seconds(input.duration);
                let samples = self.spectrogram.read(&stored.files().path(index), seconds).map_err(advise)?;
                self.spectrogram.bytes_of(&changes.apply(samples, input.samples()), place);
            }
            _ => self.read_clip(index, place)?,
        }
        self.augmentation.mask(changes, place, input.frames());
        Ok(())
    }
}

impl Examples for Sounds {
    fn name(&self) -> &str {
        &self.name
    }

    fn form(&self) -> Form {
        // The values are from 0 to 1 already.
        let pixels = Meaning::Pixels { mean: vec![0.0], std: vec![1.0] };
        let image = self.spectrogram.input().image();
        Form {
            inputs: vec![Column { meaning: pixels, ..Column::plain("spectrogram", Element::U8, image) }],
            targets: vec![Column { meaning: self.meaning.clone(), ..Column::plain("label", Element::U32, []) }],
        }
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [spectrogram, label] = into else { panic!("{}: expected two columns", self.name) };
        let place = &mut bytes_of(spectrogram)[..self.clip_bytes()];
        match draw.filter(|_| self.augmentation != SoundAugmentation::default()) {
            Some(draw) => self.read_changed(index, &self.augmentation.changes(draw, index), place)?,
            None => self.read_clip(index, place)?,
        }
        self.targets(index, &mut [label])
    }

    fn targets(&self, index: usize, into: &mut [&mut [u32]]) -> Result<()> {
        into[0][0] = self.labels[index].into();
        Ok(())
    }

    fn reads_slowly(&self, draw: Option<Draw>) -> bool {
        matches!(self.clips, Clips::Stored(Stored::Files(_)))
            || draw.is_some_and(|_| self.augmentation.changes_samples())
    }

    /// The labels, names and lengths of all files, and the options of spectrograms. A changed file
    /// of the same length is not detected.
    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        match &self.clips {
            Clips::Memory(bytes) => add(bytes),
            Clips::Stored(stored) => stored.files().fingerprint(add, false),
        }
        self.labels.iter().for_each(|label| add(&label.to_le_bytes()));
    }

    fn companions(&self) -> Vec<(&'static str, Vec<u8>)> {
        table_of_skipped(&self.skipped)
    }

    fn held_out(&self) -> usize {
        self.held_out
    }

    fn file_of(&self, index: usize) -> Option<String> {
        match &self.clips {
            Clips::Memory(_) => None,
            Clips::Stored(stored) => Some(stored.files().name(index).to_owned()),
        }
    }

    fn of_files(&self, files: &[PathBuf]) -> Result<Arc<dyn Examples>> {
        let mut bytes = vec![0; files.len() * self.clip_bytes()];
        let duration = self.spectrogram.input().duration;
        for (path, place) in files.iter().zip(bytes.chunks_exact_mut(self.clip_bytes())) {
            self.spectrogram.bytes_of(&self.spectrogram.read(path, duration)?, place);
        }
        let (clips, labels) = (Clips::Memory(bytes.into()), vec![0; files.len()]);
        Ok(Arc::new(Self { clips, labels, held_out: 0, ..self.clone() }))
    }
}
