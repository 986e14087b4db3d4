//! Statistical tests of differences between methods.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF, StudentsT};

/// Number of bootstrap resamples.
const RESAMPLES: usize = 10_000;

/// The least number of pairs for a bootstrap interval.
const MIN_BOOTSTRAP_PAIRS: usize = 5;

/// Below this number of discordant pairs McNemar's test is exact.
const EXACT_BELOW: usize = 25;

/// The mean, and the standard deviation (with n - 1) if there is more than one value.
pub fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

/// The median of a sample; for an even number of values, the mean of the two middle ones.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

/// Differences of paired values: b - a.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedDifference {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean difference.
    pub mean: f64,
    /// 95 % percentile interval of the mean over 10,000 bootstrap resamples of the pairs; `None`
    /// for fewer than five pairs, which are too few to estimate it.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p of the paired t-test; `None` for one pair, or if all differences are equal.
    pub p: Option<f64>,
}

/// Compares pairs of values. The bootstrap uses a fixed seed, so the same pairs give the same
/// interval.
pub fn paired_difference(a: &[f64], b: &[f64]) -> PairedDifference {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let n = differences.len();
    let (mean, deviation) = mean_and_deviation(&differences);
    // Rounding makes equal differences of decimal fractions differ in their last bits.
    let largest = a.iter().chain(b).fold(0.0f64, |largest, value| largest.max(value.abs()));
    let p = deviation.filter(|&deviation| deviation > 1e-12 * largest).map(|deviation| {
        let t = mean / (deviation / (n as f64).sqrt());
        let distribution = StudentsT::new(0.0, 1.0, n as f64 - 1.0).expect("one degree of freedom or more");
        2.0 * distribution.cdf(-t.abs())
    });
    let interval = (n >= MIN_BOOTSTRAP_PAIRS).then(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut resample = || (0..n).map(|_| differences[rng.random_range(0..n)]).sum::<f64>() / n as f64;
        let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
        means.sort_by(f64::total_cmp);
        let at = |part: f64| means[(part * (RESAMPLES - 1) as f64).round() as usize];
        [at(0.025), at(0.975)]
    });
    PairedDifference { pairs: n, mean, interval, p }
}

/// Holm's correction (Holm 1979) of the p values of several tests. It keeps the chance of any false
/// positive among them below the significance level. The i-th smallest of m values is multiplied by
/// m - i + 1; results are at least the previous one and at most 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least = 0.0f64;
    for (i, &test) in order.iter().enumerate() {
        least = least.max(p[test] * (p.len() - i) as f64).min(1.0);
        adjusted[test] = least;
    }
    adjusted
}

/// Cochran's Q: whether some of k classifiers are right more often than others on the same
/// examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cochran {
    /// The statistic.
    pub q: f64,
    /// k - 1.
    pub degrees_of_freedom: usize,
    /// p under the chi-squared distribution.
    pub p: f64,
}

/// Cochran's test; `right` holds for each classifier whether it is right on each example. `None`
/// for fewer than two classifiers, or if they agree on every example.
pub fn cochran(right: &[Vec<bool>]) -> Option<Cochran> {
    let k = right.len();
    let examples = right.first()?.len();
    if right.iter().any(|right| right.len() != examples) {
        return None;
    }
    let by_classifier: Vec<f64> = right.iter().map(|r| r.iter().filter(|&&r| r).count() as f64).collect();
    let by_example = (0..examples).map(|i| right.iter().filter(|r| r[i]).count() as f64);
    let (mut total, mut squares) = (0.0, 0.0);
    by_example.for_each(|count| {
        total += count;
        squares += count * count;
    });
    let k_f = k as f64;
    let denominator = k_f * total - squares;
    if k < 2 || denominator <= 0.0 {
        return None;
    }
    let sum_of_squares: f64 = by_classifier.iter().map(|count| count * count).sum();
    let q = (k_f - 1.0) * (k_f * sum_of_squares - total * total) / denominator;
    let distribution = ChiSquared::new(k_f - 1.0).expect("one degree of freedom or more");
    Some(Cochran { q, degrees_of_freedom: k - 1, p: distribution.sf(q) })
}

/// McNemar's test between two classifiers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemar {
    /// Examples that only the first has right.
    pub only_first: usize,
    /// Examples that only the second has right.
    pub only_second: usize,
    /// Two-sided p: exact below 25 such examples, else chi-squared with continuity correction.
    pub p: f64,
}

/// McNemar's test; the slices hold whether each classifier is right on each example.
pub fn mcnemar(first: &[bool], second: &[bool]) -> McNemar {
    let count = |wanted: (bool, bool)| first.iter().zip(second).filter(|&(&a, &b)| (a, b) == wanted).count();
    let (only_first, only_second) = (count((true, false)), count((false, true)));
    let n = only_first + only_second;
    let p = if n == 0 {
        1.0
    } else if n < EXACT_BELOW {
        let half = Binomial::new(0.5, n as u64).expect("a fair coin");
        (2.0 * half.cdf(only_first.min(only_second) as u64)).min(1.0)
    } else {
        let statistic = (only_first.abs_diff(only_second) as f64 - 1.0).max(0.0).powi(2) / n as f64;
        ChiSquared::new(1.0).expect("one degree of freedom").sf(statistic)
    };
    McNemar { only_first, only_second, p }
}
