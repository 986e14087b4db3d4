//! A thread that keeps the next batches ready.

use super::{Augmentation, Dataset, HostBatch};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Batches that wait, at most.
const AHEAD: usize = 4;

/// An iterator over batches that are made ahead by a thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<HostBatch>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    fn start(work: impl FnOnce(&SyncSender<HostBatch>) + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(AHEAD);
        let thread = thread::spawn(move || work(&sender));
        Self { batches: Some(receiver), thread: Some(thread) }
    }

    /// Whole batches of epoch after epoch, without end, from `first_epoch` on.
    pub fn training(
        data: Arc<Dataset>,
        indices: Arc<[u32]>,
        batch_size: usize,
        augmentation: Augmentation,
        seed: u64,
        first_epoch: u64,
    ) -> Self {
        assert!(indices.len() >= batch_size && batch_size > 0, "an epoch holds at least one batch");
        Self::start(move |sender| {
            for epoch in first_epoch.. {
                for batch in HostBatch::of_epoch(&data, &indices, batch_size, augmentation, seed, epoch) {
                    // The receiver is gone when the loader was dropped.
                    if sender.send(batch).is_err() {
                        return;
                    }
                }
            }
        })
    }

    /// All images of `indices` once, in order; the last batch may be partial.
    pub fn evaluation(data: Arc<Dataset>, indices: Arc<[u32]>, batch_size: usize) -> Self {
        Self::start(move |sender| {
            for chunk in indices.chunks(batch_size) {
                let batch = HostBatch::gather(&data, chunk, batch_size, || Augmentation::IDENTITY);
                if sender.send(batch).is_err() {
                    return;
                }
            }
        })
    }
}

impl Iterator for Loader {
    type Item = HostBatch;

    fn next(&mut self) -> Option<HostBatch> {
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
