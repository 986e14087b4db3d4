//! Waiting for the device, and reading back.
//!
//! Natively a device calls back only while it is polled, so each future of this file polls it, which blocks until its work is done.
//! In a browser polling returns at once, and the browser calls back when the work is done.

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
    /// Copies a range to the host. The future is ready once the device has done all work submitted before this call.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or refused earlier work.
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
            // This fails where the future was dropped, and nobody waits.
            let _ = sender.send(result);
        });
        let gpu = self.clone();
        async move {
            gpu.arrival(mapped).await?.map_err(reading_failed)?.map_err(reading_failed)?;
            let view = staging.slice(..).get_mapped_range().map_err(reading_failed)?;
            Ok(bytemuck::pod_collect_to_vec(&view))
        }
    }

    /// The future is ready once the device has done all work submitted before this call.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or refused earlier work.
    pub fn wait_async(&self) -> impl Future<Output = Result<()>> + use<> {
        let (sender, done) = oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // This fails where the future was dropped, and nobody waits.
            let _ = sender.send(());
        });
        let gpu = self.clone();
        async move { gpu.arrival(done).await?.map_err(waiting_failed) }
    }

    /// What a callback of the device sends, once it has been called.
    async fn arrival<T>(&self, from: oneshot::Receiver<T>) -> Result<Result<T, oneshot::Canceled>> {
        self.poll()?;
        let sent = from.await;
        self.check()?;
        Ok(sent)
    }

    /// Natively waits until the device has done all submitted work and has called back; in a browser does nothing.
    fn poll(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.check()?;
        polled.map(drop).map_err(waiting_failed)
    }
}
