//! Values over rows and time, in colour.

use super::axis::{Axis, placeable};
use super::canvas::*;
use crate::error::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// Points of viridis (van der Walt & Smith, matplotlib 2015), evenly spaced; between them colours are mixed.
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

/// Values over rows and time in colour, on a logarithmic scale.
#[derive(Clone, Debug, Default)]
pub struct HeatMap {
    /// Above it.
    pub title: String,
    /// The name of each row, the first at the top.
    pub rows: Vec<String>,
    /// With unit.
    pub x_label: String,
    /// The place of each column, which reaches halfway to its neighbours.
    pub x: Vec<f64>,
    /// For each row, a value per column; values up to 0 and missing ones are left pale grey.
    pub values: Vec<Vec<f64>>,
    /// What the colours mean, with unit.
    pub value_label: String,
}

/// Draws a heat map into `path`, 1600 pixels wide; its height follows from the rows.
///
/// # Errors
/// [`crate::error::Error::Io`] where the file cannot be written.
pub fn heat_map(path: &Path, map: &HeatMap) -> Result<()> {
    let rows = map.rows.len().max(1) as i32;
    // Few rows are tall enough for the colour bar beside them, many still for their names.
    let row_height = (880 / rows).clamp(26, 80).max(240 / rows);
    let top = 2 * MARGIN + TITLE;
    let size = (WIDTH, top + rows * row_height + BELOW);
    picture(path, size, |area| draw_heat_map(map, area, top, row_height))
}

/// The colour of a place between 0 and 1.
fn viridis(place: f64) -> RGBColor {
    let scaled = place.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (scaled as usize).min(VIRIDIS.len() - 2);
    let along = scaled - low as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * along).round() as u8;
    let ((r0, g0, b0), (r1, g1, b1)) = (VIRIDIS[low], VIRIDIS[low + 1]);
    RGBColor(mix(r0, r1), mix(g0, g1), mix(b0, b1))
}

fn draw_heat_map(map: &HeatMap, area: &Area<'_>, top: i32, row_height: i32) -> Drawn {
    let size = (row_height - 4).min(TEXT - 2);
    let names: Vec<_> = map.rows.iter().map(|name| fitted(name, size, 420)).collect::<Fallible<_>>()?;
    let widths: Vec<_> = names.iter().map(|name| text_width(name, size)).collect::<Fallible<_>>()?;
    let left = MARGIN + widths.into_iter().max().unwrap_or(0) + 18;
    let frame = PlotArea { left, right: WIDTH - 250, top, bottom: top + map.rows.len().max(1) as i32 * row_height };

    let visible = |v: &&f64| **v > 0.0 && placeable(**v);
    let mut columns: Vec<usize> = (0..map.x.len()).filter(|&j| placeable(map.x[j])).collect();
    columns.sort_by(|&a, &b| map.x[a].total_cmp(&map.x[b]));
    let x = Axis::linear(columns.iter().map(|&j| map.x[j]), 10);
    let scale = Axis::logarithmic(map.values.iter().flatten().filter(visible).copied(), (frame.bottom - top) / 45);

    let title = fitted(&map.title, TITLE, WIDTH - 2 * MARGIN)?;
    text(area, &title, (WIDTH / 2, MARGIN), TITLE, (HPos::Center, VPos::Top), true)?;
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
        return frame.say_empty(area);
    }
    draw_colour_bar(area, frame, &scale, &map.value_label)
}

/// The colours from the lowest value at the bottom to the highest, right of `beside`.
fn draw_colour_bar(area: &Area<'_>, beside: PlotArea, scale: &Axis, label: &str) -> Drawn {
    let PlotArea { top, bottom, .. } = beside;
    let (left, right) = (beside.right + 40, beside.right + 80);
    for y in top..bottom {
        let colour = viridis(f64::from(bottom - y) / f64::from(bottom - top));
        area.draw(&PathElement::new(vec![(left, y), (right, y)], colour.stroke_width(1)))?;
    }
    for (v, label) in &scale.ticks {
        let at = scale.place(*v, bottom, top);
        area.draw(&PathElement::new(vec![(right, at), (right + 8, at)], GREY.stroke_width(2)))?;
        text(area, label, (right + 14, at), TEXT - 2, (HPos::Left, VPos::Center), true)?;
    }
    let middle = (WIDTH - MARGIN - TEXT / 2, (top + bottom) / 2);
    text(area, label, middle, TEXT, (HPos::Center, VPos::Center), false)
}
