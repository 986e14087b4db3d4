//! Decoding and resizing of image files.

use crate::common::errors::{Fault, assert_error};
use crate::common::pictures::{encoded, flat, pattern, png};
use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use lerac::data::{ResizeCrop, decode_image, read_image};
use lerac::error::Result;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const NAME: &str = "dir/picture";

fn decode(bytes: &[u8]) -> Result<RgbImage> {
    decode_image(Path::new(NAME), bytes)
}

/// The numbers are those of Pillow's `resize(BILINEAR)`, with torchvision's rounding of sides and
/// margins.
#[test]
fn images_are_scaled_and_cropped_as_by_torchvision() {
    let close = |found: &[u8], channel: usize, expected: &[i32]| {
        let wanted = expected.iter().skip(channel).step_by(3);
        let worst = found.iter().zip(wanted).map(|(&a, b)| (i32::from(a) - b).abs()).max().unwrap();
        assert!(worst <= 2, "{worst} of 255 apart: {found:?}");
    };
    #[rustfmt::skip]
    let wide: [i32; 75] = [
        155, 81, 54, 69, 117, 70, 160, 163, 85, 121, 162, 100, 93, 83, 97, 151, 163, 139, 92, 140, 153, 169, 104, 142, 88, 110, 120,
        117, 147, 135, 103, 99, 133, 115, 102, 107, 182, 141, 130, 85, 139, 143, 143, 104, 132, 80, 153, 104, 140, 157, 128, 162, 109,
        126, 79, 92, 131, 168, 147, 118, 80, 90, 140, 166, 103, 121, 113, 137, 111, 100, 155, 140, 176, 121, 128,
    ];
    let found = ResizeCrop { image: [3, 5, 5], shorter: 6 }.fit(&pattern(23, 14));
    (0..3).for_each(|c| close(&found[25 * c..25 * (c + 1)], c, &wide));
    #[rustfmt::skip]
    let tall: [i32; 60] = [
        140, 35, 29, 157, 113, 67, 173, 191, 105, 191, 81, 146, 195, 103, 174, 199, 184, 171, 144, 120, 117, 108, 92, 126, 125, 170, 90,
        196, 48, 34, 213, 126, 86, 194, 204, 140, 162, 94, 183, 112, 116, 105, 61, 177, 84, 57, 98, 114, 58, 105, 143, 75, 183, 135, 72,
        69, 38, 89, 147, 109,
    ];
    let transposed = RgbImage::from_fn(14, 23, |x, y| *pattern(23, 14).get_pixel(y, x));
    let found = ResizeCrop { image: [3, 9, 9], shorter: 9 }.fit(&transposed);
    (0..3).for_each(|c| close(&found[81 * c..81 * c + 20], c, &tall));
}

#[test]
fn an_image_of_the_right_size_stays_as_it_is() {
    let image = pattern(9, 9);
    let planes = ResizeCrop { image: [3, 9, 9], shorter: 9 }.fit(&image);
    let expected = (0..3).flat_map(|c| image.pixels().map(move |pixel| pixel.0[c]));
    assert_eq!(planes, expected.collect::<Vec<u8>>());
    // The middle third of three colours in a row; a long strip is cropped before it is scaled.
    for length in [30, 3000] {
        let stripes = RgbImage::from_fn(length, 10, |x, _| match x {
            _ if 2 * x + 10 < length => Rgb([255, 0, 0]),
            _ if 2 * x > length + 10 => Rgb([0, 0, 255]),
            _ => Rgb([0, 255, 0]),
        });
        let planes = ResizeCrop { image: [3, 5, 5], shorter: 5 }.fit(&stripes);
        assert!(planes[30..45].iter().all(|&green| green > 200), "{planes:?}");
    }
    // A line of pixels is a valid image. A grey data set has one channel.
    assert_eq!(ResizeCrop { image: [1, 8, 8], shorter: 8 }.fit(&RgbImage::from_pixel(1, 20_000, Rgb([9; 3]))), [9; 64]);
    // An image that is higher than wide.
    assert_eq!(ResizeCrop { image: [3, 8, 4], shorter: 4 }.fit(&flat([9; 3])), [9; 96]);
}

#[test]
fn grey_alpha_and_deep_colours_become_rgb() {
    let colour = |image: DynamicImage| decode(&encoded(&image, ImageFormat::Png)).unwrap().get_pixel(1, 1).0;
    assert_eq!(colour(DynamicImage::ImageLuma8(image::ImageBuffer::from_pixel(4, 3, Luma([7])))), [7; 3]);
    assert_eq!(colour(DynamicImage::ImageLumaA8(image::ImageBuffer::from_pixel(4, 3, LumaA([7, 0])))), [7; 3]);
    assert_eq!(colour(DynamicImage::ImageRgba8(image::ImageBuffer::from_pixel(4, 3, Rgba([1, 2, 3, 0])))), [1, 2, 3]);
    assert_eq!(colour(DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(4, 3, Luma([0x8080])))), [0x80; 3]);
    let grey =
        encoded(&DynamicImage::ImageLuma8(image::ImageBuffer::from_pixel(16, 16, Luma([90]))), ImageFormat::Jpeg);
    assert!(decode(&grey).unwrap().pixels().all(|pixel| pixel.0.iter().all(|&byte| byte.abs_diff(90) < 3)));
    // Adobe's inverted CMYK, as Pillow writes it: pure red.
    let red = decode(&cmyk_jpeg()).unwrap();
    let Rgb([r, g, b]) = *red.get_pixel(3, 3);
    assert!(r > 250 && g < 5 && b < 5, "{r} {g} {b}");
}

/// `Image.new('CMYK', (8, 8), (0, 255, 255, 0)).save(f, 'JPEG', quality=50)`, with Pillow's default
/// tables.
fn cmyk_jpeg() -> Vec<u8> {
    let digits = include_str!("../golden/cmyk.hex");
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}

/// A JPEG image with an Exif segment that contains the camera's orientation.
fn turned(orientation: u8) -> Vec<u8> {
    let image = RgbImage::from_fn(16, 8, |x, _| if x < 8 { Rgb([255; 3]) } else { Rgb([0; 3]) });
    let plain = encoded(&image.into(), ImageFormat::Jpeg);
    let exif =
        [b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]];
    let exif = exif.concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat()
}

#[test]
fn exif_orientation_is_applied() {
    let bright = |orientation: u8| {
        let image = decode(&turned(orientation)).unwrap();
        let (w, h) = image.dimensions();
        ((w, h), [(0, 0), (w - 1, 0), (0, h - 1)].map(|(x, y)| image.get_pixel(x, y).0[0] > 128))
    };
    assert_eq!(bright(1), ((16, 8), [true, false, true]));
    assert_eq!(bright(3), ((16, 8), [false, true, false]));
    assert_eq!(bright(6), ((8, 16), [true, true, false]));
    assert_eq!(bright(8), ((8, 16), [false, false, true]));
}

#[test]
fn an_end_marker_in_a_thumbnail_is_ignored() {
    let [whole, thumbnail] = [40, 8].map(|width| encoded(&pattern(width, 24).into(), ImageFormat::Jpeg));
    let length = ((thumbnail.len() + 2) as u16).to_be_bytes();
    // After the SOI marker, where cameras put it.
    let with = [&whole[..2], &[0xff, 0xe1], &length, &thumbnail, &whole[2..]].concat();
    assert_eq!(decode(&with).unwrap().width(), 40);
    assert_error(decode(&with[..with.len() - 2]), Fault::Format(NAME, None), &[]);
    let more = [&with[..], b"what a camera puts after it"].concat();
    assert_eq!(decode(&more).unwrap().width(), 40);
}

#[test]
fn truncated_files_and_other_formats_are_errors() {
    let refuse = |bytes: &[u8], names: &[&str]| assert_error(decode(bytes), Fault::Format(NAME, None), names);
    // The thumbnail in a segment contains end markers too.
    for whole in [encoded(&pattern(40, 30).into(), ImageFormat::Jpeg), turned(6), png(&pattern(40, 30))] {
        assert!(decode(&whole).is_ok());
        // The last four bytes of a PNG file are the checksum of the empty IEND chunk, which the
        // decoder does not read.
        let least = if whole[0] == 0xff { 1 } else { 13 };
        (least..whole.len()).step_by(7).for_each(|cut| refuse(&whole[..whole.len() - cut], &[]));
    }
    for (format, least) in
        [(ImageFormat::WebP, 2), (ImageFormat::Bmp, 2), (ImageFormat::Gif, 9), (ImageFormat::Tiff, 2)]
    {
        let whole = encoded(&pattern(40, 30).into(), format);
        assert!(decode(&whole).is_ok());
        (least..whole.len()).step_by(7).for_each(|cut| refuse(&whole[..whole.len() - cut], &[]));
    }
    refuse(b"", &["PNG", "JPEG"]);
    refuse(b"\0\0\0\x18ftypheic\0\0\0\0", &["HEIF"]);
    refuse(b"\0\0\0\x1cftypavif\0\0\0\0", &["AVIF"]);
    refuse(b"<!DOCTYPE html><html>", &["web page"]);
    refuse(b"version https://git-lfs.github.com/spec/v1\noid", &["git lfs pull"]);
    refuse(b"GIF89a\x01\0\x01\0\0\0\0;", &["PNG", "JPEG"]);
    refuse(b"a text that someone has named like an image", &["PNG", "JPEG"]);
    if cfg!(unix) {
        assert_error(read_image(Path::new("/dev/zero")), Fault::Format("/dev/zero", Some(0)), &[]);
    }
    assert_error(read_image(Path::new("/nowhere/at-all.png")), Fault::Io("/nowhere/at-all.png"), &[]);
}

/// A PNG file whose header contains these extents and a valid checksum, with a few bytes of pixels.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut header = [b"IHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let checksum = crc32fast::hash(&header);
    header.extend(checksum.to_be_bytes());
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".as_slice(), &header, b"\0\0\0\x04IDAT1234"].concat()
}

#[test]
fn images_that_are_too_large_are_errors() {
    let refuse = |width, height, names: &[&str]| {
        assert_error(decode(&bomb(width, height)), Fault::Format(NAME, None), names);
    };
    refuse(20_000, 20_000, &["20000x20000"]);
    refuse(1 << 20, 2, &["PNG", "JPEG"]);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("long.jpg");
    fs::File::create(&path).unwrap().set_len((256 << 20) + 1).unwrap();
    assert_error(read_image(&path), Fault::Format("long.jpg", None), &["268435456"]);
}
