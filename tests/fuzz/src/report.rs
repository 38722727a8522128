//! What is told: on standard output, one thing a line.

/// Says it.
#[expect(clippy::print_stdout, reason = "what the program was asked for")]
pub fn say(line: &str) {
    println!("{line}");
}

/// A failure, with the command that repeats it and the bytes themselves.
pub fn failure(target: &str, seed: u64, number: u64, bytes: &[u8], why: &str) {
    say(&format!("\nFAILED {target}, seed {seed}, case {number}: {why}"));
    say(&format!("  again: cargo run -p tricord-tests-fuzz -- --target {target} --seed {seed} --case {number}"));
    say(&format!("  bytes: {}", crate::hex::of(bytes)));
}
