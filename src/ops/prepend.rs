//! A token in front of each sequence: `y[n,0] = token[n / R]`, `y[n,1+t] = x[n,t]`, x `[N,T,C]`,
//! y `[N,T+1,C]`. R sequences in a row have the same token. `dtoken[g]` is the sum of `dy[n,0]`
//! over the sequences of g.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Mode, Operand, ParamId, Record, Tape, Var, linear_grid};

/// `shaders/prepend.wgsl`.
pub static SHADER: Shader = shader!("prepend");

/// Where the tokens come from.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    /// A trained tensor of C elements, the token of all sequences.
    Trained(ParamId),
    /// An activation of N / R rows of C elements.
    Computed(Var),
}

/// Appends y: x `[N,T,C]` with a token in front of each sequence.
///
/// # Panics
/// If the shapes do not fit.
pub fn prepend(tape: &mut Tape, name: &str, x: Var, token: Token) -> Var {
    let shape = tape.shape(x).clone();
    let &[n, t, c] = shape.dims() else { panic!("{name}: expected x [N,T,C], found {shape}") };
    let (tokens, value, gradient) = match token {
        Token::Trained(param) => (tape.declared(param).shape.clone(), param.into(), Operand::ParameterGradient(param)),
        Token::Computed(var) => (tape.shape(var).clone(), var.into(), Operand::Gradient(var)),
    };
    let ([rows, width], trained) = (tokens.last_axis(), matches!(token, Token::Trained(_)));
    let fits = width == c && n % rows == 0 && (rows == 1 || !trained);
    assert!(fits, "{name}: tokens {tokens} do not fit the sequences {shape}");
    let constants = vec![("N", n.into()), ("T", t.into()), ("C", c.into()), ("REPEAT", (n / rows).into())];
    let kernels = Kernels { shader: &SHADER, constants };
    let launch = |entry, bindings, count| kernels.dispatch(entry, bindings, linear_grid(count, LANES));
    let inputs = match token {
        Token::Trained(_) => vec![x],
        Token::Computed(var) => vec![x, var],
    };
    let y = tape.result(name, [n, t + 1, c], &inputs, trained);
    let bindings = vec![Operand::from(x).read(), Operand::read(value), Operand::from(y).write()];
    let forward = vec![launch("forward", bindings, n * (t + 1) * c)];
    let dy = Operand::Gradient(y).read();
    let mut backward = vec![];
    let wanted = match token {
        Token::Trained(_) => tape.mode() == Mode::Train,
        Token::Computed(var) => tape.needs_gradient(var),
    };
    if wanted {
        backward.push(launch("backward_token", vec![dy, gradient.write()], rows * c));
    }
    if tape.needs_gradient(x) {
        backward.push(launch("backward", vec![dy, Operand::Gradient(x).write()], n * t * c));
    }
    tape.record(Record { name: name.into(), op: "prepend", result: Some(y), forward, backward });
    let token = match token {
        Token::Trained(param) => param.into(),
        Token::Computed(var) => var.into(),
    };
    tape.node(&[x.into(), token], &[("repeat", &[n / rows])]);
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// y of x `[N,T,C]` and tokens `[G,C]`; G divides N.
    pub fn forward(x: &[f64], tokens: &[f64], [n, t, c]: [usize; 3]) -> Vec<f64> {
        let repeat = n * c / tokens.len();
        (0..n).flat_map(|i| [&tokens[i / repeat * c..][..c], &x[i * t * c..][..t * c]].concat()).collect()
    }

    /// (dx, dtokens) with `groups` tokens.
    pub fn backward(dy: &[f64], groups: usize, [n, t, c]: [usize; 3]) -> (Vec<f64>, Vec<f64>) {
        let (mut dx, mut dtokens) = (vec![], vec![0.0; groups * c]);
        for (i, row) in dy.chunks((t + 1) * c).enumerate() {
            let sums = &mut dtokens[i / (n / groups) * c..][..c];
            sums.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            dx.extend(&row[c..]);
        }
        (dx, dtokens)
    }
}
