//! A thread that keeps the next batches ready.

use super::{Batch, Draw, Examples, epoch_order};
use crate::cores;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Batches that wait, at most.
const AHEAD: usize = 4;

/// An iterator over batches that a thread makes ahead. After an error it ends: one of an example's file, or that there is no thread.
/// Dropping it ends the thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Result<Batch>>>,
    spent: Sender<Batch>,
    thread: Option<JoinHandle<()>>,
}

/// The thread's ends of both channels.
struct Worker {
    batches: SyncSender<Result<Batch>>,
    spent: Receiver<Batch>,
}

impl Worker {
    /// Sends the batch that `fill` makes, in a spent one's memory where there is one, or what went wrong; false once that, or the
    /// loader, is gone.
    fn send(&self, fill: impl FnOnce(&mut Batch) -> Result<()>) -> bool {
        let mut batch = self.spent.try_recv().unwrap_or_default();
        let filled = fill(&mut batch);
        let goes_on = filled.is_ok();
        self.batches.send(filled.map(|()| batch)).is_ok() && goes_on
    }
}

impl Loader {
    fn start(work: impl FnOnce(&Worker) + Send + 'static) -> Self {
        let (batches, receiver) = sync_channel(AHEAD);
        let (sender, spent) = channel();
        let first = batches.clone();
        let started = cores::spawn("loader", move || work(&Worker { batches, spent }));
        let thread = started.map_err(|refusal| {
            first.send(Err(refusal)).expect("the receiver is here, and the channel empty");
        });
        Self { batches: Some(receiver), spent: sender, thread: thread.ok() }
    }

    /// The next batch, where there must be one.
    ///
    /// # Errors
    /// Those of the examples' files; [`Error::Device`] where the thread has ended.
    pub(crate) fn next_batch(&mut self) -> Result<Batch> {
        self.next().ok_or_else(|| Error::Device("the loader's thread has ended".into()))?
    }

    /// Whole batches of epoch after epoch, without end, those of [`Batch::of_epoch`], from the batch after the first `step` on.
    ///
    /// # Panics
    /// If `indices` do not fill one batch, or a batch holds nothing.
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

    /// All examples of `indices` once, in order and as they are; the last batch may be partial.
    ///
    /// # Panics
    /// If a batch holds nothing.
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

    /// Gives a spent batch's memory back for a later one; a caller who gives all of them back lets the loader go on without
    /// allocating.
    pub fn recycle(&self, batch: Batch) {
        // Where the thread has ended there is no later batch, and the memory is freed here.
        let _ = self.spent.send(batch);
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
            // A panic of the thread has ended the iteration early and was printed there.
            let _ = thread.join();
        }
    }
}
