//! The command line of lerac.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Mesa's device-selection layer prints `error: XDG_RUNTIME_DIR is invalid` for every list of
    // adapters on machines without a desktop. This variable turns the layer off.
    if std::env::var_os("NODEVICE_SELECT").is_none() {
        // SAFETY: no other thread runs yet.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var("NODEVICE_SELECT", "1");
        }
    }
    lerac::cli::main()
}
