//! Sets of images with boxes: PASCAL VOC's XML files, and YOLO's text files.

use super::files::directory;
use super::pictures::png;
use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// An object: its class, xmin, ymin, xmax and ymax, and whether it is difficult.
pub type VocBox<'a> = (&'a str, [f64; 4], bool);

/// An annotation of an image of this width and height.
pub fn annotation([width, height]: [u32; 2], objects: &[VocBox<'_>]) -> String {
    let object = |(name, [x0, y0, x1, y1], difficult): &VocBox<'_>| {
        format!(
            "<object><name>{name}</name><difficult>{}</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>\
             <xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>\n",
            u8::from(*difficult)
        )
    };
    let objects: String = objects.iter().map(object).collect();
    format!("<annotation>\n<size><width>{width}</width><height>{height}</height></size>\n{objects}</annotation>\n")
}

/// A black image with a rectangle from `corners[0..2]` to `corners[2..4]`, pixels.
pub fn rectangle([width, height]: [u32; 2], [x0, y0, x1, y1]: [u32; 4], colour: [u8; 3]) -> RgbImage {
    let inside = |x: u32, y: u32| (x0..x1).contains(&x) && (y0..y1).contains(&y);
    RgbImage::from_fn(width, height, |x, y| Rgb(if inside(x, y) { colour } else { [0; 3] }))
}

/// An image of a list of VOC: the folder of its year, its lists, its name, its file and annotation.
pub struct Listed<'a> {
    pub year: &'a str,
    pub lists: &'a [&'a str],
    pub name: &'a str,
    pub image: Vec<u8>,
    pub annotation: String,
}

/// An image of 20x10 pixels in a list of VOC 2007, with these objects.
pub fn small<'a>(list: &'a [&'a str], name: &'a str, objects: &[VocBox<'_>]) -> Listed<'a> {
    let image = png(&rectangle([20, 10], [2, 2, 8, 6], [255, 0, 0]));
    Listed { year: "VOC2007", lists: list, name, image, annotation: annotation([20, 10], objects) }
}

/// A directory with these images in VOC's layout.
pub fn devkit(images: &[Listed<'_>]) -> TempDir {
    let mut files: Vec<(String, Vec<u8>)> = vec![];
    for Listed { year, lists, name, image, annotation } in images {
        let inside = |file: &str| if year.is_empty() { file.to_owned() } else { format!("{year}/{file}") };
        files.push((inside(&format!("JPEGImages/{name}.png")), image.clone()));
        files.push((inside(&format!("Annotations/{name}.xml")), annotation.clone().into_bytes()));
        for list in *lists {
            let list = inside(&format!("ImageSets/Main/{list}.txt"));
            let line = format!("{name}\n").into_bytes();
            match files.iter_mut().find(|(file, _)| *file == list) {
                Some((_, lines)) => lines.extend(line),
                None => files.push((list, line)),
            }
        }
    }
    directory(&files)
}
