//! Random streams: each use of random numbers has its own ChaCha8 stream of one seed, so that uses
//! do not influence each other.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A random stream, by its use.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    /// The order of an epoch.
    Order { epoch: u64 },
    /// The flips and shifts of an epoch.
    Augmentation { epoch: u64 },
    /// The augmentation on the host in an epoch.
    Variation { epoch: u64 },
    /// The random numbers of [`super::Draw`] in an epoch.
    Example { epoch: u64 },
    /// The mixup coefficient of a step.
    Mixture { step: u64 },
    /// The validation examples.
    Split,
    /// The training images of [`super::shapes`].
    TrainShapes,
    /// The test images of [`super::shapes`].
    TestShapes,
    /// The test examples of a set that is published without.
    Test,
}

impl Stream {
    /// The number of the stream.
    ///
    /// An epoch has two streams in the first half of the numbers and two in the third quarter, a
    /// step has one in the last quarter. Shapes use the two first streams of epoch 0, since their
    /// bytes must not change.
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
            Self::Test => u64::MAX - 1,
        }
    }
}

/// The random generator at the start of a stream.
pub(super) fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream.number());
    rng
}
