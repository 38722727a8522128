//! `tricordd`; all of it stands in the library, so that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::main()
}
