//! The axis of a plot: the position of values and ticks.

/// Whether a value can be drawn: finite, and small enough that differences stay finite.
pub(super) fn is_drawable(v: f64) -> bool {
    v.abs() < 1e300
}

/// A linear or logarithmic axis. A logarithmic one stores logarithms to base 10.
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis over the range of `values`, with about `max_ticks` ticks.
    pub(super) fn linear(values: impl Iterator<Item = f64>, max_ticks: i32) -> Self {
        let (low, high) = value_range(values, |v| if v.abs() < 1e-280 { 0.5 } else { v.abs() / 2.0 });
        Self { low, high, ticks: linear_ticks(low, high, max_ticks) }
    }

    /// A logarithmic axis over the range of `values`, with about `max_ticks` ticks.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, max_ticks: i32) -> Self {
        let (low, high) = value_range(values.map(f64::log10), |_| 0.5);
        Self { low, high, ticks: logarithmic_ticks(low, high, max_ticks) }
    }

    /// The position of `v` between the pixels `from` (the lowest value) and `to` (the highest).
    pub(super) fn place(&self, v: f64, from: i32, to: i32) -> i32 {
        from + (self.fraction(v) * f64::from(to - from)).round() as i32
    }

    pub(super) fn fraction(&self, v: f64) -> f64 {
        (v - self.low) / (self.high - self.low)
    }
}

/// The smallest and the largest value. Almost equal values are widened by `margin` on both sides;
/// without values the range is 0 to 1.
fn value_range(values: impl Iterator<Item = f64>, margin: impl Fn(f64) -> f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        (0.0, 1.0)
    } else if high - low <= (1e-9 * low.abs().max(high.abs())).max(1e-290) {
        (low - margin(low), high + margin(high))
    } else {
        (low, high)
    }
}

/// `mantissa` times 10^exponent as text, in the notation of options and tables: 2e-3.
fn power_of_ten(mantissa: &str, exponent: i32) -> String {
    format!("{mantissa}e{exponent}")
}

/// Ticks at multiples of 1, 2 or 5 times a power of ten. Labels have as many digits as the step
/// requires.
fn linear_ticks(low: f64, high: f64, max_ticks: i32) -> Vec<(f64, String)> {
    let least = (high - low) / f64::from(max_ticks.max(1));
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

/// Ticks at powers of ten from 10^low to 10^high. Below one decade: at 1, 2 and 5 times a power of
/// ten, or else at even steps of the value.
fn logarithmic_ticks(low: f64, high: f64, max_ticks: i32) -> Vec<(f64, String)> {
    let (first, last) = ((low - 1e-9).ceil() as i32, (high + 1e-9).floor() as i32);
    if last > first {
        let every = ((last - first) / max_ticks.max(1) + 1).max(1);
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
    linear_ticks(10f64.powf(low), 10f64.powf(high), max_ticks)
        .into_iter()
        .map(|(v, label)| (v.log10(), label))
        .collect()
}
