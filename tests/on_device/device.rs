//! Handles of a device: clones, asynchronous opening and reading, and custom shaders.

use crate::common::errors::{Fault, assert_error, assert_fault};
use crate::common::{Test, open_device, test};
use lerac::gpu::{
    Access, AdapterChoice, Buffer, Call, Constant, Gpu, GpuOptions, Kernel, Shader, adapters, adapters_async,
};
use std::thread;

/// The number of steps of the Collatz sequence from each x to 1.
static COLLATZ: Shader = Shader::new(
    "collatz",
    "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(8) fn collatz(@builtin(global_invocation_id) id: vec3<u32>) {
        var steps = 0u;
        loop {
            if x[id.x] == 1u { break; }
            x[id.x] = select(x[id.x] / 2u, 3u * x[id.x] + 1u, x[id.x] % 2u == 1u);
            steps++;
        }
        x[id.x] = steps;
    }",
);
const STARTS: [u32; 8] = [1, 2, 3, 6, 7, 9, 18, 27];
const STEPS: [u32; 8] = [0, 1, 7, 8, 16, 19, 20, 111];

fn collatz(gpu: &Gpu) -> (Buffer, Call) {
    compiled_for(gpu, vec![])
}

fn compiled_for(gpu: &Gpu, constants: Vec<(&'static str, Constant)>) -> (Buffer, Call) {
    let x = gpu.buffer("x", 32).unwrap();
    gpu.write(&x, 0, &STARTS);
    let kernel = Kernel { shader: &COLLATZ, entry: "collatz", constants };
    let call = gpu.call(&kernel, &[(x.whole(), Access::Write)], [1, 1, 1]).unwrap();
    (x, call)
}

/// The pipeline in the debug output of a call, with its id.
fn pipeline(call: &Call) -> String {
    let text = format!("{call:?}");
    let (pipeline, _) = text.split_once("bind_group:").expect("a call says its pipeline, then its bind group");
    pipeline.to_owned()
}

fn clones_are_one_device(_: &Gpu) {
    let gpu = open_device();
    let clone = gpu.clone();
    let (x, call) = collatz(&gpu);
    let by_the_clone = || clone.run([&call]).and_then(|()| clone.read::<u32>(&x.whole()));
    let read = thread::scope(|scope| scope.spawn(by_the_clone).join());
    assert_eq!(read.expect("another thread may use a clone").unwrap(), STEPS);
    assert_eq!(pipeline(&collatz(&clone).1), pipeline(&call), "a clone compiles nothing again");
    let (_, other) = compiled_for(&clone, vec![("UNUSED", 1u32.into())]);
    assert_ne!(pipeline(&other), pipeline(&call), "another kernel has a pipeline of its own");
    clone.lose();
    drop(clone);
    assert_error(gpu.run([&call]).and_then(|()| gpu.wait()), Fault::Device, &["lost"]);
}

fn asynchronous_calls_do_not_block(_: &Gpu) {
    let options = GpuOptions { adapter: AdapterChoice::from_option(None), ..GpuOptions::default() };
    let trained = async move {
        let listed = adapters_async().await?;
        let gpu = Gpu::open_async(&options).await?;
        let (x, call) = collatz(&gpu);
        let timings = gpu.run_timed_async(&[&call]).await?;
        assert_eq!(timings.map(|timings| timings.len()), gpu.info().timestamps.then_some(1));
        gpu.wait_async().await?;
        let read = gpu.read_async::<u32>(&x.whole());
        // A future of a read keeps the device alive.
        drop(gpu);
        read.await.map(|read| (listed.len(), read))
    };
    let (listed, read) = pollster::block_on(trained).unwrap();
    assert_eq!((listed, &read[..]), (adapters().unwrap().len(), &STEPS[..]));
}

fn futures_of_a_lost_device_are_errors(_: &Gpu) {
    let gpu = open_device();
    let (x, call) = collatz(&gpu);
    gpu.run([&call]).unwrap();
    let (read, waited) = (gpu.read_async::<u32>(&x.whole()), gpu.wait_async());
    gpu.lose();
    for error in [pollster::block_on(read).unwrap_err(), pollster::block_on(waited).unwrap_err()] {
        assert_fault(&error, Fault::Device, &["lost"]);
    }
    assert_error(pollster::block_on(gpu.read_async::<u32>(&x.whole())), Fault::Device, &["lost"]);
}

pub fn tests() -> Vec<Test> {
    vec![
        test("device: clones are one device", clones_are_one_device),
        test("device: asynchronous calls do not block", asynchronous_calls_do_not_block),
        test("device: futures of a lost device are errors", futures_of_a_lost_device_are_errors),
    ]
}
