//! The results of the paper, and one's own next to them.

mod own;
mod page;

pub use own::{OwnArm, OwnResults};
pub use page::page;

use serde::{Deserialize, Serialize};

/// A number of the paper: the mean of five runs under a method, on a model and a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedResult {
    /// Name of the experiment. The recipe with its settings, if there is one, has the same name.
    pub row: String,
    /// The paper's table (IJCV 133:291-314).
    pub table: u32,
    /// The model, as the paper calls it.
    pub model: String,
    /// The data set, as the paper calls it.
    pub data: String,
    /// What is measured, with its unit.
    pub measure: String,
    /// The method, as this program calls it.
    pub method: String,
    /// What differs from the experiment's own settings; empty for the main tables.
    pub options: String,
    /// The mean.
    pub mean: f64,
    /// The standard deviation over runs, where the paper gives it.
    pub sd: Option<f64>,
}

impl PublishedResult {
    /// The mean, and the standard deviation if it is known.
    pub fn text(&self) -> String {
        let decimals = if self.mean < 1.0 { 3 } else { 2 };
        let deviation = self.sd.map_or(String::new(), |sd| format!(" ± {sd:.decimals$}"));
        format!("{:.decimals$}{deviation}", self.mean)
    }
}

/// The methods of the main tables.
pub const METHODS: [&str; 3] = ["conventional", "cbs", "lerac"];

/// Every result of the paper's tables, in their order.
pub fn published() -> Vec<PublishedResult> {
    let mut reader = csv::Reader::from_reader(include_bytes!("results.csv").as_slice());
    reader.deserialize().map(|row| row.expect("the table is well-formed")).collect()
}

/// An experiment of the paper: the results of its methods by one measure.
#[derive(Clone, Debug, Serialize)]
pub struct Experiment {
    /// Name, and that of its recipe.
    pub row: String,
    /// The paper's table.
    pub table: u32,
    /// The model, as the paper calls it.
    pub model: String,
    /// The data set, as the paper calls it.
    pub data: String,
    /// What is measured, with its unit.
    pub measure: String,
    /// The results of [`METHODS`].
    pub results: [PublishedResult; 3],
}

/// The experiments of the main tables, and the results of the ablations.
pub fn experiments() -> (Vec<Experiment>, Vec<PublishedResult>) {
    let mut experiments: Vec<Experiment> = vec![];
    let (mut all, mut ablations) = (published().into_iter().peekable(), vec![]);
    while let Some(first) = all.next() {
        let is_next = |next: &PublishedResult, method: &str| {
            (&next.row, &next.data, next.table) == (&first.row, &first.data, first.table)
                && next.method == method
                && next.options.is_empty()
        };
        let second = all.next_if(|next| is_next(next, METHODS[1]));
        let third = second.as_ref().and_then(|_| all.next_if(|next| is_next(next, METHODS[2])));
        match (second, third) {
            (Some(second), Some(third)) => experiments.push(Experiment {
                row: first.row.clone(),
                table: first.table,
                model: first.model.clone(),
                data: first.data.clone(),
                measure: first.measure.clone(),
                results: [first, second, third],
            }),
            (second, None) => {
                ablations.push(first);
                ablations.extend(second);
            }
            (None, Some(_)) => unreachable!("a third result follows a second"),
        }
    }
    (experiments, ablations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_is_shown_once() {
        let (experiments, ablations) = experiments();
        assert_eq!(3 * experiments.len() + ablations.len(), published().len());
        let named = |row: &str, data: &str| {
            experiments.iter().find(|found| found.row == row && found.data == data).unwrap_or_else(|| panic!("{row}"))
        };
        let texts = |of: &Experiment| of.results.each_ref().map(PublishedResult::text);
        assert_eq!(texts(named("cvt13-cifar100", "CIFAR-100")), ["41.87 ± 0.16", "44.48 ± 0.40", "43.46 ± 0.18"]);
        assert_eq!(texts(named("yolov5s-voc", "PASCAL VOC")), ["0.832 ± 0.006", "0.829 ± 0.003", "0.846 ± 0.004"]);
        assert_eq!(named("resnet18-utkface", "UTKFace, age").results[2].mean, 5.97);
        // The paper compares LeRaC with its baseline in 34 cases.
        assert_eq!((experiments.len(), ablations.len()), (34, 50));
        assert!(experiments.iter().all(|of| of.results.each_ref().map(|result| &result.method[..]) == METHODS));
    }
}
