//! Panels of curves.

use super::axis::{Axis, is_drawable};
use super::canvas::*;
use crate::error::Result;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// Okabe & Ito's palette, which colour-blind readers can distinguish, with black last. Its yellow
/// is too pale for a line.
pub(super) const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

const PANEL: (i32, i32) = (1000, 800);
/// The size of a plot with a single panel.
const SINGLE_PANEL: (i32, i32) = (1600, 1000);

/// One curve; points that are not finite are left out.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// (x, y).
    pub points: Vec<(f64, f64)>,
    /// (x, low, high): a shaded band around the curve.
    pub band: Vec<(f64, f64, f64)>,
    /// Draw only marks, without a line between them.
    pub marks: bool,
}

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Title above the chart.
    pub title: String,
    /// Label of the axis, with unit.
    pub x_label: String,
    /// Label of the axis, with unit.
    pub y_label: String,
    /// Logarithmic x axis; values up to 0 are left out.
    pub log_x: bool,
    /// Logarithmic y axis; values up to 0 are left out.
    pub log_y: bool,
    /// The curves. From the eighth curve on colours repeat, with dashed lines. The legend has at
    /// most five lines.
    pub series: Vec<Series>,
}

/// Draws panels into `path`: one panel of 1600 x 1000 pixels, or several of 1000 x 800 in rows of
/// two.
///
/// # Errors
/// [`crate::error::Error::Io`] if the file cannot be written.
pub fn curves(path: &Path, panels: &[Panel]) -> Result<()> {
    let (columns, (width, height)) = if panels.len() > 1 { (2, PANEL) } else { (1, SINGLE_PANEL) };
    let rows = panels.len().div_ceil(columns).max(1);
    picture(path, (columns as i32 * width, rows as i32 * height), |area| {
        for (panel, area) in panels.iter().zip(area.split_evenly((rows, columns))) {
            draw_panel(panel, &area)?;
        }
        Ok(())
    })
}

pub(super) fn draw_panel(panel: &Panel, area: &Area<'_>) -> Drawing {
    let (width, height) = area.dim_in_pixel();
    let (width, height) = (width as i32, height as i32);
    let visible = |&(x, y): &(f64, f64)| {
        is_drawable(x) && is_drawable(y) && (!panel.log_x || x > 0.0) && (!panel.log_y || y > 0.0)
    };
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
    let padding = 0.03 * (y.high - y.low);
    (y.low, y.high) = (y.low - padding, y.high + padding);

    let labels: Vec<_> =
        y.ticks.iter().map(|(_, label)| text_width(label, TEXT_SIZE - 2)).collect::<PlotResult<_>>()?;
    let left = MARGIN + LINE_HEIGHT + labels.into_iter().max().unwrap_or(0) + 24;
    let right = width - 2 * MARGIN;
    let title = shortened(&panel.title, TITLE_SIZE, width - 2 * MARGIN)?;
    text(area, &title, ((left + right) / 2, MARGIN), TITLE_SIZE, (HPos::Center, VPos::Top), true)?;
    let top = draw_legend(panel, area, left, right, 2 * MARGIN + TITLE_SIZE)? + MARGIN / 2;
    let frame = PlotArea { left, right, top, bottom: height - BOTTOM_SPACE };

    for (v, label) in &y.ticks {
        let at = y.place(*v, frame.bottom, frame.top);
        area.draw(&PathElement::new(vec![(left, at), (right, at)], PALE.stroke_width(2)))?;
        area.draw(&PathElement::new(vec![(left - 8, at), (left, at)], GREY.stroke_width(2)))?;
        text(area, label, (left - 14, at), TEXT_SIZE - 2, (HPos::Right, VPos::Center), true)?;
    }
    let middle = (MARGIN + TEXT_SIZE / 2, (frame.top + frame.bottom) / 2);
    text(area, &panel.y_label, middle, TEXT_SIZE, (HPos::Center, VPos::Center), false)?;
    frame.draw_around(area, &x, &panel.x_label)?;
    if points().next().is_none() {
        return frame.draw_no_values(area);
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

/// Draws a path in the colour of the `i`th series, with marks at its points if they are few.
fn draw_curve(area: &Area<'_>, i: usize, path: Vec<(i32, i32)>, marks: bool) -> Drawing {
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

/// Draws the legend between `left` and `right`, in lines from `top` on. Returns the bottom of the
/// last line.
fn draw_legend(panel: &Panel, area: &Area<'_>, left: i32, right: i32, top: i32) -> PlotResult<i32> {
    const SAMPLE: i32 = 48;
    let (mut x, mut y) = (left, top);
    for (i, series) in panel.series.iter().enumerate() {
        let label = shortened(&series.label, TEXT_SIZE, right - left - SAMPLE - 12)?;
        let end = x + SAMPLE + 12 + text_width(&label, TEXT_SIZE)?;
        if end > right && x > left {
            (x, y) = (left, y + LINE_HEIGHT);
        }
        if y >= top + 5 * LINE_HEIGHT {
            return Ok(y);
        }
        draw_curve(area, i, vec![(x, y + LINE_HEIGHT / 2), (x + SAMPLE, y + LINE_HEIGHT / 2)], series.marks)?;
        text(area, &label, (x + SAMPLE + 12, y + LINE_HEIGHT / 2), TEXT_SIZE, (HPos::Left, VPos::Center), true)?;
        x += SAMPLE + 12 + text_width(&label, TEXT_SIZE)? + 36;
    }
    Ok(if panel.series.is_empty() { top } else { y + LINE_HEIGHT })
}
