//! Every bound of the product, in one file (P7). Sizes are bytes, times milliseconds, unless the name says otherwise.

/// Longest message text, in bytes of UTF-8.
pub const MESSAGE_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Longest sealed payload of a message: the text and what sealing adds.
pub const MESSAGE_PAYLOAD_BYTES_MAX: usize = MESSAGE_TEXT_BYTES_MAX + 512;
/// Most principals one message may mention.
pub const MENTIONS_MAX: usize = 64;

/// Shortest and longest login name, in bytes; it is ASCII.
pub const LOGIN_NAME_BYTES_MIN: usize = 2;
/// See [`LOGIN_NAME_BYTES_MIN`].
pub const LOGIN_NAME_BYTES_MAX: usize = 64;
/// Longest display name, in bytes of UTF-8.
pub const DISPLAY_NAME_BYTES_MAX: usize = 128;
/// Longest unit ("Cardiology, ward 3"), in bytes of UTF-8.
pub const UNIT_BYTES_MAX: usize = 128;
/// Most external ids of one user.
pub const EXTERNAL_IDS_MAX: usize = 8;
/// Longest system or value of an external id.
pub const EXTERNAL_ID_BYTES_MAX: usize = 128;
/// Longest conversation title, in bytes of UTF-8.
pub const TITLE_BYTES_MAX: usize = 256;
/// Longest status text, in bytes of UTF-8.
pub const STATUS_TEXT_BYTES_MAX: usize = 256;
/// Shortest password, in characters: length rather than composition rules.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 512;
/// Longest stored password hash (a PHC string).
pub const PASSWORD_HASH_BYTES_MAX: usize = 256;

/// Most participants of one conversation.
pub const PARTICIPANTS_MAX: usize = 2_048;
/// Most principals added by one command.
pub const PARTICIPANTS_PER_COMMAND_MAX: usize = 1_024;
/// Most conversations one user takes part in at a time.
pub const CONVERSATIONS_PER_USER_MAX: usize = 4_096;
/// Most visible intervals of one participant in one conversation (joined, left, joined again …).
pub const INTERVALS_MAX: usize = 64;
/// Most devices of one user.
pub const DEVICES_PER_USER_MAX: usize = 32;
/// Most sessions of one user that have not ended.
pub const SESSIONS_PER_USER_MAX: usize = 16;
/// Up to this many participants everyone sees each receipt; above it the author asks for them.
pub const RECEIPT_EVENTS_PARTICIPANTS_MAX: u32 = 32;
/// Most users created by one command.
pub const USERS_PER_COMMAND_MAX: usize = 500;

/// How many unanswered-for numbers a device may have: it may use [settled, settled + this).
pub const REQUEST_WINDOW: u64 = 1_024;
/// How long answers are kept after a device's last write.
pub const ANSWERS_KEPT_MS: u64 = 30 * DAY_MS;
/// How long events are kept; an older cursor has expired.
pub const EVENTS_KEPT_MS: u64 = 30 * DAY_MS;
/// A session that is not used for this long ends.
pub const SESSION_IDLE_MS_MAX: u64 = 14 * DAY_MS;
/// A session ends this long after sign-in, whatever it does.
pub const SESSION_MS_MAX: u64 = 90 * DAY_MS;
/// An enrolment code is good for this long.
pub const ENROLMENT_MS_MAX: u64 = 7 * DAY_MS;
/// A day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A node renews its lease this often.
pub const NODE_LEASE_RENEW_MS: u64 = 3_000;
/// The leader gives up on a node that has not renewed for this long, counted on the leader's monotonic clock.
pub const NODE_LEASE_MS: u64 = 15_000;
/// Sessions of a dead node stay in grace for this long before they go offline.
pub const GRACE_MS: u64 = 45_000;
/// Most timers one tick fires; the rest waits for the next.
pub const TIMERS_PER_TICK_MAX: usize = 500;
/// The leader ticks this often while timers are due.
pub const TICK_MS: u64 = 1_000;
/// Most session changes in one presence command.
pub const PRESENCE_CHANGES_MAX: usize = 1_000;
/// Most confirmations folded into one command.
pub const CONFIRMATIONS_MAX: usize = 2_000;
/// Confirmations wait this long to be folded.
pub const CONFIRM_FOLD_MS: u64 = 100;
/// Most users whose presence one stream watches.
pub const PRESENCE_WATCH_MAX: usize = 500;
/// Presence of one user reaches a watcher at most this often.
pub const PRESENCE_INTERVAL_MS: u64 = 1_000;
/// Most nodes, of today and of before, whose leases are looked at for the presence of who is connected to them.
pub const NODE_LEASES_WATCHED_MAX: usize = 1_024;
/// A typing notice is shown for this long.
pub const TYPING_MS: u64 = 6_000;

/// Largest page of any list.
pub const PAGE_SIZE_MAX: u32 = 500;
/// Page size when none is asked for.
pub const PAGE_SIZE_DEFAULT: u32 = 50;
/// Largest answer of a list, whatever the page size.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Unread messages are counted up to this many.
pub const UNREAD_COUNT_MAX: u32 = 100;

/// Most envelopes in one log entry.
pub const ENVELOPES_PER_ENTRY_MAX: usize = 1_024;
/// Most bytes of envelopes in one log entry.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Largest single envelope: a command for 500 users or 1,024 participants fits.
pub const ENVELOPE_BYTES_MAX: usize = 512 * 1024;
/// Most bytes of log entries in one append to a peer (at least one entry).
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;
/// Most envelopes that wait for the leader's next batch.
pub const PROPOSALS_WAITING_MAX: usize = 8_192;
/// Most bytes of envelopes that wait for the leader's next batch.
pub const PROPOSAL_BYTES_WAITING_MAX: usize = 32 * 1024 * 1024;
/// A call that writes is refused rather than made to wait for longer than this, where many wait.
pub const CALL_WAIT_MS_MAX: u64 = 50;
/// So many calls that write may wait on the leader however long that takes, and half as many on each node; what is urgent
/// waits beside them.
pub const CALLS_WAITING_MIN: usize = 32;
/// Log entries proposed and not yet applied; more wait, so that batches grow under load: an entry costs each node about as
/// much as thirty commands in it (benches/README.md). One on its way to the disks, and one being applied.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 2;
/// Most bytes of log entries waiting for the log writer.
pub const LOG_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of one batch of the log writer.
pub const LOG_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Recent log entries kept in memory for replication and apply.
pub const LOG_TAIL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Log entries kept behind the newest snapshot.
pub const LOG_KEPT_ENTRIES_MAX: u64 = 100_000;
/// Log bytes kept behind the newest snapshot; the smaller of the two bounds counts.
pub const LOG_KEPT_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// A snapshot is made after this much log.
pub const SNAPSHOT_LOG_BYTES: u64 = 256 * 1024 * 1024;
/// A snapshot is made after this time if anything changed.
pub const SNAPSHOT_MS: u64 = 30 * 60 * 1000;
/// The state is made durable after this much log was applied: as much is replayed at most after a crash.
pub const STATE_FLUSH_BYTES: u64 = 64 * 1024 * 1024;
/// The state is made durable after this time if anything changed.
pub const STATE_FLUSH_MS: u64 = 60 * 1000;
/// Chunk in which snapshot files travel.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;
/// A snapshot whose next chunk does not come for this long is given up.
pub const SNAPSHOT_STALL_MS_MAX: u64 = 30_000;
/// Most files of one snapshot.
pub const SNAPSHOT_FILES_MAX: usize = 32_768;

/// Largest request a client may send.
pub const CLIENT_REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest message between nodes.
pub const PEER_MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest a call may take when the client gives no deadline.
pub const CALL_MS_DEFAULT: u64 = 10_000;
/// Longest a call may take, whatever the client says.
pub const CALL_MS_MAX: u64 = 60_000;
/// Longest a read waits for this node to catch up with the client's cursor.
pub const READ_WAIT_MS_MAX: u64 = 1_000;
/// Without word from a leader for this long, reads are stale.
pub const STALE_AFTER_MS: u64 = 1_000;
/// Stale reads are answered for this long without a majority.
pub const STALE_READS_MS_MAX: u64 = 8 * 60 * 60 * 1000;
/// Most sync streams of one session.
pub const STREAMS_PER_SESSION_MAX: usize = 2;
/// Most streams for sending of one session.
pub const SEND_STREAMS_PER_SESSION_MAX: usize = 4;
/// Sessions this node does not know, asked for at a time; a forged token looks like one that another node just opened.
pub const UNKNOWN_SESSIONS_ASKED_MAX: usize = 64;
/// Most sync streams of one node, and most streams for sending.
pub const STREAMS_PER_NODE_MAX: usize = 20_000;
/// Events waiting for one slow reader; then it is cut off with its cursor.
pub const STREAM_QUEUE_EVENTS_MAX: usize = 1_024;
/// Streams that read much of what they missed at once; the others read little at a time.
pub const CATCHING_UP_FAST_MAX: usize = 16;
/// Events such a stream reads at a time, and bytes of their messages.
pub const CAUGHT_UP_FAST_EVENTS: usize = 8_192;
/// See [`CAUGHT_UP_FAST_EVENTS`].
pub const CAUGHT_UP_FAST_BYTES: usize = 4 * 1024 * 1024;
/// Missed events any other stream reads at a time, and bytes of their messages.
pub const CAUGHT_UP_EVENTS: usize = 256;
/// See [`CAUGHT_UP_EVENTS`].
pub const CAUGHT_UP_BYTES: usize = 512 * 1024;
/// An idle stream gets a progress mark this often.
pub const STREAM_PROGRESS_MS: u64 = 15_000;
/// Calls a session may make a second, and in one burst.
pub const CALLS_PER_SECOND_MAX: u32 = 500;
/// See [`CALLS_PER_SECOND_MAX`].
pub const CALLS_BURST_MAX: u32 = 2_000;
/// Sends one streaming call may have unanswered; reading stops until answers have gone out.
pub const SENDS_IN_FLIGHT_MAX: usize = 512;
/// Longest a sign-in waits for a majority: longer than an election takes.
pub const SIGN_IN_MAJORITY_MS_MAX: u64 = 2_000;
/// Sign-ins hashed at a time on one node (Argon2 takes memory and time).
pub const PASSWORD_HASHES_AT_ONCE: usize = 2;
/// Sign-ins waiting for a place; more are refused.
pub const PASSWORD_HASHES_WAITING_MAX: usize = 256;

/// Longest that connecting to a peer may take, its handshake included.
pub const PEER_CONNECT_MS_MAX: u64 = 500;
/// A peer that owes an answer and has not been heard of for this long is taken for gone.
pub const PEER_STALL_MS_MAX: u64 = 3_000;
/// Connections of peers in their handshake at a time; more are dropped.
pub const PEER_HANDSHAKES_MAX: usize = 32;
/// Appends sent to one peer and not yet answered.
pub const APPENDS_IN_FLIGHT_MAX: usize = 64;
/// Commands forwarded to the leader and not yet answered; more are refused.
pub const FORWARDS_IN_FLIGHT_MAX: usize = 8_192;
/// Answers to forwarded commands in one message; the rest goes in the next.
pub const FORWARD_ANSWERS_MAX: usize = 1_024;
/// So often a node whose leader's process is gone asks whether the other node finds the same, before it waits for the
/// timeout.
pub const EARLY_ASKS_MAX: usize = 8;
/// The pause between two such questions.
pub const EARLY_ASK_PAUSE_MS: u64 = 20;
/// Most log entries of one apply call.
pub const APPLY_ENTRIES_MAX: usize = 256;
/// Rows kept decoded between apply calls: sessions, users, conversations and the like; some hundred bytes each.
pub const CACHED_ROWS_MAX: usize = 16_384;
/// Most bytes of log entries of one apply call.
pub const APPLY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Applied batches waiting for the services.
pub const APPLIED_WAITING_MAX: usize = 1_024;
/// Readers waiting for one round of ReadIndex; more are refused.
pub const READERS_WAITING_MAX: usize = 4_096;
/// Typing notices waiting for a peer; more are dropped.
pub const TYPING_WAITING_MAX: usize = 256;
/// Nodes tell each other of themselves, and sample each other's clocks, this often.
pub const GOSSIP_MS: u64 = 500;
/// A sample of a peer's clock is good for this long.
pub const CLOCK_SAMPLE_MS_MAX: u64 = 10_000;
/// Clocks that are further apart than this do not agree.
pub const CLOCK_SPREAD_MS_MAX: u64 = 1_000;
/// Longest software version or address a node tells of itself.
pub const NODE_REPORT_TEXT_BYTES_MAX: usize = 256;
/// Longest that handing over leadership may take when a node stops.
pub const HANDOVER_MS_MAX: u64 = 2_000;
/// Longest that consensus may take to end when a node stops.
pub const CONSENSUS_STOP_MS_MAX: u64 = 5_000;
/// How long a node that has stopped waits for its log to be closed.
pub const STORES_CLOSE_MS_MAX: u64 = 2_000;

/// Below so many free bytes a node's disk is low; on a small disk below [`DISK_FREE_SHARE_MIN`].
pub const DISK_FREE_BYTES_MIN: u64 = 1 << 30;
/// Likewise: one part in so many of all the disk.
pub const DISK_FREE_SHARE_MIN: u64 = 8;
/// Below so many free bytes a node's disk is full but for the last reserve; on a small disk below [`DISK_RESERVE_SHARE`].
pub const DISK_RESERVE_BYTES: u64 = 256 << 20;
/// Likewise: one part in so many of all the disk.
pub const DISK_RESERVE_SHARE: u64 = 32;
/// So many nodes of three with a disk that is low, and clients' writes are refused.
pub const NODES_WITH_LOW_DISK_MAX: usize = 2;
/// A node looks at its disk this often.
pub const DISK_LOOK_MS: u64 = 1_000;

/// Most connections to the client port of one node; more are closed at once.
pub const CONNECTIONS_PER_NODE_MAX: usize = 24_000;
/// Largest header list of one request.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Nodes whose promises a node remembers: the three, and those that filled their slots before.
pub const REMEMBERED_NODES_MAX: usize = 16;
/// What a node remembers is made durable this often, if it has changed.
pub const REMEMBER_MS: u64 = 1_000;
/// A node that has just started waits so long for what the second peer remembers of it before it votes; for what the
/// first remembers it waits as long as it takes.
pub const VOTE_HELD_MS: u64 = 1_000;

/// A head of the audit tree is named, and signed, at most this often; with news at least about as often.
pub const AUDIT_HEAD_MS: u64 = 5_000;
/// Heads a node looks at for what it has not signed yet.
pub const AUDIT_HEADS_LOOKED_AT: usize = 4;
/// Of heads older than the newest, one is kept for each of these.
pub const AUDIT_HEAD_KEPT_MS: u64 = 60 * 60 * 1000;
/// Signers there ever were, and more.
pub const SIGNERS_MAX: usize = 1_024;
/// Most observations in one command.
pub const OBSERVATIONS_MAX: usize = 1_000;
/// Most entities of one observation.
pub const OBSERVED_ENTITIES_MAX: usize = 64;
/// Longest reason in a record, in bytes of UTF-8.
pub const RECORD_REASON_BYTES_MAX: usize = 256;
/// Longest sealed network address in a record; what is sealed always has the same length.
pub const SEALED_ADDRESS_BYTES_MAX: usize = 160;
/// Commands of observations on their way at a time; more gather, and go together.
pub const OBSERVATIONS_IN_FLIGHT_MAX: usize = 2;
/// Fetches that wait to be recorded; more are refused.
pub const OBSERVATIONS_WAITING_MAX: usize = 8_192;
/// What one node may show without a majority, as observations on its disk.
pub const AUDIT_SPOOL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Refusals of one source in a minute that are recorded one by one; more are counted.
pub const REFUSALS_PER_MINUTE_MAX: u32 = 100;
/// Sources of refusals told apart at a time.
pub const REFUSAL_SOURCES_MAX: usize = 10_000;
/// A sealed head is written to a directory outside this often.
pub const AUDIT_HEAD_WRITE_MS: u64 = 10 * 60 * 1000;
/// A sealed head is sent to a syslog and to a witness this often; what failed is tried again after this time.
pub const AUDIT_HEAD_SEND_MS: u64 = 60 * 1000;
/// Bringing one head out takes no longer.
pub const AUDIT_HEAD_SEND_MS_MAX: u64 = 30 * 1000;
/// Longest answer of a witness that is read.
pub const WITNESS_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A token is good for this long, where the device can prove itself for the next.
pub const TOKEN_MS: u64 = 15 * 60 * 1000;
/// A token is good for this long once it has a successor: for calls that are under way.
pub const TOKEN_BEFORE_MS: u64 = 60 * 1000;
/// A session of a device without a key ends after this time: a shift.
pub const SESSION_WITHOUT_KEY_MS_MAX: u64 = 12 * 60 * 60 * 1000;
/// A code issued at a reset is good for this long.
pub const RESET_CODE_MS_MAX: u64 = DAY_MS;
/// Failed sign-ins from one source before it has to wait.
pub const FAILURES_FREE: u32 = 5;
/// Failed sign-ins of one user from anywhere but their own devices, before new devices have to wait.
pub const FAILURES_STRANGE_FREE: u32 = 50;
/// The first wait; doubled by each further failure.
pub const LOCKOUT_MS_MIN: u64 = 30 * 1000;
/// The longest wait.
pub const LOCKOUT_MS_MAX: u64 = 15 * 60 * 1000;
/// Failed sign-ins are forgotten after this time without another.
pub const FAILURES_KEPT_MS: u64 = DAY_MS;
/// Most sources of failed sign-ins kept for one user.
pub const FAILURE_SOURCES_MAX: usize = 32;
/// Most logins whose failed sign-ins are kept.
pub const FAILURE_LOGINS_MAX: u32 = 65_536;
/// Recovery codes made with a second factor.
pub const RECOVERY_CODES_MAX: usize = 10;
/// Longest sealed secret of a second factor.
pub const SECOND_FACTOR_BYTES_MAX: usize = 256;
/// Sessions that one command signs out at once; of everybody, the rest follows by timer.
pub const LOG_OFF_AT_ONCE: usize = 1_000;

/// A session on a personal device is locked after so long without activity, if nobody has set anything else.
pub const LOCK_MS_DEFAULT: u64 = 15 * 60 * 1000;
/// A person's part at a place ends after so long without activity, likewise.
pub const PART_MS_DEFAULT: u64 = 5 * 60 * 1000;
/// Shortest time after which a session may be set to lock, or a part to end.
pub const LOCK_MS_MIN: u64 = 4_000;
/// Longest time after which a session may be set to lock, or a part to end.
pub const LOCK_MS_MAX: u64 = DAY_MS;
/// Shortest time after which sessions may be set to end.
pub const SESSION_MS_MIN: u64 = 60 * 1000;
/// A part at a place lasts no longer than a shift.
pub const PART_MS_MAX: u64 = 12 * 60 * 60 * 1000;
/// A node tells of activity in a session at most this often; more often where sessions lock soon.
pub const ACTIVITY_STEP_MS: u64 = 30_000;
/// Most sessions whose activity waits to be told; of more it is told when they do something again.
pub const ACTIVITY_WAITING_MAX: usize = 65_536;
/// Urgent messages that a locked session is told of when its stream opens, at most; then only of new ones.
pub const ALERTS_MAX: usize = 100;
/// Shortest and longest PIN, in digits.
pub const PIN_DIGITS_MIN: usize = 6;
/// See [`PIN_DIGITS_MIN`].
pub const PIN_DIGITS_MAX: usize = 12;
/// Wrong PINs in a row, from anywhere, before a PIN is good for nothing any more.
pub const PIN_FAILURES_MAX: u32 = 20;
/// Emergency access waits so long for a second person.
pub const EMERGENCY_APPROVAL_MS: u64 = 15 * 60 * 1000;
/// Shortest and longest time that emergency access is in force.
pub const EMERGENCY_MS_MIN: u64 = 60 * 1000;
/// See [`EMERGENCY_MS_MIN`].
pub const EMERGENCY_MS_MAX: u64 = 8 * 60 * 60 * 1000;
/// Most times of emergency access that are not over or not reviewed; no more can be asked for then.
pub const EMERGENCIES_OPEN_MAX: usize = 256;
/// Whoever opens or approves emergency access has proved who they are at most this long ago.
pub const EMERGENCY_PROOF_MS_MAX: u64 = 5 * 60 * 1000;

/// Longest wrapped data key.
pub const WRAPPED_KEY_BYTES_MAX: usize = 128;
/// Longest envelope of a cluster key.
pub const KEY_ENVELOPE_BYTES_MAX: usize = 256;
/// Most holders of the cluster key: three nodes, those they replaced until they are removed, and the recovery kit.
pub const KEY_HOLDERS_MAX: usize = 16;
/// Most versions of the cluster key that are not retired: a rotation waits for the one before it.
pub const CLUSTER_KEYS_LIVE_MAX: usize = 2;
/// Most data keys wrapped anew by one command.
pub const REWRAPPED_KEYS_MAX: usize = 500;
/// A rotation wraps a slice of keys anew this often, so that messages flow meanwhile.
pub const REWRAP_MS: u64 = 50;
/// Most opened data keys a node keeps in memory.
pub const OPEN_KEYS_MAX: usize = 4_096;
/// An opened data key is kept this long without being used.
pub const OPEN_KEY_MS_MAX: u64 = 10 * 60 * 1000;
/// How often one write is sealed anew because its key was refused.
pub const RESEALS_MAX: u32 = 3;

/// Commands of one node that would count twice and whose outcome is not known; more are refused.
pub const NODE_NUMBERS_MAX: u64 = 1_024;
/// A command whose outcome stays unknown is taken for settled after this time: no node tries it any more.
pub const NODE_NUMBER_MS_MAX: u64 = 60 * 1000;
/// Cluster time that moves by more than this from one entry to the next has stepped.
pub const CLOCK_STEP_MS_MAX: u64 = 60 * 1000;
/// After a step nothing irreversible fires for this long, unless an operator says that it is right.
pub const CLOCK_HOLD_MS: u64 = DAY_MS;

/// Most conversations that a refused cursor of another lineage is told of: they travel in a header.
pub const LINEAGE_CONVERSATIONS_MAX: usize = 64;

/// Most nodes that were ever let into the slots after founding, as far as they are looked through.
pub const SEATS_MAX: usize = 256;
/// Longest address of a node.
pub const NODE_ADDRESS_BYTES_MAX: usize = 256;
/// How often the leader looks after a node that is on its way to its slot.
pub const SEAT_LOOK_MS: u64 = 250;
/// A learner that lacks no more entries than this counts as caught up.
pub const SEAT_LAG_MAX: u64 = 256;
/// How long one change of the membership may take.
pub const SEAT_CHANGE_MS_MAX: u64 = 10 * 1000;
/// A code for joining is good for this long.
pub const JOIN_CODE_MS_MAX: u64 = 15 * 60 * 1000;
/// Wrong codes that are put up with; then a new one is needed.
pub const JOIN_TRIES_MAX: u32 = 3;
/// How long the other side may take for each step of joining.
pub const JOIN_STEP_MS_MAX: u64 = 30 * 1000;
/// How long the other side may take to prove that it knows the code.
pub const JOIN_PROOF_MS_MAX: u64 = 10 * 1000;
/// Longest message of joining.
pub const JOIN_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Longest reason why a backup failed, in bytes of UTF-8.
pub const BACKUP_REASON_BYTES_MAX: usize = 256;
/// Files of backups are sealed in chunks of so many bytes.
pub const BACKUP_CHUNK_BYTES: usize = 1024 * 1024;
/// Backups under one key: after this time the next one is a whole one, under a new key.
pub const BACKUP_SERIES_MS_MAX: u64 = 30 * DAY_MS;
/// Longest a backup waits for a sealed head of the audit log that covers it.
pub const BACKUP_HEAD_MS_MAX: u64 = 20 * 1000;
/// Largest manifest of a backup that is read: every file of the largest snapshot fits.
pub const BACKUP_MANIFEST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most backups that are looked at in one target.
pub const BACKUPS_LISTED_MAX: usize = 10_000;
/// A schedule that failed tries again after this time.
pub const BACKUP_RETRY_MS: u64 = 15 * 60 * 1000;
/// All nodes run a newer release, and are well, for this long: the feature level is raised by itself.
pub const FINALIZE_MS: u64 = 3 * DAY_MS;
/// How far apart the three nodes' schedules are, so that one makes the backup and the others see it.
pub const BACKUP_STAGGER_MS: u64 = 10 * 60 * 1000;
/// Log entries a node may be behind before an operator is told: more than a burst leaves it.
pub const NODE_LAG_ALARM_ENTRIES: u64 = 10_000;

/// Most certificates that a node says it shows, those between them and the authority among them.
pub const CERTIFICATES_NOTED_MAX: usize = 8;
/// Most certificates that are revoked. They are kept for ever; a cluster that reaches this needs a new authority.
pub const CERTIFICATES_REVOKED_MAX: usize = 4_096;
/// A proposed recovery kit lapses after this time.
pub const KIT_PROPOSAL_MS: u64 = 60 * 60 * 1000;
/// Whoever proposes or confirms a recovery kit gave their password at most this long ago.
pub const KIT_PROOF_MS_MAX: u64 = 5 * 60 * 1000;
/// Most recovery kits there ever were, as far as they are listed.
pub const FORMER_KITS_MAX: usize = 1_024;
