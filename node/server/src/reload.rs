//! The configuration taken up again while the node runs, on SIGHUP or asked at the local socket: what can change then does, all
//! of it or nothing, and what cannot is named. It leaves a record in the audit log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use proto::local::reload_service_server::ReloadService;
use proto::local::{ReloadRequest, ReloadResponse};
use services::{PasswordCost, Services};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use crate::certificates::Certificates;
use crate::config::Config;
use crate::logging::Level;
use crate::run::{Consensus, check_files};
use crate::{Failure, chain};

/// What is taken up while the node runs. The default configuration says so at each.
pub(crate) const TAKEN_UP: [&str; 12] = [
    "backup.dir",
    "backup.every",
    "backup.keep",
    "backup.rate_mib_s",
    "limits.calls_per_second",
    "limits.failures_per_address",
    "limits.sign_ins_per_login",
    "limits.streams",
    "log.level",
    "ops.downtime",
    "password.iterations",
    "password.memory_kib",
];
/// How long recording it may take.
const RECORD_MAX: Duration = Duration::from_secs(10);

/// The configuration as it is in force. Clones of it follow.
pub type InForce = Arc<ArcSwap<Config>>;

/// Takes up the configuration. Cheap to clone.
#[derive(Clone)]
pub struct Reload(Arc<Inner>);

struct Inner {
    config: InForce,
    level: Level,
    certificates: Arc<Certificates>,
    services: Services<Consensus>,
    one: Mutex<()>,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reloaded {
    /// Keys that changed and are in force.
    pub taken_up: Vec<String>,
    /// Keys that changed and are in force after the next start.
    pub next_start: Vec<String>,
}

/// What a password hash costs by this configuration.
pub fn password_cost(config: &Config) -> PasswordCost {
    PasswordCost { memory_kib: config.password_memory_kib, passes: config.password_iterations, lanes: 1 }
}

impl Reload {
    /// For the configuration that the node was started with.
    pub fn new(config: InForce, level: Level, certificates: Arc<Certificates>, services: Services<Consensus>) -> Self {
        Self(Arc::new(Inner { config, level, certificates, services, one: Mutex::default() }))
    }

    /// Reads the file again, and the certificates.
    ///
    /// Errors: what is wrong with the file, or with what it names; nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, Failure> {
        let _one = self.0.one.lock().await;
        let inner = Arc::clone(&self.0);
        // Files and one password hash: nothing for the threads that calls are answered on.
        let reloaded = tokio::task::spawn_blocking(move || inner.take_up()).await??;
        let Reloaded { taken_up, next_start } = &reloaded;
        tracing::info!(
            taken_up = taken_up.join(" "),
            next_start = next_start.join(" "),
            "the configuration was read again"
        );
        let told = self.0.services.note_configuration(taken_up, Instant::now() + RECORD_MAX).await;
        if let Err(error) = told {
            tracing::warn!(%error, "that the configuration was read again is not in the audit log");
        }
        Ok(reloaded)
    }

    /// Does so on each SIGHUP, until the task is dropped.
    pub async fn on_hang_up(self) -> Result<(), Failure> {
        let mut hang_ups = signal(SignalKind::hangup())?;
        while hang_ups.recv().await.is_some() {
            if let Err(error) = self.reload().await {
                let error = chain(&*error);
                tracing::warn!(error, "the configuration and the certificates stay as they were");
            }
        }
        Ok(())
    }
}

impl Inner {
    fn take_up(&self) -> Result<Reloaded, Failure> {
        let before = self.config.load_full();
        let read = Config::load(&before.written.path)?;
        check_files(&read)?;
        let differing = before.written.differing(&read.written);
        let (taken_up, next_start): (Vec<_>, Vec<_>) =
            differing.into_iter().partition(|key| TAKEN_UP.contains(&key.as_str()));
        self.certificates.reload()?; // All or none of them; after this nothing can fail any more that was checked.
        if password_cost(&read) != password_cost(&before) {
            self.services.set_password_cost(password_cost(&read))?;
        }
        self.services.set_client_limits(read.limits);
        self.level.set(&read.log_level);
        self.config.store(Arc::new(Config {
            written: before.written.clone().with(&taken_up, &read.written),
            log_level: read.log_level,
            downtime: read.downtime,
            password_memory_kib: read.password_memory_kib,
            password_iterations: read.password_iterations,
            limits: read.limits,
            backup: read.backup,
            ..before.as_ref().clone()
        }));
        Ok(Reloaded { taken_up, next_start })
    }
}

#[tonic::async_trait]
impl ReloadService for Reload {
    async fn reload(&self, _: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let done = Self::reload(self).await.map_err(|error| Status::failed_precondition(chain(&*error)))?;
        Ok(Response::new(ReloadResponse { taken_up: done.taken_up, next_start: done.next_start }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT;

    #[test]
    fn the_default_configuration_says_of_each_key_whether_it_is_taken_up_while_the_node_runs() {
        let (mut section, mut said) = (String::new(), Vec::new());
        let mut above = "";
        for line in DEFAULT.lines() {
            let plain = line.trim_start_matches('#');
            if let Some(name) = plain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = format!("{name}.");
            } else if above.ends_with("(Reloads.)")
                && let Some((key, _)) = plain.split_once(" = ")
            {
                said.push(format!("{section}{key}"));
            }
            above = line;
        }
        said.sort();
        assert_eq!(said, TAKEN_UP);
    }
}
