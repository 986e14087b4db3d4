//! Curves in panels.

use super::axis::{Axis, placeable};
use super::canvas::*;
use crate::error::Result;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// Okabe & Ito's palette, told apart by colour-blind readers too; black stands last. Yellow, the eighth, is too pale for a line.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

const PANEL: (i32, i32) = (1000, 800);
/// A single panel stands alone in a document.
const ALONE: (i32, i32) = (1600, 1000);

/// One curve; points that are not finite are left out.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// (x, y).
    pub points: Vec<(f64, f64)>,
    /// (x, low, high): shaded behind the curve.
    pub band: Vec<(f64, f64, f64)>,
    /// Marks alone, without a line between them.
    pub marks: bool,
}

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// With unit.
    pub x_label: String,
    /// With unit.
    pub y_label: String,
    /// The powers of ten of x are evenly spaced; values up to 0 are left out.
    pub log_x: bool,
    /// The same of y.
    pub log_y: bool,
    /// Its curves. From the eighth on colours repeat, dashed. The legend names as many as fit on five lines.
    pub series: Vec<Series>,
}

/// Draws panels into `path`: one on 1600 x 1000 pixels, more in rows of two, 1000 x 800 each.
///
/// # Errors
/// [`crate::error::Error::Io`] where the file cannot be written.
pub fn curves(path: &Path, panels: &[Panel]) -> Result<()> {
    let (columns, (width, height)) = if panels.len() > 1 { (2, PANEL) } else { (1, ALONE) };
    let rows = panels.len().div_ceil(columns).max(1);
    picture(path, (columns as i32 * width, rows as i32 * height), |area| {
        for (panel, area) in panels.iter().zip(area.split_evenly((rows, columns))) {
            draw_panel(panel, &area)?;
        }
        Ok(())
    })
}

fn draw_panel(panel: &Panel, area: &Area<'_>) -> Drawn {
    let (width, height) = area.dim_in_pixel();
    let (width, height) = (width as i32, height as i32);
    let visible =
        |&(x, y): &(f64, f64)| placeable(x) && placeable(y) && (!panel.log_x || x > 0.0) && (!panel.log_y || y > 0.0);
    let edges = |series: &Series| -> Vec<(f64, f64)> {
        let low = series.band.iter().map(|&(x, low, _)| (x, low));
        low.chain(series.band.iter().rev().map(|&(x, _, high)| (x, high))).filter(visible).collect()
    };
    let of_series = |series: &Series| [series.points.clone(), edges(series)].concat();
    let points = || panel.series.iter().flat_map(of_series).filter(visible);
    let x = match panel.log_x {
        true => Axis::logarithmic(points().map(|p| p.0), 8),
        false => Axis::linear(points().map(|p| p.0), 8),
    };
    let mut y = match panel.log_y {
        true => Axis::logarithmic(points().map(|p| p.1), 8),
        false => Axis::linear(points().map(|p| p.1), 8),
    };
    let air = 0.03 * (y.high - y.low);
    (y.low, y.high) = (y.low - air, y.high + air);

    let labels: Vec<_> = y.ticks.iter().map(|(_, label)| text_width(label, TEXT - 2)).collect::<Fallible<_>>()?;
    let left = MARGIN + LINE + labels.into_iter().max().unwrap_or(0) + 24;
    let right = width - 2 * MARGIN;
    let title = fitted(&panel.title, TITLE, width - 2 * MARGIN)?;
    text(area, &title, ((left + right) / 2, MARGIN), TITLE, (HPos::Center, VPos::Top), true)?;
    let top = draw_legend(panel, area, left, right, 2 * MARGIN + TITLE)? + MARGIN / 2;
    let frame = PlotArea { left, right, top, bottom: height - BELOW };

    for (v, label) in &y.ticks {
        let at = y.place(*v, frame.bottom, frame.top);
        area.draw(&PathElement::new(vec![(left, at), (right, at)], PALE.stroke_width(2)))?;
        area.draw(&PathElement::new(vec![(left - 8, at), (left, at)], GREY.stroke_width(2)))?;
        text(area, label, (left - 14, at), TEXT - 2, (HPos::Right, VPos::Center), true)?;
    }
    let middle = (MARGIN + TEXT / 2, (frame.top + frame.bottom) / 2);
    text(area, &panel.y_label, middle, TEXT, (HPos::Center, VPos::Center), false)?;
    frame.draw_around(area, &x, &panel.x_label)?;
    if points().next().is_none() {
        return frame.say_empty(area);
    }
    let place = |(px, py): (f64, f64)| {
        let (px, py) = (if panel.log_x { px.log10() } else { px }, if panel.log_y { py.log10() } else { py });
        (x.place(px, left, right), y.place(py, frame.bottom, frame.top))
    };
    for (i, series) in panel.series.iter().enumerate() {
        let shade = PALETTE[i % PALETTE.len()].mix(0.12);
        area.draw(&Polygon::new(edges(series).into_iter().map(place).collect::<Vec<_>>(), shade))?;
    }
    for (i, series) in panel.series.iter().enumerate() {
        let mut path: Vec<_> = series.points.iter().copied().filter(visible).map(place).collect();
        path.dedup();
        draw_curve(area, i, path, series.marks)?;
    }
    Ok(())
}

/// A path in the colour of the `i`th series, with its points marked where there is room for them.
fn draw_curve(area: &Area<'_>, i: usize, path: Vec<(i32, i32)>, marks: bool) -> Drawn {
    let colour = PALETTE[i % PALETTE.len()];
    if marks || path.len() <= 40 {
        for &point in &path {
            area.draw(&Circle::new(point, 6, colour.filled()))?;
        }
    }
    if marks {
        return Ok(());
    }
    if i < PALETTE.len() {
        area.draw(&PathElement::new(path, colour.stroke_width(4)))?;
    } else {
        area.draw(&DashedPathElement::new(path, 16, 10, colour.stroke_width(4)))?;
    }
    Ok(())
}

/// Names the series from `left` to `right` in lines from `top` on, above the data; returns where the lines end.
fn draw_legend(panel: &Panel, area: &Area<'_>, left: i32, right: i32, top: i32) -> Fallible<i32> {
    const SAMPLE: i32 = 48;
    let (mut x, mut y) = (left, top);
    for (i, series) in panel.series.iter().enumerate() {
        let label = fitted(&series.label, TEXT, right - left - SAMPLE - 12)?;
        let end = x + SAMPLE + 12 + text_width(&label, TEXT)?;
        if end > right && x > left {
            (x, y) = (left, y + LINE);
        }
        if y >= top + 5 * LINE {
            return Ok(y);
        }
        draw_curve(area, i, vec![(x, y + LINE / 2), (x + SAMPLE, y + LINE / 2)], series.marks)?;
        text(area, &label, (x + SAMPLE + 12, y + LINE / 2), TEXT, (HPos::Left, VPos::Center), true)?;
        x += SAMPLE + 12 + text_width(&label, TEXT)? + 36;
    }
    Ok(if panel.series.is_empty() { top } else { y + LINE })
}
