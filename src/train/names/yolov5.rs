//! The anchors in public weights of YOLOv5, which are constants of the model here.

use crate::error::{Error, Result};
use crate::ops::detection::Head;
use crate::train::Tensor;
use std::path::Path;

/// The anchors in cells `[3,3,2]`, a buffer of the public state dict.
const ANCHORS: &str = "model.24.anchors";

/// Largest relative difference of an anchor that was stored in half precision.
const TOLERANCE: f32 = 1e-3;

/// Removes the anchors. Weights that were trained with others would find boxes of other sizes.
///
/// # Errors
/// [`Error::Setting`] if they are not those of the model.
pub(in crate::train) fn remove_anchors(path: &Path, tensors: &mut Vec<Tensor>) -> Result<()> {
    let Some(place) = tensors.iter().position(|tensor| tensor.name == ANCHORS) else { return Ok(()) };
    let found = tensors.remove(place).values;
    let head = Head::yolov5(32, 1, 1);
    let in_cells = head
        .anchors
        .iter()
        .zip(head.strides)
        .flat_map(|(level, stride)| level.iter().flatten().map(move |pixels| pixels / stride as f32));
    let expected: Vec<f32> = in_cells.collect();
    let agrees = |(found, expected): (&f32, &f32)| (found - expected).abs() <= TOLERANCE * expected;
    match found.len() == expected.len() && found.iter().zip(&expected).all(agrees) {
        true => Ok(()),
        false => {
            let message = format!(
                "{}: {ANCHORS} are not YOLOv5's usual anchors, so the weights are for boxes of other sizes",
                path.display()
            );
            Err(Error::setting("init", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors(first: f32) -> Tensor {
        let cells = [
            first, 1.625, 2.0, 3.75, 4.125, 2.875, 1.875, 3.8125, 3.875, 2.8125, 3.6875, 7.4375, 3.625, 2.8125, 4.875,
            6.1875, 11.65625, 10.1875,
        ];
        Tensor { name: ANCHORS.into(), shape: vec![3, 3, 2], values: cells.to_vec() }
    }

    #[test]
    fn only_the_usual_anchors_are_taken() {
        let weight = Tensor { name: "model.0.conv.weight".into(), shape: vec![1], values: vec![0.5] };
        let mut tensors = vec![weight.clone(), anchors(1.25)];
        remove_anchors(Path::new("w"), &mut tensors).unwrap();
        assert_eq!(tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), [weight.name.as_str()]);
        let error = remove_anchors(Path::new("w"), &mut vec![anchors(1.3)]).unwrap_err();
        assert!(error.to_string().contains(ANCHORS), "{error}");
    }
}
