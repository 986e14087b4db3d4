//! Shaders, kernels, and the pipelines compiled from them.

use super::dialect::SHARED_LOAD_CALL;
use super::{Access, AdapterInfo, Dialect, Gpu};
use crate::error::{Error, Result};
use std::fmt::Write;

/// A WGSL file.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// The file's name without its extension.
    pub name: &'static str,
    /// The file's text. The definitions of its [`Dialect`] are prepended to it.
    pub source: &'static str,
    /// Whether the file is one of this crate's `shaders/`, all of whose loops are bounded.
    built_in: bool,
}

impl Shader {
    /// A shader with loops of any form. As WebGPU requires, each is compiled with a counter that
    /// ends an infinite loop.
    ///
    /// ```
    /// use lerac::gpu::Shader;
    /// static DOUBLE: Shader = Shader::new(
    ///     "double",
    ///     "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    ///     @compute @workgroup_size(64)
    ///     fn main(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] *= 2.0; }",
    /// );
    /// ```
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, built_in: false }
    }

    /// A file of this crate's `shaders/`. Its loops must count up or down to a bound.
    pub(crate) const fn built_in(name: &'static str, source: &'static str) -> Self {
        Self { name, source, built_in: true }
    }

    /// The shader's name for messages.
    fn display_name(&self) -> String {
        if self.built_in { format!("shaders/{}.wgsl", self.name) } else { format!("shader {}", self.name) }
    }

    fn module(&self, device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
        if !self.built_in {
            return device.create_shader_module(descriptor);
        }
        // By default naga adds a counter to every loop, against infinite ones. Drivers do not
        // unroll such loops, so register tiles end up in memory, and a convolution takes 2 to 8
        // times as long (Mesa 22.3.6 llvmpipe). Bounds checks stay on.
        let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
        // SAFETY: all loops of the built-in shaders count up or down to a bound.
        #[allow(unsafe_code)]
        unsafe {
            device.create_shader_module_trusted(descriptor, checks)
        }
    }

    /// Whether some kernel of this file shares loads between the eight invocations of a workgroup.
    pub fn shares_loads(&self) -> bool {
        self.source.contains(SHARED_LOAD_CALL)
    }
}

/// The value of a compile-time constant of a kernel.
#[derive(Clone, Debug)]
pub enum Constant {
    /// A WGSL `u32`.
    U32(u32),
    /// A finite WGSL `f32`.
    F32(f32),
    /// A WGSL `bool`.
    Bool(bool),
    /// A WGSL `array<f32, _>` of finite numbers.
    Table(Vec<f32>),
}

impl From<usize> for Constant {
    /// Saturates at `u32::MAX`. A tensor with that many elements fits no device, and the memory
    /// plan rejects it before a kernel is compiled.
    fn from(value: usize) -> Self {
        Self::U32(u32::try_from(value).unwrap_or(u32::MAX))
    }
}

impl From<u32> for Constant {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for Constant {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// An entry point of a shader with the values of its constants. Plain data, not compiled yet.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The shader.
    pub shader: &'static Shader,
    /// The `@compute` function.
    pub entry: &'static str,
    /// Name and value of each `const` that the shader uses but does not define.
    pub constants: Vec<(&'static str, Constant)>,
}

impl Kernel {
    /// Shader and entry point, for messages.
    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.shader.display_name(), self.entry)
    }

    /// The WGSL text to compile: the constants, the dialect's definitions, then the file.
    pub fn wgsl(&self, dialect: Dialect) -> String {
        let mut text = String::new();
        for (name, value) in &self.constants {
            match value {
                Constant::U32(v) => writeln!(text, "const {name}: u32 = {v}u;"),
                Constant::F32(v) => writeln!(text, "const {name}: f32 = {v:?}f;"),
                Constant::Bool(v) => writeln!(text, "const {name}: bool = {v};"),
                Constant::Table(v) => {
                    let items: Vec<_> = v.iter().map(|v| format!("{v:?}f")).collect();
                    writeln!(text, "const {name} = array<f32, {}>({});", v.len(), items.join(", "))
                }
            }
            .expect("writing to a string");
        }
        text.push_str(&dialect.before(self.shader.source));
        text.push_str(self.shader.source);
        text
    }
}

/// A compiled kernel and the layout of its bindings.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

fn layout_entry(binding: usize, access: Access) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Uniform => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

/// The message for a kernel that the driver cannot compile, with the innermost cause only: the
/// outer ones are names of wgpu's types.
fn driver_refusal(kernel: &str, adapter: &AdapterInfo, error: &(dyn std::error::Error + 'static)) -> String {
    let cause = std::iter::successors(Some(error), |error| error.source()).last().expect("the error itself");
    format!(
        "{kernel}: the driver of adapter {}, {} ({}), cannot compile it: {cause}; choose another adapter of `lerac info` \
         with `adapter`",
        adapter.index, adapter.name, adapter.backend
    )
}

impl Pipeline {
    pub(super) fn compile(gpu: &Gpu, kernel: &Kernel, accesses: &[Access]) -> Result<Self> {
        gpu.caught(|| Self::create(gpu, kernel, accesses)).map_err(|error| match error {
            wgpu::Error::Internal { source, .. } => Error::Device(driver_refusal(&kernel.name(), gpu.info(), &*source)),
            _ => Error::Device(format!("{}: {error}", kernel.name())),
        })
    }

    fn create(gpu: &Gpu, kernel: &Kernel, accesses: &[Access]) -> Self {
        let (device, label) = (&gpu.device, format!("{}.{}", kernel.shader.name, kernel.entry));
        let label = Some(&label[..]);
        let source = wgpu::ShaderSource::Wgsl(kernel.wgsl(gpu.dialect()).into());
        let module = kernel.shader.module(device, wgpu::ShaderModuleDescriptor { label, source });
        let entries: Vec<_> = accesses.iter().enumerate().map(|(i, &access)| layout_entry(i, access)).collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(kernel.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: gpu.cache.as_ref().map(|cache| &cache.raw),
        });
        Self { raw, layout }
    }
}
