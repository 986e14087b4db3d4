//! Reads image files: decodes and rotates them upright, resizes them, and crops the centre to C
//! planes of HxW bytes.

use crate::data::layout::Decoder;
use crate::data::listing::FileKind;
use crate::error::{Error, Result};
use crate::files::read_at_most;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// Most bytes of an image file, and of its pixels: 89 million pixels of three bytes.
const MOST_BYTES: u64 = 256 << 20;

/// Largest width and height of an image file, in pixels.
const LONGEST_SIDE: u32 = 1 << 15;

/// Images with a larger aspect ratio than this are cropped to it before resizing. The centre crop
/// would remove the ends anyway, and a line of single pixels would become very long.
const MOST_ASPECT_RATIO: u32 = 4;

/// Resizes images of any size, and crops the centre, as torchvision's `Resize(shorter)` and
/// `CenterCrop` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeCrop {
    /// The result's C, H, W; C is 1 (grey) or 3.
    pub image: [usize; 3],
    /// Pixels of the shorter side after resizing, at least the smaller of H and W.
    pub shorter: usize,
}

/// Files of images.
pub(in crate::data) static IMAGE_FILES: FileKind = FileKind {
    many: "images",
    endings: &["bmp", "dib", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"],
    unreadable: &["avif", "heic", "heif", "jp2", "jxl", "svg"],
    formats: "PNG or JPEG",
};

impl Decoder for ResizeCrop {
    const CACHE: &'static [u8; 16] = b"lerac images 2\r\n";
    const CACHE_OF_ANY_VERSION: &'static [u8] = b"lerac images ";
    const SORTED: bool = false;
    const ONE: &'static str = "image";
    const OTHER_CACHE: &'static str = "was created from other files, or with another image size";

    fn bytes(&self) -> usize {
        self.image.iter().product()
    }

    fn decode(&self, path: &Path, place: &mut [u8]) -> Result<()> {
        place.copy_from_slice(&self.fit(&read_image(path)?));
        Ok(())
    }

    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        let extents = self.image.into_iter().chain([self.shorter]);
        extents.for_each(|extent| add(&(extent as u64).to_le_bytes()));
    }
}

/// side * to / from, rounded down as in torchvision, but at least `least`.
fn scaled(side: u32, from: u32, to: u32, least: u32) -> u32 {
    ((u64::from(side) * u64::from(to) / u64::from(from)) as u32).max(least)
}

/// Pixels on one side of a centred crop. Halves are rounded to even, as in Python.
fn margin(whole: u32, part: u32) -> u32 {
    (f64::from(whole - part) / 2.0).round_ties_even() as u32
}

impl ResizeCrop {
    /// Resizes and crops an image. Returns its planes.
    pub fn fit(self, image: &RgbImage) -> Vec<u8> {
        let [_, h, w] = self.image.map(|extent| extent as u32);
        let shorter = self.shorter as u32;
        let [box_h, box_w] = [h, w].map(|side| scaled(side, h.min(w), shorter, side));
        let (width, height) = image.dimensions();
        let (strip_w, strip_h) =
            (width.min(height.saturating_mul(MOST_ASPECT_RATIO)), height.min(width.saturating_mul(MOST_ASPECT_RATIO)));
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

/// Resizes an image with an anti-aliased linear filter. An image of this size is returned
/// unchanged.
pub(super) fn resized(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    match image.dimensions() == (width, height) {
        true => image.clone(),
        false => imageops::resize(image, width, height, FilterType::Triangle),
    }
}

/// The planes of an image, a byte per pixel: red, green and blue, or grey.
pub(super) fn planes(image: &RgbImage, channels: usize) -> Vec<u8> {
    match channels {
        1 => imageops::grayscale(image).into_raw(),
        _ => (0..channels).flat_map(|c| image.as_raw().iter().skip(c).step_by(3).copied()).collect(),
    }
}

/// Decodes an image file to RGB, rotated upright.
///
/// # Errors
/// [`Error::Io`]; those of [`decode_image`].
pub fn read_image(path: &Path) -> Result<RgbImage> {
    decode_image(path, &read_at_most(path, MOST_BYTES)?)
}

/// [`read_image`] from the bytes of a PNG, JPEG, WebP, BMP, GIF or TIFF file, whatever its name. Of
/// several images in a file the first is read. `path` is for messages.
///
/// The size in the header is checked before memory is allocated: pixels may have 256 MiB. Decoding
/// may need five times their bytes.
///
/// # Errors
/// [`Error::Format`] for another format, truncated or damaged data, and larger images.
pub fn decode_image(path: &Path, bytes: &[u8]) -> Result<RgbImage> {
    let (decoder, orientation) = decoder_of(path, bytes)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|fault| unreadable(path, bytes, &fault))?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Width and height of [`read_image`], from the header of the file.
///
/// # Errors
/// [`Error::Io`]; those of [`decode_image`] that the header shows.
pub(in crate::data) fn image_size(path: &Path) -> Result<[u32; 2]> {
    let bytes = read_at_most(path, MOST_BYTES)?;
    let (decoder, orientation) = decoder_of(path, &bytes)?;
    let (width, height) = decoder.dimensions();
    let turned =
        [Orientation::Rotate90, Orientation::Rotate270, Orientation::Rotate90FlipH, Orientation::Rotate270FlipH];
    Ok(if turned.contains(&orientation) { [height, width] } else { [width, height] })
}

/// The error about an image that cannot be decoded.
fn unreadable(path: &Path, bytes: &[u8], fault: &dyn std::fmt::Display) -> Error {
    let fault = other_content(bytes).map_or_else(|| fault.to_string(), |found| format!("found {found}"));
    let message =
        format!("expected an image in PNG, JPEG, WebP, BMP, GIF or TIFF: {fault}; download or convert it again");
    Error::format(path, 0, message)
}

/// The decoder of an image whose header is valid, and its orientation.
fn decoder_of<'b>(path: &Path, bytes: &'b [u8]) -> Result<(impl ImageDecoder + 'b, Orientation)> {
    let bad = |fault: &dyn std::fmt::Display| unreadable(path, bytes, fault);
    if bytes.starts_with(&[0xff, 0xd8]) && !ends_as_jpeg(bytes) {
        let message = "the JPEG file is truncated: its end marker is missing; download it again";
        return Err(Error::format(path, bytes.len() as u64, message));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(Error::io(path, "read"))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|fault| bad(&fault))?;
    let (width, height) = decoder.dimensions();
    let decoded = decoder.total_bytes().max(3 * u64::from(width) * u64::from(height));
    limits.reserve(decoded).map_err(|_| {
        let message = format!("expected an image of at most {MOST_BYTES} bytes, found {width}x{height} pixels");
        Error::format(path, 0, message)
    })?;
    if width == 0 || height == 0 {
        return Err(bad(&"found no pixels"));
    }
    let orientation = decoder.orientation().map_err(|fault| bad(&fault))?;
    Ok((decoder, orientation))
}

/// What is often found in place of an image.
fn other_content(bytes: &[u8]) -> Option<&'static str> {
    let box_type = bytes.get(4..12).filter(|kind| kind.starts_with(b"ftyp")).map(|kind| &kind[4..]);
    match (bytes, box_type) {
        ([], _) => Some("an empty file"),
        (_, Some(b"avif" | b"avis")) => Some("AVIF, which is not read"),
        (_, Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1")) => Some("HEIF, which is not read"),
        (_, Some(_)) => Some("a video"),
        _ if bytes.trim_ascii_start().starts_with(b"<") => Some("a web page or another text in XML"),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            Some("a pointer of Git LFS: `git lfs pull` fetches files")
        }
        _ => None,
    }
}

/// Whether the end marker follows the segments and scans of a JPEG file. It is missing in a
/// truncated file, for which the decoder would return grey pixels. Markers of thumbnails are inside
/// segments, and are skipped.
fn ends_as_jpeg(bytes: &[u8]) -> bool {
    let at = |i: usize| bytes.get(i).copied();
    let mut i = 2;
    // Between segments and within scans, a 0xff begins a marker, unless it is a fill byte, a
    // stuffed byte or a restart marker.
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
