//! Tests that need a device, and the devices that they run on.

use lerac::gpu::{AdapterChoice, Dialect, Gpu, GpuOptions, SubgroupShare, adapters};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Arc, LazyLock};

/// A device as tests want it: WebGPU's default limits exactly, fresh buffers full of NaN.
static STRICT: LazyLock<Gpu> = LazyLock::new(|| strict(None));

/// Such a device whose kernels have the forms that they have on GPUs.
static PLAIN: LazyLock<Gpu> = LazyLock::new(|| strict(Some(Dialect::PLAIN)));

/// Such a device whose kernels share what they load by fours, as they do where a processor's registers hold four floats.
static SHARE_OF_4: LazyLock<Gpu> =
    LazyLock::new(|| strict(Some(Dialect { subgroup_share: SubgroupShare::Of4, ..STRICT.dialect() })));

fn strict(dialect: Option<Dialect>) -> Gpu {
    let adapter = AdapterChoice::from_option(None);
    Gpu::open(&GpuOptions { adapter, default_limits: true, poison: true, dialect, cache: None })
        .expect("an adapter was found before")
}

/// A device as a user opens it.
pub fn open_device() -> Gpu {
    Gpu::open(&GpuOptions { adapter: AdapterChoice::from_option(None), ..GpuOptions::default() }).unwrap()
}

/// A named test that needs a device.
pub struct Test {
    name: String,
    run: Box<dyn Fn(&Gpu) + Send + Sync>,
}

/// Makes a [`Test`].
pub fn test(name: impl Into<String>, run: impl Fn(&Gpu) + Send + Sync + 'static) -> Test {
    Test { name: name.into(), run: Box::new(run) }
}

/// A test in the dialect that kernels usually have here, and one in that of GPUs.
pub fn in_two_dialects(name: impl Into<String>, run: impl Fn(&Gpu) + Send + Sync + 'static) -> [Test; 2] {
    let name = name.into();
    let run = Arc::new(run);
    let again = run.clone();
    let plain = test(format!("{name}, plain"), move |_| again(&PLAIN));
    [test(name, move |gpu| run(gpu)), plain]
}

/// One test in every dialect that the adapter understands.
pub fn in_every_dialect(name: impl Into<String>, run: impl Fn(&Gpu) + Send + Sync + 'static) -> Test {
    test(name, move |gpu| {
        run(gpu);
        run(&PLAIN);
        if gpu.dialect().subgroup_share != SubgroupShare::None {
            run(&SHARE_OF_4);
        }
    })
}

/// Runs tests that need a device. Without an adapter they count as ignored, or as failed where `REQUIRE_GPU=1` is set.
pub fn run_on_device(tests: Vec<Test>) -> ! {
    let mut arguments = Arguments::from_args();
    // One at a time: the software adapter already uses every core.
    arguments.test_threads.get_or_insert(1);
    let absent = adapters().is_empty();
    let required = std::env::var("REQUIRE_GPU").is_ok_and(|value| value == "1");
    let trials = tests.into_iter().map(|test| {
        let run = move || -> Result<(), Failed> {
            if absent {
                return Err("this machine has no adapter".into());
            }
            (test.run)(&STRICT);
            Ok(())
        };
        Trial::test(test.name, run).with_ignored_flag(absent && !required)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit()
}
