//! Kernels in the languages of Metal and DX12, translated with wgpu's options and checked against
//! the limits that Metal documents. No compiler reads the texts here; scripts/check-dxc.sh compiles
//! those for DX12.

use lerac::gpu::{Access, Dialect};
use naga::back::{hlsl, msl};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::ModuleInfo;
use naga::{Module, ResourceBinding, ShaderStage};
use std::path::PathBuf;

/// The most buffers of a compute function on any GPU (Metal Feature Set Tables).
const METAL_BUFFERS: usize = 31;

/// The oldest and the newest version that wgpu requests.
const METAL_VERSIONS: [(u8, u8); 2] = [(2, 0), (2, 4)];

/// The shader model of FXC, which has no subgroups and no 64-bit integers.
const FXC: hlsl::ShaderModel = hlsl::ShaderModel::V5_1;

/// The oldest shader model of DXC.
const DXC: hlsl::ShaderModel = hlsl::ShaderModel::V6_0;

/// A kernel to translate.
pub struct Translation<'k> {
    /// The kernel, for messages.
    pub what: &'k str,
    pub module: &'k Module,
    pub info: &'k ModuleInfo,
    pub entry: &'k str,
    /// The access of each binding.
    pub access: &'k [Access],
}

impl Translation<'_> {
    /// Translates a kernel to the languages that have its dialect. Metal reports none of its
    /// adapters as software, so only the plain dialect reaches it. If `LERAC_HLSL` names a
    /// directory, the text for DXC is written there, as `FILE.ENTRY.hlsl` without other dots.
    pub fn check(&self, dialect: Dialect, file: &str) {
        if dialect == Dialect::PLAIN {
            METAL_VERSIONS.into_iter().for_each(|version| self.check_msl(version));
            self.hlsl(FXC);
        }
        let (entry, text) = self.hlsl(DXC);
        assert!(![file, &entry].iter().any(|name| name.contains('.')), "{file}.{entry}");
        if let Some(dir) = std::env::var_os("LERAC_HLSL") {
            std::fs::write(PathBuf::from(dir).join(format!("{file}.{entry}.hlsl")), text).unwrap();
        }
    }

    fn check_msl(&self, lang_version: (u8, u8)) {
        let (what, count) = (self.what, self.access.len());
        // wgpu passes the lengths of the buffers in one more buffer.
        assert!(count < METAL_BUFFERS, "{what}: {count} buffers, and one for their lengths");
        let target = |(i, access): (usize, &Access)| {
            let mutable = *access == Access::Write;
            (binding(i), msl::BindTarget { buffer: Some(i as u8), mutable, ..Default::default() })
        };
        let resources = msl::EntryPointResources {
            resources: self.access.iter().enumerate().map(target).collect(),
            sizes_buffer: Some(count as u8),
            ..Default::default()
        };
        let checked = BoundsCheckPolicy::Restrict;
        let options = msl::Options {
            lang_version,
            per_entry_point_map: [(self.entry.to_owned(), resources)].into_iter().collect(),
            fake_missing_bindings: false,
            bounds_check_policies: BoundsCheckPolicies { index: checked, buffer: checked, ..Default::default() },
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            ..Default::default()
        };
        let entry_point = Some((ShaderStage::Compute, self.entry.to_owned()));
        let pipeline = msl::PipelineOptions { entry_point, ..Default::default() };
        let (text, translated) = msl::write_string(self.module, self.info, &options, &pipeline)
            .unwrap_or_else(|error| panic!("{what}: no MSL {lang_version:?}: {error}"));
        let name = translated.entry_point_names[0].as_ref().unwrap_or_else(|error| panic!("{what}: no MSL: {error}"));
        assert!(text.contains(&format!("kernel void {name}(")), "{what}: {text}");
        let wide = wide_integer(&text);
        assert!(wide.is_none(), "{what}: {wide:?} is a 64-bit integer, which not every Metal GPU has");
    }

    /// The name of the entry point in HLSL, and the text.
    fn hlsl(&self, shader_model: hlsl::ShaderModel) -> (String, String) {
        let (what, access) = (self.what, self.access);
        let register = |i: usize| access[..i].iter().filter(|other| **other == access[i]).count() as u32;
        let target = |i| hlsl::BindTarget { register: register(i), restrict_indexing: true, ..Default::default() };
        let uniforms = access.iter().filter(|access| **access == Access::Uniform).count() as u32;
        let options = hlsl::Options {
            shader_model,
            binding_map: (0..access.len()).map(|i| (binding(i), target(i))).collect(),
            fake_missing_bindings: false,
            // The number of workgroups.
            special_constants_binding: Some(hlsl::BindTarget { register: uniforms, ..Default::default() }),
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            ..Default::default()
        };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, self.entry.to_owned())) };
        let mut text = String::new();
        let translated = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(self.module, self.info, None)
            .unwrap_or_else(|error| panic!("{what}: no HLSL {shader_model:?}: {error}"));
        let name = translated.entry_point_names[0].as_ref().unwrap_or_else(|error| panic!("{what}: no HLSL: {error}"));
        assert!(text.contains(&format!("void {name}(")), "{what}: {text}");
        (name.clone(), text)
    }
}

fn binding(index: usize) -> ResourceBinding {
    ResourceBinding { group: 0, binding: index as u32 }
}

/// The first name of a 64-bit integer type in a text of MSL: a scalar or a vector.
fn wide_integer(msl: &str) -> Option<&str> {
    let mut words = msl.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.find(|word| ["long", "ulong"].contains(&word.trim_end_matches(['2', '3', '4'])))
}

#[test]
fn only_types_are_64_bit_integers() {
    for (msl, wide) in
        [("metal::ulong2 x;", Some("ulong2")), ("long(3)", Some("long")), ("uint2 along; f(long_, x)", None)]
    {
        assert_eq!(wide_integer(msl), wide);
    }
}
