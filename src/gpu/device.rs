//! An open device: limits, buffers and the pipelines that it has compiled.

use super::faults::Faults;
use super::kernel::Pipeline;
use super::pipeline_cache::PipelineCache;
use super::{
    Access, AdapterChoice, AdapterInfo, AdapterKind, Buffer, BufferRange, Dialect, Kernel, PackedLoad, SubgroupShare,
    adapter, first_launch,
};
use crate::cores::in_parallel;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// How to open a device.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Which adapter.
    pub adapter: AdapterChoice,
    /// WebGPU's default limits exactly, even where the adapter grants larger buffers. Tests use it.
    pub default_limits: bool,
    /// Fill fresh buffers with NaN. Tests use it. (Guard words behind them would prove nothing: a binding ends with its range, and
    /// what a kernel writes behind it lands nowhere or on the last element, which a comparison with the reference sees.)
    pub poison: bool,
    /// The forms that kernels take; by default those that suit the adapter.
    pub dialect: Option<Dialect>,
    /// Directory for what the driver has compiled, where the driver gives it out; none keeps nothing.
    pub cache: Option<PathBuf>,
}

/// The limits that matter to a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Limits {
    /// Largest range that a kernel can see as one storage array, bytes.
    pub binding_bytes: u64,
    /// Largest buffer, bytes.
    pub buffer_bytes: u64,
    /// Workgroups per dimension of a grid.
    pub grid: u32,
}

/// A quiet NaN with a payload that arithmetic does not produce.
const POISON: u32 = 0x7fc0_dead;

type PipelineKey = (String, &'static str, Vec<Access>);

/// The forms that kernels take on this adapter where nothing else is asked for.
fn usual_dialect(info: &AdapterInfo, adapter: &wgpu::Adapter) -> Dialect {
    let software = info.kind == AdapterKind::Software;
    let has = |feature| software && adapter.features().contains(feature);
    let lanes = match adapter.get_info().subgroup_min_size {
        8.. => SubgroupShare::Of8,
        4.. => SubgroupShare::Of4,
        _ => SubgroupShare::None,
    };
    Dialect {
        packed_load: if has(wgpu::Features::SHADER_INT64) { PackedLoad::U64x2 } else { PackedLoad::Vec4 },
        subgroup_share: if has(wgpu::Features::SUBGROUP) { lanes } else { SubgroupShare::None },
    }
}

/// An open device. A clone is another handle of it: it shares the device, its faults and its compiled kernels.
#[derive(Clone)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) faults: Faults,
    info: Arc<AdapterInfo>,
    poison: bool,
    dialect: Dialect,
    /// What further devices are opened on to share first launches; none in those, and where drivers compile before.
    adapter: Option<wgpu::Adapter>,
    pipelines: Arc<Mutex<HashMap<PipelineKey, Arc<Pipeline>>>>,
    pub(super) cache: Option<Arc<PipelineCache>>,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({}, {})", self.info.name, self.info.backend)
    }
}

impl Gpu {
    /// Opens the adapter that `options` choose.
    ///
    /// # Errors
    /// [`Error::Adapter`] where none is found, none fits, or the driver refuses to open it.
    pub async fn open_async(options: &GpuOptions) -> Result<Self> {
        let (info, adapter) = adapter::request(&options.adapter).await?;
        let mut gpu = Self::on(&adapter, info.into(), options, wgpu::MemoryHints::Performance).await?;
        gpu.adapter = first_launch::is_needed(&gpu.info).then_some(adapter);
        Ok(gpu)
    }

    /// Another device of the same adapter, which holds little.
    pub(super) async fn sibling(&self, adapter: &wgpu::Adapter) -> Result<Self> {
        let options = GpuOptions { dialect: Some(self.dialect), ..GpuOptions::default() };
        Self::on(adapter, self.info.clone(), &options, wgpu::MemoryHints::MemoryUsage).await
    }

    async fn on(
        adapter: &wgpu::Adapter,
        info: Arc<AdapterInfo>,
        options: &GpuOptions,
        memory_hints: wgpu::MemoryHints,
    ) -> Result<Self> {
        let granted = adapter.limits();
        let mut limits = wgpu::Limits::defaults();
        if !options.default_limits {
            limits.max_buffer_size = granted.max_buffer_size;
            limits.max_storage_buffer_binding_size = granted.max_storage_buffer_binding_size;
        }
        let dialect = options.dialect.unwrap_or_else(|| usual_dialect(&info, adapter));
        let mut features = adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE);
        features.set(wgpu::Features::SHADER_INT64, dialect.packed_load == PackedLoad::U64x2);
        features.set(wgpu::Features::SUBGROUP, dialect.subgroup_share != SubgroupShare::None);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("lerac"),
            required_features: features,
            required_limits: limits,
            memory_hints,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::Adapter(format!("{} cannot be opened: {error}", info.name)))?;
        let cache = options.cache.as_deref().and_then(|dir| PipelineCache::open(&device, &adapter.get_info(), dir));
        Ok(Self {
            faults: Faults::of(&device),
            device,
            queue,
            info,
            poison: options.poison,
            dialect,
            adapter: None,
            pipelines: Arc::default(),
            cache: cache.map(Arc::new),
        })
    }

    /// What is known of the adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// The forms that its kernels take.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The limits that this device was opened with.
    pub fn limits(&self) -> Limits {
        let limits = self.device.limits();
        Limits {
            // Kernels count elements in 32 bits.
            binding_bytes: limits.max_storage_buffer_binding_size.min(u32::MAX.into()),
            buffer_bytes: limits.max_buffer_size,
            grid: limits.max_compute_workgroups_per_dimension,
        }
    }

    /// A buffer of `bytes` bytes (a multiple of 4), zeroed; usable in every role.
    ///
    /// # Errors
    /// [`Error::Capacity`] where the device has no room.
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer> {
        assert!(bytes > 0 && bytes.is_multiple_of(4), "{label}: a buffer of {bytes} bytes");
        use wgpu::BufferUsages as Usage;
        let descriptor = wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: Usage::STORAGE | Usage::UNIFORM | Usage::COPY_SRC | Usage::COPY_DST | Usage::QUERY_RESOLVE,
            mapped_at_creation: false,
        };
        let raw = self.caught(|| self.device.create_buffer(&descriptor)).map_err(|error| {
            let advice = "a smaller `batch_size` needs less";
            Error::Capacity(format!("{label}: the device has no room for {bytes} bytes; {advice} ({error})"))
        })?;
        let buffer = Buffer { raw, bytes };
        if self.poison {
            let words = vec![POISON; (bytes / 4) as usize];
            self.queue.write_buffer(&buffer.raw, 0, bytemuck::cast_slice(&words));
        }
        Ok(buffer)
    }

    /// Writes `data` at `offset` bytes of a buffer or range, in order with submitted work.
    ///
    /// # Panics
    /// If it does not fit.
    pub fn write<T: bytemuck::Pod>(&self, to: impl Into<BufferRange>, offset: u64, data: &[T]) {
        let (to, bytes): (BufferRange, &[u8]) = (to.into(), bytemuck::cast_slice(data));
        assert!(
            offset + bytes.len() as u64 <= to.bytes,
            "{} bytes at {offset} leave a range of {}",
            bytes.len(),
            to.bytes
        );
        self.queue.write_buffer(&to.buffer.raw, to.offset + offset, bytes);
    }

    /// Ends the device, as a driver does that loses it. Tests use it.
    pub fn lose(&self) {
        self.device.destroy();
    }

    /// Compiles what is not compiled yet of `kernels`, each with the accesses of its bindings: equal ones once, on all cores. On a
    /// software adapter it launches them, too, and waits for all submitted work: some of their drivers compile only then.
    ///
    /// # Errors
    /// [`Error::Device`] with the shader's name where the device refuses a kernel.
    pub fn compile<'k>(&self, kernels: impl IntoIterator<Item = (&'k Kernel, Vec<Access>)>) -> Result<()> {
        let keyed = kernels.into_iter().map(|(kernel, accesses)| (self.key(kernel, &accesses), kernel));
        let distinct: HashMap<PipelineKey, &Kernel> = keyed.collect();
        let mut wanted: Vec<_> = distinct.into_iter().filter(|(key, _)| !self.compiled().contains_key(key)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        // Long files first: most kernels that take long to compile are in them, and what is begun last is waited for alone.
        wanted.sort_by(|((a, ..), _), ((b, ..), _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        in_parallel(wanted.iter(), |(key, kernel)| -> Result<()> {
            let pipeline = Pipeline::compile(self, kernel, &key.2)?;
            self.compiled().insert(key.clone(), Arc::new(pipeline));
            Ok(())
        })?;
        self.cache.iter().for_each(|cache| cache.save());
        if let Some(adapter) = &self.adapter {
            let launches: Vec<_> = wanted.iter().map(|(key, kernel)| (*kernel, &key.2[..])).collect();
            self.launch_first(adapter, &launches);
        }
        Ok(())
    }

    pub(super) fn pipeline(&self, kernel: &Kernel, accesses: &[Access]) -> Result<Arc<Pipeline>> {
        let key = self.key(kernel, accesses);
        if !self.compiled().contains_key(&key) {
            self.compile([(kernel, accesses.to_vec())])?;
        }
        Ok(self.compiled()[&key].clone())
    }

    fn key(&self, kernel: &Kernel, accesses: &[Access]) -> PipelineKey {
        (kernel.wgsl(self.dialect), kernel.entry, accesses.to_vec())
    }

    fn compiled(&self) -> MutexGuard<'_, HashMap<PipelineKey, Arc<Pipeline>>> {
        self.pipelines.lock().expect("the table is only read and written")
    }
}
