//! The section of the report about detected objects: average precision and confusions by class.

use super::escaped;
use super::examples::{end_table, row, table};
use crate::error::{Error, Result};
use crate::files::read_regular;
use crate::nn::objective::DETECTIONS;
use crate::records::Finished;
use crate::study::compare::by_arm;
use crate::study::plots::{self, Panel, Series};
use crate::study::statistics::mean_and_deviation;
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;

/// The curves of precision over recall.
pub(super) const CURVES: &str = "precision.png";

/// Up to this many classes, curves and confusions are shown.
const MOST_CLASSES: usize = 12;

/// The content of [`DETECTIONS`] that the report shows.
#[derive(Deserialize)]
struct Detections {
    classes: Vec<OfClass>,
    confusion: Vec<Vec<u64>>,
}

/// A class of the test set.
#[derive(Deserialize)]
struct OfClass {
    class: String,
    objects: u64,
    ap50: Option<f64>,
    ap: Option<f64>,
    precision_at_recall: Option<Vec<f64>>,
}

/// The runs of a method that detect objects.
type Arm<'r> = (&'r str, Vec<Detections>);

/// The detections of all runs by method; `None` if the runs do not detect objects.
fn by_method(finished: &[Finished]) -> Result<Option<Vec<Arm<'_>>>> {
    if finished.iter().any(|run| !run.dir.join(DETECTIONS).exists()) {
        return Ok(None);
    }
    let read = |run: &&Finished| -> Result<Detections> {
        let path = run.dir.join(DETECTIONS);
        let bytes = read_regular(&path)?;
        serde_json::from_slice(&bytes).map_err(|fault| Error::format(&path, 0, fault.to_string()))
    };
    let arms = by_arm(finished).into_iter();
    arms.map(|runs| Ok((runs[0].arm.as_str(), runs.iter().map(read).collect::<Result<_>>()?)))
        .collect::<Result<_>>()
        .map(Some)
}

/// Draws the precision over the recall of each class, by method.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`].
pub(super) fn draw(finished: &[Finished], out: &Path) -> Result<()> {
    let Some(arms) = by_method(finished)? else { return Ok(()) };
    let Some(classes) = arms.first().and_then(|(_, runs)| runs.first()).map(|run| &run.classes) else { return Ok(()) };
    let panel = |class: usize| {
        let series = arms.iter().map(|(arm, runs)| {
            let curves: Vec<&Vec<f64>> =
                runs.iter().filter_map(|run| run.classes[class].precision_at_recall.as_ref()).collect();
            let at = |i: usize| (i as f64 / 100.0, curves.iter().map(|c| c[i]).sum::<f64>() / curves.len() as f64);
            let points = if curves.is_empty() { vec![] } else { (0..curves[0].len()).map(at).collect() };
            Series { label: (*arm).to_owned(), points, band: vec![], marks: false }
        });
        Panel {
            title: format!("{} ({} objects)", classes[class].class, classes[class].objects),
            x_label: "recall".into(),
            y_label: "precision".into(),
            log_x: false,
            log_y: false,
            series: series.collect(),
        }
    };
    let shown = (0..classes.len()).filter(|&class| classes[class].objects > 0).take(MOST_CLASSES);
    plots::curves(&out.join(CURVES), &shown.map(panel).collect::<Vec<_>>())
}

/// Adds the section, if the runs detect objects.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`].
pub(super) fn section(html: &mut String, finished: &[Finished]) -> Result<()> {
    let Some(arms) = by_method(finished)? else { return Ok(()) };
    html.push_str("<h2>Objects</h2>\n");
    for (title, value) in [
        ("Average precision at IoU 0.5", (|class: &OfClass| class.ap50) as fn(&OfClass) -> Option<f64>),
        ("Average precision at IoU 0.5 to 0.95", |class: &OfClass| class.ap),
    ] {
        let _ = writeln!(html, "<h3>{title}</h3>");
        let headings = ["class", "objects"].into_iter().chain(arms.iter().map(|(arm, _)| *arm));
        table(html, headings, 1);
        for (i, class) in arms[0].1[0].classes.iter().enumerate() {
            let of_arm = |(_, runs): &Arm<'_>| {
                let values: Vec<f64> = runs.iter().filter_map(|run| value(&run.classes[i])).collect();
                let (mean, deviation) = mean_and_deviation(&values);
                match (values.is_empty(), deviation) {
                    (true, _) => "–".to_owned(),
                    (false, None) => format!("{mean:.3}"),
                    (false, Some(deviation)) => format!("{mean:.3} ± {deviation:.3}"),
                }
            };
            let cells: Vec<String> =
                [class.class.clone(), class.objects.to_string()].into_iter().chain(arms.iter().map(of_arm)).collect();
            row(html, &cells, 1);
        }
        end_table(html);
    }
    html.push_str("<p class=faint>As YOLOv5 computes it; mean and standard deviation over seeds.</p>\n");
    for (arm, runs) in arms.iter().filter(|(_, runs)| runs[0].classes.len() <= MOST_CLASSES) {
        let _ = writeln!(html, "<details><summary>Confusions under {}</summary>", escaped(arm));
        confusions(html, runs);
        html.push_str("</details>\n");
    }
    Ok(())
}

/// How often a class was predicted for another, as means over the runs.
fn confusions(html: &mut String, runs: &[Detections]) {
    html.push_str(
        "<p>Rows are predicted classes, columns true ones: detections with a confidence above 0.25, as means over seeds.</p>\n",
    );
    let names: Vec<&str> = runs[0].classes.iter().map(|class| class.class.as_str()).collect();
    table(html, std::iter::once("").chain(names.iter().copied()).chain(["no object"]), 1);
    for (i, name) in names.iter().copied().chain(["not detected"]).enumerate() {
        let mean = |j: usize| runs.iter().map(|run| run.confusion[i][j]).sum::<u64>() as f64 / runs.len() as f64;
        let counts = (0..=names.len()).map(|j| format!("{:.1}", mean(j)));
        row(html, &std::iter::once(name.to_owned()).chain(counts).collect::<Vec<_>>(), 1);
    }
    end_table(html);
}
