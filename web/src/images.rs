//! Images that the browser has decoded.

use image::{ImageFormat, RgbImage};
use lerac::data::{ResizeCrop, check_side};
use lerac::error::{Error, Result};
use std::io::Cursor;

/// The BMP file of an image of `width` x `height` pixels, resized and cropped to a square as the
/// native program does. `rgba` has four bytes per pixel.
///
/// # Errors
/// [`Error::Setting`] for a side out of range; [`Error::Failed`] for another number of bytes.
pub fn cropped(width: u32, height: u32, rgba: &[u8], side: usize) -> Result<Vec<u8>> {
    check_side(side)?;
    let is_whole = !rgba.is_empty() && rgba.len() as u64 == 4 * u64::from(width) * u64::from(height);
    let rgb = rgba.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let image = RgbImage::from_raw(width, height, rgb).filter(|_| is_whole).ok_or_else(|| {
        Error::Failed(format!("expected four bytes for each of {width}x{height} pixels, found {} bytes", rgba.len()))
    })?;
    let planes = ResizeCrop { image: [3, side, side], shorter: side }.fit(&image);
    let pixels = (0..side * side).flat_map(|i| [0, 1, 2].map(|c| planes[c * side * side + i])).collect();
    let square = RgbImage::from_raw(side as u32, side as u32, pixels).expect("three bytes per pixel");
    let mut file = Cursor::new(vec![]);
    square.write_to(&mut file, ImageFormat::Bmp).expect("writing to memory does not fail");
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::cropped;
    use image::RgbImage;
    use lerac::data::{ResizeCrop, decode_image};
    use std::path::Path;

    #[test]
    fn a_cropped_image_is_read_as_the_original_would_be() {
        let (width, height, side) = (13, 9, 6);
        let original = RgbImage::from_fn(width, height, |x, y| [x as u8 * 19, y as u8 * 28, (x * y) as u8].into());
        let rgba: Vec<u8> = original.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
        let file = cropped(width, height, &rgba, side).unwrap();
        let frame = ResizeCrop { image: [3, side, side], shorter: side };
        let read = decode_image(Path::new("cropped"), &file).unwrap();
        assert_eq!(frame.fit(&read), frame.fit(&original));
    }

    #[test]
    fn pixels_that_do_not_match_the_size_are_refused() {
        for (width, height, bytes, side) in [(2, 2, 15, 4), (2, 2, 20, 4), (0, 2, 0, 4), (2, 2, 16, 0)] {
            assert!(cropped(width, height, &vec![7; bytes], side).is_err(), "{width}x{height}, {bytes} bytes, {side}");
        }
        assert!(cropped(2, 2, &[7; 16], 4).is_ok());
    }
}
