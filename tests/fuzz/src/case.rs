//! A case: target, seed and number, from which its bytes follow.

use fastrand::Rng;
use sha2::{Digest, Sha256};

use crate::mutate::mutate;
use crate::target::Target;

/// Longest input.
pub const BYTES_MAX: usize = 256 * 1024;

thread_local! {
    /// The samples of the target that was asked for last.
    static SAMPLES: std::cell::RefCell<(&'static str, Vec<Vec<u8>>)> = const { std::cell::RefCell::new(("", Vec::new())) };
}

/// Its bytes. The first cases are the samples as they are.
pub fn bytes(target: &Target, seed: u64, number: u64) -> Vec<u8> {
    SAMPLES.with_borrow_mut(|(of, samples)| {
        if *of != target.name {
            (*of, *samples) = (target.name, (target.samples)());
        }
        make(target, samples, seed, number)
    })
}

fn make(target: &Target, samples: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    if let Some(sample) = usize::try_from(number).ok().and_then(|number| samples.get(number)) {
        return sample.clone();
    }
    let hash =
        Sha256::new().chain_update(target.name).chain_update(seed.to_be_bytes()).chain_update(number.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let (first, _) = hash.as_chunks::<8>();
    let mut rng = Rng::with_seed(u64::from_be_bytes(first[0]));
    if rng.u8(..) == 0 || samples.is_empty() {
        let length = rng.usize(..64);
        return std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
    }
    let mut bytes = samples[rng.usize(..samples.len())].clone();
    let other = &samples[rng.usize(..samples.len())];
    mutate(&mut bytes, other, &mut rng);
    bytes.truncate(BYTES_MAX);
    if let Some(mend) = target.mend
        && rng.u8(..) < 176
    {
        mend(&mut bytes);
    }
    bytes
}
