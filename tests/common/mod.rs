//! What several test files share.
#![allow(dead_code)]

pub mod compare;
pub mod rows;

use lerac::gpu::{AdapterChoice, Gpu, Options, adapters};
use libtest_mimic::{Arguments, Failed, Trial};

/// A device as tests want it: WebGPU's default limits exactly, fresh buffers full of NaN, guard words behind them.
pub fn strict_gpu() -> Gpu {
    let adapter = AdapterChoice::from_option(None);
    Gpu::open(&Options { adapter, default_limits: true, poison: true }).expect("an adapter was found before")
}

/// Runs tests that need a device. Without an adapter they count as ignored, or as failed where `REQUIRE_GPU=1` is set.
pub fn run_gpu_tests(tests: Vec<(String, Box<dyn Fn() + Send + Sync>)>) -> ! {
    let mut arguments = Arguments::from_args();
    // One device at a time: the software adapter already uses every core.
    arguments.test_threads.get_or_insert(1);
    let absent = adapters().is_empty();
    let required = std::env::var("REQUIRE_GPU").is_ok_and(|value| value == "1");
    let trials = tests.into_iter().map(|(name, test)| {
        let run = move || -> Result<(), Failed> {
            if absent {
                return Err("REQUIRE_GPU=1 is set and this machine has no adapter".into());
            }
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(absent && !required)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit()
}

/// A named test for [`run_gpu_tests`].
pub fn test(name: impl Into<String>, run: impl Fn() + Send + Sync + 'static) -> (String, Box<dyn Fn() + Send + Sync>) {
    (name.into(), Box::new(run))
}
