//! Prepares the next batches: on a thread, or in a browser, which has only one, when they are asked
//! for.

use super::{Batch, Draw, Examples, epoch_order};
use crate::cores;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Batches that are prepared in advance, at most.
const PREFETCHED: usize = 4;

/// Fills the next batch; `None` after the last one.
type Fill = Box<dyn FnMut(&mut Batch) -> Option<Result<()>> + Send>;

/// An iterator over batches. A thread prepares them in advance; in a browser, which has one thread,
/// each is prepared when it is asked for.
///
/// It ends after an error: an example cannot be read, or the thread cannot be started. Dropping the
/// loader ends the thread.
pub struct Loader(Source);

/// Where the batches are filled.
enum Source {
    Elsewhere(Thread),
    Here(Inline),
}

/// A thread that prepares batches.
struct Thread {
    batches: Option<Receiver<Result<Batch>>>,
    recycled: Sender<Batch>,
    handle: Option<JoinHandle<()>>,
}

/// Prepares a batch when it is asked for.
struct Inline {
    /// `None` after an error.
    fill: Option<Fill>,
    recycled: Vec<Batch>,
}

impl Thread {
    fn start(mut fill: Fill) -> Self {
        let (batches, receiver) = sync_channel(PREFETCHED);
        let (sender, recycled) = channel();
        let first = batches.clone();
        let work = move || while send_next(&mut fill, &batches, &recycled) {};
        let handle = cores::spawn("loader", work).map_err(|error| {
            first.send(Err(error)).expect("the receiver exists, and the channel is empty");
        });
        Self { batches: Some(receiver), recycled: sender, handle: handle.ok() }
    }
}

/// Sends the next batch, or the error. The memory of a recycled batch is reused.
///
/// Returns whether the thread continues: not after the last batch or an error, and not after the
/// loader was dropped.
fn send_next(fill: &mut Fill, batches: &SyncSender<Result<Batch>>, recycled: &Receiver<Batch>) -> bool {
    let mut batch = recycled.try_recv().unwrap_or_default();
    let Some(filled) = fill(&mut batch) else { return false };
    let is_ok = filled.is_ok();
    batches.send(filled.map(|()| batch)).is_ok() && is_ok
}

impl Inline {
    fn next(&mut self) -> Option<Result<Batch>> {
        let mut batch = self.recycled.pop().unwrap_or_default();
        let filled = self.fill.as_mut()?(&mut batch)?;
        if filled.is_err() {
            self.fill = None;
        }
        Some(filled.map(|()| batch))
    }
}

impl Loader {
    fn start(fill: impl FnMut(&mut Batch) -> Option<Result<()>> + Send + 'static) -> Self {
        Self::on_a_thread(cores::SEVERAL, Box::new(fill))
    }

    fn on_a_thread(thread: bool, fill: Fill) -> Self {
        Self(match thread {
            true => Source::Elsewhere(Thread::start(fill)),
            false => Source::Here(Inline { fill: Some(fill), recycled: vec![] }),
        })
    }

    /// The next batch of an endless loader.
    ///
    /// # Errors
    /// Those of [`Examples::read`]; [`Error::Device`] if the thread has ended.
    pub(crate) fn next_batch(&mut self) -> Result<Batch> {
        self.next().ok_or_else(|| Error::Device("the loader's thread has ended".into()))?
    }

    /// The batches of [`Batch::of_epoch`] for epoch after epoch, without end. The first `step`
    /// batches are skipped.
    ///
    /// # Panics
    /// If `batch_size` is 0, or there are fewer `indices`.
    pub fn training(data: Arc<dyn Examples>, indices: Arc<[u32]>, batch_size: usize, seed: u64, step: u64) -> Self {
        assert!(indices.len() >= batch_size && batch_size > 0, "an epoch holds at least one batch");
        let steps_per_epoch = (indices.len() / batch_size) as u64;
        let (form, mut order, mut steps) = (data.form(), vec![], step..);
        Self::start(move |batch| {
            let step = steps.next()?;
            let (epoch, place) = (step / steps_per_epoch, (step % steps_per_epoch) as usize);
            if place == 0 || order.is_empty() {
                order = epoch_order(&indices, seed, epoch);
            }
            let chunk = &order[place * batch_size..][..batch_size];
            Some(batch.fill(&*data, &form, chunk, batch_size, Some(Draw { seed, epoch })))
        })
    }

    /// The examples `indices` once, in order and without augmentation. The last batch may be
    /// partial.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    pub fn evaluation(data: Arc<dyn Examples>, indices: Arc<[u32]>, batch_size: usize) -> Self {
        assert!(batch_size > 0, "a batch holds at least one example");
        let (form, mut starts) = (data.form(), (0..indices.len()).step_by(batch_size));
        Self::start(move |batch| {
            let rest = &indices[starts.next()?..];
            let chunk = &rest[..rest.len().min(batch_size)];
            Some(batch.fill(&*data, &form, chunk, batch_size, None))
        })
    }

    /// Returns a batch after use, so that a later batch reuses its memory. If all batches are
    /// returned, the loader does not allocate.
    pub fn recycle(&mut self, batch: Batch) {
        match &mut self.0 {
            // If the thread has ended, the memory is freed here.
            Source::Elsewhere(thread) => drop(thread.recycled.send(batch)),
            Source::Here(inline) => inline.recycled.push(batch),
        }
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        match &mut self.0 {
            Source::Elsewhere(thread) => thread.batches.as_ref()?.recv().ok(),
            Source::Here(inline) => inline.next(),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(handle) = self.handle.take() {
            // If the thread panicked, the message was printed, and the iteration has ended early.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fill, Loader};
    use crate::data::Batch;
    use crate::error::Error;

    /// Fills `good` batches, then fails once, then fills more.
    fn counting(good: usize) -> Fill {
        let mut count = 0;
        Box::new(move |batch: &mut Batch| {
            count += 1;
            batch.count = count;
            (count < 9).then(|| if count == good + 1 { Err(Error::Failed("bad".into())) } else { Ok(()) })
        })
    }

    #[test]
    fn both_kinds_of_loader_return_the_same_batches() {
        for good in [0, 3, 20] {
            let [here, elsewhere] = [false, true].map(|thread| {
                let mut loader = Loader::on_a_thread(thread, counting(good));
                let mut found = vec![];
                while let Some(batch) = loader.next() {
                    found.push(batch.as_ref().map(|batch| batch.count).map_err(Error::to_string));
                    batch.into_iter().for_each(|batch| loader.recycle(batch));
                }
                found
            });
            assert_eq!(here, elsewhere);
            assert_eq!(here.len(), if good < 9 { good + 1 } else { 8 });
        }
    }
}
