//! Waiting for the device, and reading results back.
//!
//! Natively, a device runs its callbacks only while it is polled. So each future in this file polls
//! it, and blocks until its work is done. In a browser, polling returns at once, and the browser
//! runs the callback when the work is done.

use super::{BufferRange, Gpu};
use crate::error::{Error, Result};
use futures_channel::oneshot;
use std::fmt::Display;

fn reading_failed(reason: impl Display) -> Error {
    Error::Device(format!("reading back from the device failed: {reason}"))
}

fn waiting_failed(reason: impl Display) -> Error {
    Error::Device(format!("waiting for the device failed: {reason}"))
}

impl Gpu {
    /// Copies a range to the host. The future is ready when the device has done all work submitted
    /// before this call.
    ///
    /// # Errors
    /// [`Error::Device`] if the device is lost or rejected earlier work.
    pub fn read_async<T: bytemuck::Pod>(&self, range: &BufferRange) -> impl Future<Output = Result<Vec<T>>> + use<T> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: range.bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&range.buffer.raw, range.offset, &staging, 0, range.bytes);
        self.queue.submit([encoder.finish()]);
        let (sender, mapped) = oneshot::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // Sending fails if the future was dropped. Then nothing waits for it.
            let _ = sender.send(result);
        });
        let gpu = self.clone();
        async move {
            if let Err(fault) = gpu.await_callback(mapped).await?.map_err(reading_failed)? {
                // In a browser, a lost device reports the loss after the errors that it causes.
                gpu.wait_async().await?;
                return Err(reading_failed(fault));
            }
            let view = staging.slice(..).get_mapped_range().map_err(reading_failed)?;
            Ok(bytemuck::pod_collect_to_vec(&view))
        }
    }

    /// Waits until the device has done all work submitted before this call.
    ///
    /// # Errors
    /// [`Error::Device`] if the device is lost or rejected earlier work.
    pub fn wait_async(&self) -> impl Future<Output = Result<()>> + use<> {
        let (sender, done) = oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // Sending fails if the future was dropped. Then nothing waits for it.
            let _ = sender.send(());
        });
        let gpu = self.clone();
        async move { gpu.await_callback(done).await?.map_err(waiting_failed) }
    }

    /// Waits for the value that a callback of the device sends.
    async fn await_callback<T>(&self, receiver: oneshot::Receiver<T>) -> Result<Result<T, oneshot::Canceled>> {
        self.poll()?;
        let received = receiver.await;
        self.check()?;
        Ok(received)
    }

    /// Natively, waits until the device has done all submitted work and has run its callbacks. Does
    /// nothing in a browser.
    fn poll(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.check()?;
        polled.map(drop).map_err(waiting_failed)
    }
}
