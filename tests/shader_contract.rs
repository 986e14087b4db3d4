//! The shaders against the Rust that calls them, by naga's reflection and without a device: every kernel that a model or an
//! optimiser launches parses and validates under its constants, and binds what the launch binds.

use lerac::gpu::{Access, Kernel};
use lerac::nn::{self, NetOptions, Task};
use lerac::tape::{Dispatch, Mode, Tape, Target};
use naga::{AddressSpace, StorageAccess};
use std::collections::HashSet;

fn parse(kernel: &Kernel) -> (naga::Module, naga::valid::ModuleInfo) {
    let name = kernel.shader.name;
    let module = naga::front::wgsl::parse_str(&kernel.wgsl()).unwrap_or_else(|e| panic!("{name}: {}", e.message()));
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    (module, info)
}

/// What an entry point reads and writes, by binding.
fn check(dispatch: &Dispatch) {
    let (module, info) = parse(&dispatch.kernel);
    let what = format!("{}.{}", dispatch.kernel.shader.name, dispatch.kernel.entry);
    let index = module.entry_points.iter().position(|entry| entry.name == dispatch.kernel.entry);
    let index = index.unwrap_or_else(|| panic!("{what}: no such entry point"));
    let size = module.entry_points[index].workgroup_size;
    assert!(size.iter().product::<u32>() <= 256, "{what}: more than 256 invocations");
    assert!(dispatch.grid.iter().all(|&groups| (1..=65_535).contains(&groups)), "{what}: grid {:?}", dispatch.grid);
    let storage = dispatch.bindings.iter().filter(|binding| binding.access != Access::Uniform).count();
    assert!(storage <= 8, "{what}: {storage} storage buffers");
    let mut shared = 0;
    for (handle, variable) in module.global_variables.iter() {
        if info.get_entry_point(index)[handle].is_empty() {
            continue;
        }
        if variable.space == AddressSpace::WorkGroup {
            shared += module.types[variable.ty].inner.size(module.to_ctx());
            continue;
        }
        let at = variable.binding.as_ref().expect("a resource has a binding");
        assert_eq!(at.group, 0);
        let access = match variable.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::Write,
            AddressSpace::Storage { .. } => Access::Read,
            other => panic!("{what}: {other:?}"),
        };
        let bound =
            dispatch.bindings.get(at.binding as usize).unwrap_or_else(|| panic!("{what}: nothing at {}", at.binding));
        assert_eq!(bound.access, access, "{what}: binding {}, {:?}", at.binding, variable.name);
    }
    assert!(shared <= 16 << 10, "{what}: {shared} bytes of workgroup memory");
}

#[test]
fn every_kernel_of_every_model_binds_what_its_shader_declares() {
    let mut seen = HashSet::new();
    for name in nn::NAMES {
        for (mode, blur) in [(Mode::Train, false), (Mode::Train, true), (Mode::Eval, true)] {
            let task =
                Task { image: [3, 32, 32], classes: 10, mean: vec![0.5; 3], std: vec![0.5; 3], label_smoothing: 0.1 };
            for target in Target::ALL {
                let tape = Tape::new(mode).with_target(target);
                let recorded = nn::record(&nn::named(name).unwrap(), &task, 8, tape, NetOptions { blur });
                for (_, dispatch) in recorded.tape.forward().into_iter().chain(recorded.tape.backward()) {
                    if seen.insert((dispatch.kernel.wgsl(), dispatch.kernel.entry)) {
                        check(&dispatch);
                    }
                }
            }
        }
    }
    let shaders: HashSet<_> = seen.iter().map(|(_, entry)| *entry).collect();
    for entry in ["weight_partial", "backward_bias", "prepare", "reduce", "pack"] {
        assert!(shaders.contains(entry), "no model launches {entry}");
    }
}

/// The fields of a struct in a shader: (name, offset).
fn fields(module: &naga::Module, name: &str) -> Vec<(String, u32)> {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).expect("the struct is there");
    let naga::TypeInner::Struct { members, .. } = &found.1.inner else { panic!("{name} is no struct") };
    members.iter().map(|member| (member.name.clone().unwrap(), member.offset)).collect()
}

#[test]
fn structs_lie_as_in_rust() {
    use lerac::ops::cross_entropy::Metrics;
    use lerac::tape::Controls;
    use std::mem::offset_of;
    let controls = [
        ("step", offset_of!(Controls, step)),
        ("seed", offset_of!(Controls, seed)),
        ("sigma", offset_of!(Controls, sigma)),
        ("reserved", offset_of!(Controls, reserved)),
    ];
    let metrics = [
        ("loss_fraction", offset_of!(Metrics, loss_fraction)),
        ("top1", offset_of!(Metrics, top1)),
        ("top5", offset_of!(Metrics, top5)),
        ("images", offset_of!(Metrics, images)),
        ("batch_images", offset_of!(Metrics, batch_images)),
        ("halted", offset_of!(Metrics, halted)),
        ("loss_whole", offset_of!(Metrics, loss_whole)),
    ];
    let expected = |list: &[(&str, usize)]| list.iter().map(|&(n, o)| (n.to_owned(), o as u32)).collect::<Vec<_>>();
    let mut checked = 0;
    for shader in lerac::ops::SHADERS.iter().chain(lerac::optim::SHADERS) {
        for (name, layout) in [("Controls", expected(&controls)), ("Metrics", expected(&metrics))] {
            if !shader.source.contains(&format!("struct {name} ")) {
                continue;
            }
            // The struct alone parses without the constants that the file expects.
            let start = shader.source.find(&format!("struct {name} ")).unwrap();
            let end = start + shader.source[start..].find('}').unwrap() + 1;
            let module = naga::front::wgsl::parse_str(&shader.source[start..end]).unwrap();
            assert_eq!(fields(&module, name), layout, "{}.wgsl", shader.name);
            checked += 1;
        }
    }
    assert_eq!(checked, 5, "controls in three shaders, metrics in two");
}

#[test]
fn constants_are_the_same_in_both_languages() {
    let source = |name: &str| {
        let all = lerac::ops::SHADERS.iter().chain(lerac::optim::SHADERS);
        all.copied().find(|shader| shader.name == name).expect("a shader of this name").source
    };
    let has = |name: &str, text: String| assert!(source(name).contains(&text), "{name}.wgsl lacks {text:?}");
    has("conv2d", format!("const O_TILE: u32 = {}u;", lerac::ops::conv2d::O_TILE));
    has("linear", format!("const TILE: u32 = {}u;", lerac::ops::linear::TILE));
    has("linear_wide", format!("const TILE: u32 = {}u;", lerac::ops::linear::WIDE_TILE));
    has("update", format!("const NO_DECAY: u32 = {:#x}u;", lerac::optim::NO_DECAY));
    has("update", format!("block_layer[i / {}u]", lerac::tensor::BLOCK / 4));
    has("cross_entropy", format!("const PADDING: u32 = {:#x}u;", lerac::ops::cross_entropy::PADDING));
    assert_eq!(lerac::ops::cross_entropy::PADDING, lerac::data::IGNORED_LABEL);
}
