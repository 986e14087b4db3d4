//! The sections of the report about examples: classes, lengths of texts, and disagreements.

use super::escaped;
use crate::data::{Examples, Splits};
use crate::error::Result;
use crate::nn::objective::{Answer, ConfusionMatrix};
use crate::records::Finished;
use crate::study::compare::by_arm;
use crate::study::statistics::mean_and_deviation;
use std::fmt::Write;

/// Up to this many classes, each method's confusion matrix is shown.
const MOST_CLASSES_OF_MATRIX: usize = 12;

/// At most this many classes are listed: those with the lowest F1.
const MOST_CLASSES: usize = 20;

/// At most this many examples on which methods disagree are listed.
const MOST_DISAGREEMENTS: usize = 20;

/// Characters of a caption.
const MOST_CHARACTERS: usize = 240;

/// Adds the sections that apply to the data.
///
/// # Errors
/// The errors of reading the examples.
pub(super) fn sections(html: &mut String, data: &Splits, finished: &[Finished]) -> Result<()> {
    let names = data.test.form().classes().to_vec();
    classes(html, &names, finished);
    disagreements(html, &names, &*data.test, finished);
    lengths(html, data)
}

/// Starts a table with these headings. Those after the first `texts` are right-aligned.
pub(super) fn table<'h>(html: &mut String, headings: impl IntoIterator<Item = &'h str>, texts: usize) {
    html.push_str("<div class=wide><table><tr>");
    for (i, heading) in headings.into_iter().enumerate() {
        let class = if i < texts { "" } else { " class=n" };
        let _ = write!(html, "<th{class}>{}", escaped(heading));
    }
    html.push_str("</tr>\n");
}

/// Adds a row to a table. Cells after the first `texts` are right-aligned.
pub(super) fn row(html: &mut String, cells: &[String], texts: usize) {
    html.push_str("<tr>");
    for (i, cell) in cells.iter().enumerate() {
        let class = if i < texts { "" } else { " class=n" };
        let _ = write!(html, "<td{class}>{}", escaped(cell));
    }
    html.push_str("</tr>\n");
}

pub(super) fn end_table(html: &mut String) {
    html.push_str("</table></div>\n");
}

/// The matrix of each run of each method; `None` if the runs do not predict these classes.
fn matrices<'r>(classes: usize, finished: &'r [Finished]) -> Option<Vec<(&'r str, Vec<ConfusionMatrix>)>> {
    let of_arm = |arm: Vec<&'r Finished>| {
        let runs = arm.iter().map(|run| ConfusionMatrix::of_answers(classes, &run.answers));
        Some((arm[0].arm.as_str(), runs.collect::<Option<Vec<_>>>()?))
    };
    by_arm(finished).into_iter().map(of_arm).collect()
}

/// Macro F1 and Matthews correlation of each method, and the scores of each class.
fn classes(html: &mut String, names: &[String], finished: &[Finished]) {
    let Some(arms) = matrices(names.len(), finished).filter(|_| names.len() > 1) else { return };
    html.push_str("<h2>Classes</h2>\n");
    table(html, ["method", "macro F1", "sd", "Matthews correlation", "sd"], 1);
    for (arm, runs) in &arms {
        let mut cells = vec![(*arm).to_owned()];
        for score in [ConfusionMatrix::macro_f1, ConfusionMatrix::matthews] {
            let (mean, deviation) = mean_and_deviation(&runs.iter().map(score).collect::<Vec<_>>());
            cells.push(format!("{mean:.4}"));
            cells.push(deviation.map_or("–".to_owned(), |deviation| format!("{deviation:.4}")));
        }
        row(html, &cells, 1);
    }
    end_table(html);
    html.push_str(
        "<p class=faint>Macro F1 is the mean over the classes of 2 TP / (2 TP + FP + FN). Both are means over seeds.</p>\n",
    );
    for (arm, runs) in &arms {
        let _ = writeln!(html, "<details><summary>Classes under {}</summary>", escaped(arm));
        class_scores(html, names, runs);
        if names.len() <= MOST_CLASSES_OF_MATRIX {
            matrix(html, names, runs);
        }
        html.push_str("</details>\n");
    }
}

/// Precision, recall and F1 of the classes with the lowest F1, as means over the runs.
fn class_scores(html: &mut String, names: &[String], runs: &[ConfusionMatrix]) {
    let mean = |score: fn(&ConfusionMatrix, usize) -> f64, class: usize| {
        runs.iter().map(|run| score(run, class)).sum::<f64>() / runs.len() as f64
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    if names.len() > MOST_CLASSES {
        order.sort_by(|a, b| mean(ConfusionMatrix::f1, *a).total_cmp(&mean(ConfusionMatrix::f1, *b)));
        order.truncate(MOST_CLASSES);
        let _ = writeln!(html, "<p>The {MOST_CLASSES} classes of {} with the lowest F1:</p>", names.len());
    }
    table(html, ["class", "examples", "precision", "recall", "F1"], 1);
    for class in order {
        let examples: u64 = (0..names.len()).map(|found| runs[0].count(class, found)).sum();
        let scores = [ConfusionMatrix::precision, ConfusionMatrix::recall, ConfusionMatrix::f1];
        let mut cells = vec![names[class].clone(), examples.to_string()];
        cells.extend(scores.map(|score| format!("{:.3}", mean(score, class))));
        row(html, &cells, 1);
    }
    end_table(html);
}

/// How often each class was predicted for each class, as means over the runs.
fn matrix(html: &mut String, names: &[String], runs: &[ConfusionMatrix]) {
    html.push_str("<p>Rows are true classes, columns predicted ones: examples, as means over seeds.</p>\n");
    table(html, std::iter::once("").chain(names.iter().map(String::as_str)), 1);
    for (truth, name) in names.iter().enumerate() {
        let mean = |found| runs.iter().map(|run| run.count(truth, found)).sum::<u64>() as f64 / runs.len() as f64;
        let counts = (0..names.len()).map(|found| format!("{:.1}", mean(found)));
        row(html, &std::iter::once(name.clone()).chain(counts).collect::<Vec<_>>(), 1);
    }
    end_table(html);
}

/// A caption, shortened.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Test examples for which the first runs of the methods predict different classes.
fn disagreements(html: &mut String, names: &[String], test: &dyn Examples, finished: &[Finished]) {
    let firsts: Vec<&Finished> = by_arm(finished).iter().map(|arm| arm[0]).collect();
    // If a run failed, the first runs may have other test examples.
    let are_classes = matrices(names.len(), finished).is_some();
    if !are_classes || firsts.iter().any(|run| run.fold != finished[0].fold || run.answers.len() != test.len()) {
        return;
    }
    let name = |answer: &Answer| match answer {
        Answer::Whole(class) => names.get(*class as usize).cloned(),
        _ => None,
    };
    let differ = |i: &usize| firsts.iter().any(|run| run.answers[*i].1 != firsts[0].answers[*i].1);
    let differing: Vec<usize> = (0..firsts[0].answers.len()).filter(differ).collect();
    if firsts.len() < 2 || names.is_empty() || differing.is_empty() {
        return;
    }
    let (all, count) = (firsts[0].answers.len(), differing.len());
    let _ = writeln!(
        html,
        "<h2>Where methods disagree</h2>\n<p>The runs of the first seed predict different classes for {count} of {all} test \
         examples. The first {}:</p>",
        count.min(MOST_DISAGREEMENTS)
    );
    let headings = ["example", "class"].into_iter().chain(firsts.iter().map(|run| run.arm.as_str()));
    let texts = 2 + firsts.len();
    table(html, headings, texts);
    for &i in differing.iter().take(MOST_DISAGREEMENTS) {
        let mut cells = vec![test.caption(i).map_or_else(|| format!("example {i}"), |text| shortened(&text))];
        cells.push(name(&firsts[0].answers[i].0).unwrap_or_default());
        cells.extend(firsts.iter().map(|run| name(&run.answers[i].1).unwrap_or_default()));
        row(html, &cells, texts);
    }
    end_table(html);
}

/// The number of tokens of each example without padding; `None` if the examples are no texts.
fn token_counts(examples: &dyn Examples) -> Result<Option<Vec<usize>>> {
    let form = examples.form();
    let place = form.inputs.iter().position(|column| column.name == "length");
    let Some(place) = place.filter(|_| form.tokens().is_some()) else { return Ok(None) };
    let mut words: Vec<Vec<u32>> = form.columns().map(|column| vec![0; column.words()]).collect();
    let mut counts = vec![];
    for i in 0..examples.len() {
        words.iter_mut().for_each(|words| words.fill(0));
        let mut places: Vec<&mut [u32]> = words.iter_mut().map(Vec::as_mut_slice).collect();
        examples.read(i, None, &mut places)?;
        counts.push(words[place][0] as usize);
    }
    Ok(Some(counts))
}

/// How long the texts are.
fn lengths(html: &mut String, data: &Splits) -> Result<()> {
    let limit = data.train.form().tokens().map_or(0, |tokens| tokens.length);
    let mut rows = vec![];
    for (part, examples) in [("training and validation", &data.train), ("test", &data.test)] {
        let Some(mut counts) = token_counts(&**examples)?.filter(|counts| !counts.is_empty()) else { return Ok(()) };
        counts.sort_unstable();
        let quantile = |fraction: f64| counts[((counts.len() - 1) as f64 * fraction).round() as usize].to_string();
        let full = counts.iter().filter(|count| **count == limit).count();
        rows.push([
            part.to_owned(),
            counts.len().to_string(),
            quantile(0.0),
            quantile(0.5),
            quantile(0.9),
            quantile(1.0),
            format!("{:.1} %", 100.0 * full as f64 / counts.len() as f64),
        ]);
    }
    html.push_str("<h2>Lengths</h2>\n");
    let at_limit = format!("with all {limit} tokens");
    table(html, ["part", "texts", "shortest", "median", "90 %", "longest", &at_limit], 1);
    rows.iter().for_each(|cells| row(html, cells, 1));
    end_table(html);
    html.push_str("<p class=faint>In tokens, special tokens included. Longer texts are truncated.</p>\n");
    Ok(())
}
