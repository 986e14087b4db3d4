//! What an example is made of: typed columns.

use std::sync::Arc;

/// The type of a column's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Bytes, four to a word, the lowest first.
    U8,
    /// Whole numbers: classes, token ids, counts.
    U32,
    /// Numbers.
    F32,
}

impl Element {
    /// Size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U32 | Self::F32 => 4,
        }
    }
}

/// What the elements of a column say.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// Nothing that the engine must know.
    Plain,
    /// Planes of an image `[C,H,W]`. A model sees (byte / 255 - mean) / std by channel.
    Pixels {
        /// Mean of each channel, on the scale `[0, 1]`.
        mean: Vec<f32>,
        /// Standard deviation of each channel.
        std: Vec<f32>,
    },
    /// Which of the classes that are called so: an index into the list.
    Classes(Arc<[String]>),
    /// A number to be predicted.
    Number {
        /// Its unit, for people.
        unit: String,
        /// Typical value; an output of 0 stands for it.
        mean: f32,
        /// Typical distance from it; an output of 1 lies so far above.
        std: f32,
    },
}

/// A column of a data set: its values in one example.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Unique within a [`Form`].
    pub name: String,
    /// Type of each element.
    pub element: Element,
    /// Extents in one example, outermost first; empty for a single value.
    pub shape: Vec<usize>,
    /// What the elements say.
    pub meaning: Meaning,
}

impl Column {
    /// A column without a meaning of its own.
    pub fn plain(name: &str, element: Element, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.to_owned(), element, shape: shape.into(), meaning: Meaning::Plain }
    }

    /// One class of `names`.
    pub fn class(name: &str, names: impl Into<Arc<[String]>>) -> Self {
        let meaning = Meaning::Classes(names.into());
        Self { name: name.to_owned(), element: Element::U32, shape: vec![], meaning }
    }

    /// One number in `unit`, usually within `std` of `mean`.
    pub fn number(name: &str, unit: &str, mean: f32, std: f32) -> Self {
        let meaning = Meaning::Number { unit: unit.to_owned(), mean, std };
        Self { name: name.to_owned(), element: Element::F32, shape: vec![], meaning }
    }

    /// Elements in one example.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Words (u32) in one example. Bytes are padded to whole words, so that a part of a batch is a slice.
    pub fn words(&self) -> usize {
        (self.count() * self.element.bytes()).div_ceil(4)
    }
}

/// The columns of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// What a model may read.
    pub inputs: Vec<Column>,
    /// What an objective may read.
    pub targets: Vec<Column>,
}

impl Form {
    /// Inputs, then targets: the order in which a batch holds them.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.inputs.iter().chain(&self.targets)
    }

    /// The column of pixels, where there is exactly one: its place, C, H, W, and mean and deviation by channel.
    pub fn pixels(&self) -> Option<Pixels<'_>> {
        let pixels = |(place, column): (usize, &'_ Column)| match (&column.meaning, column.shape[..].try_into()) {
            (Meaning::Pixels { .. }, Ok(image)) => Some((place, image)),
            _ => None,
        };
        let mut found = self.inputs.iter().enumerate().filter_map(pixels);
        let (place, image) = found.next().filter(|_| found.next().is_none())?;
        match &self.inputs[place].meaning {
            Meaning::Pixels { mean, std } => Some(Pixels { place, image, mean, std }),
            _ => None,
        }
    }

    /// The names of the classes that the first target chooses from; none where it is no class.
    pub fn classes(&self) -> &[String] {
        match self.targets.first().map(|target| &target.meaning) {
            Some(Meaning::Classes(names)) => names,
            _ => &[],
        }
    }
}

/// The only column of pixels of a [`Form`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pixels<'f> {
    /// Index among the inputs.
    pub place: usize,
    /// C, H, W.
    pub image: [usize; 3],
    /// Mean of each channel.
    pub mean: &'f [f32],
    /// Standard deviation of each channel.
    pub std: &'f [f32],
}
