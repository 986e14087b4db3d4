//! The parts that all plots share: the canvas and its PNG encoding, text, and the frame of a chart.

use super::axis::Axis;
use crate::error::{Error, Result};
use crate::files::write_whole;
use image::{ImageEncoder, codecs::png::PngEncoder};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;
use std::sync::Once;

pub(super) const FONT: &str = "sans-serif";
pub(super) const GREY: RGBColor = RGBColor(90, 90, 90);
pub(super) const PALE: RGBColor = RGBColor(225, 225, 225);

// Sizes in pixels. The font is light and its spacing is rounded to whole pixels: below 24 it is
// hard to read.
pub(super) const TITLE_SIZE: i32 = 38;
pub(super) const TEXT_SIZE: i32 = 28;
pub(super) const MARGIN: i32 = 24;
pub(super) const LINE_HEIGHT: i32 = 40;
/// Space below a chart for tick labels, an axis label and the margin.
pub(super) const BOTTOM_SPACE: i32 = 84;

pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
pub(super) type PlotResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;
pub(super) type Drawing = PlotResult<()>;

/// Makes the font known, which every text needs.
pub(super) fn register_font() {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        let registered = plotters::style::register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(registered.is_ok(), "the font that comes with the program can be read");
    });
}

pub(super) fn picture(path: &Path, (width, height): (i32, i32), draw: impl FnOnce(&Area<'_>) -> Drawing) -> Result<()> {
    register_font();
    let (width, height) = (width as u32, height as u32);
    let mut pixels = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let drawn = draw(&area);
        drawn.map_err(|error| Error::option(path.display().to_string(), format!("cannot be drawn: {error}")))?;
    }
    write_png(path, &pixels, (width, height))
}

/// Writes pixels, three bytes each, as a PNG file.
///
/// # Errors
/// [`Error::Option`] if they cannot be encoded; [`Error::Io`] if the file cannot be written.
pub fn write_png(path: &Path, pixels: &[u8], (width, height): (u32, u32)) -> Result<()> {
    let mut png = vec![];
    PngEncoder::new(&mut png)
        .write_image(pixels, width, height, image::ExtendedColorType::Rgb8)
        .map_err(|error| Error::option(path.display().to_string(), format!("cannot be encoded: {error}")))?;
    write_whole(path, &png)
}

/// Draws text with its anchor at the pixel `at`. `upright` is false for text rotated by 270
/// degrees.
pub(super) fn text(
    area: &Area<'_>,
    label: &str,
    at: (i32, i32),
    size: i32,
    (h, v): (HPos, VPos),
    upright: bool,
) -> Drawing {
    let font = (FONT, size).into_font();
    let font = if upright { font } else { font.transform(FontTransform::Rotate270) };
    area.draw(&Text::new(label, at, font.color(&BLACK).pos(Pos::new(h, v))))?;
    Ok(())
}

pub(super) fn text_width(label: &str, size: i32) -> PlotResult<i32> {
    Ok((FONT, size).into_font().box_size(label)?.0 as i32)
}

/// `label`, shortened in the middle to at most `width` pixels. The names of layers differ at their
/// ends.
pub(super) fn shortened(label: &str, size: i32, width: i32) -> PlotResult<String> {
    let chars: Vec<char> = label.chars().collect();
    let mut shown = label.to_owned();
    let mut kept = chars.len();
    while kept > 1 && text_width(&shown, size)? > width {
        kept -= 1;
        let (head, tail) = (&chars[..kept / 2], &chars[chars.len() - kept.div_ceil(2)..]);
        shown = head.iter().chain(&['…']).chain(tail).collect();
    }
    Ok(shown)
}

/// The frame of a chart, in pixels.
#[derive(Clone, Copy)]
pub(super) struct PlotArea {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

impl PlotArea {
    /// Draws the ticks and the label of the x axis, and the frame.
    pub(super) fn draw_around(self, area: &Area<'_>, x: &Axis, x_label: &str) -> Drawing {
        let Self { left, right, top, bottom } = self;
        for (v, label) in &x.ticks {
            let at = x.place(*v, left, right);
            area.draw(&PathElement::new(vec![(at, bottom), (at, bottom + 8)], GREY.stroke_width(2)))?;
            text(area, label, (at, bottom + 12), TEXT_SIZE - 2, (HPos::Center, VPos::Top), true)?;
        }
        text(
            area,
            x_label,
            ((left + right) / 2, bottom + BOTTOM_SPACE - 10),
            TEXT_SIZE,
            (HPos::Center, VPos::Bottom),
            true,
        )?;
        let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        area.draw(&PathElement::new(corners, GREY.stroke_width(2)))?;
        Ok(())
    }

    pub(super) fn draw_no_values(self, area: &Area<'_>) -> Drawing {
        let middle = ((self.left + self.right) / 2, (self.top + self.bottom) / 2);
        text(area, "no values", middle, TEXT_SIZE, (HPos::Center, VPos::Center), true)
    }
}
