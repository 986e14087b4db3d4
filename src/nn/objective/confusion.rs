//! The confusion matrix of a classification, and the scores that follow from it.

use super::Answer;

/// How often each class was predicted for the examples of each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// A row per true class, a column per predicted class.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// The matrix of pairs (true class, predicted class).
    ///
    /// # Panics
    /// If a class is not below `classes`.
    pub fn new(classes: usize, pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut counts = vec![0; classes * classes];
        for (truth, prediction) in pairs {
            assert!((prediction as usize) < classes, "class {prediction} of {classes}");
            counts[truth as usize * classes + prediction as usize] += 1;
        }
        Self { classes, counts }
    }

    /// The matrix of (target, prediction) pairs; `None` if one of them is not a class.
    pub fn of_answers(classes: usize, answers: &[(Answer, Answer)]) -> Option<Self> {
        let class = |answer: &Answer| match answer {
            Answer::Whole(class) if (*class as usize) < classes => Some(*class),
            _ => None,
        };
        let pairs: Option<Vec<_>> = answers.iter().map(|(truth, found)| Some((class(truth)?, class(found)?))).collect();
        Some(Self::new(classes, pairs?))
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of examples of class `truth` that were predicted as `prediction`.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn count(&self, truth: usize, prediction: usize) -> u64 {
        assert!(prediction < self.classes, "class {prediction} of {}", self.classes);
        self.counts[truth * self.classes + prediction]
    }

    /// Number of examples of a class.
    fn examples_of(&self, class: usize) -> u64 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    /// Number of examples that were predicted as a class.
    fn predicted_as(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }

    /// The fraction of a class that was predicted as this class; 0 without examples.
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.examples_of(class))
    }

    /// The fraction of the predictions of a class that are right; 0 if it was never predicted.
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.predicted_as(class))
    }

    /// F1 of a class: 2 TP / (2 TP + FP + FN); 0 if it neither occurs nor was predicted.
    pub fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.count(class, class), self.examples_of(class) + self.predicted_as(class))
    }

    /// The mean F1 over the classes that occur or were predicted, as scikit-learn's
    /// `f1_score(average="macro")`; 0 without examples.
    pub fn macro_f1(&self) -> f64 {
        let seen = (0..self.classes).filter(|&class| self.examples_of(class) + self.predicted_as(class) > 0);
        let scores: Vec<f64> = seen.map(|class| self.f1(class)).collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    }

    /// Matthews correlation coefficient, -1 to 1, of any number of classes (Gorodkin 2004,
    /// "Comparing two K-category assignments by a K-category correlation coefficient"). 0 if all
    /// examples are of one class, or if one class was predicted for all.
    pub fn matthews(&self) -> f64 {
        let all: u64 = self.counts.iter().sum();
        let right: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        let [mut chance, mut of_truth, mut of_predictions] = [0.0; 3];
        for class in 0..self.classes {
            let [truth, predicted] = [self.examples_of(class), self.predicted_as(class)].map(|count| count as f64);
            chance += truth * predicted;
            of_truth += truth * truth;
            of_predictions += predicted * predicted;
        }
        let (all, right) = (all as f64, right as f64);
        let deviations = (all * all - of_truth) * (all * all - of_predictions);
        if deviations > 0.0 { (right * all - chance) / deviations.sqrt() } else { 0.0 }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs (true class, predicted class) of a matrix of counts.
    fn matrix(rows: &[&[u64]]) -> ConfusionMatrix {
        let cells = rows.iter().enumerate().flat_map(|(truth, row)| {
            let cell = move |(found, &count): (usize, &u64)| vec![(truth as u32, found as u32); count as usize];
            row.iter().enumerate().flat_map(cell)
        });
        ConfusionMatrix::new(rows.len(), cells)
    }

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    /// Values of scikit-learn 1.9.1: `f1_score(average="macro")` and `matthews_corrcoef`.
    #[test]
    fn scores_are_those_of_scikit_learn() {
        let two = matrix(&[&[50, 10], &[5, 35]]);
        assert_near(two.macro_f1(), 0.8465473145780051);
        assert_near(two.matthews(), 0.6975184488828855);
        let three = matrix(&[&[5, 2, 0], &[1, 3, 4], &[0, 2, 9]]);
        assert_near(three.macro_f1(), 0.6397435897435898);
        assert_near(three.matthews(), 0.46540248436589476);
    }

    #[test]
    fn one_class_alone_has_no_correlation() {
        let always_first = matrix(&[&[7, 0], &[3, 0]]);
        assert_near(always_first.matthews(), 0.0);
        assert_near(always_first.macro_f1(), 0.5 * 14.0 / 17.0);
        assert_near(matrix(&[&[4, 0], &[0, 0]]).macro_f1(), 1.0);
        assert_near(ConfusionMatrix::new(3, []).macro_f1(), 0.0);
        assert_near(ConfusionMatrix::new(3, []).matthews(), 0.0);
    }

    #[test]
    fn numbers_have_no_confusion_matrix() {
        let number = [(Answer::Whole(1), Answer::Number(0.5))];
        assert_eq!(ConfusionMatrix::of_answers(2, &number), None);
        assert_eq!(ConfusionMatrix::of_answers(1, &[(Answer::Whole(1), Answer::Whole(0))]), None);
        let right = ConfusionMatrix::of_answers(2, &[(Answer::Whole(1), Answer::Whole(1))]).unwrap();
        assert_eq!((right.count(1, 1), right.recall(1), right.precision(0)), (1, 1.0, 0.0));
    }
}
