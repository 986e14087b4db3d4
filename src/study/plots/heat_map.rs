//! Heat maps: values over rows and time.

use super::axis::{Axis, is_drawable};
use super::canvas::*;
use super::curves::{Panel, draw_panel};
use crate::error::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// Evenly spaced colours of viridis (van der Walt & Smith, matplotlib 2015). Colours between them
/// are interpolated.
const VIRIDIS: [(u8, u8, u8); 9] = [
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
];

const WIDTH: i32 = 1600;

/// Values over rows and time, as colours on a logarithmic scale.
#[derive(Clone, Debug, Default)]
pub struct HeatMap {
    /// Title above the chart.
    pub title: String,
    /// The name of each row, the first at the top.
    pub rows: Vec<String>,
    /// Label of the x axis, with unit.
    pub x_label: String,
    /// The x position of each column. A column extends halfway to its neighbours.
    pub x: Vec<f64>,
    /// For each row, a value per column. Missing values and values up to 0 are pale grey.
    pub values: Vec<Vec<f64>>,
    /// Label of the colour bar, with unit.
    pub value_label: String,
}

/// Draws a heat map into `path`. It is 1600 pixels wide; its height depends on the number of rows.
///
/// # Errors
/// [`crate::error::Error::Io`] if the file cannot be written.
pub fn heat_map(path: &Path, map: &HeatMap) -> Result<()> {
    picture(path, (WIDTH, height(map)), |area| draw_heat_map(map, area))
}

/// Draws a heat map into `path`, and below it a chart of the same width and 600 pixels.
///
/// # Errors
/// [`crate::error::Error::Io`] if the file cannot be written.
pub fn heat_map_and_curves(path: &Path, map: &HeatMap, panel: &Panel) -> Result<()> {
    let top = height(map);
    picture(path, (WIDTH, top + 600), |area| {
        let (above, below) = area.split_vertically(top);
        draw_heat_map(map, &above)?;
        draw_panel(panel, &below)
    })
}

/// Pixels above the first row.
const TOP: i32 = 2 * MARGIN + TITLE_SIZE;

/// Few rows are tall, to leave room for the colour bar; many rows are still tall enough for their
/// names.
fn row_height(map: &HeatMap) -> i32 {
    let rows = map.rows.len().max(1) as i32;
    (880 / rows).clamp(26, 80).max(240 / rows)
}

fn height(map: &HeatMap) -> i32 {
    TOP + map.rows.len().max(1) as i32 * row_height(map) + BOTTOM_SPACE
}

/// The colour of a value between 0 and 1.
pub(super) fn viridis(place: f64) -> RGBColor {
    let scaled = place.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (scaled as usize).min(VIRIDIS.len() - 2);
    let along = scaled - low as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * along).round() as u8;
    let ((r0, g0, b0), (r1, g1, b1)) = (VIRIDIS[low], VIRIDIS[low + 1]);
    RGBColor(mix(r0, r1), mix(g0, g1), mix(b0, b1))
}

fn draw_heat_map(map: &HeatMap, area: &Area<'_>) -> Drawing {
    let (top, row_height) = (TOP, row_height(map));
    let size = (row_height - 4).min(TEXT_SIZE - 2);
    let names: Vec<_> = map.rows.iter().map(|name| shortened(name, size, 420)).collect::<PlotResult<_>>()?;
    let widths: Vec<_> = names.iter().map(|name| text_width(name, size)).collect::<PlotResult<_>>()?;
    let left = MARGIN + widths.into_iter().max().unwrap_or(0) + 18;
    let frame = PlotArea { left, right: WIDTH - 250, top, bottom: top + map.rows.len().max(1) as i32 * row_height };

    let visible = |v: &&f64| **v > 0.0 && is_drawable(**v);
    let mut columns: Vec<usize> = (0..map.x.len()).filter(|&j| is_drawable(map.x[j])).collect();
    columns.sort_by(|&a, &b| map.x[a].total_cmp(&map.x[b]));
    let x = Axis::linear(columns.iter().map(|&j| map.x[j]), 10);
    let scale = Axis::logarithmic(map.values.iter().flatten().filter(visible).copied(), (frame.bottom - top) / 45);

    let title = shortened(&map.title, TITLE_SIZE, WIDTH - 2 * MARGIN)?;
    text(area, &title, (WIDTH / 2, MARGIN), TITLE_SIZE, (HPos::Center, VPos::Top), true)?;
    let middle_of = |a: usize, b: usize| (map.x[columns[a]] + map.x[columns[b]]) / 2.0;
    for (i, name) in names.iter().enumerate() {
        let y = top + i as i32 * row_height;
        text(area, name, (left - 14, y + row_height / 2), size, (HPos::Right, VPos::Center), true)?;
        area.draw(&Rectangle::new([(left, y), (frame.right, y + row_height)], PALE.filled()))?;
        for (n, &j) in columns.iter().enumerate() {
            let from = if n == 0 { left } else { x.place(middle_of(n - 1, n), left, frame.right) };
            let to = if n + 1 == columns.len() { frame.right } else { x.place(middle_of(n, n + 1), left, frame.right) };
            let value = map.values.get(i).and_then(|row| row.get(j)).filter(visible);
            if let (Some(value), true) = (value, from < to) {
                let colour = viridis(scale.fraction(value.log10()));
                area.draw(&Rectangle::new([(from, y), (to, y + row_height)], colour.filled()))?;
            }
        }
    }
    frame.draw_around(area, &x, &map.x_label)?;
    if !map.values.iter().flatten().any(|v| visible(&v)) {
        return frame.draw_no_values(area);
    }
    draw_colour_bar(area, frame, &scale, &map.value_label)
}

/// Draws the colour bar to the right of `plot`, with the lowest value at the bottom.
fn draw_colour_bar(area: &Area<'_>, plot: PlotArea, scale: &Axis, label: &str) -> Drawing {
    let PlotArea { top, bottom, .. } = plot;
    let (left, right) = (plot.right + 40, plot.right + 80);
    for y in top..bottom {
        let colour = viridis(f64::from(bottom - y) / f64::from(bottom - top));
        area.draw(&PathElement::new(vec![(left, y), (right, y)], colour.stroke_width(1)))?;
    }
    for (v, label) in &scale.ticks {
        let at = scale.place(*v, bottom, top);
        area.draw(&PathElement::new(vec![(right, at), (right + 8, at)], GREY.stroke_width(2)))?;
        text(area, label, (right + 14, at), TEXT_SIZE - 2, (HPos::Left, VPos::Center), true)?;
    }
    let middle = (WIDTH - MARGIN - TEXT_SIZE / 2, (top + bottom) / 2);
    text(area, label, middle, TEXT_SIZE, (HPos::Center, VPos::Center), false)
}
