//! Boxes with names on images, and a grid of such images.

use super::canvas::*;
use super::curves::PALETTE;
use crate::error::{Error, Result};
use image::RgbImage;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const COLUMNS: usize = 3;

/// Space above an image for its title.
const TOP: i32 = MARGIN + LINE_HEIGHT;

/// A box to draw.
#[derive(Clone, Debug)]
pub struct NamedBox {
    /// Determines the colour.
    pub class: usize,
    /// The text at the box; none if it is empty.
    pub caption: String,
    /// Left, top, right and bottom, in pixels.
    pub corners: [f32; 4],
}

/// An image with a title.
#[derive(Clone, Debug)]
pub struct ImagePanel {
    /// Title above the image.
    pub title: String,
    /// The image.
    pub image: RgbImage,
}

/// Draws boxes with their captions on an image. Lines and text are larger on larger images.
///
/// # Errors
/// [`Error::Failed`] if the text cannot be drawn.
pub fn draw_boxes(image: &mut RgbImage, boxes: &[NamedBox]) -> Result<()> {
    let (width, height) = image.dimensions();
    register_font();
    let area = BitMapBackend::with_buffer(image, (width, height)).into_drawing_area();
    let shorter = width.min(height) as i32;
    let (line, size) = ((shorter / 200).clamp(1, 8), (shorter / 26).clamp(11, 64));
    let outlines = boxes.iter().try_for_each(|of_image| outline(&area, of_image, line));
    // No line crosses a caption.
    let drawn = outlines.and_then(|()| boxes.iter().try_for_each(|of_image| caption(&area, of_image, size)));
    drawn.map_err(|fault| Error::Failed(format!("cannot draw boxes: {fault}")))
}

fn outline(area: &Area<'_>, NamedBox { class, corners, .. }: &NamedBox, line: i32) -> Drawing {
    let [left, top, right, bottom] = corners.map(|value| value.round() as i32);
    for inset in 0..line {
        let (from, to) = ((left + inset, top + inset), (right - 1 - inset, bottom - 1 - inset));
        if from.0 <= to.0 && from.1 <= to.1 {
            area.draw(&Rectangle::new([from, to], colour(*class).stroke_width(1)))?;
        }
    }
    Ok(())
}

/// Draws the caption above the box, or inside of it at the top of the image.
fn caption(area: &Area<'_>, NamedBox { class, caption, corners }: &NamedBox, size: i32) -> Drawing {
    if caption.is_empty() {
        return Ok(());
    }
    let [left, top, ..] = corners.map(|value| value.round() as i32);
    let all = area.dim_in_pixel().0 as i32;
    let caption = shortened(caption, size, all - 4)?;
    let (width, height) = (text_width(&caption, size)? + 4, size + 2);
    let x = left.clamp(0, (all - width).max(0));
    let y = if top >= height { top - height } else { top.max(0) };
    area.draw(&Rectangle::new([(x, y), (x + width, y + height)], colour(*class).filled()))?;
    let ink = if is_light(colour(*class)) { BLACK } else { WHITE };
    let font = (FONT, size).into_font().color(&ink).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(caption, (x + 2, y + height / 2), font))?;
    Ok(())
}

fn colour(class: usize) -> RGBColor {
    PALETTE[class % PALETTE.len()]
}

/// Whether black text is easier to read on the colour than white.
fn is_light(RGBColor(r, g, b): RGBColor) -> bool {
    299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) > 128_000
}

/// Draws images into `path`, three in a row.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn images(path: &Path, panels: &[ImagePanel]) -> Result<()> {
    let extent = |of: fn(&RgbImage) -> u32| panels.iter().map(|panel| of(&panel.image)).max().unwrap_or(1) as i32;
    let (width, height) = (extent(RgbImage::width), TOP + extent(RgbImage::height));
    let columns = COLUMNS.min(panels.len()).max(1);
    let rows = panels.len().div_ceil(columns).max(1) as i32;
    let size = (columns as i32 * (width + MARGIN) + MARGIN, rows * height + MARGIN);
    picture(path, size, |area| {
        for (i, ImagePanel { title, image }) in panels.iter().enumerate() {
            let left = MARGIN + (i % columns) as i32 * (width + MARGIN);
            let top = (i / columns) as i32 * height + TOP;
            let title = shortened(title, TEXT_SIZE, width)?;
            text(area, &title, (left + width / 2, top - 6), TEXT_SIZE, (HPos::Center, VPos::Bottom), true)?;
            for (x, y, pixel) in image.enumerate_pixels() {
                let [r, g, b] = pixel.0;
                area.draw_pixel((left + x as i32, top + y as i32), &RGBColor(r, g, b))?;
            }
        }
        Ok(())
    })
}
