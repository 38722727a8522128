use proptest::collection::vec as list;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use types::certificate::{NoteCertificates, Revocation, RevokeCertificates, Serial};
use types::command::{
    Confirmation, Observation, Once, ResolveDivergence, RewrapDataKeys, RewrappedKey, SetPassword, SetStatus, SignHead,
    UpdateConversation, UpdateUser,
};
use types::conversation::{HistoryPolicy, POLICY_EVERYTHING, PolicyRef};
use types::emergency::{OpenEmergency, ReviewEmergency};
use types::identity::Settings;
use types::kit::{ConfirmKit, ProposeKit};
use types::limits::{DAY_MS, GRACE_MS};
use types::locking::UnlockSession;
use types::place::{SetPin, TapIn};
use types::presence::Availability;
use types::record::Action;

const PEOPLE: u8 = 4;

impl World {
    /// Adds a place that is signed in (user 5), keyholders (1, 2) and an auditor (3).
    fn people(&mut self) {
        let room = NewUser { kind: UserKind::Location, ..new_user(5) };
        self.by(0, Command::CreateUsers(vec![room])).expect("a room");
        self.node(enrol(5, 5)).answer.result.expect("signed in");
        for (n, set) in [(1, PermissionSet::Keyholder), (2, PermissionSet::Keyholder), (3, PermissionSet::Auditor)] {
            let grant = UpdateUser {
                id: user(n),
                version: 0,
                display_name: None,
                unit: None,
                words: None,
                external_ids: None,
                may_message: None,
                permissions: Some(if n == 2 { vec![PermissionSet::Admin, set] } else { vec![set] }),
                sealed_name: None,
            };
            self.by(0, Command::UpdateUser(grant)).expect("granted");
        }
    }
}

fn some_user() -> impl Strategy<Value = UserId> {
    (0..PEOPLE + 2).prop_map(user)
}

fn some_session() -> impl Strategy<Value = SessionId> {
    (0..PEOPLE + 4).prop_map(session)
}

fn some_conversation() -> impl Strategy<Value = ConversationId> {
    (0_u8..4).prop_map(conversation)
}

fn some_principal() -> impl Strategy<Value = Principal> {
    prop_oneof![9 => some_user().prop_map(Principal::User), 1 => Just(Principal::Role(types::RoleId([1; 16])))]
}

fn some_part() -> impl Strategy<Value = Part> {
    prop_oneof![Just(Part::Reader), Just(Part::Writer), Just(Part::Owner)]
}

fn some_policy() -> impl Strategy<Value = PolicyRef> {
    prop_oneof![Just(POLICY_FROM_JOINING), Just(POLICY_EVERYTHING), Just(PolicyRef { id: 3, version: 1 })]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..12, 1 => Just(u64::MAX), 1 => 1000_u64..1100]
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![Just(0), Just(u64::MAX), 1_000_000..5_000_000_000_u64].prop_map(Timestamp)
}

fn kind() -> impl Strategy<Value = ConversationKind> {
    prop_oneof![
        Just(ConversationKind::Direct),
        Just(ConversationKind::Group),
        Just(ConversationKind::Channel),
        Just(ConversationKind::CareTeam)
    ]
}

fn node_command() -> impl Strategy<Value = Command> {
    let connection = prop_oneof![
        3 => Just(Connection::Active),
        1 => time().prop_map(Connection::Idle),
        2 => (0_u64..10_000).prop_map(Connection::Used),
        1 => Just(Connection::Gone)
    ];
    let confirmation = (some_session(), some_conversation(), number(), number()).prop_map(
        |(session, conversation, delivered, displayed)| Confirmation {
            session,
            conversation,
            delivered: Seq(delivered),
            displayed: Seq(displayed),
        },
    );
    prop_oneof![
        1 => (0_u64..4).prop_map(|epoch| Command::RenewLease(Lease { epoch })),
        1 => (1_u64..3, 0_u64..4).prop_map(|(node, epoch)| Command::ExpireLease(NodeId(node), Lease { epoch })),
        3 => Just(Command::Tick),
        2 => (0_u64..3, list((some_session(), connection), 0..4))
            .prop_map(|(epoch, changes)| Command::Connections(Connections { epoch, changes })),
        2 => list(confirmation, 0..4).prop_map(Command::Confirm),
        1 => (0_u32..3).prop_map(Command::RaiseFeatureLevel),
        1 => Just(Command::MarkHead),
        1 => (0_u64..4, 0_u64..40, 0_u8..3).prop_map(|(number, size, root)| {
            Command::SignHead(SignHead { number, size, root: [root; 32], signature: [1; 64] })
        }),
        1 => (0_u8..3).prop_map(|key| Command::SetSigner([key; 32])),
        1 => (of(some_session()), 0_u64..6, 0_u64..6).prop_map(|(session, number, settled)| {
            Command::Observe(Once { epoch: 1, number, settled }, vec![Observation {
            session,
            by: None,
            action: Action::FetchMessages,
            entities: vec![],
            refused: None,
            purpose: None,
            reason: None,
            seen: None,
            count: None,
        }])}),
        3 => (0..PEOPLE + 1, 0..PEOPLE + 6, 0_u64..4).prop_map(|(who, n, version)| {
            Command::SignIn(sign_in(who, n, version))
        }),
        2 => (0..PEOPLE + 2, 0..PEOPLE + 6).prop_map(|(who, n)| enrol(who, n)),
        3 => key_command(),
        4 => tap_in(),
    ]
}

fn key_command() -> impl Strategy<Value = Command> {
    let add = (0_u64..30, some_conversation(), 0_u32..3, 1_u32..4).prop_map(|(id, of, month, version)| {
        let scope = KeyScope::Conversation(of);
        Command::AddDataKey(AddDataKey { id, scope, month: Month(month), version, wrapped: vec![1] })
    });
    let rewrap = (1_u32..4, 1_u32..4, list(0_u64..30, 0..6)).prop_map(|(from, to, ids)| {
        let keys = ids.into_iter().map(|id| RewrappedKey { id, wrapped: vec![2] }).collect();
        Command::RewrapDataKeys(RewrapDataKeys { from, to, keys })
    });
    prop_oneof![2 => add, 2 => rewrap, 1 => (0_u32..4).prop_map(Command::RetireClusterKey)]
}

fn account_command() -> impl Strategy<Value = Command> {
    let update = (
        some_user(),
        0_u64..3,
        of(any::<bool>()),
        of(prop_oneof![
            Just(vec![PermissionSet::Admin]),
            Just(vec![PermissionSet::Admin, PermissionSet::Auditor, PermissionSet::Keyholder]),
            Just(vec![PermissionSet::Auditor, PermissionSet::Keyholder]),
        ]),
    )
        .prop_map(|(id, version, may_message, permissions)| UpdateUser {
            id,
            version,
            display_name: None,
            unit: Some("Ward 3".to_string()),
            words: Some(vec!["ward".to_string()]),
            external_ids: None,
            may_message,
            permissions,
            sealed_name: None,
        });
    prop_oneof![
        2 => some_session().prop_map(Command::EndSession),
        1 => list(0..PEOPLE + 4, 0..3).prop_map(|ids| Command::CreateUsers(ids.into_iter().map(new_user).collect())),
        1 => update.prop_map(Command::UpdateUser),
        1 => some_user().prop_map(Command::DeactivateUser),
        1 => (0_u64..40, 0_u8..3).prop_map(|(size, root)| {
            Command::ResolveDivergence(ResolveDivergence { size, root: [root; 32] })
        }),
        1 => (0_u64..4).prop_map(|credential_version| {
            Command::SetPassword(SetPassword { password: "$argon2id$z".to_string(), credential_version })
        }),
        1 => (some_user(), 0_u8..6).prop_map(|(id, code)| Command::IssueEnrolment(id, [code; 32])),
        1 => (of(Just(Availability::Busy)), of(time())).prop_map(|(availability, expires)| {
            Command::SetStatus(SetStatus { availability, text: vec![], expires })
        }),
        6 => people_command(),
        1 => (1_u32..4).prop_map(|version| Command::RotateClusterKey(cluster_key(version), vec![])),
        1 => time().prop_map(Command::ConfirmClock),
        2 => trust_command(),
    ]
}

fn people_command() -> impl Strategy<Value = Command> {
    let methods = || prop_oneof![Just(Method::Password), Just(Method::Pin), Just(Method::DeviceKey)];
    let unlock = (methods(), 0_u64..4, of((0_u8..6, 0_u64..4))).prop_map(|(method, credential_version, proof)| {
        let proof = proof.map(|(key, number)| ([key; 32], number));
        Command::UnlockSession(UnlockSession { method, credential_version, proof, attempt: None })
    });
    let settings = (0_u64..3, of(0_u64..20_000), of(4_000_u64..20_000), of(60_000_u64..90_000)).prop_map(
        |(version, lock_ms, part_ms, idle_ms)| {
            let unlock = vec![Method::DeviceKey, Method::Pin];
            Command::ChangeSettings(Settings { version, lock_ms, part_ms, idle_ms, unlock, ..Settings::default() })
        },
    );
    let set_pin = (0_u64..4)
        .prop_map(|credential_version| Command::SetPin(SetPin { hash: "$argon2id$p".to_string(), credential_version }));
    let open = Just(Command::OpenEmergency(OpenEmergency { reason: "a test".to_string(), lasts_ms: 60_000 }));
    prop_oneof![
        2 => some_session().prop_map(Command::LockSession),
        3 => unlock,
        1 => settings,
        2 => set_pin,
        1 => some_user().prop_map(Command::ClearPin),
        2 => open,
        2 => (0_u64..4).prop_map(Command::ApproveEmergency),
        1 => (0_u64..4).prop_map(Command::EndEmergency),
        1 => (0_u64..4).prop_map(|number| {
            Command::ReviewEmergency(ReviewEmergency { number, note: "seen".to_string() })
        }),
    ]
}

fn trust_command() -> impl Strategy<Value = Command> {
    let serial = || (1_u8..6).prop_map(|n| Serial([n; 20]));
    let revoke = |what| Command::RevokeCertificates(RevokeCertificates { what, reason: "stolen".to_string() });
    let confirm = (1_u32..4, 0_u8..2).prop_map(|(version, new)| {
        let public = [0x70 + new; 32];
        let to_kit = |version: u32| types::key::Envelope {
            holder: types::key::Holder::Recovery,
            public,
            sealed: vec![version as u8],
        };
        let mut key = cluster_key(version);
        key.envelopes[0] = to_kit(version);
        let envelopes = (1..version).map(|live| (live, to_kit(live))).collect();
        Command::ConfirmKit(ConfirmKit { public, envelopes, key, dropped: vec![] })
    });
    prop_oneof![
        list(serial(), 0..3)
            .prop_map(|serials| { Command::NoteCertificates(NoteCertificates { serials, expires: Timestamp(9) }) }),
        serial().prop_map(move |serial| revoke(Revocation::Certificate(serial))),
        (0_u64..12).prop_map(move |node| revoke(Revocation::Node(NodeId(node)))),
        (0_u8..2).prop_map(|new| {
            Command::ProposeKit(ProposeKit { public: [0x70 + new; 32], reason: "a test".to_string() })
        }),
        confirm,
        Just(Command::CancelKit),
    ]
}

fn tap_in() -> impl Strategy<Value = Command> {
    (0..PEOPLE + 1, some_session(), 0..PEOPLE + 6, 1_u64..4, any::<bool>()).prop_map(|(who, at, n, version, pin)| {
        Command::TapIn(TapIn {
            user: user(who),
            at,
            session: session(n),
            token: [n; 32],
            credential_version: version,
            attempt: None,
            methods: vec![if pin { Method::Pin } else { Method::Password }],
            second: None,
            address: None,
        })
    })
}

fn conversation_command() -> impl Strategy<Value = Command> {
    let participants = || list((some_principal(), some_part()), 0..4);
    let create = (some_conversation(), kind(), some_policy(), of(some_user()), participants()).prop_map(
        |(id, kind, history, subject, participants)| CreateConversation {
            id,
            kind,
            title: vec![],
            history,
            subject,
            participants,
            key: None,
        },
    );
    let update = (some_conversation(), 0_u64..3, of(some_policy()), of(any::<bool>())).prop_map(
        |(id, version, history, open)| UpdateConversation { id, version, title: Some(payload(1)), history, open },
    );
    let post = (some_conversation(), of(number()), of(number()), of(time()), list(some_principal(), 0..2)).prop_map(
        |(id, reply_to, supersedes, expires_at, mentions)| {
            let mut post = message(0);
            post.conversation = id;
            post.header.reply_to = reply_to.map(Seq);
            post.header.supersedes = supersedes.map(Seq);
            post.header.expires_at = expires_at;
            post.header.mentions = mentions;
            Command::Post(post)
        },
    );
    prop_oneof![
        2 => create.prop_map(Command::CreateConversation),
        1 => update.prop_map(Command::UpdateConversation),
        4 => (some_conversation(), participants()).prop_map(|(id, added)| Command::AddParticipants(id, added)),
        3 => (some_conversation(), some_principal()).prop_map(|(id, who)| Command::RemoveParticipant(id, who)),
        1 => (0_u32..5, 0_u32..3, 0_u32..4).prop_map(|(id, version, newest)| {
            Command::DefinePolicy(PolicyRef { id, version }, HistoryPolicy::Newest(newest))
        }),
        4 => (0_u8..4).prop_map(self::post),
        1 => post,
    ]
}

fn some_command() -> impl Strategy<Value = Command> {
    prop_oneof![2 => node_command(), 1 => account_command(), 4 => conversation_command()]
}

/// A step: how much later, by whom (none: as fits the command, next number), and what.
type Numbered = (u64, u64, u8);

fn some_step() -> impl Strategy<Value = (u64, u8, Option<Numbered>, Command)> {
    let later = prop_oneof![6 => 0_u64..100, 1 => Just(GRACE_MS), 1 => Just(DAY_MS), 1 => Just(40 * DAY_MS)];
    (later, 0..PEOPLE + 1, of((number(), number(), 0_u8..2)), some_command())
}

fn is_for_node(command: &Command) -> bool {
    matches!(
        command,
        Command::Found(_)
            | Command::RenewLease(_)
            | Command::ExpireLease(..)
            | Command::Tick
            | Command::Connections(_)
            | Command::Confirm(_)
            | Command::RaiseFeatureLevel(_)
            | Command::SignIn(_)
            | Command::Enrol(_)
            | Command::TapIn(_)
            | Command::AddDataKey(_)
            | Command::RewrapDataKeys(_)
            | Command::RetireClusterKey(_)
    )
}

fn envelope(world: &mut World, who: u8, numbered: Option<Numbered>, command: Command) -> Envelope {
    match numbered {
        None if is_for_node(&command) => {
            Envelope { origin: NodeId(1 + u64::from(who % 2)), author: Author::Node, command }
        }
        None => {
            let next = world.numbers.entry(session(who)).or_insert(1);
            *next += 1;
            request(who, *next - 1, 1, command)
        }
        Some((number, settled, content)) => {
            let request = Request { session: session(who), number, settled, content: [content; 16] };
            Envelope { origin: NODE, author: Author::Session(request), command }
        }
    }
}

fn clock(model: &Model) -> Timestamp {
    let Ok(heads) = crate::heads(model);
    heads.clock
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_commands_keep_every_invariant_and_have_one_outcome(steps in list(some_step(), 1..60)) {
        let mut world = World::new(PEOPLE);
        world.group(0, 1, &[2, 3]);
        world.people();
        let mut twin = world.model.clone();
        for (later, who, numbered, command) in steps {
            world.now += later;
            let envelope = envelope(&mut world, who, numbered, command);
            let before = clock(&world.model);
            let outcome = world.step(envelope.clone());
            prop_assert_eq!(&twin.apply(Timestamp(world.now), &envelope), &outcome, "same view, same outcome");
            prop_assert!(clock(&world.model) >= before);
            invariants::check(&world.model);

            // A refusal changes only what makes it safe to repeat, and its record.
            if outcome.answer.result.is_err() {
                prop_assert!(outcome.events.is_empty());
                let kept = |key: &Key| matches!(
                    key,
                    Key::Heads() | Key::Device(_) | Key::Answer(..) | Key::Record(_) | Key::Session(_) | Key::Timer(..)
                );
                prop_assert!(outcome.changes.keys().all(kept), "{:?}", outcome.changes.keys());
            }
            // What was carried out for a device is answered again and not carried out again.
            if let Author::Session(_) = envelope.author && outcome.changes.keys().any(|key| matches!(key, Key::Answer(..))) {
                let again = world.model.clone().apply(Timestamp(world.now), &envelope);
                let ended = again.answer.result == Err(Reject::NoSession);
                prop_assert!(ended || again.answer == outcome.answer);
                prop_assert!(ended || again.changes.len() == 1);
            }
        }
        prop_assert_eq!(twin, world.model);
    }

    #[test]
    fn any_command_on_an_empty_state_is_refused(command in some_command()) {
        let mut model = Model::default();
        let envelope = Envelope { origin: NODE, author: Author::Node, command };
        let outcome = model.apply(Timestamp(5), &envelope);
        prop_assert_eq!(outcome.answer.result, Err(Reject::WrongPhase));
        prop_assert_eq!(model.rows.len(), 1);
        prop_assert!(matches!(model.rows.get(&Key::Heads()), Some(Row::Heads(_))));
    }
}
