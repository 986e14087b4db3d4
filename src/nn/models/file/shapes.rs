//! The shapes of a file's layers, without a tape. Everything that an operation would refuse is
//! found here first.

use super::layers::{Backend, Item, Op};
use crate::ops::batch_norm::{Activation, Norm};

/// Extents of an example: channels, height, width, or elements.
type Extents = Vec<usize>;

/// More elements of an example than any device holds.
const MOST: usize = 1 << 31;

/// Computes shapes only.
pub(super) struct Shapes;

fn image(x: &[usize]) -> Result<[usize; 3], String> {
    x.try_into().map_err(|_| format!("it needs an image [channels, height, width], found {x:?}"))
}

/// Number of windows along an extent.
fn windows(extent: usize, kernel: usize, stride: usize, padding: usize) -> Result<usize, String> {
    match extent + 2 * padding >= kernel {
        true => Ok((extent + 2 * padding - kernel) / stride + 1),
        false => Err(format!("a kernel of {kernel} does not fit an extent of {extent} with padding {padding}")),
    }
}

impl Backend for Shapes {
    type Value = Extents;

    fn shape(&self, x: &Extents) -> Extents {
        x.clone()
    }

    fn norm(&mut self, _name: &str, x: &Extents) -> Result<Option<Norm>, String> {
        image(x).map(|_| None)
    }

    fn normalise(
        &mut self,
        _name: &str,
        x: Extents,
        _norm: Option<Norm>,
        (_, residual): (Activation, Option<Extents>),
    ) -> Result<Extents, String> {
        match residual {
            Some(residual) if residual != x => Err(format!("it adds {residual:?} to {x:?}; they must be equal")),
            _ => Ok(x),
        }
    }

    fn apply(&mut self, item: &Item, x: Extents, others: &[Extents], classes: usize) -> Result<Extents, String> {
        let y = match &item.op {
            Op::Conv { conv, .. } => {
                let ([c, h, w], [kh, kw]) = (image(&x)?, conv.kernel);
                let ([sh, sw], [ph, pw]) = (conv.options.stride, conv.options.padding);
                let groups = conv.options.groups;
                if c % groups != 0 || conv.channels % groups != 0 {
                    return Err(format!("{groups} groups do not divide {c} and {} channels", conv.channels));
                }
                vec![conv.channels, windows(h, kh, sh, ph)?, windows(w, kw, sw, pw)?]
            }
            Op::MaxPool(of) => {
                let [c, h, w] = image(&x)?;
                let side = |extent| windows(extent, of.kernel, of.stride, of.padding);
                vec![c, side(h)?, side(w)?]
            }
            &Op::MeanPool { kernel, stride } => {
                let [c, h, w] = image(&x)?;
                vec![c, windows(h, kernel, stride, 0)?, windows(w, kernel, stride, 0)?]
            }
            Op::GlobalMeanPool => vec![image(&x)?[0]],
            Op::Flatten => vec![x.iter().product()],
            Op::Linear(outputs) => match x.len() {
                1 => vec![outputs.count(classes)],
                _ => return Err(format!("it needs a flat input, found {x:?}; put {{ flatten = \"flat\" }} before it")),
            },
            Op::Relu | Op::Gelu | Op::Dropout(_) => x,
            Op::Add(_) if others[0] != x => {
                return Err(format!("it adds {:?} to {x:?}; they must be equal", others[0]));
            }
            Op::Add(_) => x,
            Op::Concat(_) => {
                let [mut channels, h, w] = image(&x)?;
                for other in others {
                    let [c, ..] = image(other).and_then(|of| match of[1..] == [h, w] {
                        true => Ok(of),
                        false => Err(format!("it joins {other:?} and {x:?}; heights and widths must be equal")),
                    })?;
                    channels += c;
                }
                vec![channels, h, w]
            }
            Op::BatchNorm { .. } | Op::Block(_) => unreachable!("they are recorded by their own methods"),
        };
        match y.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent)) {
            Some(count) if count <= MOST => Ok(y),
            _ => Err(format!("its result {y:?} is too large")),
        }
    }

    fn block<T>(&mut self, _name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        record(self)
    }

    fn shortcut<T>(&mut self, _name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        record(self)
    }
}
