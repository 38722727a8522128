//! What breaks machines, made on purpose: hosts of their own to cut off from each other, disks to take the power from, and a
//! load whose every answer is written down and checked.

mod agree;
mod bodies;
mod clocks;
mod delays;
mod disks;
mod hosts;
mod load;
mod memory;
mod nemesis;
mod overload;
mod run;
mod settle;
mod shell;
mod vanish;

pub use bodies::{body, text};
pub use clocks::Clock;
pub use delays::Delays;
pub use disks::Disk;
pub use hosts::Hosts;
pub use load::{Load, Size};
pub use nemesis::{Abilities, Fault, Nemesis};
pub use overload::{Crowd, Crowded, overload};
pub use run::{Ended, Settings, run};
pub use settle::settle;
pub use vanish::vanish;

/// What this machine allows, and why not more.
pub fn abilities() -> (Abilities, Vec<String>) {
    let (mut with, mut without) = (Abilities::default(), Vec::new());
    let mut note = |what: &str, allowed: crate::Result<()>| {
        let why = allowed.err().map(|why| format!("{what}: {why}"));
        without.extend(why.clone());
        why.is_none()
    };
    with.hosts = note("partitions and packet loss", Hosts::new().map(drop));
    with.disks = note("power cuts, slow and full disks", try_disk());
    with.clocks = note("clock steps", Clock::allowed().map(drop));
    note("fail points", crate::binary(crate::FAILING).map(drop));
    with.points = crate::binary(crate::FAILING).is_ok();
    (with, without)
}

fn try_disk() -> crate::Result<()> {
    let dir = tempfile::tempdir()?;
    Disk::new(dir.path().join(Disk::image_name("try")), &dir.path().join("at"), 0).map(drop)
}
