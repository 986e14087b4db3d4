//! Files in memory: data sets read them as they read files on disk.

use crate::common::errors::{Fault, assert_error};
use crate::common::files::idx;
use crate::common::pictures::{folder, named, open_with_notes};
use lerac::data::{Source, add_file};
use std::fs;
use std::path::{Path, PathBuf};

/// Adds all files in and below `dir` under `to`.
fn add_all(dir: &Path, to: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => add_all(&path, &place),
            false => add_file(place, fs::read(&path).unwrap()),
        }
    }
}

#[test]
fn a_folder_of_images_is_read_as_on_disk() {
    let dir = folder();
    let place = PathBuf::from("in memory/folder");
    add_all(dir.path(), &place);
    let on_disk = named("imagefolder", &dir);
    let in_memory = Source { dir: Some(&place), ..on_disk };
    let (found, notes) = open_with_notes(&in_memory);
    let (expected, expected_notes) = open_with_notes(&on_disk);
    let (found, expected) = (found.unwrap(), expected.unwrap());
    assert_eq!(notes, expected_notes);
    for (found, expected) in [(&found.train, &expected.train), (&found.test, &expected.test)] {
        assert_eq!((&found.labels, &found.meaning), (&expected.labels, &expected.meaning));
        assert!(!found.is_empty());
        (0..found.len()).for_each(|i| assert_eq!(found.image(i).unwrap(), expected.image(i).unwrap()));
    }
    add_file(place.join("train/b/2.PNG"), b"no image".to_vec());
    let opened = open_with_notes(&in_memory).0.unwrap();
    let image = (0..opened.train.len()).find_map(|i| opened.train.image(i).err());
    assert!(image.unwrap().to_string().contains("expected an image in PNG"));
}

#[test]
fn idx_files_are_found_and_checked() {
    let place = Path::new("in memory/idx");
    let source = Source { name: "mnist", dir: Some(place), ..Source::default() };
    assert_error(open_with_notes(&source).0, Fault::Setting("data_dir"), &["mnist not found"]);
    for part in ["train", "t10k"] {
        add_file(place.join(format!("{part}-images-idx3-ubyte")), idx(&[0x803, 2, 1, 2], &[1, 2, 3, 4]));
        add_file(place.join(format!("{part}-labels-idx1-ubyte")), idx(&[0x801, 2], &[7, 0]));
    }
    let opened = open_with_notes(&source).0.unwrap();
    assert_eq!((opened.train.labels, opened.test.image(1).unwrap()), (vec![7, 0], vec![3, 4]));
    add_file(place.join("t10k-labels-idx1-ubyte"), idx(&[0x801, 2], &[7]));
    assert_error(open_with_notes(&source).0, Fault::Format("t10k-labels-idx1-ubyte", Some(9)), &["the file ends here"]);
}
