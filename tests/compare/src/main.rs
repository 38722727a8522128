//! Says of each data directory named what it holds: a line of the last entry applied, the hash of the state, the audit records
//! and the root of their tree. Ends with 1 when they cannot be compared; whether they are equal is for the caller to see.

use std::path::PathBuf;
use std::process::ExitCode;

use compare::compare;

#[expect(clippy::print_stdout, reason = "a command's output")]
fn main() -> ExitCode {
    let data: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let held = match tempfile::tempdir() {
        Ok(scratch) => compare(&data, scratch.path()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match held {
        Ok(held) => {
            for one in held {
                println!("{} {} {} {}", one.applied, hex(&one.state), one.records, hex(&one.root));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare {data:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
