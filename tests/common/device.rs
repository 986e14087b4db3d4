//! Tests that need a device, and the devices that they run on.

use lerac::gpu::{AdapterChoice, Dialect, Gpu, GpuOptions, SubgroupShare, adapters};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, exit};
use std::sync::{Arc, LazyLock};

/// WebGPU's default limits, and new buffers filled with NaN.
static STRICT: LazyLock<Gpu> = LazyLock::new(|| strict(None));

/// The same limits and buffers, with kernels compiled as for GPUs.
static PLAIN: LazyLock<Gpu> = LazyLock::new(|| strict(Some(Dialect::PLAIN)));

/// The same limits and buffers, with loads shared in subgroups of four, as on processors with
/// registers of four floats.
static SHARE_OF_4: LazyLock<Gpu> =
    LazyLock::new(|| strict(Some(Dialect { subgroup_share: SubgroupShare::Of4, ..STRICT.dialect() })));

fn strict(dialect: Option<Dialect>) -> Gpu {
    let adapter = AdapterChoice::from_option(None);
    Gpu::open(&GpuOptions { adapter, default_limits: true, poison: true, dialect, cache: None })
        .expect("an adapter was found before")
}

/// A device with a user's default options.
pub fn open_device() -> Gpu {
    Gpu::open(&GpuOptions { adapter: AdapterChoice::from_option(None), ..GpuOptions::default() }).unwrap()
}

/// A named test that needs a device.
pub struct Test {
    name: String,
    run: Box<dyn Fn(&Gpu) + Send + Sync>,
}

/// Creates a [`Test`].
pub fn test(name: impl Into<String>, run: impl Fn(&Gpu) + Send + Sync + 'static) -> Test {
    Test { name: name.into(), run: Box::new(run) }
}

/// Two tests: in the adapter's default dialect, and in the dialect of GPUs.
pub fn in_two_dialects(name: impl Into<String>, run: impl Fn(&Gpu) + Send + Sync + 'static) -> [Test; 2] {
    let name = name.into();
    let run = Arc::new(run);
    let again = run.clone();
    let plain = test(format!("{name}, plain"), move |_| again(&PLAIN));
    [test(name, move |gpu| run(gpu)), plain]
}

/// One test that runs in every dialect that the adapter supports.
pub fn in_every_dialect(name: impl Into<String>, run: impl Fn(&Gpu) + Send + Sync + 'static) -> Test {
    test(name, move |gpu| {
        run(gpu);
        run(&PLAIN);
        if gpu.dialect().subgroup_share != SubgroupShare::None {
            run(&SHARE_OF_4);
        }
    })
}

/// Processes that share the tests of a binary. A software adapter keeps every kernel that it has
/// compiled, so a single process would grow to more memory than many machines have.
const PROCESSES: usize = 3;

/// The process's part of the tests, from 0.
const PART: &str = "LERAC_TEST_PART";

/// Runs this program again for each part of the tests, with the same arguments.
fn run_parts() -> ! {
    let this = std::env::current_exe().expect("a running program has a path");
    let part = |part: usize| {
        let again = Command::new(&this).args(std::env::args_os().skip(1)).env(PART, part.to_string()).status();
        again.expect("this program can be started again").success()
    };
    let failed = (0..PROCESSES).filter(|&i| !part(i)).count();
    exit(if failed == 0 { 0 } else { 101 })
}

/// Runs tests that need a device, in several processes one after the other. Without an adapter they
/// are ignored; with `REQUIRE_GPU=1` they fail.
pub fn run_on_device(mut tests: Vec<Test>) -> ! {
    let mut arguments = Arguments::from_args();
    match std::env::var(PART).map(|part| part.parse::<usize>()) {
        Ok(Ok(part)) => {
            let count = tests.len().div_ceil(PROCESSES);
            tests = tests.into_iter().skip(part * count).take(count).collect();
        }
        _ if arguments.list => {}
        _ => run_parts(),
    }
    // One thread: the software adapter uses all cores.
    arguments.test_threads.get_or_insert(1);
    let absent = adapters().expect("the environment's choices are valid").is_empty();
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
