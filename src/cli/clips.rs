//! Pictures of the clips of a data set, for `lerac info --plot`.

use super::progress::open_data;
use super::{OverwriteArgs, check_files, print};
use crate::data::{Batch, Examples, Source};
use crate::error::Result;
use crate::study::plots::{SpectrogramPanel, spectrograms};
use std::path::Path;

/// Clips that are drawn.
const CLIPS: usize = 8;

/// Draws the spectrograms of a clip of each of the first classes, and prints the size of the set.
pub(super) fn plot(source: &Source<'_>, path: &Path, overwrite: &OverwriteArgs) -> Result<()> {
    let inputs = source.directories().into_iter().map(|dir| ("data_dir", dir));
    check_files(&overwrite.reading(inputs), &[("plot", &Some(path.to_owned()))])?;
    let splits = open_data(source, false)?;
    let train = &*splits.train;
    let panels = first_of_each_class(train)?.into_iter().map(|index| panel(source, train, index));
    spectrograms(path, &panels.collect::<Result<Vec<_>>>()?)?;
    let [_, bands, frames] = source.sound.input(source.name).image();
    print(&format!(
        "{}: {} training clips, {} of them for validation, {} test clips, {} classes; spectrograms of {bands} bands x \
         {frames} frames; clips are drawn in {}",
        source.name,
        train.len(),
        train.held_out(),
        splits.test.len(),
        train.form().classes().len(),
        path.display()
    ));
    Ok(())
}

fn label(data: &dyn Examples, index: usize) -> Result<usize> {
    let mut label = [0];
    data.targets(index, &mut [&mut label]).map(|()| label[0] as usize)
}

/// The first clip of each of the first [`CLIPS`] classes.
fn first_of_each_class(data: &dyn Examples) -> Result<Vec<usize>> {
    let mut found = vec![None; data.form().classes().len().min(CLIPS)];
    for index in 0..data.len() {
        if let Some(place) = found.get_mut(label(data, index)?) {
            place.get_or_insert(index);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

fn panel(source: &Source<'_>, data: &dyn Examples, index: usize) -> Result<SpectrogramPanel> {
    let input = source.sound.input(source.name);
    let batch = Batch::gather(data, &[index as u32], 1, None)?;
    let bytes: &[u8] = bytemuck::cast_slice(&batch.columns[0]);
    let (form, label) = (data.form(), label(data, index)?);
    let class = &form.classes()[label];
    let file = data.file_of(index).unwrap_or_default();
    let values = bytes[..input.mel_bands * input.frames()].to_vec();
    Ok(SpectrogramPanel { title: format!("{class}: {file}"), values, bands: input.mel_bands, seconds: input.duration })
}
