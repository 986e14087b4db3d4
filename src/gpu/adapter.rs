//! Lists the machine's adapters and chooses one.

use super::dx12::Compiler;
use crate::error::{Error, Result};

/// An adapter's kind of hardware, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// A graphics card with its own memory.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A virtual machine's GPU, or a GPU whose driver does not report its kind.
    Virtual,
    /// A driver that computes on the processor (Mesa's llvmpipe, WARP, SwiftShader).
    Software,
}

/// Properties of an adapter, known before it is opened.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterInfo {
    /// Position in the list of [`super::adapters`], usable as `--adapter INDEX`.
    pub index: usize,
    /// The name that the driver reports.
    pub name: String,
    /// The kind of hardware.
    pub kind: AdapterKind,
    /// Vulkan, Metal, Dx12, or BrowserWebGpu.
    pub backend: String,
    /// Driver name and version as reported; for DX12 also the compiler of the kernels, DXC or FXC.
    pub driver: String,
    /// Whether the adapter can time dispatches (`TIMESTAMP_QUERY`).
    pub timestamps: bool,
    /// Size of the largest storage binding, in bytes.
    pub max_binding_bytes: u64,
    /// Size of the largest buffer, in bytes.
    pub max_buffer_bytes: u64,
}

/// The adapter that the user requests, by `--adapter` or `LERAC_ADAPTER`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The first adapter of the best kind, in the order of [`AdapterKind`]. Among adapters of one
    /// kind, Vulkan is preferred to DX12, whose kernels are translated to HLSL and compiled again.
    #[default]
    Auto,
    /// The adapter at this position in the list.
    Index(usize),
    /// The first adapter whose name contains this text, ignoring case.
    Name(String),
}

impl AdapterChoice {
    /// `option` if given, else the environment's `LERAC_ADAPTER`, else its `WGPU_ADAPTER_NAME`,
    /// else [`AdapterChoice::Auto`]. wgpu's variable holds a part of a name, never an index.
    pub fn from_option(option: Option<&str>) -> Self {
        let from_environment = |variable| {
            let value = std::env::var_os(variable).map(|name| name.to_string_lossy().trim().to_owned());
            value.filter(|name| !name.is_empty())
        };
        let requested = option.map(str::to_owned).or_else(|| from_environment("LERAC_ADAPTER"));
        if requested.is_none() {
            return from_environment("WGPU_ADAPTER_NAME").map_or(Self::Auto, Self::Name);
        }
        match requested.as_deref().map(str::trim) {
            None | Some("") => Self::Auto,
            Some(text) => text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Index),
        }
    }
}

const HOW_TO_INSTALL: &str = "\
no GPU adapter found: lerac needs a Vulkan, Metal or DX12 driver.
  Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1   (a GPU's own driver, or llvmpipe on the processor)
  Fedora:         dnf install mesa-vulkan-drivers vulkan-loader
  macOS:          Metal is part of the system from 10.13 on; run outside a virtual machine without GPU
  Windows:        install the GPU vendor's driver; Windows 10 and later bring the software adapter WARP";

fn instance(compiler: &Compiler) -> wgpu::Instance {
    let mut backend_options = wgpu::BackendOptions::default();
    backend_options.dx12.shader_compiler = compiler.for_wgpu();
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        // Vulkan, Metal, DX12, and WebGPU in a browser; WGPU_BACKEND may select some of them.
        backends: wgpu::Backends::from_env().unwrap_or(wgpu::Backends::PRIMARY),
        // lerac has no indirect dispatches, so their validation is not needed.
        flags: wgpu::InstanceFlags::from_build_config() - wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL,
        backend_options,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

fn describe(index: usize, adapter: &wgpu::Adapter, compiler: &Compiler) -> AdapterInfo {
    let info = adapter.get_info();
    let mut driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
    if info.backend == wgpu::Backend::Dx12 {
        driver = format!("{driver}, kernels through {}", compiler.name());
    }
    let limits = adapter.limits();
    AdapterInfo {
        index,
        name: info.name,
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => AdapterKind::Virtual,
        },
        backend: format!("{:?}", info.backend),
        driver,
        timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
    }
}

async fn enumerate(compiler: &Compiler) -> Vec<(AdapterInfo, wgpu::Adapter)> {
    let found = instance(compiler).enumerate_adapters(wgpu::Backends::all()).await;
    found.into_iter().enumerate().map(|(i, adapter)| (describe(i, &adapter, compiler), adapter)).collect()
}

/// Every adapter of this machine. A browser returns only the adapter that it prefers.
///
/// # Errors
/// [`Error::Option`] if `LERAC_DX12_COMPILER` names no compiler that this machine has.
pub async fn adapters_async() -> Result<Vec<AdapterInfo>> {
    Ok(enumerate(&Compiler::choose()?).await.into_iter().map(|(info, _)| info).collect())
}

/// Finds the adapter in `list` that `choice` selects.
///
/// # Errors
/// [`Error::Adapter`]: with installation hints if the list is empty, or with the list if no adapter
/// matches.
pub fn choose<'a>(list: &'a [AdapterInfo], choice: &AdapterChoice) -> Result<&'a AdapterInfo> {
    if list.is_empty() {
        let selected = std::env::var("WGPU_BACKEND").map(|backend| {
            format!("no adapter found with WGPU_BACKEND={backend}; unset it, or choose vulkan, metal or dx12")
        });
        return Err(Error::Adapter(selected.unwrap_or_else(|_| HOW_TO_INSTALL.to_owned())));
    }
    let found = match choice {
        AdapterChoice::Auto => list.iter().min_by_key(|info| (info.kind, info.backend != "Vulkan")),
        AdapterChoice::Index(index) => list.get(*index),
        AdapterChoice::Name(name) => list.iter().find(|info| info.name.to_lowercase().contains(&name.to_lowercase())),
    };
    found.ok_or_else(|| {
        let requested = match choice {
            AdapterChoice::Auto => "auto".to_owned(),
            AdapterChoice::Index(index) => index.to_string(),
            AdapterChoice::Name(name) => format!("{name:?}"),
        };
        let names: Vec<_> =
            list.iter().map(|info| format!("  {}: {} ({})", info.index, info.name, info.backend)).collect();
        Error::Adapter(format!("adapter {requested}: no such adapter; this machine has\n{}", names.join("\n")))
    })
}

/// Returns the chosen adapter and its properties. The adapter is not opened yet.
pub(super) async fn request(choice: &AdapterChoice) -> Result<(AdapterInfo, wgpu::Adapter)> {
    let mut found = enumerate(&Compiler::choose()?).await;
    let list: Vec<_> = found.iter().map(|(info, _)| info.clone()).collect();
    let index = choose(&list, choice)?.index;
    Ok(found.swap_remove(index))
}
