//! Spectrograms of some clips, in a grid.

use super::axis::Axis;
use super::canvas::*;
use super::heat_map::viridis;
use crate::error::Result;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// The width of a panel with its margins.
const PANEL: i32 = 800;
const HEIGHT: i32 = 256;
const TOP: i32 = MARGIN + LINE_HEIGHT;
const COLUMNS: usize = 2;

/// The spectrogram of a clip.
#[derive(Clone, Debug)]
pub struct SpectrogramPanel {
    /// Title above the panel.
    pub title: String,
    /// Bytes `[bands, frames]`, the lowest band first.
    pub values: Vec<u8>,
    /// Number of bands.
    pub bands: usize,
    /// The length of the clip, seconds.
    pub seconds: f64,
}

/// Draws the spectrograms into `path`, two in a row, the lowest band at the bottom of each.
///
/// # Errors
/// [`crate::error::Error::Io`] if the file cannot be written.
pub fn spectrograms(path: &Path, panels: &[SpectrogramPanel]) -> Result<()> {
    let rows = panels.len().div_ceil(COLUMNS).max(1) as i32;
    let height = TOP + HEIGHT + BOTTOM_SPACE;
    picture(path, (COLUMNS as i32 * PANEL, rows * height), |area| {
        for (i, panel) in panels.iter().enumerate() {
            let (row, column) = ((i / COLUMNS) as i32, (i % COLUMNS) as i32);
            let (left, top) = (column * PANEL + 2 * MARGIN, row * height + TOP);
            draw_panel(area, panel, PlotArea { left, right: left + PANEL - 4 * MARGIN, top, bottom: top + HEIGHT })?;
        }
        Ok(())
    })
}

fn draw_panel(area: &Area<'_>, panel: &SpectrogramPanel, frame: PlotArea) -> Drawing {
    let PlotArea { left, right, top, bottom } = frame;
    let frames = panel.values.len() / panel.bands;
    let title = shortened(&panel.title, TEXT_SIZE, right - left)?;
    text(area, &title, ((left + right) / 2, top - 8), TEXT_SIZE, (HPos::Center, VPos::Bottom), true)?;
    let place = |at: i32, all: i32, count: usize| at as usize * count / all as usize;
    for y in top..bottom {
        let band = place(bottom - 1 - y, bottom - top, panel.bands);
        for x in left..right {
            let value = panel.values[band * frames + place(x - left, right - left, frames)];
            area.draw_pixel((x, y), &viridis(f64::from(value) / 255.0))?;
        }
    }
    let seconds = Axis::linear([0.0, panel.seconds].into_iter(), 6);
    frame.draw_around(area, &seconds, "seconds")
}
