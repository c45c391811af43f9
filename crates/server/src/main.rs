//! The `lavandin` binary; see the library for all it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    lavandin_server::main()
}
