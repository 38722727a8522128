//! What one committed command does.

use types::limits::{ANSWERS_KEPT_MS, REQUEST_WINDOW};
use types::record::Agent;
use types::reply::Answer;
use types::row::{KeptAnswer, Timer};
use types::session::Device;
use types::{Author, Command, Envelope, Key, Reject, Reply, Request, Row, Timestamp};

use crate::commands::{
    audit, backups, certificates, clock, conversations, directory, emergency, founding, keys as key_commands, kits,
    leases, locking, lockout, log_off, messages, participants, places, presence, receipts, refusals, seats,
    second_factor, sessions, settings, tick,
};
use crate::keys;
use crate::outcome::Outcome;
use crate::policy::{self, Actor};
use crate::records::{self, Putting};
use crate::tx::{Step, Stop, Tx};
use crate::view::{Rows, View};

/// Decides what one committed command does. Same view, same envelope: same outcome, on every node.
///
/// Every outcome moves the clock. A refused command changes nothing else but what makes its retry safe and its record.
/// Errors: only this node failing to read its own state; then nothing may be written, and the node stops.
pub fn apply<V: View>(view: &V, at: Timestamp, envelope: &Envelope) -> Result<Outcome, V::Fault> {
    let mut tx = Tx::begin(view, at, envelope.origin)?;
    let founded = matches!(envelope.command, Command::Found(_));
    if view.cluster()?.is_some() == founded {
        let answer = tx.answer(Err(Reject::WrongPhase));
        if founded {
            let putting = Putting { agent: Agent::Cluster, ..Putting::unknown(None) };
            record(&mut tx, &envelope.command, putting, &answer.result);
        }
        return Ok(tx.finish(answer));
    }
    let step = match &envelope.author {
        Author::Node => by_node(&mut tx, &envelope.command),
        Author::Session(request) => by_session(&mut tx, request, &envelope.command),
    };
    match step {
        Ok(answer) => Ok(tx.finish(answer)),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::Reject(reject)) => {
            tx.roll_back()?;
            let answer = tx.answer(Err(reject));
            Ok(tx.finish(answer))
        }
    }
}

fn by_node<V: View>(tx: &mut Tx<'_, V>, command: &Command) -> Step<Answer, V> {
    let step = audit::admit(tx, command).and_then(|()| node_command(tx, command));
    let result = settle(tx, step)?;
    let answer = tx.answer(result);
    // An unknown key is between node and state: the node seals anew and puts it again.
    if !tx.is_repeat() && answer.result != Err(Reject::UnknownKey) {
        let location = match command {
            Command::TapIn(tap) => tx.session(tap.at)?.map(|at| at.user),
            _ => None,
        };
        record(tx, command, Putting { location, ..Putting::unknown(None) }, &answer.result);
    }
    Ok(answer)
}

fn node_command<V: View>(tx: &mut Tx<'_, V>, command: &Command) -> Step<Reply, V> {
    match command {
        Command::Found(found) => founding::found(tx, found),
        Command::RaiseFeatureLevel(level) => founding::raise_feature_level(tx, *level),
        Command::RenewLease(lease) => leases::renew(tx, *lease),
        Command::ExpireLease(node, lease) => leases::expire(tx, *node, *lease),
        Command::Tick => tick::tick(tx),
        Command::Connections(connections) => presence::connections(tx, connections),
        Command::Confirm(confirmations) => receipts::confirm(tx, confirmations),
        Command::SignIn(sign_in) => sessions::sign_in(tx, sign_in),
        Command::Enrol(enrol) => sessions::enrol(tx, enrol),

        Command::RefuseSignIn(refuse) => lockout::refuse(tx, refuse),
        Command::Refresh(refresh) => sessions::refresh(tx, refresh),

        Command::MarkHead => audit::mark(tx),
        Command::SignHead(head) => audit::sign(tx, head),
        Command::SetSigner(key) => audit::set_signer(tx, *key),
        Command::Observe(once, observations) => audit::observe(tx, *once, observations),

        Command::AddDataKey(add) => key_commands::add(tx, add),
        Command::RewrapDataKeys(rewrap) => key_commands::rewrap(tx, rewrap),
        Command::RetireClusterKey(version) => key_commands::retire(tx, *version),

        Command::AdmitNode(admit) => seats::admit(tx, admit),
        Command::SeatNode(node) => seats::seat(tx, *node),
        Command::Refound(refound) => seats::refound(tx, refound),
        Command::NoteBackup(note) => backups::note(tx, note),
        Command::NoteCertificates(note) => certificates::note(tx, note),

        Command::TapIn(tap) => places::tap_in(tx, tap),

        Command::ResolveDivergence(_)
        | Command::LogOff(_)
        | Command::AddSecondFactor(_)
        | Command::ConfirmSecondFactor(_)
        | Command::RemoveSecondFactor(_)
        | Command::ChangeSettings(_)
        | Command::EndSession(_)
        | Command::CreateUsers(_)
        | Command::UpdateUser(_)
        | Command::DeactivateUser(_)
        | Command::SetPassword(_)
        | Command::IssueEnrolment(..)
        | Command::CreateConversation(_)
        | Command::UpdateConversation(_)
        | Command::AddParticipants(..)
        | Command::RemoveParticipant(..)
        | Command::DefinePolicy(..)
        | Command::Post(_)
        | Command::SetStatus(_)
        | Command::RotateClusterKey(..)
        | Command::ConfirmClock(_)
        | Command::ApproveHolder(_)
        | Command::LockSession(_)
        | Command::UnlockSession(_)
        | Command::SetPin(_)
        | Command::ClearPin(_)
        | Command::OpenEmergency(_)
        | Command::ApproveEmergency(_)
        | Command::EndEmergency(_)
        | Command::ReviewEmergency(_)
        | Command::RevokeCertificates(_)
        | Command::ProposeKit(_)
        | Command::ConfirmKit(_)
        | Command::CancelKit => Err(Reject::NotPermitted.into()), // Only a user may; no node speaks for one.
    }
}

fn user_command<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, command: &Command) -> Step<Reply, V> {
    match command {
        Command::EndSession(id) => sessions::end_session(tx, actor, *id),
        Command::CreateUsers(users) => directory::create(tx, actor, users),
        Command::UpdateUser(update) => directory::update(tx, actor, update),
        Command::DeactivateUser(id) => directory::deactivate(tx, actor, *id),
        Command::SetPassword(set) => sessions::set_password(tx, actor, set),
        Command::IssueEnrolment(id, code) => sessions::issue_enrolment(tx, actor, *id, *code),
        Command::CreateConversation(create) => conversations::create(tx, actor, create),
        Command::UpdateConversation(update) => conversations::update(tx, actor, update),
        Command::DefinePolicy(at, policy) => conversations::define_policy(tx, actor, *at, *policy),
        Command::AddParticipants(id, added) => participants::add(tx, actor, *id, added),
        Command::RemoveParticipant(id, principal) => participants::remove(tx, actor, *id, *principal),
        Command::Post(post) => messages::post(tx, actor, post),
        Command::SetStatus(set) => presence::set_status(tx, actor, set),
        Command::AddSecondFactor(add) => second_factor::add(tx, actor, add),
        Command::ConfirmSecondFactor(step) => second_factor::confirm(tx, actor, *step),
        Command::RemoveSecondFactor(user) => second_factor::remove(tx, actor, *user),
        Command::LogOff(log_off) => log_off::log_off(tx, actor, log_off),
        Command::ChangeSettings(settings) => settings::change(tx, actor, settings),

        Command::ResolveDivergence(decision) => audit::resolve(tx, actor, decision),
        Command::RotateClusterKey(new, dropped) => key_commands::rotate(tx, actor, new, dropped),
        Command::ApproveHolder(approve) => key_commands::approve(tx, actor, approve),

        Command::ConfirmClock(after) => clock::confirm(tx, actor, *after),
        Command::LockSession(session) => locking::lock_session(tx, actor, *session),
        Command::UnlockSession(unlock) => locking::unlock_session(tx, actor, unlock),
        Command::SetPin(set) => places::set_pin(tx, actor, set),
        Command::ClearPin(user) => places::clear_pin(tx, actor, *user),
        Command::OpenEmergency(open) => emergency::open(tx, actor, open),
        Command::ApproveEmergency(number) => emergency::approve(tx, actor, *number),
        Command::EndEmergency(number) => emergency::end(tx, actor, *number),
        Command::ReviewEmergency(review) => emergency::review(tx, actor, review),

        Command::RevokeCertificates(revoke) => certificates::revoke(tx, actor, revoke),
        Command::ProposeKit(propose) => kits::propose(tx, actor, propose),
        Command::ConfirmKit(confirm) => kits::confirm(tx, actor, confirm),
        Command::CancelKit => kits::cancel(tx, actor),

        Command::Found(_)
        | Command::RaiseFeatureLevel(_)
        | Command::RenewLease(_)
        | Command::ExpireLease(..)
        | Command::Tick
        | Command::Connections(_)
        | Command::Confirm(_)
        | Command::SignIn(_)
        | Command::Enrol(_)
        | Command::RefuseSignIn(_)
        | Command::Refresh(_)
        | Command::MarkHead
        | Command::SignHead(_)
        | Command::SetSigner(_)
        | Command::Observe(..)
        | Command::AddDataKey(_)
        | Command::RewrapDataKeys(_)
        | Command::RetireClusterKey(_)
        | Command::AdmitNode(_)
        | Command::SeatNode(_)
        | Command::Refound(_)
        | Command::NoteBackup(_)
        | Command::NoteCertificates(_)
        | Command::TapIn(_) => Err(Reject::NotPermitted.into()), // Only a node may.
    }
}

fn by_session<V: View>(tx: &mut Tx<'_, V>, request: &Request, command: &Command) -> Step<Answer, V> {
    let number = Some(request.number);
    let found = policy::standing(tx, tx.now, request.session)?; // Here, on every node: a session is needed to speak for someone.
    let Some(actor) = found else {
        let answer = tx.answer(Err(Reject::NoSession));
        record(tx, command, Putting::unknown(number), &answer.result);
        return Ok(answer);
    };
    let putting = || putting(&actor, number);
    if actor.is_locked() && !policy::may_put_locked(&actor, command) {
        // Not kept as the answer: once it is unlocked, the same number goes through.
        let answer = tx.answer(Err(Reject::SessionLocked));
        refused(tx, command, putting(), &answer.result)?;
        return Ok(answer);
    }
    let admitted = audit::admit(tx, command); // Not kept as the answer: once it is decided, the same number goes through.
    if let Err(reject) = settle(tx, admitted.map(|()| Reply::Done))? {
        let answer = tx.answer(Err(reject));
        refused(tx, command, putting(), &answer.result)?;
        return Ok(answer);
    }
    let settled = match admit(tx, request, &actor.device)? {
        Admission::Execute { settled } => settled,
        Admission::Repeat(answer) => return Ok(answer), // Seen before: the same answer, and no change.
        Admission::Refuse(reject) => {
            let answer = tx.answer(Err(reject));
            refused(tx, command, putting(), &answer.result)?;
            return Ok(answer);
        }
    };
    let step = user_command(tx, &actor, command);
    let result = settle(tx, step)?;
    if result == Err(Reject::UnknownKey) {
        return Ok(tx.answer(result)); // Between node and state: the node seals anew and puts the same number again.
    }
    let answer = tx.answer(result);
    if answer.result.is_ok() {
        record(tx, command, putting(), &answer.result);
    } else {
        refused(tx, command, putting(), &answer.result)?;
    }
    let device = match command {
        Command::UnlockSession(_) => found_device(tx, &actor)?, // It may have used a number of its own up.
        _ => actor.device,
    };
    keep_answer(tx, request, device, settled, answer.clone())?;
    sessions::touch(tx, request.session)?;
    Ok(answer)
}

/// What to do with a numbered request.
enum Admission {
    /// Carry it out; the device has all answers below `settled`.
    Execute { settled: u64 },
    /// It was carried out: this came of it.
    Repeat(Answer),
    /// It can be neither.
    Refuse(Reject),
}

fn admit<V: View>(tx: &Tx<'_, V>, request: &Request, device: &Device) -> Step<Admission, V> {
    if request.number < device.settled || request.number == 0 {
        return Ok(Admission::Refuse(Reject::DedupExpired));
    }
    // Never above its own number: that one must still be told apart when it comes again.
    let settled = device.settled.max(request.settled.min(request.number));
    if request.number >= settled.saturating_add(REQUEST_WINDOW) {
        return Ok(Admission::Refuse(Reject::WindowExceeded));
    }
    if request.number > device.highest {
        return Ok(Admission::Execute { settled }); // Never used before, so there is nothing to look for.
    }
    Ok(match tx.kept_answer(device.id, request.number)? {
        None => Admission::Execute { settled },
        Some(kept) if kept.content == request.content => Admission::Repeat(kept.answer),
        Some(_) => Admission::Refuse(Reject::RequestIdReused),
    })
}

fn keep_answer<V: View>(
    tx: &mut Tx<'_, V>,
    request: &Request,
    mut device: Device,
    settled: u64,
    answer: Answer,
) -> Step<(), V> {
    if settled > device.settled {
        drop_answers(tx, &device, settled)?;
    }
    if device.settled > device.highest {
        // No answer is kept yet, so no timer runs; it renews itself until it has dropped them all.
        tx.put(Key::Timer(tx.now.plus_ms(ANSWERS_KEPT_MS), Timer::AnswersExpiry(device.id)), Row::Timer(()));
    }
    device.settled = settled;
    device.highest = device.highest.max(request.number);
    device.last_write = tx.now;
    let kept = KeptAnswer { content: request.content, answer };
    tx.put(Key::Answer(device.id, request.number), Row::Answer(kept));
    tx.put(Key::Device(device.id), Row::Device(device));
    Ok(())
}

/// Most answers dropped one by one, without a scan: a device that settles as it goes drops one with each write.
const DROPPED_SINGLY_MAX: u64 = 16;

/// Drops a device's answers below `settled`: at most a window of them, for none is ever kept beyond it.
pub(crate) fn drop_answers<V: View>(tx: &mut Tx<'_, V>, device: &Device, settled: u64) -> Step<(), V> {
    let end = settled.min(device.highest.saturating_add(1));
    if end.saturating_sub(device.settled) <= DROPPED_SINGLY_MAX {
        (device.settled..end).for_each(|number| tx.remove(Key::Answer(device.id, number)));
        return Ok(());
    }
    let (from, to) = keys::answers(device.id, device.settled, end.saturating_sub(1));
    let window = usize::try_from(REQUEST_WINDOW).unwrap_or(usize::MAX);
    for (key, _) in tx.scan(&from, &to, false, window)? {
        tx.remove(key);
    }
    Ok(())
}

/// A refusal takes back what was done on the way to it.
fn settle<V: View>(tx: &mut Tx<'_, V>, step: Step<Reply, V>) -> Step<Result<Reply, Reject>, V> {
    match step {
        Ok(reply) => Ok(Ok(reply)),
        Err(Stop::Reject(reject)) => {
            tx.roll_back().map_err(Stop::Fault)?;
            Ok(Err(reject))
        }
        fault @ Err(Stop::Fault(_)) => fault.map(Ok),
    }
}

fn record<V: View>(tx: &mut Tx<'_, V>, command: &Command, putting: Putting, result: &Result<Reply, Reject>) {
    if cfg!(feature = "bare") {
        return;
    }
    if let Some(record) = records::of(command, tx.now, tx.origin, putting, result) {
        tx.record(record);
    }
}

/// Records a refusal of a session's command, unless there were too many of them within a minute.
fn refused<V: View>(
    tx: &mut Tx<'_, V>,
    command: &Command,
    putting: Putting,
    result: &Result<Reply, Reject>,
) -> Step<(), V> {
    let own = match putting.agent {
        Agent::User { session, .. } if records::action_of(command).is_some() => refusals::count(tx, session)?,
        _ => true,
    };
    if own {
        record(tx, command, putting, result);
    }
    Ok(())
}

fn putting(actor: &Actor, number: Option<u64>) -> Putting {
    let (user, device, session) = (actor.user.id, actor.device.id, actor.session.id);
    Putting {
        agent: Agent::User { user, acting_role: None, device, session },
        request: number,
        location: actor.location(),
        emergency: actor.emergency.is_some(),
    }
}

fn found_device<V: View>(tx: &Tx<'_, V>, actor: &Actor) -> Step<Device, V> {
    Ok(tx.device(actor.device.id)?.unwrap_or_else(|| actor.device.clone()))
}
