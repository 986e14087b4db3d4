//! Binding kernels to buffers and running them: one encoder, one compute pass and one submission.

use super::{Access, BufferRange, Gpu, Kernel, kernel::Pipeline};
use crate::error::{Error, Result};
use std::sync::Arc;

/// A compiled kernel with its bind group and grid. It can be run any number of times.
#[derive(Debug)]
pub struct Call {
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
}

/// Time of a call on the device, in seconds.
pub type Timing = f64;

impl Gpu {
    /// Compiles `kernel`, unless it is compiled already, and binds `ranges` in order from binding
    /// 0.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] with the shader's name if the device rejects the kernel, its
    /// bindings or its grid.
    pub fn call(&self, kernel: &Kernel, ranges: &[(BufferRange, Access)], grid: [u32; 3]) -> Result<Call> {
        let rejected = |reason: String| Err(Error::Device(format!("{}: {reason}", kernel.name())));
        let limit = self.limits().grid;
        if grid.iter().any(|&groups| groups > limit) {
            return rejected(format!("a grid of {grid:?} workgroups; this device allows {limit} per dimension"));
        }
        let accesses: Vec<_> = ranges.iter().map(|(_, access)| *access).collect();
        let pipeline = self.pipeline(kernel, &accesses)?;
        let entries: Vec<_> = ranges
            .iter()
            .enumerate()
            .map(|(i, (range, _))| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &range.buffer.raw,
                    offset: range.offset,
                    size: wgpu::BufferSize::new(range.bytes),
                }),
            })
            .collect();
        let descriptor =
            wgpu::BindGroupDescriptor { label: Some(kernel.entry), layout: &pipeline.layout, entries: &entries };
        match self.caught(|| self.device.create_bind_group(&descriptor)) {
            Ok(bind_group) => self.check().map(|()| Call { pipeline, bind_group, grid }),
            Err(error) => {
                let sizes: Vec<_> = ranges.iter().map(|(range, _)| range.bytes).collect();
                rejected(format!("bindings of {sizes:?} bytes: {error}"))
            }
        }
    }

    /// Submits the calls, in order, as one submission. Does not wait for them.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device is lost, or rejected this or earlier work.
    pub fn run<'a>(&self, calls: impl IntoIterator<Item = &'a Call>) -> Result<()> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            calls.into_iter().for_each(|call| call.encode(&mut pass));
        }
        self.queue.submit([encoder.finish()]);
        self.check()
    }

    /// Runs each call in its own compute pass and returns their times, or `None` if the adapter has
    /// no timestamps.
    ///
    /// # Errors
    /// See [`Gpu::run`].
    pub async fn run_timed_async(&self, calls: &[&Call]) -> Result<Option<Vec<Timing>>> {
        if !self.info().timestamps {
            return self.run(calls.iter().copied()).map(|()| None);
        }
        let mut timings = Vec::with_capacity(calls.len());
        // A query set holds at most 4,096 timestamps, two per call.
        for chunk in calls.chunks(2048) {
            timings.extend(self.run_timed_chunk(chunk).await?);
        }
        Ok(Some(timings))
    }

    async fn run_timed_chunk(&self, calls: &[&Call]) -> Result<Vec<Timing>> {
        let stamps = 2 * calls.len() as u32;
        let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: stamps,
        });
        let ticks = self.buffer("timestamps", u64::from(stamps) * 8)?;
        let mut encoder = self.device.create_command_encoder(&Default::default());
        for (i, call) in calls.iter().enumerate() {
            let first = 2 * i as u32;
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                }),
            });
            call.encode(&mut pass);
        }
        encoder.resolve_query_set(&queries, 0..stamps, &ticks.raw, 0);
        self.queue.submit([encoder.finish()]);
        let ticks: Vec<u64> = self.read_async(&ticks.whole()).await?;
        let seconds = f64::from(self.queue.get_timestamp_period()) * 1e-9;
        Ok(ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * seconds).collect())
    }
}

impl Call {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], self.grid[2]);
    }
}
