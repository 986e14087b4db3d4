//! Pictures of images with boxes, for `lerac info --plot`.

use super::progress::opening;
use super::{OverwriteArgs, check_files, print};
use crate::data::{
    Augmentation, BOX_VALUES, Batch, BoxAugmentation, BoxOptions, BoxSplits, BoxedPictures, Difficult, Draw, Examples,
    Source, VocTrain, VocYears,
};
use crate::error::Result;
use crate::study::plots::{ImagePanel, NamedBox, draw_boxes, images};
use clap::Args;
use image::{Rgb, RgbImage};
use std::path::Path;

/// Images that are drawn.
const IMAGES: usize = 6;

/// Smaller images are enlarged to at least this side, pixels.
const LEAST_SIDE: usize = 320;

/// How boxes are read and drawn.
#[derive(Debug, Args)]
pub(super) struct BoxArgs {
    /// voc: years to read [default: all that are there]
    #[arg(long, requires = "subject", value_enum, help_heading = "Boxes")]
    voc_years: Option<VocYears>,
    /// voc: lists of training images [default: train]
    #[arg(long, requires = "subject", value_enum, help_heading = "Boxes")]
    voc_train: Option<VocTrain>,
    /// voc: leave difficult objects out, or keep them apart [default: drop]
    #[arg(long, requires = "subject", value_enum, help_heading = "Boxes")]
    difficult: Option<Difficult>,
    /// Draw augmented images: flip half of them
    #[arg(long, requires = "plot", help_heading = "Boxes")]
    flip: bool,
    /// Draw augmented images, resized by a factor of up to this much more or less than 1
    #[arg(long, requires = "plot", allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")]
    scale: f64,
    /// Draw augmented images, moved by up to this fraction of the side each way
    #[arg(long, requires = "plot", allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")]
    translate: f64,
    /// Draw augmented images: probability of a mosaic of four
    #[arg(long, requires = "plot", allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")]
    mosaic: f64,
    /// Draw augmented images: probability of a mixture of two
    #[arg(long, requires = "plot", allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")]
    box_mixup: f64,
    /// Draw augmented images: largest change of hue, saturation and value
    #[arg(long, requires = "plot", value_name = "H,S,V", value_parser = three_numbers, help_heading = "Boxes")]
    hsv: Option<[f64; 3]>,
}

fn three_numbers(text: &str) -> Result<[f64; 3], String> {
    let numbers = text.split(',').map(|number| number.trim().parse()).collect::<Result<Vec<f64>, _>>();
    numbers.ok().and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| "expected HUE,SATURATION,VALUE".into())
}

impl BoxArgs {
    /// How boxes are read.
    pub(super) fn options(&self) -> BoxOptions {
        BoxOptions {
            voc_years: self.voc_years,
            voc_train: self.voc_train,
            difficult: self.difficult,
            augmentation: BoxAugmentation {
                scale: self.scale,
                translate: self.translate,
                mosaic: self.mosaic,
                mixup: self.box_mixup,
                hsv: self.hsv.unwrap_or_default(),
            },
        }
    }

    /// The augmentation that sets of boxes share with other images.
    pub(super) fn flip(&self) -> Augmentation {
        Augmentation { flip: self.flip, ..Augmentation::default() }
    }
}

/// Draws the first training images with their boxes, and prints the size of the set. With
/// augmentation the images are those of the first epoch under seed 0.
pub(super) fn plot(source: &Source<'_>, path: &Path, overwrite: &OverwriteArgs) -> Result<()> {
    let inputs = source.directories().into_iter().map(|dir| ("data_dir", dir));
    check_files(&overwrite.reading(inputs), &[("plot", &Some(path.to_owned()))])?;
    let BoxSplits { train, test } = opening(false, |report| source.open_boxes(report))?;
    let shown = (train.len() - train.held_out()).min(IMAGES);
    images(path, &(0..shown).map(|index| panel(&train, index)).collect::<Result<Vec<_>>>()?)?;
    let form = train.form();
    let classes = form.boxes().map_or(&[][..], |boxes| boxes.classes);
    let mut counts = vec![0; classes.len()];
    for part in [&train, &test] {
        let objects = (0..part.len()).flat_map(|index| part.objects(index));
        objects.for_each(|object| counts[usize::from(object.class)] += 1);
    }
    let counted: Vec<_> = classes.iter().zip(&counts).map(|(class, count)| format!("{class} {count}")).collect();
    print(&format!(
        "{}: {} training images, {} of them for validation, {} test images; objects: {}; images are drawn in {}",
        source.name,
        train.len(),
        train.held_out(),
        test.len(),
        counted.join(", "),
        path.display()
    ));
    Ok(())
}

/// An example as a model reads it.
fn panel(train: &BoxedPictures, index: usize) -> Result<ImagePanel> {
    let form = train.form();
    let (pixels, boxes) = (form.pixels().expect("images have pixels"), form.boxes().expect("images have boxes"));
    let batch = Batch::gather(train, &[index as u32], 1, Some(Draw { seed: 0, epoch: 0 }))?;
    let [_, height, width] = pixels.image;
    let zoom = LEAST_SIDE.div_ceil(width);
    let bytes: &[u8] = bytemuck::cast_slice(&batch.columns[pixels.place]);
    let mut image = RgbImage::from_fn((zoom * width) as u32, (zoom * height) as u32, |x, y| {
        let at = y as usize / zoom * width + x as usize / zoom;
        Rgb([0, 1, 2].map(|channel| bytes[channel * height * width + at]))
    });
    let rows: &[f32] = bytemuck::cast_slice(&batch.columns[form.inputs.len() + boxes.place]);
    let objects = rows.chunks_exact(BOX_VALUES).filter(|row| row[0] >= 0.0);
    let named: Vec<NamedBox> = objects.map(|row| named(row, boxes.classes, [zoom * width, zoom * height])).collect();
    draw_boxes(&mut image, &named)?;
    let file = train.file_of(index).unwrap_or_default();
    Ok(ImagePanel { title: file.rsplit('/').next().unwrap_or_default().to_owned(), image })
}

/// The box of a row (class, centre x, centre y, width, height, difficult).
fn named(row: &[f32], classes: &[String], size: [usize; 2]) -> NamedBox {
    let class = row[0] as usize;
    let [w, h] = size.map(|side| side as f32);
    let corners = [
        w * (row[1] - row[3] / 2.0),
        h * (row[2] - row[4] / 2.0),
        w * (row[1] + row[3] / 2.0),
        h * (row[2] + row[4] / 2.0),
    ];
    let mark = if row[5] > 0.0 { " (difficult)" } else { "" };
    NamedBox { class, caption: format!("{}{mark}", classes[class]), corners }
}
