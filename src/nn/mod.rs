//! Floor 6: models and objectives.
//!
//! A [`Model`] records its forward pass on a [`Net`], which names inputs and parameters and
//! declares layers with their depth. An [`Objective`] records the losses on the model's outputs.

mod grids;
mod init;
mod inputs;
mod models;
mod net;
pub mod objective;
mod sequences;

pub(crate) use models::CVT_13;

pub use init::initialise;
pub use inputs::{Columns, Ids};
#[cfg(feature = "records")]
pub use models::from_file;
pub use models::{
    BertActivation, BertOptions, CvtActivation, Entry, MODELS, Named, bert, bert_options, cvt13, named, usual_form,
};
pub use net::{Conv, Net, NetOptions};
pub use objective::{Objective, Output};
pub use sequences::{Attention, Lstm};

use crate::curriculum::Layer;
use crate::data::Form;
use crate::error::{Error, Result};
use crate::ops::sums::Sums;
use crate::tape::{Mode, Operand, Tape, Var};
use objective::Losses;

/// A network. It is recorded once for training and once for evaluation.
///
/// A closure `|net, x, classes|` from images x `[N,C,H,W]` to logits `[N,classes]` is a model.
pub trait Model: Send + Sync {
    /// Checks whether the model can be trained on data of this form.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the data that the model needs.
    fn accepts(&self, _form: &Form) -> Result<()> {
        Ok(())
    }

    /// Records the forward pass: reads inputs from `net`, and returns an activation for each of the
    /// `wanted` outputs, in their order.
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var>;
}

impl<F: Fn(&mut Net, Var, usize) -> Var + Send + Sync> Model for F {
    fn accepts(&self, form: &Form) -> Result<()> {
        match form.pixels() {
            Some(_) => Ok(()),
            None => Err(Error::setting("model", "this model needs images, and the data have none")),
        }
    }

    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let [output] = wanted else {
            panic!("a closure has one output, the objective needs {}; implement `Model`", wanted.len())
        };
        let x = net.pixels();
        vec![self(net, x, output.width)]
    }
}

/// A recorded model with its objective: the computation from the columns of a batch to the losses.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The whole computation.
    pub tape: Tape,
    /// The model's layers; the layer of a parameter is an index into this.
    pub layers: Vec<Layer>,
    /// The operand of each column, inputs first; `None` for a column that nothing reads.
    pub columns: Vec<Option<Operand>>,
    /// The inputs by name: normalised, flipped and shifted, and not yet mixed by mixup.
    pub inputs: Vec<(String, Var)>,
    /// The outputs that the objective needs, each `[N,width]`.
    pub outputs: Vec<Var>,
    /// Number of sums that the losses accumulate.
    pub sums: usize,
}

/// Records `model` and `objective` on an empty tape, for passes of `examples` examples of `form`.
///
/// # Panics
/// If shapes within the model, or between model, form and objective, do not match. The message
/// names the tensors.
pub fn record(
    model: &dyn Model,
    form: &Form,
    objective: &dyn Objective,
    examples: usize,
    mut tape: Tape,
    options: NetOptions,
) -> Recorded {
    let wanted = objective.outputs();
    let mut columns = Columns::new(form, examples);
    let mut net = Net::new(&mut tape, &mut columns, options);
    let outputs = model.record(&mut net, &wanted);
    let (layers, inputs) = net.into_parts();
    assert!(
        outputs.len() == wanted.len(),
        "the model has {} outputs, the objective needs {}",
        outputs.len(),
        wanted.len()
    );
    for (&output, Output { name, width }) in outputs.iter().zip(&wanted) {
        let [n, k] = tape.shape(output).flat();
        assert!((n, k) == (examples, *width), "{name}: the model's result is [{n},{k}], not [{examples},{width}]");
    }
    let sums = Sums::new(&mut tape, objective.sums());
    let mixed = options.mixup && tape.mode() == Mode::Train;
    let mut losses = Losses { tape: &mut tape, columns: &mut columns, sums, mixed };
    objective.record(&mut losses, &outputs);
    let sums = losses.sums.taken();
    assert!(sums == objective.sums(), "the losses have {sums} sums, `Objective::sums` is {}", objective.sums());
    Recorded { tape, layers, columns: columns.into_operands(), inputs, outputs, sums }
}
