//! Opens data sets of files: decodes them first where that is asked for, and leaves bad ones out.

use super::cache::{Cached, OpenEvent, check};
use super::layout::{Decoder, Files, Layout, Part};
use super::listing::{Entry, Skipped};
use super::shared::shared_files;
use super::{Meaning, Source};
use crate::error::{Error, Result};
use std::sync::Arc;

/// The largest number of classes: labels are u16.
const MOST_CLASSES: usize = 1 << 16;

/// Files that a note names. Further ones are only counted.
const MOST_NAMED: usize = 3;

/// The name of the table of files that were left out.
const SKIPPED: &str = "skipped.csv";

/// Where the decoded files of a part come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stored<D> {
    /// Each is decoded when it is read.
    Files(Files<D>),
    /// They are in a cache.
    Cached(Cached<D>),
}

#[cfg(feature = "audio")]
impl<D: Decoder> Stored<D> {
    /// The files.
    pub fn files(&self) -> &Files<D> {
        match self {
            Self::Files(files) => files,
            Self::Cached(cached) => &cached.files,
        }
    }
}

/// A part of a set of files.
pub(super) struct OpenedPart<D> {
    pub stored: Stored<D>,
    pub labels: Vec<u16>,
}

/// A set of files.
pub(super) struct Opened<D> {
    pub meaning: Meaning,
    pub train: OpenedPart<D>,
    pub test: OpenedPart<D>,
    /// Number of training files at the end that are for validation.
    pub held_out: usize,
    /// Files that were left out.
    pub skipped: Arc<[Skipped]>,
}

/// The cache of the files of all parts, and the position of each file in it.
struct CachedAll<D> {
    cache: Cached<D>,
    places: Vec<u32>,
}

impl Source<'_> {
    /// The files of this layout. With a cache or `skip_bad`, all are decoded. A cache of files that
    /// are sorted by name does not depend on how they are divided into parts.
    ///
    /// # Errors
    /// [`Error::Setting`] if a part has no files; with a cache or `skip_bad`, the errors of the
    /// files.
    pub(super) fn of_layout<D: Decoder>(
        &self,
        mut layout: Layout,
        decoder: D,
        report: &mut dyn FnMut(OpenEvent<'_>),
    ) -> Result<Opened<D>> {
        check_count(&layout.meaning)?;
        let cached = match self.cache.is_some() || self.skip_bad {
            true => self.decode_all(&mut layout, &decoder, report)?,
            false => None,
        };
        let Layout { listing, meaning, mut train, validation, test } = layout;
        let counted = [listing.passed_over(), left_out(&listing.skipped)];
        let shared = match self.name {
            "tiny-imagenet" | "food-101" => vec![],
            _ => {
                let parts = [("training", &train), ("validation", &validation), ("test", &test)];
                shared_files(&listing, parts.map(|(part, files)| (part, files.entries.iter().collect())))
            }
        };
        let notes = listing.notes.iter().cloned().chain(counted.into_iter().flatten()).chain(shared);
        notes.for_each(|note| report(OpenEvent::Note(&note)));
        let (root, many) = (listing.root.display(), listing.kind.many);
        let part = |part: Part, first: usize| {
            if part.entries.is_empty() {
                let message = format!("expected training and test {many} in {root}, found none of one");
                return Err(Error::setting("data_dir", message));
            }
            let count = part.entries.len();
            let files = Files::new(&listing.root, part.entries, decoder.clone());
            let stored = match &cached {
                Some(all) => Stored::Cached(all.cache.part(files, &all.places[first..][..count])),
                None => Stored::Files(files),
            };
            Ok(OpenedPart { stored, labels: part.labels })
        };
        let held_out = validation.entries.len();
        train.append(validation);
        let after = train.entries.len();
        let (train, test) = (part(train, 0)?, part(test, after)?);
        if train.labels.len() == held_out {
            return Err(Error::setting("data_dir", format!("expected training {many} in {root}, found none")));
        }
        Ok(Opened { meaning, train, test, held_out, skipped: listing.skipped.into() })
    }

    /// Decodes all files of the layout, and removes the bad ones from it with `skip_bad`. Returns
    /// the cache, if there is one.
    fn decode_all<D: Decoder>(
        &self,
        layout: &mut Layout,
        decoder: &D,
        report: &mut dyn FnMut(OpenEvent<'_>),
    ) -> Result<Option<CachedAll<D>>> {
        let Layout { listing, train, validation, test, .. } = layout;
        let all: Vec<Entry> = [&*train, validation, test].map(|part| part.entries.clone()).concat();
        let mut order: Vec<usize> = (0..all.len()).collect();
        if D::SORTED {
            order.sort_by(|a, b| all[*a].name.cmp(&all[*b].name));
        }
        let sorted = order.iter().map(|i| all[*i].clone()).collect();
        let files = Files::new(&listing.root, sorted, decoder.clone());
        let checked = check(&files, self.cache, self.skip_bad, report)?;
        let mut good = vec![true; all.len()];
        checked.bad.iter().for_each(|(bad, _)| good[order[*bad as usize]] = false);
        let mut place_of = vec![0; all.len()];
        order.iter().filter(|i| good[**i]).zip(0u32..).for_each(|(i, place)| place_of[*i] = place);
        let (of_train, rest) = good.split_at(train.entries.len());
        let (of_validation, of_test) = rest.split_at(validation.entries.len());
        train.keep(of_train);
        validation.keep(of_validation);
        test.keep(of_test);
        listing.skipped.extend(checked.bad.into_iter().map(|(_, skipped)| skipped));
        let places = place_of.into_iter().zip(&good).filter(|(_, good)| **good).map(|(place, _)| place).collect();
        Ok(checked.cache.map(|cache| CachedAll { cache, places }))
    }
}

/// Refuses more classes than labels can count.
fn check_count(meaning: &Meaning) -> Result<()> {
    match meaning {
        Meaning::Classes(names) if names.len() > MOST_CLASSES => {
            let message = format!("expected at most {MOST_CLASSES} classes, found {}", names.len());
            Err(Error::setting("data_dir", message))
        }
        _ => Ok(()),
    }
}

/// A note about the files that were left out, if there are any.
pub(super) fn left_out(skipped: &[Skipped]) -> Option<String> {
    let named = skipped.iter().take(MOST_NAMED).map(|Skipped { file, reason }| format!("{file}: {reason}"));
    let more = if skipped.len() > MOST_NAMED { "; ..." } else { "" };
    let named = named.collect::<Vec<_>>().join("; ");
    let count = skipped.len();
    (count > 0).then(|| format!("{count} bad files are left out; a run lists them in {SKIPPED}: {named}{more}"))
}

/// The table of the files that were left out, as a file of a run; none if there are none.
pub(super) fn table_of_skipped(skipped: &[Skipped]) -> Vec<(&'static str, Vec<u8>)> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let row = |Skipped { file, reason }: &Skipped| format!("{},{}\n", quoted(file), quoted(reason));
    let table = std::iter::once("file,reason\n".to_owned()).chain(skipped.iter().map(row)).collect::<String>();
    if skipped.is_empty() { vec![] } else { vec![(SKIPPED, table.into_bytes())] }
}
