//! An open device: its limits, buffers and compiled pipelines.

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
    /// Which adapter to open.
    pub adapter: AdapterChoice,
    /// Requests WebGPU's default limits, even if the adapter supports larger buffers. For tests.
    pub default_limits: bool,
    /// Fills new buffers with NaN. For tests. Guard words after a buffer would detect nothing:
    /// bounds checks drop an out-of-range write or move it to the last element of the binding.
    /// A comparison with the reference detects the latter.
    pub poison: bool,
    /// The WGSL dialect of the kernels; `None` selects the one that suits the adapter.
    pub dialect: Option<Dialect>,
    /// Directory of the driver's pipeline cache. `None` keeps no cache.
    pub cache: Option<PathBuf>,
}

/// The device limits that a memory plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Limits {
    /// Size of the largest storage binding, in bytes.
    pub binding_bytes: u64,
    /// Size of the largest buffer, in bytes.
    pub buffer_bytes: u64,
    /// Most workgroups per dimension of a grid.
    pub grid: u32,
}

/// A quiet NaN whose payload arithmetic does not produce.
const POISON: u32 = 0x7fc0_dead;

type PipelineKey = (String, &'static str, Vec<Access>);

/// The dialect that suits an adapter. Browsers know no 64-bit integers, and need directives for
/// subgroups.
fn default_dialect(info: &AdapterInfo, adapter: &wgpu::Adapter) -> Dialect {
    let software = info.kind == AdapterKind::Software && !cfg!(target_family = "wasm");
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

/// An open device. A clone is another handle to the same device, errors and compiled kernels.
#[derive(Clone)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) faults: Faults,
    info: Arc<AdapterInfo>,
    poison: bool,
    dialect: Dialect,
    /// The adapter on which more devices are opened to share the first launches (see
    /// `first_launch.rs`). `None` on those devices, and if first launches do not compile.
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
    /// Opens the adapter that `options` select.
    ///
    /// # Errors
    /// [`Error::Adapter`] if there is no adapter, none matches, or the driver cannot open it.
    pub async fn open_async(options: &GpuOptions) -> Result<Self> {
        let (info, adapter) = adapter::request(&options.adapter).await?;
        let mut gpu = Self::on(&adapter, info.into(), options, wgpu::MemoryHints::Performance).await?;
        gpu.adapter = first_launch::is_needed(&gpu.info).then_some(adapter);
        Ok(gpu)
    }

    /// Opens another device on the same adapter, with little memory.
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
        let dialect = options.dialect.unwrap_or_else(|| default_dialect(&info, adapter));
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

    /// Properties of the adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// The WGSL dialect of the kernels.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The limits that this device was opened with.
    pub fn limits(&self) -> Limits {
        let limits = self.device.limits();
        Limits {
            // Kernels index elements with 32 bits.
            binding_bytes: limits.max_storage_buffer_binding_size.min(u32::MAX.into()),
            buffer_bytes: limits.max_buffer_size,
            grid: limits.max_compute_workgroups_per_dimension,
        }
    }

    /// Allocates a zeroed buffer of `bytes` bytes, a multiple of 4, with every usage that lerac
    /// needs.
    ///
    /// # Errors
    /// [`Error::Capacity`] if the device is out of memory.
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
            let advice = "try a smaller `batch_size`";
            Error::Capacity(format!("{label}: the device cannot allocate {bytes} bytes; {advice} ({error})"))
        })?;
        let buffer = Buffer { raw, bytes };
        if self.poison {
            let words = vec![POISON; (bytes / 4) as usize];
            self.queue.write_buffer(&buffer.raw, 0, bytemuck::cast_slice(&words));
        }
        Ok(buffer)
    }

    /// Writes `data` to a buffer or range, `offset` bytes from its start. Writes and submissions
    /// take effect in the order of their calls.
    ///
    /// # Panics
    /// If the data do not fit.
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

    /// Destroys the device, as if the driver had lost it. For tests.
    pub fn lose(&self) {
        self.device.destroy();
    }

    /// Compiles kernels on all cores, each given with the accesses of its bindings. Kernels that
    /// are compiled already, and duplicates, are skipped. On a software adapter, whose driver may
    /// compile only at the first launch, it also launches the kernels and waits for all submitted
    /// work.
    ///
    /// # Errors
    /// [`Error::Device`] with the shader's name if the device rejects a kernel.
    pub fn compile<'k>(&self, kernels: impl IntoIterator<Item = (&'k Kernel, Vec<Access>)>) -> Result<()> {
        let keyed = kernels.into_iter().map(|(kernel, accesses)| (self.key(kernel, &accesses), kernel));
        let distinct: HashMap<PipelineKey, &Kernel> = keyed.collect();
        let mut missing: Vec<_> = distinct.into_iter().filter(|(key, _)| !self.compiled().contains_key(key)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        // Longest sources first. They take longest to compile, and a long one started last would
        // keep one core busy while the others wait.
        missing.sort_by(|((a, ..), _), ((b, ..), _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        in_parallel(missing.iter(), |(key, kernel)| -> Result<()> {
            let pipeline = Pipeline::compile(self, kernel, &key.2)?;
            self.compiled().insert(key.clone(), Arc::new(pipeline));
            Ok(())
        })?;
        self.cache.iter().for_each(|cache| cache.save());
        if let Some(adapter) = &self.adapter {
            let launches: Vec<_> = missing.iter().map(|(key, kernel)| (*kernel, &key.2[..])).collect();
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
