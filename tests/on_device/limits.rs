//! Models that exceed the device's limits are rejected before anything is allocated. The error
//! suggests a batch size that fits.

use crate::common::errors::{Fault, assert_error};
use crate::common::{Test, test};
use crate::recorded::ten_classes;
use lerac::Trainer;
use lerac::data::shapes;
use lerac::error::Error;
use lerac::gpu::{Access, AdapterChoice, Gpu, GpuOptions, Kernel, Shader};
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, Conv, Net, NetOptions, Recorded};
use lerac::tape::{Keep, Mode, Program, Storage, Tape, Target, Var};

/// Records a model of the table for ten classes of its usual input.
fn record(model: &str, batch_size: usize, tape: Tape) -> Recorded {
    let classes = &ten_classes([1; 3]).targets[0].meaning;
    let (form, model) = (nn::usual_form(model, None, classes), nn::named(model).unwrap());
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    nn::record(&model, &form, &*objective, batch_size, tape, NetOptions::default())
}

fn refusal(gpu: &Gpu, batch_size: usize) -> Result<(), Error> {
    record("cnn", batch_size, Tape::new(Mode::Train)).tape.check(&gpu.limits(), batch_size)
}

fn a_large_batch_is_refused(gpu: &Gpu) {
    // conv1's result takes 64 KiB an image: 2,048 images fill 128 MiB.
    assert_eq!(gpu.limits().binding_bytes, 128 << 20);
    refusal(gpu, 2048).unwrap();
    assert_error(refusal(gpu, 4096), Fault::Capacity, &["256.0 MiB", "`batch_size` 2048"]);
    refusal(gpu, 2048).unwrap();
}

fn plans_are_what_is_allocated(gpu: &Gpu) {
    let recorded = record("resnet8", 4, Tape::new(Mode::Train));
    let storage = Storage::new(gpu, &recorded.tape).unwrap();
    let arenas = [&storage.params, &storage.grads, &storage.state];
    let stored: u64 = arenas.iter().flat_map(|arena| arena.windows()).map(|buffer| buffer.bytes()).sum();
    let kept = [recorded.outputs[0].into()];
    let mut totals = vec![];
    for keep in [Keep::Everything, Keep::Only(&kept)] {
        let plan = recorded.tape.plan(keep, &[]);
        let mut pool = vec![];
        let program = Program::keeping(gpu, recorded.tape.clone(), &storage, keep, &mut pool).unwrap();
        let allocated: u64 = program.all_buffers().map(|buffer| buffer.bytes()).sum();
        assert_eq!((plan.working, plan.total()), (allocated, allocated + stored));
        let shared: Vec<u64> = pool.iter().map(|buffer| buffer.bytes()).collect();
        assert_eq!(recorded.tape.shared_sizes(keep), shared);
        // Evaluation fits into the shared buffers of training.
        let eval = record("resnet8", 4, Tape::new(Mode::Eval));
        let added = eval.tape.plan(Keep::Only(&[]), &shared).working;
        let eval = Program::keeping(gpu, eval.tape, &storage, Keep::Only(&[]), &mut pool).unwrap();
        let all: u64 = eval.all_buffers().map(|buffer| buffer.bytes()).sum();
        assert_eq!(added + shared.iter().sum::<u64>(), all);
        totals.push((allocated, added));
    }
    let [(all, added), (shared, added_to_shared)] = totals[..] else { unreachable!() };
    assert!(shared < all * 2 / 3, "{shared} bytes with sharing, {all} without");
    assert!(added > 0 && added_to_shared == 0, "{added}, {added_to_shared}");
}

fn an_empty_tape_runs(gpu: &Gpu) {
    let tape = Tape::new(Mode::Train);
    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    gpu.wait().unwrap();
}

static DOUBLE: Shader = Shader::new(
    "double",
    "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
        @compute @workgroup_size(64) fn double(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] *= 2.0; }",
);
static LARGE: Shader = Shader::new(
    "large",
    "@group(0) @binding(0) var<storage, read_write> x: array<f32, 65536>;
        @compute @workgroup_size(1) fn large() { x[65535] = 1.0; }",
);
static BROKEN: Shader = Shader::new("broken", "@compute @workgroup_size(64) fn broken() { nothing(); }");

fn kernel(shader: &'static Shader) -> Kernel {
    Kernel { shader, entry: shader.name, constants: vec![] }
}

/// An invalid kernel or launch is an error that names the kernel. The device stays usable.
fn errors_name_the_kernel(gpu: &Gpu) {
    let x = gpu.buffer("x", 256).unwrap();
    let bound = |bytes| vec![(x.range(0, bytes), Access::Write)];
    let broken = gpu.call(&kernel(&BROKEN), &bound(256), [1, 1, 1]);
    assert_error(broken, Fault::Device, &["broken, broken", "nothing"]);
    let wide = gpu.call(&kernel(&DOUBLE), &bound(256), [1, 70_000, 1]);
    assert_error(wide, Fault::Device, &["double, double", "70000", "65535"]);
    let few = gpu.call(&kernel(&DOUBLE), &[(x.range(4, 16), Access::Write)], [1, 1, 1]);
    assert_error(few, Fault::Device, &["double, double", "[16]"]);
    let huge = gpu.buffer("a whole library", 1 << 50);
    assert_error(huge, Fault::Capacity, &["a whole library", "1125899906842624", "`batch_size`"]);
    gpu.write(&x, 0, &[3f32; 64]);
    gpu.run([&gpu.call(&kernel(&DOUBLE), &bound(256), [1, 1, 1]).unwrap()]).unwrap();
    assert_eq!(gpu.read::<f32>(&x.whole()).unwrap(), [6.0; 64]);
}

/// For drivers that compile at the first launch, an empty launch is submitted first, with bindings
/// of any size.
fn large_bindings_are_allowed(gpu: &Gpu) {
    let x = gpu.buffer("x", 4 << 16).unwrap();
    let call = gpu.call(&kernel(&LARGE), &[(x.whole(), Access::Write)], [1, 1, 1]).unwrap();
    gpu.run([&call]).unwrap();
    assert_eq!(gpu.read::<f32>(&x.range(4 * 65535, 4)).unwrap(), [1.0]);
}

fn a_lost_device_is_an_error(_: &Gpu) {
    let gpu = Gpu::open(&GpuOptions { adapter: AdapterChoice::from_option(None), ..GpuOptions::default() }).unwrap();
    let x = gpu.buffer("x", 256).unwrap();
    let call = gpu.call(&kernel(&DOUBLE), &[(x.whole(), Access::Write)], [1, 1, 1]).unwrap();
    gpu.lose();
    let after = gpu.run([&call]).and_then(|()| gpu.read::<f32>(&x.whole()));
    assert_error(after, Fault::Device, &["lost"]);
    assert_error(gpu.run([&call]), Fault::Device, &["lost"]);
}

/// Under WebGPU's default limits every model runs, or is rejected before its first step with a
/// batch size that fits.
fn every_model_fits_or_is_refused(gpu: &Gpu) {
    for (name, detects) in nn::MODELS.iter().map(|entry| (entry.name, entry.detects())) {
        for target in Target::ALL {
            let check = |batch_size| {
                let tape = Tape::new(Mode::Train).with_target(target);
                record(name, batch_size, tape).tape.check(&gpu.limits(), batch_size)
            };
            // The tokens of SepTr are the pixels of an image, and detectors read 640x640 pixels.
            for (batch_size, fits) in [(64, name != "septr" && !detects), (1 << 14, false)] {
                let case = format!("{name} at {batch_size}, {target:?}");
                match check(batch_size) {
                    // Its first linear layer has 103 million weights.
                    refusal if name == "vgg11_bn-imagenet" => {
                        assert_error(refusal, Fault::Capacity, &["classifier.0.weight", "392.0 MiB", "128.0 MiB"]);
                    }
                    Ok(()) => assert!(fits, "{case}"),
                    Err(error) => {
                        let message = error.to_string();
                        assert!(!fits && message.contains("128.0 MiB"), "{case}: {message}");
                        let advice =
                            message.split_once("`batch_size` ").and_then(|(_, rest)| rest.split_once(" or less"));
                        let advised = advice.and_then(|(number, _)| number.parse().ok());
                        let advised = advised.unwrap_or_else(|| panic!("{case}: {message}"));
                        for n in std::iter::successors(Some(advised), |n| (*n > 1).then_some(n / 2)) {
                            check(n).unwrap_or_else(|error| panic!("{case}: {message}; but {error}"));
                        }
                    }
                }
            }
        }
    }
}

/// Doubles 1 on a device with the pipeline cache in `dir`.
fn doubled(dir: &std::path::Path) -> Vec<f32> {
    let gpu = Gpu::open(&GpuOptions {
        adapter: AdapterChoice::from_option(None),
        cache: Some(dir.to_owned()),
        ..GpuOptions::default()
    });
    let gpu = gpu.unwrap();
    let x = gpu.buffer("x", 16).unwrap();
    gpu.write(&x, 0, &[1f32; 4]);
    gpu.run([&gpu.call(&kernel(&DOUBLE), &[(x.whole(), Access::Write)], [1, 1, 1]).unwrap()]).unwrap();
    gpu.read(&x.whole()).unwrap()
}

fn a_broken_cache_is_replaced(gpu: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made when needed");
    assert_eq!(doubled(&dir), [2.0; 4]);
    // Only Vulkan drivers expose compiled pipelines.
    if gpu.info().backend != "Vulkan" {
        return;
    }
    let files = || std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let [file] = &files()[..] else { panic!("one file is kept: {:?}", files()) };
    let sound = std::fs::read(file).unwrap();
    let mut changed = sound.clone();
    *changed.last_mut().unwrap() ^= 1;
    for broken in [&sound[..sound.len() / 2], &[], &changed, b"not a cache at all"] {
        std::fs::write(file, broken).unwrap();
        assert_eq!(doubled(&dir), [2.0; 4]);
        assert_eq!(std::fs::read(file).unwrap().len(), sound.len(), "a broken cache is replaced");
    }
    // Without a writable cache, kernels still run.
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::write(&dir, "a file in its place").unwrap();
    assert_eq!(doubled(&dir), [2.0; 4]);
}

fn one_value_per_channel_is_refused_before_the_first_step(gpu: &Gpu) {
    let model = |net: &mut Net, x: Var, classes: usize| {
        let x = net.conv2d("conv", x, Conv::same3x3(3, 1));
        let x = net.mean_pool("pool", x, 32, 32);
        let x = net.batch_norm("bn", x);
        let x = net.flatten(x);
        net.linear("linear", x, classes)
    };
    let run = |batch_size: usize, micro_batch: Option<usize>| {
        let steps = std::cell::Cell::new(0);
        let trainer = Trainer::new(gpu, model, shapes(20, 4, 0)).epochs(1).batch_size(batch_size);
        let trainer = trainer.options(|config| config.training.micro_batch = micro_batch);
        let outcome = trainer.observe(|_| steps.set(1)).run().map(drop);
        (outcome, steps.get())
    };
    for (batch_size, micro_batch, field) in [(1, None, "batch_size"), (2, Some(1), "micro_batch")] {
        let (outcome, begun) = run(batch_size, micro_batch);
        assert_error(outcome, Fault::Setting(field), &["bn", "[1,3,1,1]"]);
        assert_eq!(begun, 0);
    }
    run(2, None).0.unwrap();
}

pub fn tests() -> Vec<Test> {
    vec![
        test("limits: one value per channel", one_value_per_channel_is_refused_before_the_first_step),
        test("limits: a large batch is refused", a_large_batch_is_refused),
        test("limits: plans are what is allocated", plans_are_what_is_allocated),
        test("limits: an empty tape runs", an_empty_tape_runs),
        test("limits: every model fits or is refused", every_model_fits_or_is_refused),
        test("limits: errors name the kernel", errors_name_the_kernel),
        test("limits: large bindings are allowed", large_bindings_are_allowed),
        test("limits: a lost device is an error", a_lost_device_is_an_error),
        test("limits: a broken cache is replaced", a_broken_cache_is_replaced),
    ]
}
