//! `native OPTIONS` trains natively as the page does, in the dialect of browsers, and prints the
//! events. OPTIONS are those of the page, as JSON. For tests.

use lerac::error::Result;
use lerac::gpu::{Dialect, Gpu, GpuOptions};
use lerac_web::{Report, Stop, options, train};
use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

/// Natively each future blocks until it is ready, so the first poll is the last.
fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a native future blocks"),
    }
}

fn run(json: &str) -> Result<String> {
    let config = options(json)?;
    let gpu = Gpu::open(&GpuOptions { dialect: Some(Dialect::PLAIN), ..GpuOptions::default() })?;
    eprintln!("{} ({})", gpu.info().name, gpu.info().driver);
    block_on(train(&gpu, &config, Stop::default(), Report(|event| println!("{event}")))).outcome
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref().map(run) {
        Some(Ok(text)) => {
            eprintln!("{text}");
            ExitCode::SUCCESS
        }
        Some(Err(fault)) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("native: expected the options of a run as JSON");
            ExitCode::FAILURE
        }
    }
}
