//! Lists of image folders, image files, and caches of decoded images.

use crate::harness::{FILE, JUST_OVER, Limit, MIB, SMALL, Subject, measured, read_at, run, tokens};
use lerac::data;
use lerac::error::{Error, Result};
use std::fs;
use std::path::Path;

/// Lists of image folders. A name of one byte becomes a string and an entry of a set.
const LISTS: Limit = Limit { multiple: 128, constant: SMALL };
/// Image files: any size below the decoder's limit, as coefficients, as pixels, as RGB, and
/// rotated.
const PICTURE: Limit = Limit { multiple: 16, constant: 5 * 256 * MIB };
/// Caches of images: one image at a time, the indices of the bad ones, and buffers for decoding
/// again.
const CACHE: Limit = Limit { multiple: 2, constant: SMALL };

/// The first byte selects the kind of list.
#[test]
fn lists_of_image_folders() {
    let lists: [&[u8]; 5] = [
        b"apple_pie\nwaffles\n",
        b"val_0.JPEG\tn03444034\t0\t32\t44\t62\nval_1.JPEG\tn04067472\t52\t55\t57\t59\n",
        b"apple_pie/1005649\napple_pie/1011328\nwaffles/9\n",
        b"n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\n",
        b"61_1_3_20170109142408075.jpg.chip.jpg",
    ];
    let seeds = lists.iter().enumerate().map(|(i, list)| [&[i as u8], *list].concat()).collect();
    let words =
        ["\t", "/", "..", "\r\n", "\n\n", "\0", "\\", "_", "-1", "\u{80}", "n01443537", "waffles", "val_0.JPEG"];
    let subject =
        Subject { name: "lists of image folders", seeds, tokens: tokens(&words), limit: LISTS, file: <[u8]>::to_vec };
    let inside = |name: &String| assert!(Path::new(name).components().count() == 1 && Path::new(name).is_relative());
    let parse = |input: &[u8]| {
        let path = Path::new(FILE);
        let (list, bytes) = input.split_first().unwrap_or((&0, &[]));
        match list % 5 {
            0 => data::names_in(path, bytes).map(|names| names.iter().for_each(inside)),
            1 => data::validation_annotations_in(path, bytes)
                .map(|pairs| pairs.iter().for_each(|(image, class)| [image, class].into_iter().for_each(inside))),
            2 => data::image_list_in(path, bytes)
                .map(|pairs| pairs.iter().for_each(|(class, image)| [class, image].into_iter().for_each(inside))),
            3 => data::words_in(path, bytes).map(drop),
            _ => data::face_in(path, &String::from_utf8_lossy(bytes))
                .map(|face| assert!(face.age <= 116 && face.gender <= 1)),
        }
    };
    run(subject, parse, drop);
}

#[test]
fn the_densest_lists_are_read_in_bounds() {
    let many = |line: &dyn Fn(usize) -> String| (0..JUST_OVER).map(line).collect::<String>();
    let path = Path::new(FILE);
    let names = many(&|i| format!("{i:x}\n"));
    let (outcome, peak) = measured(|| data::names_in(path, names.as_bytes()));
    assert_eq!(outcome.unwrap().len(), JUST_OVER);
    LISTS.assert("names", names.len(), peak);
    let images = many(&|i| format!("{i:x}/1\n"));
    let (outcome, peak) = measured(|| data::image_list_in(path, images.as_bytes()));
    assert_eq!(outcome.unwrap().len(), JUST_OVER);
    LISTS.assert("images", images.len(), peak);
    let annotations = many(&|i| format!("{i:x}\t1\n"));
    let (outcome, peak) = measured(|| data::validation_annotations_in(path, annotations.as_bytes()));
    assert_eq!(outcome.unwrap().len(), JUST_OVER);
    LISTS.assert("annotations", annotations.len(), peak);
}

#[test]
fn image_files() {
    let image = image::RgbImage::from_fn(24, 17, |x, y| image::Rgb([(x * 9) as u8, (y * 13) as u8, (x * y) as u8]));
    let encoded = |format| {
        let mut bytes = std::io::Cursor::new(vec![]);
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    let seeds = [Png, Jpeg, WebP, Bmp, Gif, Tiff].map(encoded).to_vec();
    let subject = Subject { name: "image files", seeds, tokens: vec![], limit: PICTURE, file: <[u8]>::to_vec };
    let parse = |bytes: &[u8]| data::decode_image(Path::new(FILE), bytes);
    run(subject, parse, |image| {
        let frame = data::ResizeCrop { image: [3, 8, 8], shorter: 8 };
        assert_eq!(frame.fit(&image).len(), 3 * 64);
    });
}

/// The cache unchanged, or, after a byte of 1, with a valid checksum of its last part.
fn cache_input(input: &[u8]) -> Vec<u8> {
    let (form, cache) = input.split_first().unwrap_or((&0, &[]));
    let mut cache = cache.to_vec();
    let word = |at: usize| u32::from_le_bytes(cache[at..at + 4].try_into().expect("four bytes"));
    if let Some(end) = cache.len().checked_sub(20).filter(|_| *form == 1) {
        let bad = 4 * word(end + 12) as usize;
        let indices = &cache[end.saturating_sub(bad)..end];
        let mut hasher = crc32fast::Hasher::new();
        [&cache[end..end + 16], indices].into_iter().for_each(|part| hasher.update(part));
        let checksum = hasher.finalize().to_le_bytes();
        cache[end + 16..].copy_from_slice(&checksum);
    }
    cache
}

/// Whatever a cache contains, the images are those of the files: they are read from it or decoded
/// again.
#[test]
fn caches_of_images() {
    let dir = tempfile::tempdir().unwrap();
    for (name, shade) in
        [("train/a/1.png", 10), ("train/a/2.png", 0), ("train/b/1.png", 11), ("val/a/1.png", 20), ("val/b/1.png", 21)]
    {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match shade {
            0 => fs::write(path, b"no image").unwrap(),
            _ => image::RgbImage::from_pixel(2, 2, image::Rgb([shade; 3])).save(path).unwrap(),
        }
    }
    let cache = dir.path().join("cache");
    let source = data::Source { name: "imagefolder", dir: Some(dir.path()), image_size: Some(2), ..Default::default() };
    let source = data::Source { cache: Some(&cache), skip_bad: true, ..source };
    let read = |_: &Path| {
        let splits = source.open_pictures(&mut |_| ())?;
        let images = |part: &data::Pictures| (0..part.len()).map(|i| part.image(i)).collect::<Result<Vec<_>>>();
        Ok([images(&splits.train)?, images(&splits.test)?].concat())
    };
    read(&cache).unwrap();
    let whole = fs::read(&cache).unwrap();
    let seeds = [0, 1].map(|form| [&[form], whole.as_slice()].concat()).into();
    let subject = Subject { name: "caches of images", seeds, tokens: vec![], limit: CACHE, file: cache_input };
    let parse = |bytes: &[u8]| match read_at(&cache, bytes, read) {
        // A file that is not a cache is not overwritten.
        Err(Error::Setting { field: "cache", message }) => {
            assert!(fs::read(&cache).unwrap() == bytes, "{message}: the file is another");
            Err(Error::format(Path::new(FILE), 0, message))
        }
        // A forged list may mark all images of a split as bad.
        Err(Error::Setting { field: "data_dir", message }) => Err(Error::format(Path::new(FILE), 0, message)),
        read => read,
    };
    run(subject, parse, |images| {
        assert_eq!(
            images.iter().map(|image| image.to_vec()).collect::<Vec<_>>(),
            [[10; 12], [11; 12], [20; 12], [21; 12]]
        );
    });
}
