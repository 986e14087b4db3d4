//! The command line of lerac.

use std::process::ExitCode;

fn main() -> ExitCode {
    lerac::cli::main()
}
