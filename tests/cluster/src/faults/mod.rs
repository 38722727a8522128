//! What breaks machines, made on purpose: hosts of their own to cut off from each other, disks to take the power from, and a
//! load whose every answer is written down and checked.

mod bodies;
mod disks;
mod hosts;
mod load;
mod nemesis;
mod run;
mod settle;
mod shell;

pub use bodies::{body, text};
pub use disks::Disk;
pub use hosts::Hosts;
pub use load::{Load, Size};
pub use nemesis::{Fault, Nemesis};
pub use run::{Ended, Settings, run};
pub use settle::settle;

/// Whether this machine allows hosts and disks of their own; an error says what it refuses.
pub fn allowed() -> crate::Result<()> {
    let dir = tempfile::tempdir()?;
    drop(Hosts::new()?);
    drop(Disk::new(dir.path().join(Disk::image_name("try")), &dir.path().join("at"), 0)?);
    Ok(())
}
