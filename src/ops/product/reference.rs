//! Reference implementation in f64.

/// Calls `visit(i, j, k)` for each term `a[i] b[j]` of `c[k]`. `a` and `b` are the operands'
/// shapes.
fn terms(equation: &str, [a, b]: [&[usize]; 2], mut visit: impl FnMut(usize, usize, usize)) {
    let operands: Vec<&str> = equation.split([',', '-', '>']).filter(|axes| !axes.is_empty()).collect();
    let input_axes = operands[0].chars().zip(a).chain(operands[1].chars().zip(b));
    let mut axes: Vec<(char, usize)> = input_axes.map(|(axis, &extent)| (axis, extent)).collect();
    axes.sort_unstable();
    axes.dedup();
    let mut at = vec![0; axes.len()];
    for _ in 0..axes.iter().map(|(_, extent)| extent).product() {
        let index = |operand: &str| {
            operand.chars().fold(0, |index, axis| {
                let i = axes.iter().position(|(other, _)| *other == axis).expect("an axis of c is one of a or b");
                index * axes[i].1 + at[i]
            })
        };
        visit(index(operands[0]), index(operands[1]), operands.get(2).map_or(0, |c| index(c)));
        for (index, (_, extent)) in at.iter_mut().zip(&axes) {
            *index = (*index + 1) % extent;
            if *index > 0 {
                break;
            }
        }
    }
}

/// c.
pub fn forward(equation: &str, [a, b]: [&[f64]; 2], extents: [&[usize]; 2]) -> Vec<f64> {
    let mut c = vec![];
    terms(equation, extents, |i, j, k| {
        c.resize(c.len().max(k + 1), 0.0);
        c[k] += a[i] * b[j];
    });
    c
}

/// (da, db).
pub fn backward(equation: &str, [a, b]: [&[f64]; 2], dc: &[f64], extents: [&[usize]; 2]) -> (Vec<f64>, Vec<f64>) {
    let (mut da, mut db) = (vec![0.0; a.len()], vec![0.0; b.len()]);
    terms(equation, extents, |i, j, k| {
        da[i] += dc[k] * b[j];
        db[j] += dc[k] * a[i];
    });
    (da, db)
}
