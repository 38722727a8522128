//! One daemon process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::binaries::binary;

/// The daemon with fail points; `ops/test` and `ops/soak` build it beside the one that ships.
pub const FAILING: &str = "tricordd-failing";

/// A `tricordd run` and what it says. Killed when dropped.
#[derive(Debug)]
pub struct NodeProcess {
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// What its command begins with: another program that runs it somewhere else, for instance.
    pub prefix: Vec<String>,
    /// Which program it is: `tricordd`, or one of another release.
    pub program: &'static str,
    /// Set in its environment.
    pub environment: Vec<(String, String)>,
}

impl NodeProcess {
    /// Not started yet; its output is appended to `log`.
    #[must_use]
    pub fn new(config: PathBuf, log: PathBuf) -> Self {
        Self { config, log, child: None, prefix: Vec::new(), program: "tricordd", environment: Vec::new() }
    }

    /// Starts it. It may need a while until it answers.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Err("the node runs already".into());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let daemon = binary(self.program)?;
        let mut words = self.prefix.iter().map(OsString::from).chain([daemon.into_os_string()]);
        let child = Command::new(words.next().ok_or("no command")?)
            .args(words)
            .envs(self.environment.iter().cloned())
            .arg("run")
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Starts it as the daemon with fail points, which ends where this says: `log-after-fsync=20*off->return` at the 21st time.
    pub fn start_until(&mut self, point: &str) -> Result<()> {
        let program = std::mem::replace(&mut self.program, FAILING);
        self.environment.push(("FAILPOINTS".into(), point.into()));
        let started = self.start();
        self.environment.pop();
        self.program = program;
        started
    }

    /// Waits until it has ended by itself, and says whether it has; it can be started again then.
    pub fn has_ended_within(&mut self, patience: Duration) -> Result<bool> {
        let began = Instant::now();
        while self.ended()?.is_none() {
            if began.elapsed() > patience {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = None;
        Ok(true)
    }

    /// Ends it as a power cut would end a process: SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().ok_or("the node does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().ok_or("the node does not run")?;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > patience {
                child.kill()?;
                child.wait()?;
                return Err("the node did not stop when asked to".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it in its tracks (SIGSTOP), as a machine that hangs.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Stops it like [`Self::pause`], and returns once none of its threads says anything any more: each has stopped, or is
    /// inside the kernel, waiting for a disk, and stops when it comes out.
    pub fn silence(&self) -> Result<()> {
        self.pause()?;
        let tasks = format!("/proc/{}/task", self.pid().ok_or("the node does not run")?);
        let began = Instant::now();
        while threads(Path::new(&tasks))?.iter().any(|state| !matches!(state, 'T' | 'D' | 'Z' | 'X')) {
            if began.elapsed() > Duration::from_secs(5) {
                return Err("the node did not stop in its tracks".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Tells it to read its certificates again (SIGHUP).
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?,
            None => None,
        })
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.pid().ok_or("the node does not run")?;
        let pid = Pid::from_raw(i32::try_from(id)?).ok_or("no such process")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs `tricordd` with these arguments until it ends, or kills it after `patience`: for what must fail at the start.
pub fn run_daemon(arguments: &[&str], patience: Duration) -> Result<Output> {
    // Files, not pipes: a process that says much must not wait for a reader.
    let dir = tempfile::tempdir()?;
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let mut child = Command::new(binary("tricordd")?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            let said = String::from_utf8_lossy(&std::fs::read(&err)?).into_owned();
            return Err(format!("tricordd {arguments:?} did not end by itself; it said: {said}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Ok(Output { status, stdout: std::fs::read(out)?, stderr: std::fs::read(err)? })
}

/// What each thread does, as the letter in the third field of its `stat` (proc_pid_stat(5)). One that ended meanwhile does nothing.
fn threads(tasks: &Path) -> Result<Vec<char>> {
    let mut states = Vec::new();
    for task in std::fs::read_dir(tasks)? {
        let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else { continue };
        states.extend(stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()));
    }
    Ok(states)
}
