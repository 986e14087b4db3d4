//! The results of a comparison in sentences.

use crate::study::{ArmResult, Comparison};

/// p below which a difference is called significant.
const SIGNIFICANT: f64 = 0.05;

/// `p = 0.012`, or `p < 0.001`.
fn p_in_words(p: f64) -> String {
    if p < 1e-3 { "p < 0.001".into() } else { format!("p = {p:.3}") }
}

impl Comparison {
    /// The results in words: for each method a sentence with its difference from the baseline, and
    /// whether it is significant.
    pub fn in_words(&self) -> Vec<String> {
        let mut sentences = self.folds_in_words();
        if self.arms.iter().all(|arm| arm.arm != self.baseline) {
            sentences.push(format!("No run of {} has finished: no method can be compared with it.", self.baseline));
        }
        if self.arms.iter().filter(|arm| arm.corrected_p.is_some()).count() > 1 {
            sentences.push(self.verdict());
        }
        sentences.extend(self.arms.iter().filter_map(|arm| self.sentence(arm)));
        if let Some(cochran) = &self.cochran
            && self.arms.len() > 2
        {
            let verdict = match cochran.p < SIGNIFICANT {
                true => "the methods differ in how often they are right",
                false => "the methods do not differ significantly in how often they are right",
            };
            let caveat = match self.arms.iter().map(|arm| arm.seeds.len()).max() {
                Some(1) => "for these weights only; with another seed they may not",
                _ => "seeds share the test examples, which makes p too small, and weights differ by chance as well",
            };
            sentences.push(format!(
                "Over the pooled test predictions {verdict} (Cochran's Q = {:.2}, {} degrees of freedom, {}; {caveat}).",
                cochran.q,
                cochran.degrees_of_freedom,
                p_in_words(cochran.p)
            ));
        }
        sentences
    }

    /// The answer to "does it help here?" in a sentence: that of LeRaC, or of the first other
    /// method; `None` without one that can be compared.
    pub fn answer(&self) -> Option<String> {
        let preferred = self.arms.iter().find(|arm| arm.arm.starts_with("lerac") && self.sentence(arm).is_some());
        let sentence = preferred.or_else(|| self.arms.iter().find(|arm| self.sentence(arm).is_some()));
        let sentence = sentence.and_then(|arm| self.sentence(arm))?;
        let seeds = self.arms.iter().map(|arm| arm.seeds.len()).max().unwrap_or(0);
        Some(match seeds {
            1 => format!("One seed shows nothing about chance. {sentence}"),
            2 => format!("Two seeds are too few to tell a difference from chance. {sentence}"),
            _ => sentence,
        })
    }

    /// A sentence that lists the methods that are significantly better or worse than the baseline.
    fn verdict(&self) -> String {
        let compared = || self.arms.iter().filter(|arm| arm.corrected_p.is_some());
        let differs = |better: bool| {
            let gains =
                |arm: &ArmResult| arm.against_baseline.as_ref().is_some_and(|d| self.measure.to_maximise(d.mean) > 0.0);
            let names =
                compared().filter(|arm| is_significant(arm) && gains(arm) == better).map(|arm| arm.arm.as_str());
            let names = names.collect::<Vec<_>>().join(", ");
            if names.is_empty() { "none".to_owned() } else { names }
        };
        format!(
            "Significantly better than {0}: {1}. Significantly worse: {2}. (Paired t-tests over seeds, p below {SIGNIFICANT} after \
             Holm's correction for {3} methods.)",
            self.baseline,
            differs(true),
            differs(false),
            compared().count()
        )
    }

    fn sentence(&self, arm: &ArmResult) -> Option<String> {
        let difference = arm.against_baseline.as_ref()?;
        let side = if difference.mean < 0.0 { "below" } else { "above" };
        let (far, unit) = (self.measure.format_score(difference.mean.abs()), &self.measure.unit_of_differences);
        let hint = if self.measure.to_maximise(1.0) < 0.0 { ", where lower is better" } else { "" };
        if difference.mean == 0.0 && difference.p.is_none() {
            return Some(format!("{} and {} have the same score with every seed.", arm.arm, self.baseline));
        }
        let gap = format!("{} is {far} {unit} {side} {}{hint}", arm.arm, self.baseline);
        Some(match (difference.p, arm.corrected_p) {
            (Some(p), Some(corrected)) => {
                let verdict = match (is_significant(arm), self.measure.to_maximise(difference.mean) > 0.0) {
                    (true, true) => "significantly better",
                    (true, false) => "significantly worse",
                    (false, _) => "no significant difference",
                };
                let interval = difference.interval.map_or(String::new(), |[low, high]| {
                    format!(
                        "95 % interval {} to {}, ",
                        self.measure.format_difference(low),
                        self.measure.format_difference(high)
                    )
                });
                let corrected = match corrected > p {
                    true => format!(", corrected {}", p_in_words(corrected)),
                    false => String::new(),
                };
                let (p, pairs) = (p_in_words(p), difference.pairs);
                format!("{gap} ({interval}paired t-test {p}{corrected}, {pairs} seeds): {verdict}.")
            }
            _ if difference.pairs > 1 => format!("{gap}, by the same amount with every seed."),
            _ => format!("{gap}; one seed cannot show whether this is chance; use five or more."),
        })
    }
}

fn is_significant(arm: &ArmResult) -> bool {
    arm.corrected_p.is_some_and(|p| p < SIGNIFICANT)
}
