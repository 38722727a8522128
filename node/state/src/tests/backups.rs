use types::backup::{BackupDeed, NoteBackup};
use types::limits::BACKUP_REASON_BYTES_MAX;
use types::record::{Action, Entity};
use types::{Command, NodeId, Reject};

use super::*;
use crate::view::Rows;

fn note(deed: BackupDeed, reason: Option<&str>) -> Command {
    let reason = reason.map(Into::into);
    Command::NoteBackup(NoteBackup { deed, records: 7, root: [1; 32], bytes: 9, scheduled: true, reason })
}

#[test]
fn a_nodes_word_on_its_backup_is_kept_and_recorded() {
    let (mut world, node) = (World::new(1), NodeId(5));
    let early = world.from(node, note(BackupDeed::Create, None));
    assert_eq!(early, Err(Reject::WrongPhase), "not while the release before may run");
    world.from(node, Command::RaiseFeatureLevel(2)).expect("raised");
    world.from(node, note(BackupDeed::Fail, Some("no room"))).expect("taken");
    assert_eq!(world.last_record().action, Action::FailBackup);
    assert_eq!(world.last_record().reason.as_deref(), Some("no room"));
    let failed = world.model.backup(node).unwrap_or_default().expect("there");
    assert!(failed.failed.is_some() && failed.made.is_none());

    world.from(node, note(BackupDeed::Create, None)).expect("taken");
    let made = world.model.backup(node).unwrap_or_default().expect("there");
    assert_eq!((made.failed, made.reason, made.records, made.bytes), (None, None, 7, 9));
    assert!(made.made.is_some() && made.verified.is_none());
    assert_eq!(world.last_record().entities, vec![Entity::Node(node), Entity::Head(7)]);

    world.from(node, note(BackupDeed::Verify, None)).expect("taken");
    let verified = world.model.backup(node).unwrap_or_default().expect("there");
    assert!(verified.verified.is_some() && verified.made == made.made);
}

#[test]
fn only_a_node_speaks_of_backups_and_in_few_words() {
    let mut world = World::new(1);
    world.from(NodeId(5), Command::RaiseFeatureLevel(2)).expect("raised");
    assert_eq!(world.by(0, note(BackupDeed::Create, None)), Err(Reject::NotPermitted));
    let long = "x".repeat(BACKUP_REASON_BYTES_MAX + 1);
    let refused = world.from(NodeId(5), note(BackupDeed::Fail, Some(&long)));
    assert!(matches!(refused, Err(Reject::Invalid(_))), "{refused:?}");
    assert_eq!(world.last_record().reason, None, "what was not checked is not recorded");
}
