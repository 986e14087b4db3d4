//! Methods side by side: the same seeds, and so the same initial weights, split and batches, for each.

use super::plots::{self, Panel, Series};
use crate::error::Result;
use crate::train::{Method, Summary};
use serde::Serialize;
use std::path::Path;

/// Mean and standard deviation (with n - 1) of a sample.
fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

/// The middle of a sample, or the mean of the two middle ones.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

/// One finished run of a comparison.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which method.
    pub method: Method,
    /// Its numbers.
    pub summary: Summary,
    /// (epoch, training loss) and (epoch, training accuracy) of each interval.
    pub curves: [Vec<(f64, f64)>; 2],
}

/// A method over all seeds.
#[derive(Clone, Debug, Serialize)]
pub struct MethodResult {
    /// Which.
    pub method: Method,
    /// Seeds.
    pub runs: usize,
    /// Mean of the test accuracy.
    pub test_accuracy: f64,
    /// Its standard deviation over seeds; absent for one seed.
    pub test_accuracy_sd: Option<f64>,
    /// Test accuracy of each seed.
    pub test_accuracies: Vec<f64>,
    /// Median over seeds of the milliseconds per step.
    pub milliseconds_per_step: f64,
    /// Median over seeds of the time per step relative to the first method's with the same seed.
    pub relative_time: f64,
}

/// The whole comparison; the first method is what the others are held against.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// A row per method.
    pub methods: Vec<MethodResult>,
}

impl Comparison {
    /// Summarises finished runs, which must hold the same number of seeds in the same order for every method.
    pub fn of(runs: &[Finished]) -> Self {
        let mut order: Vec<Method> = vec![];
        runs.iter().for_each(|run| {
            if !order.contains(&run.method) {
                order.push(run.method)
            }
        });
        let of = |method: Method| runs.iter().filter(move |run| run.method == method).map(|run| &run.summary);
        let times = |method| of(method).map(|summary| summary.milliseconds_per_step).collect::<Vec<_>>();
        let baseline = order.first().map_or(vec![], |&method| times(method));
        let result = |&method: &Method| {
            let accuracies: Vec<_> = of(method).map(|summary| summary.test_accuracy).collect();
            let (mean, deviation) = mean_and_deviation(&accuracies);
            let times = times(method);
            let ratios: Vec<_> = times.iter().zip(&baseline).map(|(time, base)| time / base).collect();
            MethodResult {
                method,
                runs: accuracies.len(),
                test_accuracy: mean,
                test_accuracy_sd: deviation,
                test_accuracies: accuracies,
                milliseconds_per_step: median(&times),
                relative_time: median(&ratios),
            }
        };
        Self { methods: order.iter().map(result).collect() }
    }

    /// Draws training loss and accuracy of all methods, the mean over seeds.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where the file cannot be written.
    pub fn plot(&self, runs: &[Finished], path: &Path) -> Result<()> {
        let panel = |which: usize, title: &str| {
            let series = self.methods.iter().map(|result| {
                let curves: Vec<_> =
                    runs.iter().filter(|run| run.method == result.method).map(|run| &run.curves[which]).collect();
                Series { label: result.method.to_string(), points: mean_curve(&curves), marks: false }
            });
            Panel {
                title: title.to_owned(),
                x_label: "epoch".into(),
                y_label: title.to_lowercase(),
                log_x: false,
                log_y: false,
                series: series.collect(),
            }
        };
        plots::curves(path, &[panel(0, "Training loss"), panel(1, "Training accuracy")])
    }
}

/// The mean of curves with the same places.
fn mean_curve(curves: &[&Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let points = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    let mean = |i: usize| curves.iter().map(|curve| curve[i].1).sum::<f64>() / curves.len() as f64;
    (0..points).map(|i| (curves[0][i].0, mean(i))).collect()
}
