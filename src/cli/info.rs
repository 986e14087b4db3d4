//! `lerac info`.

use super::{DeviceArgs, print};
use crate::error::Result;
use crate::gpu::{Gpu, Options, adapters, choose};
use clap::Args;
use comfy_table::{Table, presets::ASCII_MARKDOWN};

/// Options of `lerac info`.
#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the adapters and the limits of the chosen one.
pub(super) fn run(args: &InfoArgs) -> Result<()> {
    let list = adapters();
    let chosen = choose(&list, &args.device.choice())?;
    let gpu = Gpu::open(&Options { adapter: args.device.choice(), ..Options::default() })?;
    if args.json {
        let report = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "adapters": list,
            "chosen": chosen.index,
            "limits": gpu.limits(),
            "timestamps": chosen.timestamps,
        });
        print(&serde_json::to_string_pretty(&report).expect("a report is plain data"));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["", "adapter", "kind", "backend", "driver", "binds up to"]);
    for info in &list {
        table.add_row([
            format!("{}{}", if info.index == chosen.index { "*" } else { " " }, info.index),
            info.name.clone(),
            format!("{:?}", info.kind).to_lowercase(),
            info.backend.clone(),
            info.driver.clone(),
            format!("{} MiB", info.max_binding_bytes >> 20),
        ]);
    }
    let limits = gpu.limits();
    let timing = if chosen.timestamps { "dispatches can be timed" } else { "dispatches cannot be timed" };
    print(&format!(
        "{table}\n* is used: buffers up to {} MiB, bindings up to {} MiB, {timing}",
        limits.buffer_bytes >> 20,
        limits.binding_bytes >> 20
    ));
    Ok(())
}
