//! `paper.html`: the paper's tables with one's own results, in one file.

use super::{Experiment, OwnResults, PublishedResult};
use crate::study::report::{STYLE, escaped};
use std::fmt::Write;

fn row(html: &mut String, tag: &str, cells: &[String]) {
    html.push_str("<tr>");
    cells.iter().for_each(|cell| {
        let _ = write!(html, "<{tag}>{}", escaped(cell));
    });
    html.push_str("</tr>\n");
}

/// The page: each experiment with what is known of it, and the ablations. `status` says whether an
/// experiment can be run here.
pub fn page(experiments: &[(Experiment, String, Option<OwnResults>)], ablations: &[PublishedResult]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width\">\n\
         <title>Learning Rate Curriculum: the paper's experiments</title>\n<style>\n{STYLE}</style>\n\
         <h1>Learning Rate Curriculum: the paper's experiments</h1>\n\
         <p>Published numbers are means and standard deviations of five runs (Croitoru et al., IJCV 133:291-314, \
         Tables 3 to 6). Own numbers are means with their 95 % confidence intervals over seeds.</p>\n<div class=wide><table>\n"
    );
    let headings = ["row", "model", "data", "measure", "conventional", "CBS", "LeRaC", "here", "own results"];
    row(&mut html, "th", &headings.map(str::to_owned));
    for (of, status, own) in experiments {
        let [conventional, cbs, lerac] = of.results.each_ref().map(PublishedResult::text);
        let own = own.as_ref().map_or(String::new(), OwnResults::text);
        let (name, model, data, measure) = (of.row.clone(), of.model.clone(), of.data.clone(), of.measure.clone());
        row(&mut html, "td", &[name, model, data, measure, conventional, cbs, lerac, status.clone(), own]);
    }
    html.push_str("</table></div>\n<h2>Ablations</h2>\n<div class=wide><table>\n");
    row(&mut html, "th", &["row", "table", "model", "data", "method", "changed", "published"].map(str::to_owned));
    for of in ablations {
        let (name, model, data) = (of.row.clone(), of.model.clone(), of.data.clone());
        let (method, options) = (of.method.clone(), of.options.clone());
        row(&mut html, "td", &[name, of.table.to_string(), model, data, method, options, of.text()]);
    }
    html.push_str("</table></div>\n</html>\n");
    html
}
