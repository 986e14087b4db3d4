//! Where values lie along an axis, and where its ticks stand.

/// Whether a value can be placed: finite, and so far from the largest number that differences stay finite too.
pub(super) fn placeable(v: f64) -> bool {
    v.abs() < 1e300
}

/// An axis; a logarithmic one holds the logarithms to base ten.
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Over the span of `values`, with about `most` ticks.
    pub(super) fn linear(values: impl Iterator<Item = f64>, most: i32) -> Self {
        let (low, high) = span(values, |v| if v.abs() < 1e-280 { 0.5 } else { v.abs() / 2.0 });
        Self { low, high, ticks: linear_ticks(low, high, most) }
    }

    /// Over the span of `values`' logarithms, with about `most` ticks.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, most: i32) -> Self {
        let (low, high) = span(values.map(f64::log10), |_| 0.5);
        Self { low, high, ticks: logarithmic_ticks(low, high, most) }
    }

    /// Where `v` lies between the pixels `from` (the lowest value) and `to` (the highest).
    pub(super) fn place(&self, v: f64, from: i32, to: i32) -> i32 {
        from + (self.fraction(v) * f64::from(to - from)).round() as i32
    }

    pub(super) fn fraction(&self, v: f64) -> f64 {
        (v - self.low) / (self.high - self.low)
    }
}

/// The least and the greatest value; where they are as good as equal, `half` their size more to both sides; 0 to 1 of none.
fn span(values: impl Iterator<Item = f64>, half: impl Fn(f64) -> f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        (0.0, 1.0)
    } else if high - low <= (1e-9 * low.abs().max(high.abs())).max(1e-290) {
        (low - half(low), high + half(high))
    } else {
        (low, high)
    }
}

/// `mantissa` times 10^exponent, written as options and tables write it: 2e-3. The font has no raised minus.
fn power_of_ten(mantissa: &str, exponent: i32) -> String {
    format!("{mantissa}e{exponent}")
}

/// Multiples of 1, 2 or 5 times a power of ten, with labels as long as the step between them asks for.
fn linear_ticks(low: f64, high: f64, most: i32) -> Vec<(f64, String)> {
    let least = (high - low) / f64::from(most.max(1));
    let power = least.log10().floor();
    let multiple = [1.0, 2.0, 5.0].into_iter().find(|m| m * 10f64.powf(power) >= least).unwrap_or(10.0);
    let step = multiple * 10f64.powf(power);
    let decimals = -(step * 1.001).log10().floor() as i32;
    let label = |v: f64| {
        if v == 0.0 {
            "0".to_owned()
        } else if step < 1e-5 || low.abs().max(high.abs()) >= 1e6 {
            let digits = (v.abs().log10() + 1e-9).floor() as i32 + decimals;
            let text = format!("{v:.*e}", digits.clamp(0, 12) as usize);
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            power_of_ten(mantissa, exponent.parse().unwrap_or(0))
        } else {
            format!("{v:.*}", decimals.max(0) as usize)
        }
    };
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    (0..=(last - first).max(0.0) as u32).map(|i| (first + f64::from(i)) * step).map(|v| (v, label(v))).collect()
}

/// Powers of ten from 10^low to 10^high; less than a decade falls back on 1, 2, 5 and at last on even steps of the value.
fn logarithmic_ticks(low: f64, high: f64, most: i32) -> Vec<(f64, String)> {
    let (first, last) = ((low - 1e-9).ceil() as i32, (high + 1e-9).floor() as i32);
    if last > first {
        let every = ((last - first) / most.max(1) + 1).max(1);
        return (first..=last)
            .filter(|exponent| exponent.rem_euclid(every) == 0)
            .map(|exponent| (f64::from(exponent), power_of_ten("1", exponent)))
            .collect();
    }
    let multiples = (first - 1..=last + 1).flat_map(|exponent| ["1", "2", "5"].map(|mantissa| (mantissa, exponent)));
    let ticks: Vec<_> = multiples
        .map(|(mantissa, exponent)| {
            let digit: f64 = mantissa.parse().unwrap_or(1.0);
            (f64::from(exponent) + digit.log10(), power_of_ten(mantissa, exponent))
        })
        .filter(|(place, _)| (low..=high).contains(place))
        .collect();
    if ticks.len() > 1 {
        return ticks;
    }
    linear_ticks(10f64.powf(low), 10f64.powf(high), most).into_iter().map(|(v, label)| (v.log10(), label)).collect()
}
