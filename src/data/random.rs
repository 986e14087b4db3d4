//! One seed, many ChaCha8 streams: what one use of chance takes does not shift another's.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What is drawn.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    /// The order of an epoch.
    Order { epoch: u64 },
    /// The augmentations of an epoch.
    Augmentation { epoch: u64 },
    /// What the host changes of an epoch's images.
    Variation { epoch: u64 },
    /// What a data set of its own draws for the examples of an epoch.
    Example { epoch: u64 },
    /// How the examples of a step are mixed.
    Mixture { step: u64 },
    /// Which examples are held out.
    Split,
    /// The drawn training images.
    TrainShapes,
    /// The drawn test images.
    TestShapes,
    /// Which faces are for the test.
    Faces,
}

impl Stream {
    /// The number of the stream. Epochs take two numbers each and two of the third quarter, steps one of the last quarter. The drawn
    /// shapes share those of epoch 0, since their bytes are pinned and must not change.
    fn number(self) -> u64 {
        match self {
            Self::Order { epoch } => epoch << 1,
            Self::Augmentation { epoch } => epoch << 1 | 1,
            Self::Variation { epoch } => 1 << 63 | epoch,
            Self::Example { epoch } => 5 << 61 | epoch,
            Self::Mixture { step } => 3 << 62 | step,
            Self::Split => u64::MAX,
            Self::TrainShapes => 0,
            Self::TestShapes => 1,
            Self::Faces => u64::MAX - 1,
        }
    }
}

/// The generator of a stream, at its beginning.
pub(super) fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream.number());
    rng
}
