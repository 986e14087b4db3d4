//! The shaders against the Rust code that calls them, by naga's reflection and without a device.
//! Every kernel that a model, a row of the op table, an optimiser or a bench launches parses and
//! validates under its constants, declares the bindings that the launch provides, and translates to
//! the languages of Metal and DX12.

use crate::common::rows::rows;
use crate::translated::Translation;
use lerac::data::{Augmentation, Meaning};
use lerac::gpu::{Access, Dialect, Kernel, PackedLoad, Shader, SubgroupShare};
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, MODELS, NetOptions};
use lerac::ops::pixels::{self, pixels};
use lerac::ops::regression::{self, Loss, Regression, regression};
use lerac::ops::sums::{Sums, Totals};
use lerac::ops::{conv2d, cross_entropy};
use lerac::optim::{Rule, Settings, Update, average_dispatches};
use lerac::tape::{Dispatch, Mode, Tape, Target};
use lerac::tensor::Layout;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, StorageAccess};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

fn parse(kernel: &Kernel, dialect: Dialect) -> (naga::Module, naga::valid::ModuleInfo) {
    let name = format!("{}, {dialect:?}", kernel.shader.name);
    let module =
        naga::front::wgsl::parse_str(&kernel.wgsl(dialect)).unwrap_or_else(|e| panic!("{name}: {}", e.message()));
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SHADER_INT64, dialect.packed_load == PackedLoad::U64x2);
    capabilities.set(Capabilities::SUBGROUP, dialect.subgroup_share != SubgroupShare::None);
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if dialect.subgroup_share != SubgroupShare::None {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::SHUFFLE);
    }
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    (module, info)
}

/// A kernel, the access of each binding, and its grid.
struct Launch<'k> {
    kernel: &'k Kernel,
    access: Vec<Access>,
    grid: [u32; 3],
}

/// Writes the text of a kernel of browsers into the directory that `LERAC_WGSL` names, if it is
/// set. web/test/kernels.mjs passes these texts to a browser's compiler.
fn write_wgsl(kernel: &Kernel) {
    let Some(dir) = std::env::var_os("LERAC_WGSL") else { return };
    let text = kernel.wgsl(Dialect::PLAIN);
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let name = format!("{}-{:016x}.wgsl", kernel.shader.name, hasher.finish());
    std::fs::write(Path::new(&dir).join(name), text).unwrap();
}

/// Checks a kernel, the `number`th of its test.
fn check(launch: &Launch<'_>, dialect: Dialect, number: usize) {
    let (module, info) = parse(launch.kernel, dialect);
    let what = format!("{}.{}, {dialect:?}", launch.kernel.shader.name, launch.kernel.entry);
    let index = module.entry_points.iter().position(|entry| entry.name == launch.kernel.entry);
    let index = index.unwrap_or_else(|| panic!("{what}: no such entry point"));
    let size = module.entry_points[index].workgroup_size;
    assert!(size.iter().product::<u32>() <= 256, "{what}: more than 256 invocations");
    let shares_loads = launch.kernel.shader.shares_loads() && launch.kernel.entry != "pack";
    // Attention takes a lane's place in its eight; the others take its place in the workgroup.
    let eights = if launch.kernel.shader.name == "attention" { size[0] / 8 * 8 } else { 8 };
    assert!(!shares_loads || size == [eights, 1, 1], "{what}: neighbours share what they load in workgroups of eight");
    assert!(launch.grid.iter().all(|&groups| (1..=65_535).contains(&groups)), "{what}: grid {:?}", launch.grid);
    let storage = launch.access.iter().filter(|&&access| access != Access::Uniform).count();
    assert!(storage <= 8, "{what}: {storage} storage buffers");
    let mut shared = 0;
    for (handle, variable) in module.global_variables.iter() {
        if variable.space == AddressSpace::Private || info.get_entry_point(index)[handle].is_empty() {
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
            launch.access.get(at.binding as usize).unwrap_or_else(|| panic!("{what}: nothing at {}", at.binding));
        assert_eq!(*bound, access, "{what}: binding {}, {:?}", at.binding, variable.name);
    }
    assert!(shared <= 16 << 10, "{what}: {shared} bytes of workgroup memory");
    let (entry, access) = (launch.kernel.entry, &launch.access[..]);
    if dialect == Dialect::PLAIN {
        write_wgsl(launch.kernel);
    }
    let translation = Translation { what: &what, module: &module, info: &info, entry, access };
    translation.check(dialect, &format!("{}-{number}", launch.kernel.shader.name));
}

/// The source texts of checked kernels, and the checked entry points of each file.
#[derive(Default)]
struct Checked {
    kernels: HashSet<(String, &'static str)>,
    entries: HashSet<(&'static str, &'static str)>,
}

impl Checked {
    fn add(&mut self, launch: &Launch<'_>) {
        let Kernel { shader, entry, .. } = launch.kernel;
        self.entries.insert((shader.name, *entry));
        for dialect in Dialect::ALL {
            if self.kernels.insert((launch.kernel.wgsl(dialect), *entry)) {
                check(launch, dialect, self.kernels.len());
            }
        }
    }

    /// A launch of a tape or of an update.
    fn add_dispatch<O>(&mut self, dispatch: &Dispatch<O>) {
        let (kernel, access) = dispatch.pipeline();
        self.add(&Launch { kernel, access, grid: dispatch.grid });
    }

    /// All launches of a tape, forward and backward.
    fn add_tape(&mut self, tape: &Tape) {
        tape.dispatches().iter().for_each(|dispatch| self.add_dispatch(dispatch));
    }
}

fn models() -> Checked {
    let mut checked = Checked::default();
    let classes: Vec<String> = (0..10).map(|i| format!("class {i}")).collect();
    for name in MODELS.iter().map(|entry| entry.name) {
        let model = nn::named(name).unwrap();
        let form = nn::usual_form(name, None, &Meaning::Classes(classes.clone().into()));
        let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
        for (mode, blur) in [(Mode::Train, false), (Mode::Train, true), (Mode::Eval, true)] {
            for target in Target::ALL {
                let tape = Tape::new(mode).with_target(target);
                // Boxes are not mixed.
                let options = NetOptions { blur, mixup: blur && form.boxes().is_none() };
                checked.add_tape(&nn::record(&model, &form, &*objective, 8, tape, options).tape);
            }
        }
    }
    checked
}

/// The entry points that a file declares.
fn entries_of(shader: &'static Shader) -> impl Iterator<Item = (&'static str, &'static str)> {
    let name = |part: &'static str| part.split_once("fn ").and_then(|(_, rest)| rest.split('(').next());
    shader.source.split("@compute").skip(1).map(move |part| (shader.name, name(part).expect("a function follows")))
}

#[test]
fn every_kernel_of_every_model_binds_what_its_shader_declares() {
    let seen = models().entries;
    for entry in [
        ("batch_norm", "prepare"),
        ("blur", "backward_quads"),
        ("blur", "forward_quads"),
        ("conv2d", "backward_bias"),
        ("conv2d", "pack"),
        ("conv2d", "weight_partial"),
        ("conv2d_shared", "forward"),
        ("conv2d_shared", "weight_partial"),
        ("conv2d_dilated", "forward"),
        ("conv2d_uneven", "forward"),
        ("conv2d_uneven", "weight_partial"),
        ("conv2d_wide", "forward"),
        ("conv2d_wide", "weight_partial"),
        ("cross_entropy", "backward"),
        ("max_pool", "forward_2x2"),
        ("pixels", "forward_quads"),
        ("sums", "add"),
    ] {
        assert!(seen.contains(&entry), "no model launches {entry:?}");
    }
}

#[test]
fn every_kernel_of_every_operation_binds_what_its_shader_declares() {
    let mut checked = models();
    for row in rows() {
        row.tapes().into_iter().for_each(|(tape, _)| checked.add_tape(&row.on(tape).0));
    }
    // Images whose rows are not a multiple of four; no model above has them.
    for moved in [false, true] {
        let mut tape = Tape::new(Mode::Train);
        let (bytes, movements) = (tape.buffer("image", 12).into(), tape.buffer("movement", 4).into());
        let source = pixels::PixelSource { bytes, movements: moved.then_some(movements), mean: &[0.5], std: &[0.5] };
        pixels(&mut tape, "images", source, [1, 1, 3, 3]);
        checked.add_tape(&tape);
    }
    for loss in [Loss::L1, Loss::Mse] {
        let mut tape = Tape::new(Mode::Train);
        let (z, targets) = (tape.leaf("z", [5, 1], true), tape.buffer("target", 20).into());
        let mut sums = Sums::new(&mut tape, regression::COLUMNS);
        let of_years = Regression { loss, mean: 33.0, std: 20.0 };
        regression(&mut tape, "loss", z, targets, &mut sums, of_years, (1.0, 1));
        checked.add_tape(&tape);
    }
    for entry in lerac::ops::SHADERS.iter().flat_map(|shader| entries_of(shader)) {
        assert!(checked.entries.contains(&entry), "nothing launches {entry:?}");
    }
}

/// Only built-in shaders are compiled without the counter that bounds loops.
#[test]
fn only_this_crates_shaders_are_built_in() {
    for shader in lerac::ops::SHADERS.iter().chain(lerac::optim::SHADERS) {
        assert_ne!(**shader, Shader::new(shader.name, shader.source), "{} is not built in", shader.name);
    }
}

#[test]
fn every_kernel_of_every_optimiser_binds_what_its_shader_declares() {
    let mut checked = Checked::default();
    let mut tape = Tape::new(Mode::Train);
    lerac::checks::declare(&mut tape, &[[300].into(), [133, 141].into()]);
    let layout = Layout::new(tape.parameters().iter().map(|p| &p.shape), 74 << 10);
    assert_eq!(layout.windows().len(), 2);
    let named = Rule::NAMES.map(|name| Rule::named(name).unwrap());
    for rule in named.into_iter().chain([Rule::Sgd { momentum: 0.9, nesterov: true }]) {
        for (clip_norm, layer_norms) in [(None, false), (Some(1.0), false), (None, true), (Some(1.0), true)] {
            let settings = Settings { rule, weight_decay: 0.1, spare_norm_and_bias: true, clip_norm, layer_norms };
            let update = Update::new(tape.parameters(), &layout, 1, settings);
            update.launches().for_each(|launch| checked.add_dispatch(launch));
        }
    }
    average_dispatches(&layout, &layout).iter().for_each(|launch| checked.add_dispatch(launch));
    for entry in lerac::optim::SHADERS.iter().flat_map(|shader| entries_of(shader)) {
        assert!(checked.entries.contains(&entry), "no optimiser launches {entry:?}");
    }
}

/// Launches that are not recorded as data, with the bindings in `study/bench/peaks.rs`.
#[cfg(feature = "cli")]
#[test]
fn kernels_of_benches_bind_what_their_shader_declares() {
    use Access::{Read, Write};
    let mut checked = Checked::default();
    let shader = &lerac::study::bench::SHADER;
    for (entry, access) in [("multiply_add", vec![Write]), ("copy", vec![Read, Write])] {
        let kernel = Kernel { shader, entry, constants: vec![] };
        checked.add(&Launch { kernel: &kernel, access, grid: [1, 1, 1] });
    }
    for entry in entries_of(shader) {
        assert!(checked.entries.contains(&entry), "{entry:?} is not checked");
    }
}

/// The text between `before` and the next `end`.
fn between<'t>(text: &'t str, before: &str, end: char) -> Option<&'t str> {
    text.split_once(before).and_then(|(_, rest)| rest.split(end).next())
}

/// Whether an entry point's index continues through all rows of a linear grid (`linear_grid`), each
/// of 32,768 workgroups. `None` if it does not use the number of workgroups. Small shapes have one
/// row, in which every index is correct.
fn index_goes_on(entry: &str) -> Option<bool> {
    let groups = between(entry, "@builtin(num_workgroups) ", ':')?;
    let size = between(entry, "@workgroup_size(", ')').expect("an entry has a size");
    let lanes = if size.parse::<u32>().is_ok() { format!("{size}u") } else { size.into() };
    let index = match between(entry, "@builtin(global_invocation_id) ", ':') {
        Some(id) => format!("{id}.x + {id}.y * {groups}.x * {lanes}"),
        None => {
            let group = between(entry, "@builtin(workgroup_id) ", ':').expect("the position in the grid");
            format!("{group}.x + {group}.y * {groups}.x")
        }
    };
    let (before, after) = entry.split_once(&index).unwrap_or_default();
    let is_whole = (before.ends_with('(') || before.ends_with("= ")) && after.starts_with([')', ';']);
    Some(is_whole && entry.matches(&format!("{groups}.")).count() == 1)
}

#[test]
fn indices_continue_in_the_next_row_of_a_grid() {
    let shaders = lerac::ops::SHADERS.iter().chain(lerac::optim::SHADERS).copied();
    #[cfg(feature = "cli")]
    let shaders = shaders.chain([&lerac::study::bench::SHADER]);
    let mut others = vec![];
    for shader in shaders {
        for (part, name) in shader.source.split("@compute").skip(1).zip(entries_of(shader)) {
            match index_goes_on(part.split("\n}").next().expect("a function")) {
                None => others.push(name),
                Some(goes_on) => assert!(goes_on, "{name:?}: another index than `linear_grid` asks for"),
            }
        }
    }
    others.retain(|entry| *entry != ("peak", "multiply_add"));
    // These have one row, or use y for something else.
    let of_channels = ["partial", "partial_serial", "finish", "prepare"].map(|entry| ("batch_norm", entry));
    let backward =
        ["backward_partial", "backward_partial_serial", "backward_finish"].map(|entry| ("batch_norm", entry));
    let of_detection = [("detection", "add_up"), ("detection", "count")];
    let of_sums = [("clip", "finish"), ("conv2d", "backward_bias"), ("sums", "add")];
    let mut expected = [&of_channels[..], &backward, &of_detection, &of_sums].concat();
    [&mut others, &mut expected].into_iter().for_each(|entries| entries.sort_unstable());
    assert_eq!(others, expected, "entries that do not ask for the number of workgroups");
}

#[test]
fn an_index_that_starts_again_in_the_next_row_is_noticed() {
    let entry = |parameters: &str, index: &str| format!(" @workgroup_size(64) fn f({parameters}) {{ let i = {index};");
    let id = "@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>";
    let group = "@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>";
    for (parameters, index, goes_on) in [
        (id, "id.x + id.y * n.x * 64u", true),
        (id, "f(id.x + id.y * n.x * 64u)", true),
        (id, "id.x + id.y * 64u", false),
        (id, "id.x + id.y * n.x", false),
        (id, "id.x + id.y * n.x * 8u", false),
        (id, "id.x + id.y * n.x * 64u * 2u", false),
        (id, "2u * id.x + id.y * n.x * 64u", false),
        (id, "id.x + id.y * n.x * 64u; let j = id.y * n.y", false),
        (group, "(id.x + id.y * n.x) * 8u", true),
        (group, "id.x + id.y * n.x * 64u", false),
        (group, "id.x + id.y", false),
    ] {
        assert_eq!(index_goes_on(&entry(parameters, index)), Some(goes_on), "{parameters}: {index}");
    }
    assert_eq!(index_goes_on(&entry("@builtin(workgroup_id) id: vec3<u32>", "id.x")), None);
}

/// The text of a struct in a shader, if it has one of this name.
fn definition(shader: &Shader, name: &str) -> Option<&'static str> {
    let start = shader.source.find(&format!("struct {name} "))?;
    shader.source[start..].split_inclusive('}').next()
}

/// The fields of the struct called `name`: (name, offset). `text` contains only structs, so it
/// parses without the constants of its file.
fn fields(text: &str, name: &str) -> Vec<(String, usize)> {
    let module = naga::front::wgsl::parse_str(text).unwrap();
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).expect("the struct is there");
    let naga::TypeInner::Struct { members, .. } = &found.1.inner else { panic!("{name} is no struct") };
    members.iter().map(|member| (member.name.clone().unwrap(), member.offset as usize)).collect()
}

fn shaders() -> impl Iterator<Item = &'static Shader> {
    lerac::ops::SHADERS.iter().chain(lerac::optim::SHADERS).copied()
}

/// Consecutive words, without gaps.
fn words(names: &[&str]) -> Vec<(String, usize)> {
    names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), 4 * i)).collect()
}

#[test]
fn controls_have_the_layout_of_rust() {
    use lerac::tape::Controls;
    use std::mem::offset_of;
    let controls = [
        ("step", offset_of!(Controls, step)),
        ("seed", offset_of!(Controls, seed)),
        ("sigma", offset_of!(Controls, sigma)),
        ("pass_index", offset_of!(Controls, pass)),
        ("mix", offset_of!(Controls, mix)),
        ("filled", offset_of!(Controls, filled)),
        ("examples", offset_of!(Controls, examples)),
    ]
    .map(|(name, offset)| (name.to_owned(), offset));
    let mut checked = vec![];
    for shader in shaders() {
        let Some(text) = definition(shader, "Controls") else { continue };
        let found = fields(text, "Controls");
        // The last fields may be omitted if they are not read.
        assert_eq!(found, controls[..found.len()], "{}.wgsl", shader.name);
        let losses = ["cross_entropy", "detection", "regression", "sums"].contains(&shader.name);
        assert!(found.len() >= if losses { 7 } else { 5 }, "{}.wgsl", shader.name);
        checked.push(shader.name);
    }
    assert_eq!(checked, ["attention", "blur", "cross_entropy", "detection", "dropout", "mixup", "regression", "sums"]);
}

#[test]
fn sums_have_the_layout_of_rust() {
    let shader = &lerac::ops::sums::SHADER;
    let [part, sums] = ["Part", "Sums"].map(|name| definition(shader, name).unwrap());
    assert_eq!(fields(part, "Part"), words(&["fraction", "whole"]));
    assert_eq!(fields(&format!("{part} {sums}"), "Sums"), words(&["examples", "halted", "parts"]));
    let totals = Totals { examples: 1, halted: 2, parts: vec![[3, 4], [5, 6]] };
    assert_eq!(totals.words(), [1, 2, 3, 4, 5, 6]);
    assert_eq!((Totals::of_words(&totals.words(), 2), totals.values()[0]), (totals, 4.0 + 3.0 / 4_294_967_296.0));
    // The update and the average read the first fields.
    for reader in shaders().filter(|shader| ["update", "average"].contains(&shader.name)) {
        assert_eq!(fields(definition(reader, "Losses").unwrap(), "Losses"), words(&["examples", "halted"]));
    }
    // The maximum of a sum.
    let full = |whole: u32| Totals { parts: vec![[0, 0], [0, whole]], ..Totals::default() }.is_full();
    assert!(shader.source.contains("min(v, 4294967040.0)") && full(4_294_967_040) && !full(4_294_967_039));
}

#[test]
fn tables_of_an_update_have_the_layout_of_rust() {
    // These are private. Their definitions are in optim/table.rs and optim/update.rs, four bytes
    // each without gaps.
    let step = words(&["beta1", "beta2", "rest1", "rest2", "epsilon", "correction1", "correction2_sqrt", "max_norm"]);
    let hyper = words(&["learning_rate", "weight_decay", "trained"]);
    let run = words(&["first_block", "blocks", "row"]);
    let mut checked = vec![];
    for shader in lerac::optim::SHADERS {
        for (name, layout) in [("Step", &step), ("Hyper", &hyper), ("Run", &run)] {
            if let Some(text) = definition(shader, name) {
                assert_eq!(fields(text, name), *layout, "{}.wgsl", shader.name);
                checked.push((shader.name, name));
            }
        }
    }
    assert_eq!(checked, [("update", "Step"), ("update", "Hyper"), ("update", "Run"), ("clip", "Step")]);
}

#[test]
fn constants_are_the_same_in_both_languages() {
    let source = |name: &str| shaders().find(|shader| shader.name == name).expect("a shader of this name").source;
    let has = |name: &str, text: String| assert!(source(name).contains(&text), "{name}.wgsl lacks {text:?}");
    has("conv2d", format!("const O_TILE: u32 = {}u;", conv2d::O_TILE));
    has("conv2d_wide", format!("const O_TILE: u32 = {}u;", conv2d::WIDE_CHANNELS));
    has("conv2d_uneven", format!("const O_TILE: u32 = {}u;", conv2d::WIDE_CHANNELS));
    has("conv2d_dilated", format!("const PACKED: u32 = {}u;", conv2d::WIDE_CHANNELS));
    has("conv2d_dilated", format!("const O_TILE: u32 = {}u;", conv2d::DILATED_CHANNELS));
    has("product", format!("const TILE: u32 = {}u;", lerac::ops::product::TILE));
    has("product_wide", format!("const ROWS: u32 = {}u;", lerac::ops::product::WIDE_ROWS));
    has("product_wide", format!("const COLUMNS: u32 = {}u;", lerac::ops::product::WIDE_COLUMNS));
    has("update", format!("run.first_block * {}u", lerac::tensor::BLOCK / 4));
    has("cross_entropy", format!("rows[{}u * n]", cross_entropy::COLUMNS));
    has("regression", format!("rows: array<vec{}<f32>>", regression::COLUMNS));
    has("pixels", format!("const STILL: u32 = {:#x}u;", Augmentation::IDENTITY));
}
