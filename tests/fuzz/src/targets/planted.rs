//! What must be found: each does one thing that no parser may do, so that a test sees that it is noticed. They run only when they
//! are named.

use crate::target::Target;

/// All of them.
pub fn all() -> [Target; 6] {
    [
        Target::new("planted-panic", |bytes| assert!(bytes.is_empty(), "planted"), one),
        Target::new("planted-abort", |_| std::process::abort(), one),
        Target::new("planted-overflow", |bytes| assert!(descend(bytes, 0) > 0), one),
        // More than its input allows, and all of it given back.
        Target::new("planted-greed", |_| drop(std::hint::black_box(vec![1_u8; 1 << 20])), one),
        // More than the whole process may have.
        Target::new("planted-refused", |_| drop(std::hint::black_box(vec![1_u8; 5 << 30])), one),
        Target::new("planted-endless", |_| endless(), one),
    ]
}

fn one() -> Vec<Vec<u8>> {
    vec![b"planted".to_vec()]
}

fn descend(bytes: &[u8], depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 512]);
    if bytes.len() as u64 == depth.wrapping_add(1) << 40 { 0 } else { descend(bytes, depth + 1) + here[1] }
}

fn endless() {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
