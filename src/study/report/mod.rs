//! `report.html`: a comparison in one HTML file, without scripts and without external resources.

mod boxes;
mod examples;
mod words;

use super::Comparison;
use super::compare::{EpochsToBaseline, by_arm};
use crate::data::Splits;
use crate::error::{Error, Result};
use crate::files::read_regular;
use crate::files::write_whole;
use crate::gpu::AdapterInfo;
use crate::nn::objective::Measure;
use crate::records::Finished;
use crate::train::Config;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use std::path::Path;

/// The settings of a comparison that the report shows.
#[derive(Debug)]
pub struct Setting<'a> {
    /// The options that are the same for all runs.
    pub config: &'a Config,
    /// The method that the others are compared with.
    pub baseline: &'a str,
    /// A file of options that reproduces the runs.
    pub file: String,
    /// The command line of the comparison.
    pub command: String,
    /// The device of this process, if it trained. The runs name their adapters.
    pub adapter: Option<&'a AdapterInfo>,
    /// Titles of the runs that failed.
    pub failures: &'a [String],
    /// Titles of the runs that are not finished, with their states.
    pub missing: &'a [String],
    /// The examples; with folds, those of the first run.
    pub data: &'a Splits,
}

pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --faint: #666; --rule: #ccc; --shade: #f4f4f4 }\n\
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181b; --faint: #a0a0a0; --rule: #444; --shade: #22252a } }\n\
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 0 auto; padding: 1rem }\n\
h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid var(--rule) } h3 { font-size: 1rem }\n\
.answer { font-size: 1.15rem; font-weight: 600 } .wide { overflow-x: auto } table { border-collapse: collapse } th, td { padding: .25rem .8rem .25rem 0; text-align: left; white-space: nowrap }\n\
th { white-space: normal; vertical-align: bottom; border-bottom: 1px solid var(--rule) } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }\n\
pre { background: var(--shade); padding: .7rem; overflow-x: auto } .faint { color: var(--faint) }\n\
img { max-width: 100%; background: #fff; border-radius: 4px }\n\
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1rem }\n\
@media (max-width: 30rem) { .pictures { grid-template-columns: 1fr } }\n\
@media print { body { max-width: none } h2, h3, img { break-inside: avoid; break-after: avoid } }\n";

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Measure {
    /// A score as text, in its unit.
    fn format_score(&self, score: f64) -> String {
        format!("{:.2}", self.shown(score))
    }

    /// A difference of scores as text, in its unit and with a sign.
    fn format_difference(&self, difference: f64) -> String {
        format!("{:+.2}", self.shown(difference))
    }
}

fn format_p(p: f64) -> String {
    if p < 1e-4 { "&lt; 0.0001".into() } else { format!("{p:.4}") }
}

/// An image element with the PNG file at `path` as a data URL.
fn picture(path: &Path, what: &str) -> Result<String> {
    let bytes = read_regular(path)?;
    Ok(format!("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", escaped(what), STANDARD.encode(bytes)))
}

fn results_table(html: &mut String, comparison: &Comparison) {
    let measure = &comparison.measure;
    let _ = writeln!(
        html,
        "<div class=wide><table><tr><th>method<th class=n>seeds<th class=n>test {0}, {1}<th class=n>sd<th class=n>difference \
         from the baseline, {2}<th class=n>95 % interval<th class=n>p<th class=n>corrected p<th class=n>epochs to the baseline's final validation {0}<th class=n>ms per \
         step<th class=n>relative</tr>",
        escaped(&measure.name),
        escaped(&measure.unit),
        escaped(&measure.unit_of_differences)
    );
    let dash = || "–".to_owned();
    for arm in &comparison.arms {
        let against = arm.against_baseline.as_ref();
        let cells = [
            arm.seeds.len().to_string(),
            measure.format_score(arm.test_score),
            arm.test_score_sd.map_or_else(dash, |sd| measure.format_score(sd)),
            against.map_or_else(dash, |d| measure.format_difference(d.mean)),
            against.and_then(|d| d.interval).map_or_else(dash, |[l, h]| {
                format!("{} to {}", measure.format_difference(l), measure.format_difference(h))
            }),
            against.and_then(|d| d.p).map_or_else(dash, format_p),
            arm.corrected_p.map_or_else(dash, format_p),
            arm.reaches_baseline.map_or_else(dash, |when| match when {
                EpochsToBaseline { epochs: None, .. } => "never".to_owned(),
                EpochsToBaseline { epochs: Some(epochs), pairs, reached } if pairs == reached => format!("{epochs}"),
                EpochsToBaseline { epochs: Some(epochs), pairs, reached } => format!("{epochs} ({reached} of {pairs})"),
            }),
            format!("{:.1}", arm.milliseconds_per_step),
            arm.relative_time.map_or_else(dash, |ratio| format!("{ratio:.3}")),
        ];
        let _ = write!(html, "<tr><td>{}", escaped(&arm.arm));
        cells.iter().for_each(|cell| html.push_str(&format!("<td class=n>{cell}")));
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

fn pairs_table(html: &mut String, comparison: &Comparison) {
    html.push_str(
        "<div class=wide><table><tr><th>first<th>second<th class=n>only the first right<th class=n>only the second right<th \
         class=n>McNemar's p</tr>\n",
    );
    for pair in &comparison.pairs {
        let [first, second] = &pair.arms;
        let m = &pair.mcnemar;
        let _ = writeln!(
            html,
            "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            escaped(first),
            escaped(second),
            m.only_first,
            m.only_second,
            format_p(m.p)
        );
    }
    html.push_str("</table></div>\n");
}

/// Plots of all methods together, with heading and caption.
const COMPARISON_PLOTS: [(&str, &str, &str); 4] = [
    (
        boxes::CURVES,
        "Precision and recall",
        "The largest precision at each recall or a higher one, at IoU 0.5, as the mean over seeds. The area below a curve is the class's \
         average precision.",
    ),
    (
        "compare.png",
        "Training",
        "Loss and score of all methods: the mean over seeds, and a band from the lowest seed to the highest.",
    ),
    (
        "layers.png",
        "Effective learning rates",
        "|update| / |weight| of some layers from the first to the last: the mean over seeds, and a band from the lowest to the highest. \
         It does not depend on the scale of the weights.",
    ),
    (
        "noise.png",
        "Gradient signal-to-noise ratio",
        "The gradient's |mean|² / variance over batches, the paper's argument: where it is low, a step mostly follows noise.",
    ),
];

/// Plots in the directory of a run, with their headings.
const RUN_PLOTS: [(&str, &str); 4] = [
    ("rates.png", "Learning rates"),
    ("effective.png", "|update| / |weight|, layer by layer"),
    ("noise.png", "Signal-to-noise ratio of the gradient, layer by layer"),
    ("curves.png", "Training and validation"),
];

fn comparison_plots(html: &mut String, out: &Path) -> Result<()> {
    for (file, heading, caption) in COMPARISON_PLOTS {
        let path = out.join(file);
        // The signal-to-noise ratio is measured only on request.
        if path.exists() {
            let image = picture(&path, heading)?;
            let _ = writeln!(html, "<h2>{heading}</h2>\n{image}\n<p class=faint>{caption}</p>");
        }
    }
    Ok(())
}

/// The plots of each method's first run, side by side.
fn run_plots(html: &mut String, finished: &[Finished]) -> Result<()> {
    let arms = by_arm(finished);
    for (file, heading) in RUN_PLOTS {
        let pictured: Vec<_> = arms.iter().map(|arm| arm[0]).filter(|run| run.dir.join(file).exists()).collect();
        if pictured.is_empty() {
            continue;
        }
        let _ = writeln!(html, "<h2>{heading}, first seed</h2>\n<div class=pictures>");
        for run in pictured {
            let image = picture(&run.dir.join(file), &format!("{heading} under {}", run.arm))?;
            let _ = writeln!(html, "<div><h3>{}</h3>{image}</div>", escaped(&run.arm));
        }
        html.push_str("</div>\n");
    }
    Ok(())
}

/// A sentence about runs that were extended after they had been tested, as an item of a list.
fn tested_before(finished: &[Finished]) -> String {
    let names: Vec<_> = finished.iter().filter(|run| run.summary.earlier_tests > 0).map(Finished::title).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("<li>The test set had been read before in {}.\n", escaped(&names.join(", "))),
    }
}

/// The names of the adapters on which the runs were trained, in the order of the runs.
pub fn adapters(finished: &[Finished]) -> Vec<&str> {
    let mut names: Vec<&str> = vec![];
    for run in finished {
        let name = run.summary.adapter.as_str();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The adapters of the runs; with backend and driver if all were trained on that of this process.
fn devices(setting: &Setting<'_>, finished: &[Finished]) -> String {
    let names = adapters(finished);
    match (setting.adapter, names.as_slice()) {
        (Some(adapter), [name]) if adapter.name == *name => format!("{name} ({}, {})", adapter.backend, adapter.driver),
        (_, [_]) => names.join(", "),
        _ => format!("{}; results of different adapters agree up to rounding only", names.join(", ")),
    }
}

/// The report as HTML; `out` is the comparison's directory, which contains its plots.
///
/// # Errors
/// [`Error::Io`] if a plot cannot be read.
pub fn report(setting: &Setting<'_>, comparison: &Comparison, finished: &[Finished], out: &Path) -> Result<String> {
    let config = setting.config;
    let (arms, summary) = (&comparison.arms, finished.first().map(|run| &run.summary));
    let seeds = arms.iter().map(|arm| arm.seeds.len()).max().unwrap_or(0);
    let of_seeds = if seeds == 1 { "1 seed".to_owned() } else { format!("{seeds} seeds") };
    let title = format!("{} on {}: {} methods, {of_seeds}", config.model.name, config.data.name, arms.len());
    let mut html = format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width\">\n\
         <title>{0}</title>\n<style>\n{STYLE}</style>\n<h1>{0}</h1>\n",
        escaped(&title)
    );
    if let Some(answer) = comparison.answer() {
        let _ = writeln!(html, "<p class=answer>{}</p>", escaped(&answer));
    }
    html.push_str("<ul>\n");
    html.push_str(&tested_before(finished));
    let answer = comparison.answer().unwrap_or_default();
    for sentence in comparison.in_words().into_iter().filter(|sentence| !answer.ends_with(&**sentence)) {
        let _ = writeln!(html, "<li>{}", escaped(&sentence));
    }
    html.push_str("</ul>\n");
    html.push_str("<h2>Result</h2>\n");
    results_table(&mut html, comparison);
    if let Some(baseline) = summary.and_then(|summary| summary.baseline.as_ref()) {
        let (measure, text) = (&comparison.measure, comparison.measure.text(baseline.value));
        let _ = writeln!(
            html,
            "<p>For comparison: {}, has a {} of {}.</p>",
            escaped(&baseline.name),
            escaped(&measure.name),
            escaped(&text)
        );
    }
    html.push_str(
        "<p class=faint>The test set is evaluated once, with the weights of the best epoch on the validation examples, \
         or of the last epoch without validation examples. All methods use the same seeds. Runs with the same seed have \
         the same initial weights, split and order of batches. The interval is that of the mean over 10,000 bootstrap \
         resamples of the paired differences; it needs five seeds, and is too narrow below about ten. The column p is the \
         p value of the paired t-test, and corrected p the same value after Holm's correction for the number of methods. \
         Times are those of the training steps, without evaluation. The relative time is the median over the intervals \
         of all seeds, each compared with the same interval of the same seed; other load on the machine affects it.</p>\n",
    );
    if !setting.failures.is_empty() {
        let _ = writeln!(html, "<p><strong>Failed: {}.</strong></p>", escaped(&setting.failures.join(", ")));
    }
    if !setting.missing.is_empty() {
        let _ = writeln!(
            html,
            "<p><strong>Not finished, and no part of this: {}.</strong></p>",
            escaped(&setting.missing.join(", "))
        );
    }
    if !comparison.pairs.is_empty() {
        html.push_str("<details><summary>Test predictions, pair by pair</summary>\n");
        pairs_table(&mut html, comparison);
        html.push_str(
            "<p class=faint>Over the test examples of all seeds together. The seeds share the test examples, so these counts are not \
             independent of each other, and p is too small. The paired t-test above is more reliable.</p>\n</details>\n",
        );
    }
    examples::sections(&mut html, setting.data, finished)?;
    boxes::section(&mut html, finished)?;
    comparison_plots(&mut html, out)?;
    run_plots(&mut html, finished)?;
    html.push_str("<h2>Setting</h2>\n<p>Command:</p>\n");
    let _ = writeln!(html, "<pre>{}</pre>", escaped(&setting.command));
    let _ = writeln!(
        html,
        "<p>lerac {} on {}. {} training examples an epoch, {} test examples, {} steps.</p>\n<details><summary>All \
         options, as a file for lerac compare --config</summary><pre>{}</pre></details>",
        env!("CARGO_PKG_VERSION"),
        escaped(&devices(setting, finished)),
        summary.map_or(0, |s| s.examples_per_epoch),
        summary.map_or(0, |s| s.test_examples),
        summary.map_or(0, |s| s.steps),
        escaped(&setting.file)
    );
    html.push_str("</html>\n");
    Ok(html)
}

/// Writes the comparison of finished runs into `out`: plots, `compare.json`, `results.csv` and
/// `report.html`.
///
/// # Errors
/// [`Error::Io`] if a file cannot be written.
///
/// # Panics
/// If `finished` is empty.
pub fn write_report(setting: &Setting<'_>, finished: &[Finished], out: &Path) -> Result<Comparison> {
    std::fs::create_dir_all(out).map_err(Error::io(out, "create"))?;
    let comparison = Comparison::of(finished, setting.baseline);
    super::pictures(finished, out)?;
    boxes::draw(finished, out)?;
    let json = serde_json::to_string_pretty(&comparison).expect("a comparison is plain data");
    write_whole(&out.join("compare.json"), json.as_bytes())?;
    write_whole(&out.join("results.csv"), &super::results_csv(finished))?;
    let html = report(setting, &comparison, finished, out)?;
    write_whole(&out.join("report.html"), html.as_bytes())?;
    Ok(comparison)
}
