//! What is read from the cluster for the report, and how each fact is said.

use proto::v1::{self, KeyKind, KeyState};
use types::limits;

use crate::when::{minute, roughly};

/// What the cluster told; what it did not tell is named in `not_read`.
#[derive(Debug, Default)]
pub struct Facts {
    /// How the nodes are.
    pub status: Option<v1::GetClusterStatusResponse>,
    /// The keys there are.
    pub keys: Vec<v1::Key>,
    /// What holds for everybody.
    pub settings: Option<v1::Settings>,
    /// The audit log's newest sealed head.
    pub head: Option<v1::GetHeadResponse>,
    /// Emergency access, so far.
    pub emergencies: Option<Vec<v1::Emergency>>,
    /// What each node agreed to on the way here: protocol, cipher, key exchange.
    pub wire: Vec<String>,
    /// What was not told, and why.
    pub not_read: Vec<String>,
}

const NOT_READ: &str = "not read, see above";

impl Facts {
    pub(super) fn name(&self) -> String {
        self.status.as_ref().map_or_else(|| "?".into(), |status| status.display_name.clone())
    }

    pub(super) fn cluster(&self) -> String {
        self.status.as_ref().map_or_else(|| "?".into(), |status| status.cluster.clone())
    }

    pub(super) fn as_of(&self) -> String {
        minute(self.status.as_ref().and_then(|status| status.cluster_time.as_ref()))
    }

    pub(super) fn release(&self) -> String {
        let mut versions: Vec<&str> = self.nodes().iter().map(|node| node.version.as_str()).collect();
        versions.sort_unstable();
        versions.dedup();
        versions.join(", ")
    }

    fn nodes(&self) -> &[v1::NodeStatus] {
        self.status.as_ref().map_or(&[], |status| &status.nodes)
    }

    fn now(&self) -> i64 {
        self.status.as_ref().and_then(|status| status.cluster_time.as_ref()).map_or(0, |at| at.seconds)
    }

    fn ago(&self, at: &prost_types::Timestamp) -> String {
        roughly(self.now().saturating_sub(at.seconds))
    }

    /// How many nodes answer.
    pub fn nodes_up(&self) -> String {
        let up = self.nodes().iter().filter(|node| node.reachable).count();
        format!("{up} of 3 nodes answer")
    }

    /// When certificates end.
    pub fn certificates(&self) -> Vec<String> {
        let told = self.nodes().iter().filter_map(|node| {
            let end = node.certificates_expire_time.as_ref()?;
            Some(format!("node {}: the first certificate ends {}", node.slot, minute(Some(end))))
        });
        told.collect()
    }

    /// How connections are encrypted, as they are now, and when certificates end.
    pub fn transmission(&self) -> Vec<String> {
        let wire = if self.wire.is_empty() { vec![format!("connections: {NOT_READ}")] } else { self.wire.clone() };
        wire.into_iter().chain(self.certificates()).collect()
    }

    /// How long what is kept.
    pub fn retention(&self) -> Vec<String> {
        let days = |ms: u64| ms / limits::DAY_MS;
        let mut said = vec![
            "messages and records of the audit log: without end; there is no setting that shortens it".to_owned(),
            format!(
                "what streams resume from: {} days; answers to repeated requests: {} days after the device's last",
                days(limits::EVENTS_KEPT_MS),
                days(limits::ANSWERS_KEPT_MS)
            ),
        ];
        if let Some(told) = &self.head {
            said.push(format!("{} records kept so far", told.records));
        }
        said.extend(self.backup());
        said
    }

    /// What protects each node's key, and the cluster key's age.
    pub fn keys(&self) -> Vec<String> {
        let mut said = Vec::new();
        for key in &self.keys {
            match (key.kind(), key.state()) {
                (KeyKind::Node, _) if key.protection == "file on the data disk" => {
                    said.push(format!("{}: key on the same disk: not breach-safe", key.holder));
                }
                (KeyKind::Node, _) if key.protection.is_empty() => {
                    said.push(format!("{}: how its key is protected is not known, the node not answering", key.holder));
                }
                (KeyKind::Node, _) => said.push(format!("{}: key protected by {}", key.holder, key.protection)),
                (KeyKind::Cluster, KeyState::Active) => said.push(format!(
                    "cluster key version {} in use since {}, {} data keys (XAES-256-GCM) wrapped under it",
                    key.id,
                    minute(key.create_time.as_ref()),
                    key.data_keys
                )),
                _ => {}
            }
        }
        if said.is_empty() { vec![format!("keys: {NOT_READ}")] } else { said }
    }

    /// How far the audit log is sealed.
    pub fn audit(&self) -> Vec<String> {
        let Some(told) = &self.head else { return vec![format!("audit log: {NOT_READ}")] };
        let mut said = vec![match &told.head {
            None => format!("{} records, none under a sealed head yet", told.records),
            Some(head) => format!(
                "{} records; the newest head that two nodes signed covers {}, sealed {}",
                told.records,
                head.size,
                minute(head.seal_time.as_ref())
            ),
        }];
        if told.diverged_size > 0 {
            said.push(format!("NODES DIFFER at {} records: writing is refused", told.diverged_size));
        }
        let signers: Vec<&str> = self
            .keys
            .iter()
            .filter(|key| key.kind() == KeyKind::Audit && key.state() == KeyState::Active)
            .map(|key| key.holder.as_str())
            .collect();
        if !signers.is_empty() {
            said.push(format!("nodes that sign: {}", signers.join(", ")));
        }
        said
    }

    /// The newest backup, and the last one found good by restoring it.
    pub fn backup(&self) -> Vec<String> {
        let Some(backup) = self.status.as_ref().and_then(|status| status.backup.as_ref()) else {
            return vec!["backups: NONE was ever made".into()];
        };
        let mut said = vec![match &backup.last_time {
            None => "backups: NONE was ever made".into(),
            Some(at) => format!("the newest backup is {} old, made by {}", self.ago(at), backup.node),
        }];
        said.push(match &backup.verify_time {
            None => "no backup was ever restored to verify it".into(),
            Some(at) => format!("a backup was restored and found good {} ago", self.ago(at)),
        });
        if let Some(at) = &backup.fail_time {
            said.push(format!("the last attempt FAILED {} ago", self.ago(at)));
        }
        said
    }

    /// When sessions lock and end.
    pub fn sessions(&self) -> Vec<String> {
        let Some(settings) = &self.settings else { return vec![format!("settings: {NOT_READ}")] };
        let lasts = |told: Option<prost_types::Duration>, default: u64| {
            let seconds = told.map_or(i64::try_from(default / 1_000).unwrap_or(i64::MAX), |told| told.seconds);
            if seconds == 0 { "NEVER".to_owned() } else { format!("after {}", roughly(seconds)) }
        };
        vec![
            format!("sessions lock {} unused", lasts(settings.lock_after, limits::LOCK_MS_DEFAULT)),
            format!("sessions end {} unused", lasts(settings.session_idle, limits::SESSION_IDLE_MS_MAX)),
            format!("parts at places end {} unused", lasts(settings.part_idle, limits::PART_MS_DEFAULT)),
        ]
    }

    /// Who needs a second factor.
    pub fn second_factor(&self) -> Vec<String> {
        let Some(settings) = &self.settings else { return vec![format!("settings: {NOT_READ}")] };
        let sets: Vec<&str> = settings.second_factor().map(crate::rows::permission_word).collect();
        vec![if sets.is_empty() {
            "a second factor is needed by NOBODY".into()
        } else {
            format!("a second factor is needed by: {}", sets.join(", "))
        }]
    }

    /// How emergency access was used.
    pub fn emergencies(&self) -> Vec<String> {
        let Some(all) = &self.emergencies else { return vec![format!("emergencies: {NOT_READ}")] };
        let unreviewed = all.iter().filter(|one| one.state() == v1::EmergencyState::Unreviewed).count();
        vec![format!("{} emergencies were opened so far; {unreviewed} ended and not yet reviewed", all.len())]
    }
}
