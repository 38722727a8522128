//! A target, and how it is declared.

/// Bytes that any case may allocate beyond those that follow from its input.
const BYTES_FREE: usize = 256 * 1024;

/// One parser, or a few that read the same bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Reads bytes; panics when what must hold does not.
    pub run: fn(&[u8]),
    /// What cases are made of.
    pub samples: fn() -> Vec<Vec<u8>>,
    /// Sets checksums and lengths right, which would end nearly every case at the door.
    pub mend: Option<fn(&mut Vec<u8>)>,
    /// Bytes it may allocate for each byte of input.
    pub factor: usize,
}

impl Target {
    /// One without checksums.
    pub const fn new(name: &'static str, run: fn(&[u8]), samples: fn() -> Vec<Vec<u8>>) -> Self {
        Self { name, run, samples, mend: None, factor: 64 }
    }

    /// With what sets its checksums right.
    pub const fn mend(self, mend: fn(&mut Vec<u8>)) -> Self {
        Self { mend: Some(mend), ..self }
    }

    /// With its own bound.
    pub const fn factor(self, factor: usize) -> Self {
        Self { factor, ..self }
    }

    /// Bytes that an input of this length may make it allocate.
    pub const fn bytes_max(&self, length: usize) -> usize {
        BYTES_FREE + self.factor * length
    }
}
