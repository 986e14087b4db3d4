//! A model with two inputs and two outputs. It uses the operation in `softsign.rs`.

use crate::softsign::softsign;
use crate::walks::LONGEST;
use lerac::data::Form;
use lerac::error::{Error, Result};
use lerac::nn::{Model, Net, Output};
use lerac::tape::Var;

/// One hidden layer on the steps and their unit, and a linear layer for each output.
pub struct WalkNet {
    /// Width of the hidden layer.
    pub hidden: usize,
}

impl Model for WalkNet {
    fn accepts(&self, form: &Form) -> Result<()> {
        match form.inputs.iter().any(|column| column.name == "steps" && column.shape == [LONGEST]) {
            true => Ok(()),
            false => Err(Error::setting("model", "WalkNet needs an input `steps` of 12 numbers")),
        }
    }

    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let (steps, unit, count) = (net.values("steps"), net.values("unit"), net.ids("count"));
        let name = net.full_name("squashed");
        let squashed = softsign(net.tape(), &name, steps, count.buffer.into());
        let of_steps = net.linear("of_steps", squashed, self.hidden);
        let of_unit = net.linear("of_unit", unit, self.hidden);
        let sum = net.add("sum", of_steps, of_unit);
        let hidden = net.relu("relu", sum);
        wanted.iter().map(|output| net.linear(&output.name, hidden, output.width)).collect()
    }
}
