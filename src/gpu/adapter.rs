//! Which adapters there are, and which one to use.

use crate::error::{Error, Result};

/// What sort of hardware stands behind an adapter; the order is the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// A graphics card with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU lent by a virtual machine, or one that does not say what it is.
    Virtual,
    /// A driver that computes on the processor (Mesa's llvmpipe, WARP, SwiftShader).
    Software,
}

/// What is known of an adapter before it is opened.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterInfo {
    /// Position in the list of [`super::adapters`], usable as `--adapter INDEX`.
    pub index: usize,
    /// The name that the driver reports.
    pub name: String,
    /// What sort of hardware it is.
    pub kind: AdapterKind,
    /// Vulkan, Metal, Dx12, or BrowserWebGpu.
    pub backend: String,
    /// Driver name and version as reported.
    pub driver: String,
    /// Whether it can time dispatches.
    pub timestamps: bool,
    /// Largest storage binding, bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
}

/// The user's wish, from `--adapter` or `LERAC_ADAPTER`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// Discrete before integrated before virtual before software.
    #[default]
    Auto,
    /// The adapter at this place of the list.
    Index(usize),
    /// The first adapter whose name contains this text, in any case.
    Name(String),
}

impl AdapterChoice {
    /// `option` if given, else the environment's `LERAC_ADAPTER`, else [`AdapterChoice::Auto`].
    pub fn from_option(option: Option<&str>) -> Self {
        let of_environment = || std::env::var_os("LERAC_ADAPTER").map(|name| name.to_string_lossy().into_owned());
        let wish = option.map(str::to_owned).or_else(of_environment);
        match wish.as_deref().map(str::trim) {
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

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        // Vulkan, Metal, DX12, and WebGPU in a browser.
        backends: wgpu::Backends::PRIMARY,
        // No grid is read from a buffer here, so nothing need check such grids.
        flags: wgpu::InstanceFlags::from_build_config() - wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> AdapterInfo {
    let info = adapter.get_info();
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
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
    }
}

async fn enumerate() -> Vec<(AdapterInfo, wgpu::Adapter)> {
    let found = instance().enumerate_adapters(wgpu::Backends::all()).await;
    found.into_iter().enumerate().map(|(i, adapter)| (describe(i, &adapter), adapter)).collect()
}

/// Every adapter of this machine; in a browser the one that it prefers.
pub async fn adapters_async() -> Vec<AdapterInfo> {
    enumerate().await.into_iter().map(|(info, _)| info).collect()
}

/// The adapter of `list` that `choice` means.
///
/// # Errors
/// [`Error::Adapter`] with what to install where the list is empty, or with the list where none fits.
pub fn choose<'a>(list: &'a [AdapterInfo], choice: &AdapterChoice) -> Result<&'a AdapterInfo> {
    if list.is_empty() {
        return Err(Error::Adapter(HOW_TO_INSTALL.to_owned()));
    }
    let found = match choice {
        AdapterChoice::Auto => list.iter().min_by_key(|info| info.kind),
        AdapterChoice::Index(index) => list.get(*index),
        AdapterChoice::Name(name) => list.iter().find(|info| info.name.to_lowercase().contains(&name.to_lowercase())),
    };
    found.ok_or_else(|| {
        let wish = match choice {
            AdapterChoice::Auto => "auto".to_owned(),
            AdapterChoice::Index(index) => index.to_string(),
            AdapterChoice::Name(name) => format!("{name:?}"),
        };
        let names: Vec<_> =
            list.iter().map(|info| format!("  {}: {} ({})", info.index, info.name, info.backend)).collect();
        Error::Adapter(format!("adapter {wish}: no such adapter; this machine has\n{}", names.join("\n")))
    })
}

/// Opens nothing yet: the chosen adapter and what is known of it.
pub(super) async fn request(choice: &AdapterChoice) -> Result<(AdapterInfo, wgpu::Adapter)> {
    let mut found = enumerate().await;
    let list: Vec<_> = found.iter().map(|(info, _)| info.clone()).collect();
    let index = choose(&list, choice)?.index;
    Ok(found.swap_remove(index))
}
