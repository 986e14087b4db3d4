//! The form of a data set: the typed columns of its examples.

use std::sync::Arc;

/// The type of a column's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Bytes, four in a word, the lowest byte first.
    U8,
    /// Integers: classes, token ids, counts.
    U32,
    /// Floating-point numbers.
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

/// The tokens that a model of texts reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenInput {
    /// T, the tokens of an example, padding included.
    pub length: usize,
    /// Token ids are below this.
    pub vocabulary: usize,
}

/// The meaning of the elements of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// No meaning that the engine makes use of.
    Plain,
    /// The bytes of an image `[C,H,W]`. A model reads (byte / 255 - mean) / std of each channel.
    Pixels {
        /// Mean of each channel, on the scale `[0, 1]`.
        mean: Vec<f32>,
        /// Standard deviation of each channel.
        std: Vec<f32>,
    },
    /// Tokens of a text: indices into a vocabulary.
    Tokens {
        /// Number of tokens in the vocabulary.
        vocabulary: usize,
    },
    /// A class: an index into these names.
    Classes(Arc<[String]>),
    /// The objects in an image, a row (class, centre x, centre y, width, height, difficult) each:
    /// `[most, 6]`. The class is an index into these names, -1 in the rows after the last object.
    /// Coordinates are relative to the side of the image that the model reads. `difficult` is 1
    /// for objects that neither count as found nor as missed.
    Boxes(Arc<[String]>),
    /// A number to predict. A model output z predicts mean + std z.
    Number {
        /// Unit, for display.
        unit: String,
        /// Mean of the numbers.
        mean: f32,
        /// Standard deviation of the numbers.
        std: f32,
    },
}

/// A column of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name, unique within a [`Form`].
    pub name: String,
    /// Type of each element.
    pub element: Element,
    /// Shape in one example; empty for a single value.
    pub shape: Vec<usize>,
    /// Meaning of the elements.
    pub meaning: Meaning,
}

impl Column {
    /// A column with [`Meaning::Plain`].
    pub fn plain(name: &str, element: Element, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.to_owned(), element, shape: shape.into(), meaning: Meaning::Plain }
    }

    /// A column of classes with these names.
    pub fn class(name: &str, names: impl Into<Arc<[String]>>) -> Self {
        let meaning = Meaning::Classes(names.into());
        Self { name: name.to_owned(), element: Element::U32, shape: vec![], meaning }
    }

    /// A column of numbers in `unit`, with this mean and standard deviation.
    pub fn number(name: &str, unit: &str, mean: f32, std: f32) -> Self {
        let meaning = Meaning::Number { unit: unit.to_owned(), mean, std };
        Self { name: name.to_owned(), element: Element::F32, shape: vec![], meaning }
    }

    /// Elements in one example.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// u32 words in one example. Bytes are padded to whole words.
    pub fn words(&self) -> usize {
        (self.count() * self.element.bytes()).div_ceil(4)
    }
}

/// The columns of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The columns that a model can read.
    pub inputs: Vec<Column>,
    /// The columns that an objective can read.
    pub targets: Vec<Column>,
}

impl Form {
    /// Inputs, then targets: the order of the columns in a batch.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.inputs.iter().chain(&self.targets)
    }

    /// The column of pixels; `None` unless exactly one input has pixels.
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

    /// The input of tokens `[T]`, if there is one.
    pub fn tokens(&self) -> Option<TokenInput> {
        self.inputs.iter().find_map(|column| match (&column.meaning, &column.shape[..]) {
            (&Meaning::Tokens { vocabulary }, &[length]) => Some(TokenInput { length, vocabulary }),
            _ => None,
        })
    }

    /// The class names of the first target; empty if it is not a class.
    pub fn classes(&self) -> &[String] {
        match self.targets.first().map(|target| &target.meaning) {
            Some(Meaning::Classes(names)) => names,
            _ => &[],
        }
    }

    /// The target of boxes, if there is one.
    pub fn boxes(&self) -> Option<BoxTarget<'_>> {
        self.targets.iter().enumerate().find_map(|(place, column)| match (&column.meaning, &column.shape[..]) {
            (Meaning::Boxes(classes), &[most, BOX_VALUES]) => Some(BoxTarget { place, most, classes }),
            _ => None,
        })
    }
}

/// Values of a row of [`Meaning::Boxes`].
pub const BOX_VALUES: usize = 6;

/// The column of boxes of a [`Form`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxTarget<'f> {
    /// Index among the targets.
    pub place: usize,
    /// Number of rows: the most objects that an example can have.
    pub most: usize,
    /// The names of the classes.
    pub classes: &'f [String],
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
