//! Reading back. Asynchronous at its core; the blocking form is a thin native wrapper.

use super::{BufferRange, Gpu};
use crate::error::{Error, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

type MapResult = std::result::Result<(), wgpu::BufferAsyncError>;

#[derive(Default)]
struct Mapping {
    result: Option<MapResult>,
    waker: Option<Waker>,
}

/// Ready when the device has mapped the staging buffer.
struct Mapped(Arc<Mutex<Mapping>>);

impl Future for Mapped {
    type Output = MapResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MapResult> {
        let mut mapping = self.0.lock().expect("no panic while mapping");
        match mapping.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                mapping.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
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
        let mapping = Arc::new(Mutex::new(Mapping::default()));
        let shared = mapping.clone();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            let mut mapping = shared.lock().expect("no panic while mapping");
            mapping.result = Some(result);
            if let Some(waker) = mapping.waker.take() {
                waker.wake();
            }
        });
        let faults = self.faults.clone();
        async move {
            let mapped = Mapped(mapping).await;
            faults.check()?;
            mapped.map_err(|error| Error::Device(format!("reading back from the device failed: {error}")))?;
            let view = staging
                .slice(..)
                .get_mapped_range()
                .map_err(|error| Error::Device(format!("reading back from the device failed: {error}")))?;
            Ok(bytemuck::pod_collect_to_vec(&view))
        }
    }

    /// [`Gpu::read_async`], waiting.
    ///
    /// # Errors
    /// As [`Gpu::read_async`].
    pub fn read<T: bytemuck::Pod>(&self, range: &BufferRange) -> Result<Vec<T>> {
        let future = self.read_async(range);
        self.wait()?;
        pollster::block_on(future)
    }

    /// Waits until the device has done all submitted work.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or refused earlier work.
    pub fn wait(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.check()?;
        polled.map(|_| ()).map_err(|error| Error::Device(format!("waiting for the device failed: {error}")))
    }
}
