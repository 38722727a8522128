//! What the fuzzer watches for is planted, and it notices: in words, and with the command that repeats it.

use std::process::Command;

/// Runs one planted target; what was said.
fn found(target: &str) -> String {
    let fuzz = env!("CARGO_BIN_EXE_tricord-fuzz");
    let output = Command::new(fuzz).args(["--seconds", "20", "--target", target]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{target} went unnoticed: {said}");
    assert!(said.contains(&format!("--target {target} --seed 1 --case 0")), "{said}");
    said
}

#[test]
fn a_panic_is_found() {
    let said = found("planted-panic");
    assert!(said.contains("planted") && !said.contains("ended the process"), "{said}");
}

#[test]
fn what_ends_the_process_is_found_by_whoever_watches_it() {
    for target in ["planted-abort", "planted-overflow", "planted-refused"] {
        let said = found(target);
        assert!(said.contains("it ended the process (signal: 6"), "{target}: {said}");
    }
}

#[test]
fn more_memory_than_the_input_allows_is_found() {
    let said = found("planted-greed");
    assert!(said.contains("it allocated ") && said.contains(" bytes for 7 bytes of input"), "{said}");
}
