//! Floor 6: models and what they are trained for. A [`Model`] records itself on a [`Net`], which names its inputs and parameters and
//! declares its layers with their depth; an [`Objective`] records the losses of its outputs.

mod init;
mod inputs;
mod models;
mod net;
pub mod objective;
mod sequences;

pub use init::initialise;
pub use inputs::{Columns, Ids};
pub use models::{Entry, MODELS, Named, named, usual_side};
pub use net::{Conv, Net, NetOptions};
pub use objective::{Objective, Output};
pub use sequences::{Attention, Lstm};

use crate::curriculum::Layer;
use crate::data::Form;
use crate::error::{Error, Result};
use crate::ops::sums::Sums;
use crate::tape::{Mode, Operand, Tape, Var};
use objective::Losses;

/// A network, recorded once for training and once for evaluation.
///
/// A closure from images `[N,C,H,W]` and the number of outputs to one output `[N,K]` is a model.
pub trait Model: Send + Sync {
    /// Whether it can be trained on data of this form.
    ///
    /// # Errors
    /// [`Error::Setting`] with what it needs.
    fn accepts(&self, _form: &Form) -> Result<()> {
        Ok(())
    }

    /// Records the model: reads its inputs from `net`, and returns the outputs that are `wanted`, in their order.
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
            panic!("a closure makes one output, {} are wanted; implement `Model`", wanted.len())
        };
        let x = net.pixels();
        vec![self(net, x, output.width)]
    }
}

/// A model from the columns of a batch to its losses, recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The whole computation.
    pub tape: Tape,
    /// The model's layers; the layer of a parameter is an index into this.
    pub layers: Vec<Layer>,
    /// Where each column is written, inputs first; none for one that nothing reads.
    pub columns: Vec<Option<Operand>>,
    /// The inputs as the model saw them, by name.
    pub inputs: Vec<(String, Var)>,
    /// The outputs that the objective wanted, each `[N,width]`.
    pub outputs: Vec<Var>,
    /// How many sums the losses leave.
    pub sums: usize,
}

/// Records `model` under `objective` on an empty tape, for passes of `examples` examples of `form`.
///
/// # Panics
/// With the tensors' names, where the model's shapes do not fit each other, the form or the objective.
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
    assert!(outputs.len() == wanted.len(), "the model has {} outputs, {} are wanted", outputs.len(), wanted.len());
    for (&output, Output { name, width }) in outputs.iter().zip(&wanted) {
        let [n, k] = tape.shape(output).flat();
        assert!((n, k) == (examples, *width), "{name}: the model's result is [{n},{k}], not [{examples},{width}]");
    }
    let sums = Sums::new(&mut tape, objective.sums());
    let mixed = options.mixup && tape.mode() == Mode::Train;
    let mut losses = Losses { tape: &mut tape, columns: &mut columns, sums, mixed };
    objective.record(&mut losses, &outputs);
    let sums = losses.sums.taken();
    assert!(sums == objective.sums(), "the losses leave {sums} sums, the objective says {}", objective.sums());
    Recorded { tape, layers, columns: columns.into_places(), inputs, outputs, sums }
}
