//! Images with boxes as examples: letterboxing, augmentation, and a real image against numbers from
//! Pillow and NumPy. Without blood cells in `LERAC_DATA`, that test prints that it is skipped.

use crate::common::boxes::{Listed, VocBox, annotation, devkit, rectangle};
use crate::common::errors::{Fault, assert_error};
use crate::common::files::{add, skip};
use crate::common::pictures::png;
use lerac::data::{
    Augmentation, BOX_VALUES, Batch, BoxAugmentation, BoxOptions, BoxedPictures, Draw, Element, Examples, Meaning,
    Source, Splits, bytes_of,
};
use lerac::error::Result;
use std::path::Path;
use tempfile::TempDir;

// ---- help ----

const SIDE: usize = 96;

/// The colours of three classes. No two have a channel in common.
const COLOURS: [[u8; 3]; 3] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];

/// Sizes of images, and a rectangle in each.
const IMAGES: [([u32; 2], [u32; 4]); 3] =
    [([60, 40], [10, 8, 34, 28]), ([40, 64], [0, 20, 25, 50]), ([96, 96], [30, 40, 80, 96])];

/// A training image for each class, one for validation, and one for the test.
fn rectangles() -> TempDir {
    let mut images = vec![];
    for (i, (size, corners)) in IMAGES.into_iter().enumerate() {
        let image = png(&rectangle(size, corners, COLOURS[i]));
        // YOLOv5 subtracts 1 from both corners.
        let corners = corners.map(|value| f64::from(value) + 1.0);
        images.push((["a", "b", "c"][i], size, image, corners));
    }
    let mut listed = vec![];
    for (i, name) in ["first", "second", "third"].into_iter().enumerate() {
        let (class, size, image, corners) = &images[i];
        let objects: [VocBox<'_>; 1] = [(class, *corners, false)];
        let annotation = annotation(*size, &objects);
        listed.push(Listed { year: "VOC2007", lists: &["train"], name, image: image.clone(), annotation });
    }
    for (name, lists) in [("held", &["val"]), ("last", &["test"])] {
        let (class, size, image, corners) = &images[0];
        let annotation = annotation(*size, &[(class, *corners, true), ("b", [1.0, 1.0, 4.0, 4.0], false)]);
        listed.push(Listed { year: "VOC2007", lists, name, image: image.clone(), annotation });
    }
    devkit(&listed)
}

fn source(dir: &TempDir) -> Source<'_> {
    Source { name: "voc", dir: Some(dir.path()), image_size: Some(SIDE), ..Source::default() }
}

fn with(augmentation: BoxAugmentation, flip: bool, dir: &TempDir) -> BoxedPictures {
    let boxes = BoxOptions { augmentation, ..BoxOptions::default() };
    let augmentation = Augmentation { flip, ..Augmentation::default() };
    Source { boxes, augmentation, ..source(dir) }.open_boxes(&mut |_| ()).unwrap().train
}

/// The planes, the rows of objects, and the placement of an example.
fn example(data: &dyn Examples, index: usize, draw: Option<Draw>) -> (Vec<u8>, Vec<[f32; 6]>, [f32; 5]) {
    let mut batch = Batch::gather(data, &[index as u32], 1, draw).unwrap();
    let bytes = data.form().inputs[0].count();
    let image = bytes_of(&mut batch.columns[0])[..bytes].to_vec();
    let rows: &[f32] = bytemuck::cast_slice(&batch.columns[1]);
    let (objects, rest): (Vec<_>, Vec<_>) = rows.chunks_exact(BOX_VALUES).partition(|row| row[0] >= 0.0);
    assert!(rest.iter().all(|row| *row == [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
    let placement: &[f32] = bytemuck::cast_slice(&batch.columns[2]);
    (image, objects.into_iter().map(|row| row.try_into().unwrap()).collect(), placement.try_into().unwrap())
}

/// Left, top, right and bottom of a row, in pixels.
fn corners(row: &[f32; 6], side: usize) -> [f32; 4] {
    let [_, x, y, w, h, _] = *row;
    [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0].map(|value| value * side as f32)
}

/// Whether a pixel has the colour of the class for more than a half.
fn is_of(image: &[u8], class: usize, x: usize, y: usize) -> bool {
    let byte = |channel: usize| image[(channel * SIDE + y) * SIDE + x];
    byte(class) > 127 && (0..3).all(|channel| channel == class || byte(channel) < 100)
}

/// The rectangle around all pixels of the class; `None` if there are none.
fn found(image: &[u8], class: usize) -> Option<[f32; 4]> {
    let pixels = (0..SIDE * SIDE).map(|i| (i % SIDE, i / SIDE)).filter(|&(x, y)| is_of(image, class, x, y));
    pixels.fold(None, |around: Option<[f32; 4]>, (x, y)| {
        let (x, y) = (x as f32, y as f32);
        let [left, top, right, bottom] = around.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x + 1.0), bottom.max(y + 1.0)])
    })
}

fn is_near(a: [f32; 4], b: [f32; 4], most: f32) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= most)
}

// ---- examples ----

#[test]
fn the_form_names_pixels_boxes_and_placement() {
    let dir = rectangles();
    let data = with(BoxAugmentation::default(), false, &dir);
    let form = data.form();
    let pixels = form.pixels().unwrap();
    assert_eq!((pixels.image, pixels.mean, pixels.std), ([3, SIDE, SIDE], &[0.0; 3][..], &[1.0; 3][..]));
    let boxes = form.boxes().unwrap();
    assert_eq!((boxes.place, boxes.most, boxes.classes), (0, 1, &["a", "b", "c"].map(str::to_owned)[..]));
    assert!(matches!(form.targets[0].meaning, Meaning::Boxes(_)) && form.classes().is_empty());
    let placement = &form.targets[1];
    assert_eq!(
        (placement.name.as_str(), placement.element, &placement.shape[..]),
        ("placement", Element::F32, &[5][..])
    );
    assert_eq!((data.len(), data.held_out()), (4, 1));
    assert_eq!(data.file_of(1).as_deref(), Some("VOC2007/JPEGImages/second.png"));
    // A mosaic may have four times the objects of an image, a mixture twice.
    let most = |mosaic, mixup| {
        let data = with(BoxAugmentation { mosaic, mixup, ..BoxAugmentation::default() }, false, &dir);
        data.form().boxes().unwrap().most
    };
    assert_eq!([most(0.5, 0.0), most(0.0, 0.5), most(1.0, 0.1)], [4, 2, 8]);
}

#[test]
fn images_are_letterboxed_with_their_boxes() {
    let dir = rectangles();
    let data = with(BoxAugmentation::default(), false, &dir);
    // Scale, left and top of each image in 96 x 96 pixels.
    let placements = [(1.6, 0.0, 16.0), (1.5, 18.0, 0.0), (1.0, 0.0, 0.0)];
    for (index, ((scale, left, top), (size, native))) in placements.into_iter().zip(IMAGES).enumerate() {
        let (image, rows, placement) = example(&data, index, None);
        let [w, h] = size.map(|side| side as f32);
        assert_eq!(placement, [w, h, scale, left, top]);
        let expected: [f32; 4] = std::array::from_fn(|i| native[i] as f32 * scale + [left, top][i % 2]);
        assert_eq!((rows.len(), rows[0][0], rows[0][5]), (1, index as f32, 0.0));
        assert!(is_near(corners(&rows[0], SIDE), expected, 1e-3), "{:?} {expected:?}", corners(&rows[0], SIDE));
        assert!(is_near(found(&image, index).unwrap(), expected, 0.51), "{index}: {expected:?}");
        let is_grey = |x: usize, y: usize| (0..3).all(|channel| image[(channel * SIDE + y) * SIDE + x] == 114);
        for (x, y) in (0..SIDE * SIDE).map(|i| (i % SIDE, i / SIDE)) {
            let inside = (left..left + w * scale).contains(&(x as f32)) && (top..top + h * scale).contains(&(y as f32));
            assert_eq!(is_grey(x, y), !inside, "{index}: {x}, {y}");
        }
        // Targets are the same without the image.
        let words = |column: usize| vec![7u32; data.form().targets[column].words()];
        let (mut boxes, mut place) = (words(0), words(1));
        data.targets(index, &mut [&mut boxes, &mut place]).unwrap();
        let batch = Batch::gather(&data, &[index as u32], 1, None).unwrap();
        assert_eq!([boxes, place], [batch.columns[1].clone(), batch.columns[2].clone()]);
    }
}

#[test]
fn files_are_read_as_the_examples_are() {
    let dir = rectangles();
    let data = with(BoxAugmentation { mosaic: 1.0, ..BoxAugmentation::default() }, true, &dir);
    let path = dir.path().join("VOC2007/JPEGImages/second.png");
    for of_files in [data.of_files(std::slice::from_ref(&path)).unwrap(), {
        let empty = BoxedPictures::empty("voc", SIDE, data.form().boxes().unwrap().classes.into());
        empty.of_files(&[path]).unwrap()
    }] {
        let (image, rows, placement) = example(&*of_files, 0, None);
        let (expected, _, place) = example(&data, 1, None);
        assert!(image == expected && rows.is_empty() && placement == place);
        assert_eq!((of_files.len(), of_files.held_out()), (1, 0));
    }
    add(&dir, "bad.png", b"no image");
    assert_error(data.of_files(&[dir.path().join("bad.png")]), Fault::Format("bad.png", Some(0)), &["PNG"]);
}

#[test]
fn fingerprints_tell_boxes_and_sides_apart() {
    let dir = rectangles();
    let print = |source: &Source<'_>| source.open(&mut |_| ()).unwrap().fingerprint();
    let first = print(&source(&dir));
    assert_eq!(print(&source(&dir)), first);
    assert_ne!(print(&Source { image_size: Some(64), ..source(&dir) }), first);
    let moved = annotation([60, 40], &[("a", [12.0, 9.0, 35.0, 29.0], false)]);
    add(&dir, "VOC2007/Annotations/first.xml", moved.as_bytes());
    assert_ne!(print(&source(&dir)), first);
}

// ---- augmentation ----

#[test]
fn every_change_moves_boxes_with_their_pixels() {
    let dir = rectangles();
    let none = BoxAugmentation::default();
    let changes = [
        ("flip", true, none),
        ("scale", false, BoxAugmentation { scale: 0.5, ..none }),
        ("translate", false, BoxAugmentation { translate: 0.3, ..none }),
        ("all", true, BoxAugmentation { scale: 0.5, translate: 0.2, ..none }),
    ];
    for (name, flip, augmentation) in changes {
        let (data, mut moved, mut seen) = (with(augmentation, flip, &dir), 0, 0);
        for (index, epoch) in (0..3).flat_map(|index| (0..20).map(move |epoch| (index, epoch))) {
            let (_, plain, _) = example(&data, index, None);
            let (image, rows, _) = example(&data, index, Some(Draw { seed: 1, epoch }));
            match (&rows[..], found(&image, index)) {
                ([row], Some(pixels)) => {
                    let expected = corners(row, SIDE);
                    assert!(is_near(expected, pixels, 1.01), "{name} {index} {epoch}: {expected:?} {pixels:?}");
                    seen += 1;
                    moved += usize::from(row != &plain[0]);
                }
                // A tenth of the object, or two pixels of it, may be left.
                ([], pixels) => {
                    let area = |[x0, y0, x1, y1]: [f32; 4]| (x1 - x0) * (y1 - y0);
                    let whole = 2.25 * area(corners(&plain[0], SIDE));
                    let left = pixels.map_or(0.0, area);
                    let sides = pixels.map_or(0.0, |[x0, y0, x1, y1]| (x1 - x0).min(y1 - y0));
                    assert!(left <= 0.12 * whole || sides <= 3.0, "{name} {index} {epoch}: {pixels:?}");
                }
                (rows, pixels) => panic!("{name} {index} {epoch}: {rows:?} {pixels:?}"),
            }
        }
        assert!(seen >= 30 && moved >= 20, "{name}: {seen} seen, {moved} moved");
    }
}

#[test]
fn a_mosaic_has_four_images_with_their_boxes() {
    let dir = rectangles();
    let data =
        with(BoxAugmentation { mosaic: 1.0, scale: 0.3, translate: 0.1, ..BoxAugmentation::default() }, true, &dir);
    let (mut boxes, mut classes) = (0, [0; 3]);
    for epoch in 0..40 {
        let (image, rows, _) = example(&data, 1, Some(Draw { seed: 5, epoch }));
        assert!(rows.len() <= 4);
        for row in &rows {
            let class = row[0] as usize;
            let [left, top, right, bottom] = corners(row, SIDE);
            let is_box = |x: f32, y: f32, by: f32| {
                let others = rows.iter().filter(|other| other[0] == row[0]).map(|other| corners(other, SIDE));
                others.into_iter().any(|[l, t, r, b]| x > l - by && x < r + by && y > t - by && y < b + by)
            };
            for (x, y) in (0..SIDE * SIDE).map(|i| (i % SIDE, i / SIDE)) {
                let (cx, cy) = (x as f32 + 0.5, y as f32 + 0.5);
                let inner = cx > left + 1.0 && cx < right - 1.0 && cy > top + 1.0 && cy < bottom - 1.0;
                let around = cx > left - 3.0 && cx < right + 3.0 && cy > top - 3.0 && cy < bottom + 3.0;
                assert!(!inner || is_of(&image, class, x, y), "{epoch}: {x}, {y} in {row:?}");
                // Just outside of all boxes of the class, unless another tile was cut there.
                if around && !is_box(cx, cy, 1.0) && rows.len() == 4 {
                    assert!(!is_of(&image, class, x, y), "{epoch}: {x}, {y} outside of {row:?}");
                }
            }
            (boxes, classes[class]) = (boxes + 1, classes[class] + 1);
        }
    }
    assert!(boxes > 80 && classes.iter().all(|&count| count > 10), "{boxes} {classes:?}");
}

#[test]
fn only_training_images_are_mixed() {
    let dir = rectangles();
    let data = with(BoxAugmentation { mosaic: 1.0, mixup: 1.0, ..BoxAugmentation::default() }, false, &dir);
    let classes = |data: &dyn Examples, index: usize| {
        let draws = (0..30).flat_map(|epoch| example(data, index, Some(Draw { seed: 3, epoch })).1);
        let mut classes: Vec<(usize, bool)> = draws.map(|row| (row[0] as usize, row[5] == 1.0)).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    };
    // The validation image has a difficult object, which is dropped, and a second one.
    assert_eq!(classes(&data, 0), [(0, false), (1, false), (2, false)]);
    let restricted = data.mixed_among(&[2]).unwrap();
    assert_eq!(classes(&*restricted, 0), [(0, false), (2, false)]);
    assert!(with(BoxAugmentation { scale: 0.5, ..BoxAugmentation::default() }, true, &dir).mixed_among(&[0]).is_none());
}

#[test]
fn a_mixture_adds_pixels_and_boxes() {
    let dir = rectangles();
    let data = with(BoxAugmentation { mixup: 1.0, ..BoxAugmentation::default() }, false, &dir);
    let (plain, boxes, _) = example(&data, 2, None);
    // An image that is mixed with itself does not change.
    let (image, rows, _) = example(&*data.mixed_among(&[2]).unwrap(), 2, Some(Draw { seed: 0, epoch: 0 }));
    assert!(image == plain && rows == [boxes[0], boxes[0]]);
    let (other, more, _) = example(&data, 0, None);
    let mut parts = vec![];
    for epoch in 0..50 {
        let (image, rows, _) = example(&*data.mixed_among(&[0]).unwrap(), 2, Some(Draw { seed: 0, epoch }));
        assert_eq!(rows, [boxes[0], more[0]]);
        // A pixel that is blue in the first image, and black in the second.
        let at = (2 * SIDE + 70) * SIDE + 70;
        assert_eq!((plain[at], other[at]), (255, 0));
        let part = f32::from(image[at]) / 255.0;
        let mixed = plain.iter().zip(&other).map(|(&a, &b)| part * f32::from(a) + (1.0 - part) * f32::from(b));
        assert!(image.iter().zip(mixed).all(|(&byte, mixed)| (f32::from(byte) - mixed).abs() < 1.6));
        parts.push(part);
    }
    // Beta(32, 32) has the mean 1/2 and the deviation 0.062.
    let mean = parts.iter().sum::<f32>() / 50.0;
    assert!((mean - 0.5).abs() < 0.03 && parts.iter().all(|part| (0.2..0.8).contains(part)), "{mean} {parts:?}");
}

#[test]
fn colours_change_within_their_gains() {
    let dir = rectangles();
    let data = with(BoxAugmentation { hsv: [0.0, 0.0, 0.4], ..BoxAugmentation::default() }, false, &dir);
    let at = (2 * SIDE + 70) * SIDE + 70;
    let plain = example(&data, 2, None);
    let mut values = vec![];
    for epoch in 0..40 {
        let (image, rows, _) = example(&data, 2, Some(Draw { seed: 0, epoch }));
        assert_eq!(rows, plain.1);
        values.push(image[at]);
    }
    assert!(values.iter().all(|&value| value >= 152) && values.contains(&255), "{values:?}");
    assert!(values.iter().any(|&value| value < 180), "{values:?}");
}

#[test]
fn a_draw_gives_the_same_bytes_and_others_differ() {
    let dir = rectangles();
    let all = BoxAugmentation { scale: 0.5, translate: 0.1, mosaic: 0.5, mixup: 0.5, hsv: [0.015, 0.7, 0.4] };
    let data = with(all, true, &dir);
    let read = |seed, epoch| (0..4).map(|index| example(&data, index, Some(Draw { seed, epoch }))).collect::<Vec<_>>();
    let first = read(0, 0);
    assert!(first == read(0, 0) && first != read(0, 1) && first != read(1, 0));
    // Batches do not depend on their order or size.
    let batch = Batch::gather(&data, &[3, 1], 2, Some(Draw { seed: 0, epoch: 0 })).unwrap();
    let words = batch.columns[1].len() / 2;
    assert_eq!(
        batch.columns[1][words..],
        Batch::gather(&data, &[1], 1, Some(Draw { seed: 0, epoch: 0 })).unwrap().columns[1]
    );
    // Without a draw nothing is changed.
    let plain = with(BoxAugmentation::default(), false, &dir);
    assert_eq!(example(&data, 0, None).0, example(&plain, 0, None).0);
}

#[test]
fn images_without_objects_are_examples() {
    let dir = rectangles();
    add(&dir, "VOC2007/Annotations/first.xml", annotation([60, 40], &[]).as_bytes());
    let all = BoxAugmentation { scale: 0.5, translate: 0.1, mosaic: 0.5, mixup: 0.5, hsv: [0.1; 3] };
    for data in [with(BoxAugmentation::default(), false, &dir), with(all, true, &dir)] {
        assert!(example(&data, 0, None).1.is_empty());
        (0..10).for_each(|epoch| drop(example(&data, 0, Some(Draw { seed: 0, epoch }))));
    }
}

// ---- a real image ----

#[test]
fn a_real_image_has_the_values_of_pillow_and_numpy() -> Result<()> {
    let dir = std::env::var("LERAC_DATA").map(|dir| Path::new(&dir).join("VOCdevkit")).unwrap_or_default();
    let name = "VOC2007/JPEGImages/BloodImage_00389.jpg";
    if !dir.join(name).is_file() {
        skip("a real image with boxes", "LERAC_DATA has no VOCdevkit with blood cells");
        return Ok(());
    }
    // Two annotations of the set have an empty box.
    let open = |side| {
        let source =
            Source { name: "voc", dir: Some(&dir), skip_bad: true, image_size: Some(side), ..Source::default() };
        source.open(&mut |_| ())
    };
    // The mean of each channel, and pixels (x, y) at fractions of the side.
    let mean = [175.403, 170.448, 173.232];
    let pixels: [(usize, [[f32; 3]; 4]); 4] = [
        (640, [[207.0, 210.0, 203.0], [185.0, 152.0, 169.0], [201.0, 200.0, 198.0], [198.0, 185.0, 179.0]]),
        (320, [[206.8, 209.8, 202.8], [184.5, 152.5, 169.5], [202.0, 198.8, 197.5], [198.0, 185.0, 179.0]]),
        (200, [[206.6, 209.5, 202.8], [184.7, 153.2, 169.3], [200.5, 198.1, 196.4], [198.0, 184.6, 179.9]]),
        (800, [[206.7, 209.6, 203.0], [185.2, 152.3, 169.5], [202.3, 200.5, 199.0], [197.9, 184.9, 178.7]]),
    ];
    for (side, expected) in pixels {
        let Splits { train, test } = open(side)?;
        assert_eq!((train.len(), train.held_out(), test.len()), (290, 86, 72));
        let index = (0..train.len()).find(|&i| train.file_of(i).as_deref() == Some(name)).unwrap();
        let (image, rows, placement) = example(&*train, index, None);
        let scale = side as f32 / 640.0;
        assert_eq!(placement, [640.0, 480.0, scale, 0.0, 80.0 * scale]);
        for (channel, mean) in mean.into_iter().enumerate() {
            let plane = &image[channel * side * side..][..side * side];
            let found = plane.iter().map(|&byte| f64::from(byte)).sum::<f64>() / plane.len() as f64;
            // Decoders of JPEG differ a little in colours.
            assert!((found - mean).abs() < 0.5, "{side}: {found} {mean}");
        }
        let places = [(side / 2, side / 2), (side / 4, side / 2), (side / 3, 2 * side / 5), (side - 1, side / 2)];
        for ((x, y), expected) in places.into_iter().zip(expected) {
            for (channel, expected) in expected.into_iter().enumerate() {
                let found = f32::from(image[(channel * side + y) * side + x]);
                assert!((found - expected).abs() < 2.6, "{side}: {x}, {y}: {found} {expected}");
            }
        }
        // Platelets, RBC and WBC are 0, 1 and 2.
        let expected = [
            [1.0, 0.382031, 0.784375, 0.170313, 0.175],
            [1.0, 0.717969, 0.782813, 0.170313, 0.175],
            [1.0, 0.236719, 0.539062, 0.185938, 0.18125],
            [1.0, 0.567969, 0.3375, 0.185938, 0.18125],
            [1.0, 0.911719, 0.520312, 0.173437, 0.178125],
            [2.0, 0.172656, 0.304688, 0.345313, 0.328125],
            [0.0, 0.361719, 0.33125, 0.051562, 0.0625],
            [0.0, 0.478906, 0.353125, 0.048438, 0.053125],
        ];
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            assert!(row[..5].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{row:?} {expected:?}");
        }
    }
    Ok(())
}
