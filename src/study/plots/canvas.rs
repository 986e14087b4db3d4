//! What all pictures share: the canvas with its encoding, text, and the frame of a chart.

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

// Pixels. The font is light and its spacing is rounded to whole pixels: below 24 it reads badly.
pub(super) const TITLE: i32 = 38;
pub(super) const TEXT: i32 = 28;
pub(super) const MARGIN: i32 = 24;
pub(super) const LINE: i32 = 40;
/// Tick labels and an axis label below a chart, with the margin.
pub(super) const BELOW: i32 = 84;

pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
pub(super) type Fallible<T> = std::result::Result<T, Box<dyn std::error::Error>>;
pub(super) type Drawn = Fallible<()>;

pub(super) fn picture(path: &Path, (width, height): (i32, i32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<()> {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        let registered = plotters::style::register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(registered.is_ok(), "the font that comes with the program can be read");
    });
    let (width, height) = (width as u32, height as u32);
    let mut pixels = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let drawn = draw(&area);
        drawn.map_err(|error| Error::option(path.display().to_string(), format!("cannot be drawn: {error}")))?;
    }
    let mut png = vec![];
    PngEncoder::new(&mut png)
        .write_image(&pixels, width, height, image::ExtendedColorType::Rgb8)
        .map_err(|error| Error::option(path.display().to_string(), format!("cannot be encoded: {error}")))?;
    write_whole(path, &png)
}

/// Text with its anchor at a pixel.
pub(super) fn text(
    area: &Area<'_>,
    words: &str,
    at: (i32, i32),
    size: i32,
    (h, v): (HPos, VPos),
    upright: bool,
) -> Drawn {
    let font = (FONT, size).into_font();
    let font = if upright { font } else { font.transform(FontTransform::Rotate270) };
    area.draw(&Text::new(words, at, font.color(&BLACK).pos(Pos::new(h, v))))?;
    Ok(())
}

pub(super) fn text_width(words: &str, size: i32) -> Fallible<i32> {
    Ok((FONT, size).into_font().box_size(words)?.0 as i32)
}

/// `words`, with their middle left out until they are at most `width` pixels wide: layers differ at the end of their names.
pub(super) fn fitted(words: &str, size: i32, width: i32) -> Fallible<String> {
    let chars: Vec<char> = words.chars().collect();
    let mut shown = words.to_owned();
    let mut kept = chars.len();
    while kept > 1 && text_width(&shown, size)? > width {
        kept -= 1;
        let (head, tail) = (&chars[..kept / 2], &chars[chars.len() - kept.div_ceil(2)..]);
        shown = head.iter().chain(&['…']).chain(tail).collect();
    }
    Ok(shown)
}

/// The pixels of a chart's frame.
#[derive(Clone, Copy)]
pub(super) struct PlotArea {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

impl PlotArea {
    /// Ticks and label of the x axis, and the frame itself.
    pub(super) fn draw_around(self, area: &Area<'_>, x: &Axis, x_label: &str) -> Drawn {
        let Self { left, right, top, bottom } = self;
        for (v, label) in &x.ticks {
            let at = x.place(*v, left, right);
            area.draw(&PathElement::new(vec![(at, bottom), (at, bottom + 8)], GREY.stroke_width(2)))?;
            text(area, label, (at, bottom + 12), TEXT - 2, (HPos::Center, VPos::Top), true)?;
        }
        text(area, x_label, ((left + right) / 2, bottom + BELOW - 10), TEXT, (HPos::Center, VPos::Bottom), true)?;
        let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        area.draw(&PathElement::new(corners, GREY.stroke_width(2)))?;
        Ok(())
    }

    pub(super) fn say_empty(self, area: &Area<'_>) -> Drawn {
        let middle = ((self.left + self.right) / 2, (self.top + self.bottom) / 2);
        text(area, "no values", middle, TEXT, (HPos::Center, VPos::Center), true)
    }
}
