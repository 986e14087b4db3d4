//! Image files: decoded, turned as the camera was held, scaled, and cropped at the centre to C planes of HxW bytes.

use crate::error::{Error, Result};
use crate::files::read_at_most;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// No photograph is larger: what a file may unfold to, 89 million pixels of three bytes, and how long it may be itself.
const MOST_BYTES: u64 = 256 << 20;

/// Most pixels of a side.
const LONGEST_SIDE: u32 = 1 << 15;

/// An image that is so many times longer than wide loses its ends before it is scaled; the crop shows none of them, and a line of
/// pixels would be scaled to a wall.
const LONGEST_STRIP: u32 = 4;

/// The form that images of any size are brought to: scaled until they just cover a box of HxW, enlarged until its shorter side is
/// `shorter`, and cropped at the centre, as torchvision's `Resize(shorter)` and `CenterCrop` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeCrop {
    /// C, H, W; C is 1 (grey) or 3.
    pub image: [usize; 3],
    /// Pixels of the shorter side before the crop, at least the smaller of H and W.
    pub shorter: usize,
}

/// A side after scaling: as torchvision, rounded down, but never less than the box.
fn scaled(side: u32, from: u32, to: u32, least: u32) -> u32 {
    ((u64::from(side) * u64::from(to) / u64::from(from)) as u32).max(least)
}

/// What is left on one side of a centred crop; halves go to the even number, as in Python.
fn margin(whole: u32, part: u32) -> u32 {
    (f64::from(whole - part) / 2.0).round_ties_even() as u32
}

impl ResizeCrop {
    /// An image of any size in this form.
    pub fn fit(self, image: &RgbImage) -> Vec<u8> {
        let [_, h, w] = self.image.map(|extent| extent as u32);
        let shorter = self.shorter as u32;
        let [box_h, box_w] = [h, w].map(|side| scaled(side, h.min(w), shorter, side));
        let (width, height) = image.dimensions();
        let (strip_w, strip_h) =
            (width.min(height.saturating_mul(LONGEST_STRIP)), height.min(width.saturating_mul(LONGEST_STRIP)));
        let strip =
            imageops::crop_imm(image, margin(width, strip_w), margin(height, strip_h), strip_w, strip_h).to_image();
        let is_tall = u64::from(strip_w) * u64::from(box_h) <= u64::from(strip_h) * u64::from(box_w);
        let (to_w, to_h) = match is_tall {
            true => (box_w, scaled(strip_h, strip_w, box_w, box_h)),
            false => (scaled(strip_w, strip_h, box_h, box_w), box_h),
        };
        let whole = resized(&strip, to_w, to_h);
        let part = imageops::crop_imm(&whole, margin(to_w, w), margin(to_h, h), w, h).to_image();
        planes(&part, self.image[0])
    }
}

/// The image with these sides, smoothed where it shrinks; as it was where it has them already.
pub(super) fn resized(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    match image.dimensions() == (width, height) {
        true => image.clone(),
        false => imageops::resize(image, width, height, FilterType::Triangle),
    }
}

/// Planes of one byte a pixel: R, G and B, or grey.
pub(super) fn planes(image: &RgbImage, channels: usize) -> Vec<u8> {
    match channels {
        1 => imageops::grayscale(image).into_raw(),
        _ => (0..channels).flat_map(|c| image.as_raw().iter().skip(c).step_by(3).copied()).collect(),
    }
}

/// The file decoded: three bytes a pixel whatever it held, upright.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] as [`decode_image`].
pub fn read_image(path: &Path) -> Result<RgbImage> {
    decode_image(path, &read_at_most(path, MOST_BYTES)?)
}

/// The same from the bytes of a PNG or JPEG file; `path` is for messages. What the header claims is held against a limit of 256 MiB
/// before memory is asked for; of what is below it, decoding may take five times as much.
///
/// # Errors
/// [`Error::Format`] for bytes of another format, or that are cut off or damaged, or that unfold to more than the limit.
pub fn decode_image(path: &Path, bytes: &[u8]) -> Result<RgbImage> {
    let bad = |fault: &dyn std::fmt::Display| {
        Error::format(
            path,
            0,
            format!("not an image that can be read (PNG or JPEG): {fault}; fetch or convert it again"),
        )
    };
    if bytes.starts_with(&[0xff, 0xd8]) && !ends_as_jpeg(bytes) {
        let message = "the JPEG file is cut off: the marker that ends it is missing; fetch it again";
        return Err(Error::format(path, bytes.len() as u64, message));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(Error::io(path, "read"))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|fault| bad(&fault))?;
    let (width, height) = decoder.dimensions();
    let unfolded = decoder.total_bytes().max(3 * u64::from(width) * u64::from(height));
    limits.reserve(unfolded).map_err(|_| {
        let message = format!("{width}x{height} pixels, more than {MOST_BYTES} bytes, are no image to train on");
        Error::format(path, 0, message)
    })?;
    if width == 0 || height == 0 {
        return Err(bad(&"it has no pixels"));
    }
    let orientation = decoder.orientation().map_err(|fault| bad(&fault))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|fault| bad(&fault))?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Whether the marker that ends the image comes after its segments and scans, as it does unless the file was cut off. (The decoder
/// paints grey what is missing.) Thumbnails lie inside segments and are passed over.
fn ends_as_jpeg(bytes: &[u8]) -> bool {
    let at = |i: usize| bytes.get(i).copied();
    let mut i = 2;
    // Between segments, and within a scan, the next 0xff that is neither filling, nor stuffed, nor a restart begins a marker.
    while let (Some(lead), Some(marker)) = (at(i), at(i + 1)) {
        match (lead, marker) {
            (0xff, 0xd9) => return true,
            (0xff, 0xff) => i += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => i += 2,
            (0xff, _) => match (at(i + 2), at(i + 3)) {
                (Some(high), Some(low)) => i += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => i += 1,
        }
    }
    false
}
