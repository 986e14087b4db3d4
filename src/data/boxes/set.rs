//! Images with boxes as examples: the letterboxed image, its boxes, and its placement.

use super::BoxAugmentation;
use super::geometry::Placement;
use super::objects::{Image, Object};
use super::scene::{Scene, SceneBox, boxes_at, write_boxes};
use crate::cores::in_parallel;
use crate::data::layout::advise;
use crate::data::listing::{Entry, Listing};
use crate::data::opening::{left_out, table_of_skipped};
use crate::data::pictures::{check_side, image_size, read_image};
use crate::data::shared::shared_files;
use crate::data::{
    BOX_VALUES, Column, Draw, Element, Examples, Form, Meaning, OpenEvent, Skipped, Source, Splits, floats_of,
};
use crate::error::{Error, Result};
use image::RgbImage;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Default side of the square that images are letterboxed to, in pixels: that of YOLOv5.
pub const BOX_SIDE: usize = 640;

/// Images that are checked before progress is reported.
const CHUNK: usize = 256;

/// The images of a set with their boxes.
pub(in crate::data) struct Labelled {
    pub listing: Listing,
    pub classes: Arc<[String]>,
    pub(super) train: Vec<Image>,
    /// Empty if training examples are to be held out.
    pub(super) validation: Vec<Image>,
    pub(super) test: Vec<Image>,
}

/// Images with boxes. Clones share them.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxedPictures {
    name: String,
    root: Arc<Path>,
    classes: Arc<[String]>,
    pub(super) images: Arc<[Image]>,
    /// Height and width of each example.
    pub(super) side: usize,
    /// Rows of boxes of each example.
    most: usize,
    pub(super) augmentation: BoxAugmentation,
    pub(super) flip: bool,
    /// The images that others are mixed with.
    pub(super) partners: Arc<[u32]>,
    held_out: usize,
    skipped: Arc<[Skipped]>,
}

/// A set of images with boxes, with its training and test parts.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxSplits {
    /// For training and validation.
    pub train: BoxedPictures,
    /// For the test, once at the end of a run.
    pub test: BoxedPictures,
}

impl From<BoxSplits> for Splits {
    fn from(BoxSplits { train, test }: BoxSplits) -> Self {
        Self { train: Arc::new(train), test: Arc::new(test) }
    }
}

impl Source<'_> {
    /// The side of the square that images with boxes are brought to.
    ///
    /// # Errors
    /// [`Error::Setting`] if `image_size` is out of range.
    pub(in crate::data) fn side_of_boxes(&self) -> Result<usize> {
        let side = self.image_size.unwrap_or(BOX_SIDE);
        check_side(side).map(|()| side)
    }

    /// [`Source::open`] with the result as images with boxes.
    ///
    /// # Errors
    /// Those of [`Source::open`], and [`Error::Setting`] for a set without boxes.
    pub fn open_boxes(&self, report: &mut dyn FnMut(OpenEvent<'_>)) -> Result<BoxSplits> {
        let labelled = self.labelled_boxes()?;
        self.boxed(labelled, report)
    }

    /// The examples of these images. With `skip_bad` all are decoded.
    ///
    /// # Errors
    /// [`Error::Setting`] for invalid options, or if a part has no images.
    pub(in crate::data) fn boxed(
        &self,
        labelled: Labelled,
        report: &mut dyn FnMut(OpenEvent<'_>),
    ) -> Result<BoxSplits> {
        let side = self.side_of_boxes()?;
        let Labelled { mut listing, classes, mut train, mut validation, mut test } = labelled;
        if self.skip_bad {
            for part in [&mut train, &mut validation, &mut test] {
                keep_good(&mut listing, part, report)?;
            }
        }
        let parts = [("training", &train), ("validation", &validation), ("test", &test)];
        let shared = shared_files(
            &listing,
            parts.map(|(part, images)| (part, images.iter().map(|image| &image.entry).collect())),
        );
        let counted = [listing.passed_over(), left_out(&listing.skipped)].into_iter().flatten();
        listing.notes.iter().cloned().chain(counted).chain(shared).for_each(|note| report(OpenEvent::Note(&note)));
        if let Some(part) = [("training", &train), ("test", &test)].iter().find(|(_, part)| part.is_empty()) {
            let message = format!("expected {} images in {}, found none", part.0, listing.root.display());
            return Err(Error::setting("data_dir", message));
        }
        let augmentation = self.boxes.augmentation;
        let most_of = |images: &[Image]| images.iter().map(|image| image.objects.len()).max().unwrap_or(0);
        let [of_train, of_test] =
            [most_of(&train) * augmentation.images_per_example(), most_of(&validation).max(most_of(&test))];
        let held_out = validation.len();
        let for_training = train.len() as u32;
        train.extend(validation);
        let set = BoxedPictures {
            name: self.name.to_owned(),
            root: listing.root.as_path().into(),
            classes,
            images: test.into(),
            side,
            most: of_train.max(of_test).max(1),
            augmentation: BoxAugmentation::default(),
            flip: false,
            partners: [].into(),
            held_out: 0,
            skipped: listing.skipped.into(),
        };
        let train = BoxedPictures {
            images: train.into(),
            augmentation,
            flip: self.augmentation.flip,
            partners: (0..for_training).collect(),
            held_out,
            ..set.clone()
        };
        Ok(BoxSplits { train, test: set })
    }
}

/// Decodes all images, and leaves out those that cannot be used.
fn keep_good(listing: &mut Listing, images: &mut Vec<Image>, report: &mut dyn FnMut(OpenEvent<'_>)) -> Result<()> {
    let (all, faults) = (images.len(), Mutex::new(vec![]));
    for (start, chunk) in (0..).step_by(CHUNK).zip(images.chunks(CHUNK)) {
        in_parallel((start..).zip(chunk), |(index, image)| {
            if let Err(fault) = image.decode(&listing.root) {
                faults.lock().expect("keeping a fault does not panic").push((index, fault));
            }
            Ok::<(), Error>(())
        })?;
        report(OpenEvent::Decoded { done: start + chunk.len(), all });
    }
    let mut faults = faults.into_inner().expect("keeping a fault does not panic");
    faults.sort_by_key(|(index, _)| *index);
    let mut bad = vec![false; all];
    for (index, fault) in faults {
        bad[index] = true;
        listing.leave_out(&images[index].entry.name, fault)?;
    }
    let mut bad = bad.into_iter();
    images.retain(|_| bad.next() == Some(false));
    Ok(())
}

impl Image {
    /// Reads the image, which must have the size that its labels are for.
    fn decode(&self, root: &Path) -> Result<RgbImage> {
        let path = root.join(&self.entry.name);
        let image = read_image(&path)?;
        let found: [u32; 2] = image.dimensions().into();
        match self.size {
            Some(size) if size != found => {
                let ([w, h], [there_w, there_h]) = (found, size);
                let message = format!("the image is {w}x{h}, but its annotation is for {there_w}x{there_h}");
                Err(Error::format(&path, 0, format!("{message}; annotate it again")))
            }
            _ => Ok(image),
        }
    }
}

impl BoxedPictures {
    /// The set `name` with these classes, without images. It letterboxes images to `side`.
    pub fn empty(name: &str, side: usize, classes: Arc<[String]>) -> Self {
        Self {
            name: name.to_owned(),
            root: Path::new("").into(),
            classes,
            images: [].into(),
            side,
            most: 1,
            augmentation: BoxAugmentation::default(),
            flip: false,
            partners: [].into(),
            held_out: 0,
            skipped: [].into(),
        }
    }

    /// The objects in the image `index`.
    pub fn objects(&self, index: usize) -> &[Object] {
        &self.images[index].objects
    }

    /// The decoded image `index`, as it is in its file.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`].
    pub fn image(&self, index: usize) -> Result<RgbImage> {
        self.images[index].decode(&self.root).map_err(advise)
    }

    /// Width and height of the image `index`.
    fn size(&self, index: usize) -> Result<[u32; 2]> {
        let Image { entry, size, .. } = &self.images[index];
        match size {
            Some(size) => Ok(*size),
            None => image_size(&self.root.join(&entry.name)).map_err(advise),
        }
    }

    fn write_targets(&self, size: [u32; 2], scene: &[SceneBox], [boxes, placement]: [&mut [u32]; 2]) {
        write_boxes(scene, self.side, boxes);
        let Placement { scale, left, top } = Placement::letterbox(size, self.side);
        let [width, height] = size.map(f64::from);
        floats_of(placement).iter_mut().zip([width, height, scale, left, top]).for_each(|(to, v)| *to = v as f32);
    }
}

impl Examples for BoxedPictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn form(&self) -> Form {
        let pixels = Meaning::Pixels { mean: vec![0.0; 3], std: vec![1.0; 3] };
        let boxes = Meaning::Boxes(self.classes.clone());
        Form {
            inputs: vec![Column { meaning: pixels, ..Column::plain("image", Element::U8, [3, self.side, self.side]) }],
            targets: vec![
                Column { meaning: boxes, ..Column::plain("boxes", Element::F32, [self.most, BOX_VALUES]) },
                Column::plain("placement", Element::F32, [PLACEMENT_VALUES]),
            ],
        }
    }

    fn len(&self) -> usize {
        self.images.len()
    }

    /// The placement is that without augmentation.
    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [image, boxes, placement] = into else { panic!("{}: expected three columns", self.name) };
        let changes = self.flip || self.augmentation != BoxAugmentation::default();
        let (scene, size) = match draw.filter(|_| changes) {
            Some(draw) => (self.varied(index, draw)?, self.size(index)?),
            None => {
                let image = self.image(index)?;
                (Scene::letterbox(&image, self.objects(index), self.side), image.dimensions().into())
            }
        };
        scene.write_image(image);
        self.write_targets(size, &scene.boxes, [boxes, placement]);
        Ok(())
    }

    fn targets(&self, index: usize, into: &mut [&mut [u32]]) -> Result<()> {
        let [boxes, placement] = into else { panic!("{}: expected two columns", self.name) };
        let size = self.size(index)?;
        let placed = boxes_at(self.objects(index), size, Placement::letterbox(size, self.side));
        self.write_targets(size, &placed, [boxes, placement]);
        Ok(())
    }

    fn reads_slowly(&self, _draw: Option<Draw>) -> bool {
        true
    }

    /// The side, and the names, lengths and objects of all images. A changed image of the same
    /// length is not detected.
    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        [self.side, self.most].into_iter().for_each(|number| add(&(number as u64).to_le_bytes()));
        for Image { entry: Entry { name, bytes, .. }, objects, .. } in self.images.iter() {
            add(name.as_bytes());
            add(&[0]);
            add(&bytes.to_le_bytes());
            for Object { class, corners, difficult } in objects {
                add(&class.to_le_bytes());
                add(&[u8::from(*difficult)]);
                corners.iter().for_each(|corner| add(&corner.to_le_bytes()));
            }
        }
    }

    fn companions(&self) -> Vec<(&'static str, Vec<u8>)> {
        table_of_skipped(&self.skipped)
    }

    fn held_out(&self) -> usize {
        self.held_out
    }

    fn file_of(&self, index: usize) -> Option<String> {
        Some(self.images[index].entry.name.clone())
    }

    fn of_files(&self, files: &[PathBuf]) -> Result<Arc<dyn Examples>> {
        let image = |path: &PathBuf| {
            let found = read_image(path)?;
            let unreadable =
                || Error::setting("files", format!("{}: the path is not UTF-8; rename it", path.display()));
            let name = path.to_str().ok_or_else(unreadable)?.to_owned();
            let (entry, size) = (Entry { name, bytes: 0, modified: 0 }, Some(found.dimensions().into()));
            Ok(Image { entry, size, objects: vec![] })
        };
        let images = files.iter().map(image).collect::<Result<_>>()?;
        Ok(Arc::new(Self { images, ..Self::empty(&self.name, self.side, self.classes.clone()) }))
    }

    fn mixed_among(&self, indices: &[u32]) -> Option<Arc<dyn Examples>> {
        let mixes = self.augmentation.images_per_example() > 1;
        mixes.then(|| Arc::new(Self { partners: indices.into(), ..self.clone() }) as Arc<dyn Examples>)
    }
}

/// Values of the column `placement`: width and height of the image in its file, and scale, left and
/// top of its [`Placement`].
const PLACEMENT_VALUES: usize = 5;
