//! The data loader without training: whether it or the device limits the speed.

use super::{Cell, Report, Seconds};
use crate::data::{Augmentation, Examples, Images, Loader, Pictures};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Batches of a run; fewer if each image is decoded from a file.
const BATCHES: usize = 64;
const BATCHES_OF_FILES: usize = 4;

/// A row for each kind of augmentation: images per second of the loader's thread.
///
/// # Errors
/// [`Error::Setting`] if the data set is smaller than a batch.
pub fn loader(data: &Pictures, batch_size: usize, runs: usize) -> Result<Report> {
    if data.len() < batch_size {
        let message = format!("{batch_size} does not fit into {} training images", data.len());
        return Err(Error::setting("batch_size", message));
    }
    let mut report = Report::new(&["data", "augmentation", "batch size", "images/s"]);
    let batches_of_run = if matches!(data.images, Images::Files(_)) { BATCHES_OF_FILES } else { BATCHES };
    let indices: Arc<[u32]> = (0..data.len() as u32).collect();
    let none = Augmentation::default();
    let moved = Augmentation { flip: true, shift: 4, ..none };
    let varied = Augmentation { random_resized_crop: Some(0.08), jitter: [0.4; 3], cutout: 8, ..none };
    for (name, augmentation) in
        [("none", none), ("flip, shift 4", moved), ("random resized crop, jitter, cutout 8", varied)]
    {
        let varied: Arc<dyn Examples> = Arc::new(Pictures { augmentation, ..data.clone() });
        let mut batches = Loader::training(varied, indices.clone(), batch_size, 0, 0);
        let seconds = Seconds::of(runs, || {
            for _ in 0..batches_of_run {
                let batch = batches.next_batch()?;
                batches.recycle(batch);
            }
            Ok(())
        })?;
        report.push(vec![
            data.name.as_str().into(),
            name.into(),
            batch_size.into(),
            Cell::Number((batches_of_run * batch_size) as f64 / seconds.median, 0),
        ]);
    }
    Ok(report)
}
