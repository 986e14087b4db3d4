//! Every test that needs a device. Without an adapter the tests are ignored; with `REQUIRE_GPU=1`
//! they fail.

#[path = "../common/mod.rs"]
mod common;

mod adjoint;
#[cfg(feature = "cli")]
mod ages;
mod attention_parity;
mod averages;
#[cfg(feature = "cli")]
mod commands;
mod detection;
mod detector_parity;
#[cfg(feature = "cli")]
mod detectors;
mod device;
#[cfg(feature = "cli")]
mod docs;
#[cfg(feature = "cli")]
mod elsewhere;
#[cfg(feature = "cli")]
mod export;
#[cfg(feature = "cli")]
mod extending;
mod golden;
mod limits;
mod long_runs;
#[cfg(feature = "cli")]
mod model_files;
mod objectives;
mod observers;
mod op_table;
mod operations;
mod optimisers;
#[cfg(feature = "cli")]
mod paper;
mod parity;
mod recorded;
#[cfg(feature = "cli")]
mod resuming;
mod sequences;
mod sessions;
#[cfg(feature = "cli")]
mod sounds;
mod sums;
#[cfg(feature = "cli")]
mod tasks;
mod text_parity;
#[cfg(feature = "cli")]
mod texts;
mod training;
#[cfg(feature = "cli")]
mod tuning;
mod views;
#[cfg(feature = "cli")]
mod weights;

fn main() {
    let parts = vec![
        op_table::tests(),
        adjoint::tests(),
        operations::tests(),
        sums::tests(),
        detection::tests().into(),
        optimisers::tests(),
        averages::tests(),
        golden::tests(),
        parity::tests(),
        text_parity::tests(),
        attention_parity::tests(),
        detector_parity::tests(),
        #[cfg(feature = "cli")]
        texts::tests(),
        #[cfg(feature = "cli")]
        sounds::tests(),
        training::tests(),
        sessions::tests(),
        objectives::tests(),
        observers::tests(),
        limits::tests(),
        device::tests(),
        long_runs::tests(),
        sequences::tests(),
        views::tests(),
        #[cfg(feature = "cli")]
        detectors::tests(),
        #[cfg(feature = "cli")]
        commands::tests(),
        #[cfg(feature = "cli")]
        paper::tests(),
        #[cfg(feature = "cli")]
        docs::tests(),
        #[cfg(feature = "cli")]
        elsewhere::tests(),
        #[cfg(feature = "cli")]
        extending::tests(),
        #[cfg(feature = "cli")]
        ages::tests(),
        #[cfg(feature = "cli")]
        resuming::tests(),
        #[cfg(feature = "cli")]
        tasks::tests(),
        #[cfg(feature = "cli")]
        model_files::tests(),
        #[cfg(feature = "cli")]
        export::tests(),
        #[cfg(feature = "cli")]
        tuning::tests(),
    ];
    common::run_on_device(parts.into_iter().flatten().collect())
}
