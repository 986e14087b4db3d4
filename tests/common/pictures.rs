//! Image files and folders of them, and opening them as data sets.

use super::errors::{Fault, assert_error};
use super::files::directory;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use lerac::data::{OpenEvent, PictureSplits, Pictures, Source};
use lerac::error::Result;
use std::io::Cursor;
use tempfile::TempDir;

pub fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn png(image: &RgbImage) -> Vec<u8> {
    encoded(&image.clone().into(), ImageFormat::Png)
}

/// An image in which neighbouring pixels differ.
pub fn pattern(width: u32, height: u32) -> RgbImage {
    let byte = |value: u32| (value % 256) as u8;
    RgbImage::from_fn(width, height, |x, y| Rgb([byte(x * 37 + y * 11), byte(x * x + y * 53), byte(x * y * 7 + 19)]))
}

/// An image of one colour.
pub fn flat(colour: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(20, 12, Rgb(colour))
}

pub fn named<'d>(name: &'d str, dir: &'d TempDir) -> Source<'d> {
    Source { name, dir: Some(dir.path()), image_size: Some(8), ..Source::default() }
}

/// Opens a data set; also returns the notes that opening prints.
pub fn open_with_notes(source: &Source<'_>) -> (Result<PictureSplits>, Vec<String>) {
    let mut notes = vec![];
    let opened = source.open_pictures(&mut |news| {
        if let OpenEvent::Note(note) = news {
            notes.push(note.to_owned());
        }
    });
    (opened, notes)
}

pub fn open(source: &Source<'_>) -> PictureSplits {
    let (opened, notes) = open_with_notes(source);
    assert_eq!(notes, Vec::<String>::new());
    opened.unwrap()
}

#[track_caller]
pub fn refused(source: &Source<'_>, fault: Fault<'_>, names: &[&str]) {
    assert_error(open_with_notes(source).0, fault, names);
}

/// The first byte of every image: for images of one colour, its red.
pub fn reds(data: &Pictures) -> Vec<u8> {
    (0..data.len()).map(|i| data.image(i).unwrap()[0]).collect()
}

/// Three classes, `Z`, `a c` and `b`. One image of `b` is in a subdirectory.
pub fn folder() -> TempDir {
    let image = |red: u8| png(&flat([red, 1, 2]));
    let files = [
        ("train/b/2.PNG", image(20)),
        ("train/b/deeper/1.png", image(21)),
        ("train/Z/1.png", image(10)),
        ("train/a c/1.png", image(30)),
        ("val/b/1.png", image(22)),
        ("val/Z/9.png", image(11)),
        ("val/a c/1.png", image(31)),
    ];
    directory(&files)
}
