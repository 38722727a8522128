//! A disk of its own for a node: a file with an XFS, mounted through a loop device. The power can be taken from it: what was
//! not synced is gone then, as after a power cut, and nothing can be written until it is mounted again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::shell::{is_gone, run};
use crate::Result;

/// The smallest file system that mkfs.xfs makes.
pub const MIB_MIN: u64 = 320;

/// Longest that the system may take to let go of a disk that was unmounted.
const LET_GO_MAX: Duration = Duration::from_secs(20);

/// What fills a disk up.
const FILLER: &str = "filler";

/// A mounted disk. Goes away when dropped.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mounted_at: PathBuf,
}

impl Disk {
    /// Makes and mounts one. An error says why this machine does not allow it: not root, no loop devices, no XFS.
    pub fn new(image: PathBuf, mounted_at: &Path, mib: u64) -> Result<Self> {
        sweep();
        File::create(&image)?.set_len(mib.max(MIB_MIN) << 20)?;
        run("mkfs.xfs", &["-q", "-f", text(&image)?])?;
        std::fs::create_dir_all(mounted_at)?;
        let disk = Self { image, mounted_at: mounted_at.to_owned() };
        disk.mount()?;
        Ok(disk)
    }

    /// Where a harness that was killed can be recognised by the next one.
    #[must_use]
    pub fn image_name(slot: &str) -> String {
        format!("{slot}.{}.xfs", std::process::id())
    }

    /// Takes the power: from now on nothing reaches the disk, and what was not synced never does.
    pub fn cut_power(&self) -> Result<()> {
        run("xfs_io", &["-x", "-c", "shutdown", text(&self.mounted_at)?]).map(drop)
    }

    /// The power is back: mounts it as it is. What used it must have ended.
    ///
    /// Errors: something else keeps the file system in use, as a process with mounts of its own that was started meanwhile: it
    /// would come back as it was left, without power.
    pub fn restore_power(&self) -> Result<()> {
        run("umount", &[text(&self.mounted_at)?])?;
        let began = Instant::now();
        while !run("losetup", &["--associated", text(&self.image)?])?.trim().is_empty() {
            if began.elapsed() > LET_GO_MAX {
                return Err(format!("{} was unmounted, and something still has it in use", self.image.display()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.mount()
    }

    /// Stops the disk: what is written to it waits. What waits cannot be killed before [`Self::go_on`].
    pub fn stall(&self) -> Result<()> {
        run("fsfreeze", &["--freeze", text(&self.mounted_at)?]).map(drop)
    }

    /// The disk goes on.
    pub fn go_on(&self) -> Result<()> {
        run("fsfreeze", &["--unfreeze", text(&self.mounted_at)?]).map(drop)
    }

    /// Fills it up with a file until only so many bytes are free.
    pub fn fill(&self, leave: u64) -> Result<()> {
        let stat = rustix::fs::statvfs(&self.mounted_at)?;
        let size = stat.f_bavail.saturating_mul(stat.f_frsize).saturating_sub(leave);
        let filler = self.mounted_at.join(FILLER);
        run("fallocate", &["--length", &size.to_string(), text(&filler)?]).map(drop)
    }

    /// Takes that file away.
    pub fn empty(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.mounted_at.join(FILLER))?)
    }

    fn mount(&self) -> Result<()> {
        run("mount", &["-o", "loop", text(&self.image)?, text(&self.mounted_at)?]).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.go_on();
        if let Ok(at) = text(&self.mounted_at)
            && run("umount", &[at]).is_err()
        {
            let _ = run("umount", &["--lazy", at]);
        }
    }
}

/// Unmounts what harnesses left that were killed.
fn sweep() {
    for line in run("losetup", &["--noheadings", "--list", "--output", "NAME,BACK-FILE"]).unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let (Some(device), Some(image)) = (words.next(), words.next()) else { continue };
        let pid = image.strip_suffix(".xfs").and_then(|rest| rest.rsplit('.').next());
        if pid.is_some_and(is_gone) {
            let _ = run("umount", &["--lazy", device]);
        }
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}
