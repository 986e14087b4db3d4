//! Image files decoded and brought to size, folders listed, caches made, used and distrusted.

use lerac::data::{
    self, Dataset, Frame, HostBatch, Images, Loader, Meaning, News, Source, Splits, decode_image, read_image,
};
use lerac::error::{Error, Result};
use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};

#[path = "common/cifar.rs"]
mod cifar;

// ---- help ----

const NAME: &str = "dir/picture";

fn decode(bytes: &[u8]) -> Result<RgbImage> {
    decode_image(Path::new(NAME), bytes)
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(image: &RgbImage) -> Vec<u8> {
    encoded(&image.clone().into(), ImageFormat::Png)
}

/// Neither flat nor alike anywhere.
fn pattern(width: u32, height: u32) -> RgbImage {
    let byte = |value: u32| (value % 256) as u8;
    RgbImage::from_fn(width, height, |x, y| Rgb([byte(x * 37 + y * 11), byte(x * x + y * 53), byte(x * y * 7 + 19)]))
}

/// One colour.
fn flat(colour: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(20, 12, Rgb(colour))
}

/// A directory that holds these files.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let dir = TempDir::new().unwrap();
    files.iter().for_each(|(name, bytes)| add(&dir, name, bytes));
    dir
}

fn add(dir: &TempDir, name: &str, bytes: &[u8]) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn named<'d>(name: &'d str, dir: &'d TempDir) -> Source<'d> {
    Source { name, dir: Some(dir.path()), image_size: Some(8), ..Source::default() }
}

/// What opening gives, and what is said.
fn open_saying(source: &Source<'_>) -> (Result<Splits>, Vec<String>) {
    let mut notes = vec![];
    let opened = source.open(&mut |news| {
        if let News::Note(note) = news {
            notes.push(note.to_owned());
        }
    });
    (opened, notes)
}

fn open(source: &Source<'_>) -> Splits {
    let (opened, notes) = open_saying(source);
    assert_eq!(notes, Vec::<String>::new());
    opened.unwrap()
}

#[track_caller]
fn refused(source: &Source<'_>, parts: &[&str]) {
    let text = open_saying(source).0.expect_err("this must be refused").to_string();
    parts.iter().for_each(|part| assert!(text.contains(part), "{text:?} does not say {part:?}"));
}

/// The first byte of every image: with flat ones its red.
fn reds(data: &Dataset) -> Vec<u8> {
    (0..data.len()).map(|i| data.image(i).unwrap()[0]).collect()
}

/// Two classes, of which b has an image in a folder of its own, and c, which is not used by every test.
fn folder() -> TempDir {
    let image = |red: u8| png(&flat([red, 1, 2]));
    let files = [
        ("train/b/2.PNG", image(20)),
        ("train/b/deeper/1.png", image(21)),
        ("train/b/notes.txt", b"no image".to_vec()),
        ("train/B/1.png", image(10)),
        ("train/a c/1.png", image(30)),
        ("val/b/1.png", image(22)),
        ("val/B/9.png", image(11)),
        ("val/a c/1.png", image(31)),
    ];
    directory(&files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>())
}

// ---- one file ----

/// Pillow's `resize(BILINEAR)`, torchvision's rounding of sides and margins: `python3 -c` of it made the numbers.
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
    let found = Frame { image: [3, 5, 5], shorter: 6 }.fit(&pattern(23, 14));
    (0..3).for_each(|c| close(&found[25 * c..25 * (c + 1)], c, &wide));
    #[rustfmt::skip]
    let tall: [i32; 60] = [
        140, 35, 29, 157, 113, 67, 173, 191, 105, 191, 81, 146, 195, 103, 174, 199, 184, 171, 144, 120, 117, 108, 92, 126, 125, 170, 90,
        196, 48, 34, 213, 126, 86, 194, 204, 140, 162, 94, 183, 112, 116, 105, 61, 177, 84, 57, 98, 114, 58, 105, 143, 75, 183, 135, 72,
        69, 38, 89, 147, 109,
    ];
    let transposed = RgbImage::from_fn(14, 23, |x, y| *pattern(23, 14).get_pixel(y, x));
    let found = Frame { image: [3, 9, 9], shorter: 9 }.fit(&transposed);
    (0..3).for_each(|c| close(&found[81 * c..81 * c + 20], c, &tall));
}

#[test]
fn an_image_of_the_right_size_stays_as_it_is() {
    let image = pattern(9, 9);
    let planes = Frame { image: [3, 9, 9], shorter: 9 }.fit(&image);
    let expected = (0..3).flat_map(|c| image.pixels().map(move |pixel| pixel.0[c]));
    assert_eq!(planes, expected.collect::<Vec<u8>>());
    // The middle third alone of three colours in a row, and of a strip that is cut before it is scaled.
    for length in [30, 3000] {
        let stripes = RgbImage::from_fn(length, 10, |x, _| match x {
            _ if 2 * x + 10 < length => Rgb([255, 0, 0]),
            _ if 2 * x > length + 10 => Rgb([0, 0, 255]),
            _ => Rgb([0, 255, 0]),
        });
        let planes = Frame { image: [3, 5, 5], shorter: 5 }.fit(&stripes);
        assert!(planes[30..45].iter().all(|&green| green > 200), "{planes:?}");
    }
    // A line of pixels is still an image, and a grey set has one plane.
    assert_eq!(Frame { image: [1, 8, 8], shorter: 8 }.fit(&RgbImage::from_pixel(1, 20_000, Rgb([9; 3]))), [9; 64]);
    // Higher than wide, too.
    assert_eq!(Frame { image: [3, 8, 4], shorter: 4 }.fit(&flat([9; 3])), [9; 96]);
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
    // Adobe's inverted CMYK as Pillow writes it: pure red.
    let red = decode(&cmyk_jpeg()).unwrap();
    let Rgb([r, g, b]) = *red.get_pixel(3, 3);
    assert!(r > 250 && g < 5 && b < 5, "{r} {g} {b}");
}

/// `Image.new('CMYK', (8, 8), (0, 255, 255, 0)).save(f, 'JPEG', quality=50)`, its tables of quantisation and code as they came.
fn cmyk_jpeg() -> Vec<u8> {
    let digits = include_str!("golden/cmyk.hex");
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}

/// A JPEG image with an Exif segment that says how the camera was held.
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
fn cameras_that_were_turned_are_heeded() {
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
fn the_end_of_a_thumbnail_is_not_the_end() {
    let [whole, thumbnail] = [40, 8].map(|width| encoded(&pattern(width, 24).into(), ImageFormat::Jpeg));
    let length = ((thumbnail.len() + 2) as u16).to_be_bytes();
    // Behind the marker SOI, as cameras have it.
    let with = [&whole[..2], &[0xff, 0xe1], &length, &thumbnail, &whole[2..]].concat();
    assert_eq!(decode(&with).unwrap().width(), 40);
    let cut = decode(&with[..with.len() - 2]).unwrap_err().to_string();
    assert!(cut.contains("cut off"), "{cut}");
    let behind = [&with[..], b"what a camera puts behind it"].concat();
    assert_eq!(decode(&behind).unwrap().width(), 40);
}

#[test]
fn images_that_are_cut_off_or_no_images_are_refused() {
    let refuse = |bytes: &[u8], parts: &[&str]| {
        let text = decode(bytes).expect_err("this is no image").to_string();
        assert!(text.starts_with(&format!("{NAME}, byte ")), "{text}");
        parts.iter().for_each(|part| assert!(text.contains(part), "{text:?} does not say {part:?}"));
    };
    // In a thumbnail within a segment, too, there are marks of an end.
    for whole in [encoded(&pattern(40, 30).into(), ImageFormat::Jpeg), turned(6), png(&pattern(40, 30))] {
        assert!(decode(&whole).is_ok());
        // The last four bytes of a PNG file are the checksum of nothing, which its decoder does not ask for.
        let least = if whole[0] == 0xff { 1 } else { 13 };
        (least..whole.len()).step_by(7).for_each(|cut| refuse(&whole[..whole.len() - cut], &["again"]));
    }
    refuse(b"", &["PNG or JPEG"]);
    refuse(b"GIF89a\x01\0\x01\0\0\0\0;", &["PNG or JPEG"]);
    refuse(b"a text that someone has named like an image", &["PNG or JPEG"]);
    let device = read_image(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(device.contains("expected a file, found a directory, a pipe or a device"), "{device}");
    let missing = read_image(Path::new("/nowhere/at-all.png")).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/at-all.png: cannot open"), "{missing}");
}

/// A header of PNG that claims these sides, its checksum right, and a few bytes of pixels.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut header = [b"IHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let checksum = crc32fast::hash(&header);
    header.extend(checksum.to_be_bytes());
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".as_slice(), &header, b"\0\0\0\x04IDAT1234"].concat()
}

#[test]
fn images_that_unfold_too_far_are_refused() {
    let refusal = |width, height| decode(&bomb(width, height)).unwrap_err().to_string();
    assert!(refusal(20_000, 20_000).contains("20000x20000 pixels"), "{}", refusal(20_000, 20_000));
    assert!(refusal(1 << 20, 2).contains("PNG or JPEG"), "{}", refusal(1 << 20, 2));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("long.jpg");
    fs::File::create(&path).unwrap().set_len((256 << 20) + 1).unwrap();
    let text = read_image(&path).unwrap_err().to_string();
    assert!(text.contains("long.jpg") && text.contains("at most 268435456 bytes"), "{text}");
}

// ---- imagefolder ----

#[test]
fn classes_are_folders_in_the_order_of_their_names() {
    let dir = folder();
    let Splits { train, test } = open(&named("imagefolder", &dir));
    assert_eq!((train.image, train.classes()), ([3, 8, 8], ["B", "a c", "b"].map(str::to_owned).as_slice()));
    assert_eq!((train.labels.as_slice(), reds(&train)), ([0, 1, 2, 2].as_slice(), vec![10, 30, 20, 21]));
    assert_eq!((test.labels.as_slice(), reds(&test)), ([0, 1, 2].as_slice(), vec![11, 31, 22]));
    assert_eq!(train.image(0).unwrap(), [[10; 64], [1; 64], [2; 64]].concat());
    assert_eq!(open(&Source { image_size: None, ..named("imagefolder", &dir) }).train.image, [3, 64, 64]);
    // What has classes of its own is the test set.
    add(&dir, "test/unlabelled.png", &png(&flat([0; 3])));
    assert_eq!(open(&named("imagefolder", &dir)).test.len(), 3);
    for (name, red) in [("test/B/1.png", 50), ("test/b/1.png", 51), ("test/a c/1.png", 52)] {
        add(&dir, name, &png(&flat([red; 3])));
    }
    assert_eq!(reds(&open(&named("imagefolder", &dir)).test), [50, 52, 51]);
}

#[test]
fn a_list_says_which_classes_are_used() {
    let dir = folder();
    let list = dir.path().join("classes.txt");
    let source = Source { class_list: Some(&list), ..named("imagefolder", &dir) };
    fs::write(&list, "b\r\n\n B \n").unwrap();
    let Splits { train, test } = open(&source);
    assert_eq!((train.classes().join(" "), reds(&train), reds(&test)), ("B b".into(), vec![10, 20, 21], vec![11, 22]));
    assert_eq!(source.form().unwrap(), ([3, 8, 8], 2));
    for (text, part) in [
        ("b\nd\n", "\"d\""),
        ("b\nb\n", "byte 2: line 2: \"b\" is there twice"),
        ("\n", "found none"),
        ("../b\n", "line 1: expected the name of a directory"),
    ] {
        fs::write(&list, text).unwrap();
        refused(&source, &["classes.txt, byte ", part]);
    }
    refused(&Source { name: "food-101", ..source }, &["data_dir", "meta/train.txt"]);
}

#[test]
fn folders_that_cannot_be_used_are_told_apart() {
    let dir = folder();
    let source = named("imagefolder", &dir);
    let empty = TempDir::new().unwrap();
    refused(&named("imagefolder", &empty), &["data_dir", "there is no", "train/CLASS/"]);
    refused(&Source { dir: None, ..source }, &["data_dir", "imagefolder needs the directory"]);
    refused(&Source { dir: Some(Path::new("/nowhere")), ..source }, &["data_dir", "/nowhere"]);
    for (option, change) in [
        ("image_size", Source { image_size: Some(0), ..source }),
        ("image_size", Source { image_size: Some(1025), ..source }),
        ("resize", Source { resize: Some(7), ..source }),
        ("resize", Source { resize: Some(2049), ..source }),
    ] {
        refused(&change, &[option, "expected"]);
    }
    refused(&Source { name: "cifar10", ..source }, &["image_size", "image folders"]);
    refused(&Source { name: "shapes", skip_bad: true, ..Source::default() }, &["skip_bad", "image folders"]);

    fs::create_dir(dir.path().join("train/d")).unwrap();
    refused(&source, &["train/d", "holds no PNG or JPEG image"]);
    fs::remove_dir(dir.path().join("train/d")).unwrap();
    add(&dir, "val/d/1.png", b"");
    refused(&source, &["val/d", "is no class of"]);
    fs::remove_dir_all(dir.path().join("val/d")).unwrap();
    fs::rename(dir.path().join("val/b"), dir.path().join("b")).unwrap();
    refused(&source, &["there is no", "val/b", "needs"]);
    fs::rename(dir.path().join("val"), dir.path().join("elsewhere")).unwrap();
    refused(&source, &["test nor", "val holds"]);
    fs::rename(dir.path().join("elsewhere"), dir.path().join("val")).unwrap();
    fs::rename(dir.path().join("b"), dir.path().join("val/b")).unwrap();
    open(&source);
    add(&dir, "train/b/picture.webp", b"");
    refused(&source, &["picture.webp", "webp images are not read", "convert"]);
}

// ---- the sets that are laid out in their own way ----

fn tiny_imagenet() -> TempDir {
    let image = |red| png(&flat([red; 3]));
    let files = [
        ("tiny-imagenet-200/wnids.txt", b"n02\nn01\n".to_vec()),
        ("tiny-imagenet-200/words.txt", b"n00\tnothing\nn01\tgoldfish, Carassius auratus\nn02\tfrog\n".to_vec()),
        ("tiny-imagenet-200/train/n01/images/n01_0.JPEG", encoded(&flat([10; 3]).into(), ImageFormat::Jpeg)),
        ("tiny-imagenet-200/train/n01/n01_boxes.txt", b"n01_0.JPEG\t0\t0\t62\t63\n".to_vec()),
        ("tiny-imagenet-200/train/n02/images/n02_0.JPEG", image(20)),
        ("tiny-imagenet-200/val/images/val_0.JPEG", image(30)),
        ("tiny-imagenet-200/val/images/val_1.JPEG", image(31)),
        (
            "tiny-imagenet-200/val/val_annotations.txt",
            b"val_1.JPEG\tn01\t0\t0\t62\t63\nval_0.JPEG\tn02\t0\t0\t9\t9\n".to_vec(),
        ),
    ];
    directory(&files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>())
}

#[test]
fn tiny_imagenet_is_read_as_it_is_unpacked() {
    let dir = tiny_imagenet();
    let source = named("tiny-imagenet", &dir);
    let Splits { train, test } = open(&source);
    assert_eq!(train.classes(), ["n01 goldfish, Carassius auratus", "n02 frog"]);
    assert_eq!((train.labels.as_slice(), reds(&train)), ([0, 1].as_slice(), vec![10, 20]));
    assert_eq!((test.labels.as_slice(), reds(&test)), ([1, 0].as_slice(), vec![30, 31]));
    let form = Source { dir: None, image_size: None, ..source }.form().unwrap();
    assert_eq!(form, ([3, 64, 64], 200));

    let annotations = "tiny-imagenet-200/val/val_annotations.txt";
    for (text, parts) in [
        ("val_1.JPEG\tn01\n", ["byte 0: ", "says nothing of val/images/val_0.JPEG"]),
        ("val_1.JPEG\tn01\nval_2.JPEG\tn01\n", ["val_2.JPEG", "cannot be read"]),
        ("val_1.JPEG\tn01\nval_0.JPEG\n", ["byte 15: line 2: ", "a tab and its class"]),
        ("val_1.JPEG\tn01\nval_1.JPEG\tn01\n", ["byte 15: line 2: ", "twice"]),
        ("val_1.JPEG\tn01\nval_0.JPEG\tn03\n", ["\"n03\"", "none of the set's"]),
        ("../images/val_1.JPEG\tn01\n", ["line 1", "a tab and its class"]),
    ] {
        add(&dir, annotations, text.as_bytes());
        refused(&source, &["val_annotations.txt", parts[0], parts[1]]);
    }
    fs::remove_file(dir.path().join(annotations)).unwrap();
    refused(&source, &["val_annotations.txt: cannot open"]);
    fs::remove_dir_all(dir.path().join("tiny-imagenet-200")).unwrap();
    refused(&source, &["data_dir", "wnids.txt"]);
}

#[test]
fn food_101_is_read_as_it_is_unpacked() {
    let image = |red| encoded(&flat([red; 3]).into(), ImageFormat::Jpeg);
    let files = [
        ("meta/classes.txt", b"apple_pie\nwaffles\n".to_vec()),
        ("meta/train.txt", b"apple_pie/100\nwaffles/7\nwaffles/8\n".to_vec()),
        ("meta/test.txt", b"waffles/9\n".to_vec()),
        ("images/apple_pie/100.jpg", image(10)),
        ("images/waffles/7.jpg", image(20)),
        ("images/waffles/8.jpg", image(21)),
        ("images/waffles/9.jpg", image(22)),
    ];
    let dir = directory(&files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>());
    let source = named("food-101", &dir);
    let Splits { train, test } = open(&source);
    assert_eq!((train.labels.as_slice(), reds(&train)), ([0, 1, 1].as_slice(), vec![10, 20, 21]));
    assert_eq!((test.labels.as_slice(), reds(&test), test.classes().len()), ([1].as_slice(), vec![22], 2));
    for (text, parts) in [
        ("waffles/9\nwaffles/10\n", ["10.jpg", "cannot be read"]),
        ("waffles/9\nwaffles\n", ["byte 10: line 2", "expected CLASS/IMAGE"]),
        ("waffles/../9\n", ["line 1", "expected CLASS/IMAGE"]),
        ("pizza/9\n", ["\"pizza\"", "none of the set's"]),
    ] {
        add(&dir, "meta/test.txt", text.as_bytes());
        refused(&source, &["test.txt", parts[0], parts[1]]);
    }
    add(&dir, "meta/test.txt", b"");
    refused(&source, &["data_dir", "no image to train on or to test with"]);
}

#[test]
fn faces_tell_their_gender_by_name() {
    let dir = TempDir::new().unwrap();
    let name = |i: usize| format!("{}_{}_{}_2017010{i:02}.jpg.chip.jpg", i, i % 2, i % 5);
    (0..40).for_each(|i| add(&dir, &name(i), &encoded(&flat([i as u8; 3]).into(), ImageFormat::Jpeg)));
    let Splits { train, test } = open(&named("utkface-gender", &dir));
    assert_eq!((train.len(), test.len(), train.classes()), (32, 8, ["male", "female"].map(String::from).as_slice()));
    for part in [&train, &test] {
        let labels: Vec<u16> = reds(part).iter().map(|red| u16::from(red % 2)).collect();
        assert_eq!(part.labels, labels);
    }
    let mut all = [reds(&train), reds(&test)].concat();
    let of_test = [26, 7, 29, 20, 35, 23, 39, 22];
    assert_eq!(reds(&test), of_test, "the division has changed");
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<u8>>());
    // Folders in between change nothing.
    fs::create_dir(dir.path().join("part1")).unwrap();
    fs::rename(dir.path().join(name(7)), dir.path().join("part1").join(name(7))).unwrap();
    assert_eq!(reds(&open(&named("utkface-gender", &dir)).test), of_test);
    // Ages are the labels of the same division.
    let ages = open(&named("utkface-age", &dir));
    assert_eq!((&ages.train.meaning, ages.train.classes()), (&Meaning::Years, [].as_slice()));
    for part in [&ages.train, &ages.test] {
        assert_eq!(part.labels, reds(part).into_iter().map(u16::from).collect::<Vec<_>>());
    }
    assert_eq!(reds(&ages.test), of_test);
    assert_eq!(named("utkface-age", &dir).form().unwrap(), (ages.train.image, 1));
    for bad in ["face.jpg", "200_0_1_1.jpg", "20_2_1_1.jpg", "-1_0_1_1.jpg", "20_0.jpg", "+20_0_1_1.jpg"] {
        add(&dir, bad, b"");
        refused(&named("utkface-gender", &dir), &[bad, "AGE_GENDER_RACE_DATE.jpg"]);
        let mut notes = vec![];
        let mut heard = |news: News<'_>| {
            if let News::Note(note) = news {
                notes.push(note.to_owned());
            }
        };
        let rest = Source { skip_bad: true, ..named("utkface-age", &dir) }.open(&mut heard).unwrap();
        assert_eq!(reds(&rest.test), of_test, "{bad} is left out");
        assert!(notes.iter().any(|note| note.contains("left out") && note.contains(bad)), "{notes:?}");
        fs::remove_file(dir.path().join(bad)).unwrap();
    }
    let known = data::face_in(Path::new("f"), "61_1_20170109142408075.jpg.chip.jpg").unwrap();
    assert_eq!((known.age, known.gender), (61, 1));
}

// ---- bad images, and caches ----

/// All bytes of a part.
fn pixels(data: &Dataset) -> Vec<u8> {
    (0..data.len()).flat_map(|i| data.image(i).unwrap()).collect()
}

#[test]
fn bad_images_are_errors_or_are_counted() {
    let dir = folder();
    let source = named("imagefolder", &dir);
    let good = open(&source);
    let whole = encoded(&pattern(30, 20).into(), ImageFormat::Jpeg);
    add(&dir, "train/b/0 cut.jpg", &whole[..whole.len() - 9]);
    add(&dir, "val/b/2.jpg", b"no image");
    let cache = dir.path().join("cache");
    for cache in [None, Some(cache.as_path()), Some(cache.as_path())] {
        let skipping = Source { cache, skip_bad: true, ..source };
        let (opened, notes) = open_saying(&skipping);
        let opened = opened.unwrap();
        assert_eq!((pixels(&opened.train), pixels(&opened.test)), (pixels(&good.train), pixels(&good.test)));
        assert_eq!((&opened.train.labels, &opened.test.labels), (&good.train.labels, &good.test.labels));
        assert_eq!(opened.fingerprint(), good.fingerprint());
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("2 of 9 images") || notes[0].contains("2 bad images"), "{notes:?}");
    }
    // Without the option the first one is told, by each way.
    let strict = Source { cache: Some(&cache), ..source };
    refused(&strict, &["0 cut.jpg, byte ", "fetch it again"]);
    assert!(!dir.path().join("cache.part").exists());
    let mut batches = Loader::evaluation(Arc::new(open(&source).train), (0..5).collect(), 2);
    assert!(batches.next().unwrap().is_ok());
    let text = batches.next().unwrap().unwrap_err().to_string();
    assert!(text.contains("0 cut.jpg"), "{text}");
    assert!(batches.next().is_none() && batches.next().is_none(), "it goes on behind an error");
    // A part without any good image.
    for name in ["B/9.png", "a c/1.png", "b/1.png"] {
        add(&dir, &format!("val/{name}"), b"");
    }
    let (opened, _) = open_saying(&Source { skip_bad: true, ..source });
    assert!(opened.unwrap_err().to_string().contains("no image to train on or to test with"));
}

#[test]
fn a_cache_gives_the_same_images_and_is_made_once() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let plain = named("imagefolder", &dir);
    let source = Source { cache: Some(&cache), ..plain };
    let (by_file, mut decoded) = (open(&plain), vec![]);
    let first = source.open(&mut |news| decoded.push(format!("{news:?}"))).unwrap();
    assert_eq!(decoded, ["Decoded { done: 7, all: 7 }"]);
    let again = source.open(&mut |news| panic!("{news:?}")).unwrap();
    for opened in [&first, &again] {
        assert!(matches!(opened.train.images, Images::Cached(_)));
        assert_eq!((pixels(&opened.train), pixels(&opened.test)), (pixels(&by_file.train), pixels(&by_file.test)));
        assert_eq!(opened.fingerprint(), by_file.fingerprint());
    }
    assert!(!dir.path().join("cache.part").exists());
    assert_eq!(fs::metadata(&cache).unwrap().len(), 16 + 7 * (192 + 4) + 20);
    // What happens to it while it is in use is an error with its name.
    fs::write(&cache, b"").unwrap();
    let text = first.test.image(0).unwrap_err().to_string();
    assert!(text.contains("cache: cannot read"), "{text}");
}

#[test]
fn a_byte_that_has_changed_in_a_cache_is_an_error() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let source = Source { cache: Some(&cache), ..named("imagefolder", &dir) };
    let opened = open(&source);
    let files = ["train/B/1.png", "train/a c/1.png", "train/b/2.PNG", "train/b/deeper/1.png"];
    let whole = fs::read(&cache).unwrap();
    for place in 16..whole.len() - 20 {
        let mut changed = whole.clone();
        changed[place] ^= 1 << (place % 8);
        fs::write(&cache, changed).unwrap();
        let faults: Vec<(usize, Error)> = (0..7)
            .filter_map(|i| match i < 4 {
                true => Some((i, opened.train.image(i).err()?)),
                false => Some((i, opened.test.image(i - 4).err()?)),
            })
            .collect();
        assert!(faults.len() == 1 && faults[0].0 == (place - 16) / 196, "{place}: {faults:?}");
        let text = faults[0].1.to_string();
        assert!(text.contains("cache, byte ") && text.contains("delete this cache"), "{text}");
        assert!(faults[0].0 >= 4 || text.contains(files[faults[0].0]), "{text}");
    }
    // The batches of a run say so, too.
    let mut batches = Loader::evaluation(Arc::new(opened.test), (0..3).collect(), 3);
    let text = batches.next().unwrap().unwrap_err().to_string();
    assert!(text.contains("val/b/1.png") && text.contains("delete this cache"), "{text}");
}

#[test]
fn a_cache_that_is_not_whole_or_of_other_files_is_made_again() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let source = Source { cache: Some(&cache), ..named("imagefolder", &dir) };
    let expected = pixels(&open(&source).train);
    let whole = fs::read(&cache).unwrap();
    let remade = |bytes: &[u8], source: &Source<'_>, why: &str| {
        fs::write(&cache, bytes).unwrap();
        let (opened, notes) = open_saying(source);
        assert!(notes.len() == 1 && notes[0].contains(why) && notes[0].contains("cache"), "{notes:?}");
        opened.unwrap()
    };
    for length in [0, 16, 35, 36, 200, whole.len() - 1] {
        assert_eq!(pixels(&remade(&whole[..length], &source, "is not whole").train), expected);
        assert_eq!(fs::read(&cache).unwrap(), whole);
    }
    for place in [whole.len() - 20, whole.len() - 16, whole.len() - 12, whole.len() - 8, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        remade(&changed, &source, "is not whole");
    }
    for version in [b'1', b'3'] {
        let mut changed = whole.clone();
        changed[13] = version;
        remade(&changed, &source, "is of another version");
        assert_eq!(fs::read(&cache).unwrap(), whole);
    }
    let larger = remade(&whole, &Source { image_size: Some(9), ..source }, "other files, or in another size");
    assert_eq!(larger.train.image, [3, 9, 9]);
    remade(&whole, &Source { resize: Some(9), ..source }, "other files, or in another size");
    // A file that has become another one.
    add(&dir, "train/b/2.PNG", &png(&flat([99, 1, 2])));
    let changed = remade(&whole, &source, "other files");
    assert_eq!(reds(&changed.train), [10, 30, 99, 21]);
    // Another file is not written over.
    fs::write(&cache, b"a letter to someone").unwrap();
    refused(&source, &["cache", "is no cache"]);
    assert_eq!(fs::read(&cache).unwrap(), b"a letter to someone");
    let absent = dir.path().join("no/such/folder");
    refused(&Source { cache: Some(&absent), ..source }, &["no/such/folder.lock: cannot create"]);
}

#[test]
fn one_process_writes_a_cache() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let part = dir.path().join("cache.part");
    let source = Source { cache: Some(&cache), ..named("imagefolder", &dir) };
    // What an ended one has left is no hindrance, and what one writes that has not ended is not touched.
    fs::write(&part, vec![1; 10_000]).unwrap();
    let other = fs::File::create(dir.path().join("cache.lock")).unwrap();
    other.lock().unwrap();
    refused(&source, &["cache", "another process"]);
    assert_eq!(fs::read(&part).unwrap(), vec![1; 10_000]);
    drop(other);
    let mut told = 0;
    let opened = source.open(&mut |_| {
        told += 1;
        refused(&source, &["cache", "another process"]);
    });
    assert_eq!((told, pixels(&opened.unwrap().train)), (1, pixels(&open(&source).train)));
    assert_eq!(fs::metadata(&cache).unwrap().len(), 16 + 7 * (192 + 4) + 20);
    // A whole one needs no lock.
    let other = fs::File::create(dir.path().join("cache.lock")).unwrap();
    other.lock().unwrap();
    open(&source);
}

/// Each open of many at once gives all images or says that another process writes, whatever the moment; the cache is whole in the end.
#[test]
fn a_cache_that_many_want_at_once_is_whole() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let plain = named("imagefolder", &dir);
    let expected = pixels(&open(&plain).train);
    let source = Source { cache: Some(&cache), ..plain };
    let want = || {
        for _ in 0..20 {
            match open_saying(&source) {
                (Ok(opened), _) => assert_eq!(pixels(&opened.train), expected),
                (Err(error), _) => assert!(error.to_string().contains("another process"), "{error}"),
            }
        }
    };
    for _ in 0..20 {
        let _ = fs::remove_file(&cache);
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(want))));
        let (opened, notes) = open_saying(&source);
        assert_eq!((pixels(&opened.unwrap().train), notes), (expected.clone(), vec![]));
    }
}

#[test]
fn fingerprints_tell_sets_apart() {
    let dir = folder();
    let source = named("imagefolder", &dir);
    let print = |source: &Source<'_>| open(source).fingerprint();
    let first = print(&source);
    assert_eq!(print(&source), first);
    assert_ne!(print(&Source { image_size: Some(9), ..source }), first);
    assert_ne!(print(&Source { resize: Some(9), ..source }), first);
    add(&dir, "val/b/1.png", &png(&pattern(20, 12)));
    let longer = print(&source);
    assert_ne!(longer, first);
    fs::rename(dir.path().join("val/b/1.png"), dir.path().join("val/b/3.png")).unwrap();
    assert_ne!(print(&source), longer);
}

// ---- batches ----

#[test]
fn batches_of_files_hold_their_images() {
    let dir = folder();
    let data = open(&named("imagefolder", &dir)).train;
    let batch = HostBatch::gather(&data, &[3, 0], 3, || 7).unwrap();
    let bytes: Vec<u8> = batch.words[6..].iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(batch.words[..6], [2, 0, data::IGNORED_LABEL, 7, 7, data::Augmentation::IDENTITY]);
    assert_eq!((bytes[0], bytes[64], bytes[192], bytes[256]), (21, 1, 10, 1));
    assert!(bytes[384..].iter().all(|&byte| byte == 0));
}

#[test]
fn labels_go_beyond_a_byte() {
    let dir = TempDir::new().unwrap();
    let image = png(&RgbImage::new(1, 1));
    let classes: Vec<String> = (0..300).map(|i| format!("{i:03}")).collect();
    for part in ["train", "val"] {
        classes.iter().for_each(|class| add(&dir, &format!("{part}/{class}/1.png"), &image));
    }
    let Splits { train, .. } = open(&Source { image_size: Some(1), ..named("imagefolder", &dir) });
    assert_eq!(train.labels, (0..300).collect::<Vec<u16>>());
    let batch = HostBatch::gather(&train, &[299], 1, || 0).unwrap();
    assert_eq!(batch.words[0], 299);
}

/// CIFAR-10 as folders of PNG images is CIFAR-10.
#[test]
fn cifar10_in_folders_is_the_same() {
    let Some(batches) = cifar::cifar10_cache() else { return };
    let binary = data::open("cifar10", Some(&batches)).unwrap();
    let dir = TempDir::new().unwrap();
    let mut expected: HashMap<(&str, u16), Vec<Vec<u8>>> = HashMap::new();
    for (part, set) in [("train", &binary.train), ("test", &binary.test)] {
        for i in 0..60 {
            let (bytes, label) = (set.image(i).unwrap(), set.labels[i]);
            let image =
                RgbImage::from_fn(
                    32,
                    32,
                    |x, y| Rgb([0, 1, 2].map(|c| bytes[(c * 32 + y as usize) * 32 + x as usize])),
                );
            add(&dir, &format!("{part}/{label} {}/{i:02}.png", set.classes()[usize::from(label)]), &png(&image));
            expected.entry((part, label)).or_default().push(bytes);
        }
    }
    let opened = open(&Source { image_size: Some(32), ..named("imagefolder", &dir) });
    for (part, set) in [("train", &opened.train), ("test", &opened.test)] {
        assert_eq!((set.len(), set.classes().len()), (60, 10));
        let mut found: HashMap<(&str, u16), Vec<Vec<u8>>> = HashMap::new();
        (0..60).for_each(|i| found.entry((part, set.labels[i])).or_default().push(set.image(i).unwrap()));
        found.iter().for_each(|(key, images)| assert_eq!(images, &expected[key]));
    }
}

#[test]
fn errors_are_of_the_right_kind() {
    assert!(matches!(decode(b""), Err(Error::Format { .. })));
    assert!(matches!(read_image(Path::new("/nowhere")), Err(Error::Io { .. })));
}
