//! Prepares the next batches on a thread.

use super::{Batch, Draw, Examples, epoch_order};
use crate::cores;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Batches that are prepared in advance, at most.
const PREFETCHED: usize = 4;

/// An iterator over batches that a thread prepares in advance.
///
/// It ends after an error: an example cannot be read, or the thread cannot be started. Dropping the
/// loader ends the thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Result<Batch>>>,
    recycled: Sender<Batch>,
    thread: Option<JoinHandle<()>>,
}

/// The thread's ends of both channels.
struct Worker {
    batches: SyncSender<Result<Batch>>,
    recycled: Receiver<Batch>,
}

impl Worker {
    /// Sends the batch that `fill` fills, or the error. The memory of a recycled batch is reused.
    ///
    /// Returns whether the worker continues: not after an error, and not after the loader was
    /// dropped.
    fn send(&self, fill: impl FnOnce(&mut Batch) -> Result<()>) -> bool {
        let mut batch = self.recycled.try_recv().unwrap_or_default();
        let filled = fill(&mut batch);
        let is_ok = filled.is_ok();
        self.batches.send(filled.map(|()| batch)).is_ok() && is_ok
    }
}

impl Loader {
    fn start(work: impl FnOnce(&Worker) + Send + 'static) -> Self {
        let (batches, receiver) = sync_channel(PREFETCHED);
        let (sender, recycled) = channel();
        let first = batches.clone();
        let started = cores::spawn("loader", move || work(&Worker { batches, recycled }));
        let thread = started.map_err(|error| {
            first.send(Err(error)).expect("the receiver exists, and the channel is empty");
        });
        Self { batches: Some(receiver), recycled: sender, thread: thread.ok() }
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
        Self::start(move |worker| {
            let form = data.form();
            let mut done = (step % steps_per_epoch) as usize;
            for epoch in step / steps_per_epoch.. {
                let order = epoch_order(&indices, seed, epoch);
                let draw = Some(Draw { seed, epoch });
                for chunk in order.chunks_exact(batch_size).skip(std::mem::take(&mut done)) {
                    if !worker.send(|batch| batch.fill(&*data, &form, chunk, batch_size, draw)) {
                        return;
                    }
                }
            }
        })
    }

    /// The examples `indices` once, in order and without augmentation. The last batch may be
    /// partial.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    pub fn evaluation(data: Arc<dyn Examples>, indices: Arc<[u32]>, batch_size: usize) -> Self {
        assert!(batch_size > 0, "a batch holds at least one example");
        Self::start(move |worker| {
            let form = data.form();
            for chunk in indices.chunks(batch_size) {
                if !worker.send(|batch| batch.fill(&*data, &form, chunk, batch_size, None)) {
                    return;
                }
            }
        })
    }

    /// Returns a batch after use, so that a later batch reuses its memory. If all batches are
    /// returned, the loader does not allocate.
    pub fn recycle(&self, batch: Batch) {
        // If the thread has ended, the memory is freed here.
        let _ = self.recycled.send(batch);
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        self.batches.as_ref()?.recv().ok()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the message was printed, and the iteration has ended early.
            let _ = thread.join();
        }
    }
}
