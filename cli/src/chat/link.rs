//! The client's side of the network: one stream with everything, kept open at whichever node answers, and calls beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::lock_service_client::LockServiceClient;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::presence_service_client::PresenceServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::Status;

use super::news::{Effect, News, Typed};
use super::send;
use crate::address;
use crate::client::Call;
use crate::commands::presence::set_presence;
use crate::error::{Error, Result};
use crate::judge::{Verdict, judge};
use crate::rpc;
use crate::session::{Session, Unlock};

/// News waiting to be taken; the stream waits when there are more.
pub const NEWS_MAX: usize = 1_024;
/// Calls at a time beside sending.
const CALLS_MAX: usize = 8;
/// Messages waiting to be sent, of all conversations.
const SENDS_MAX: usize = 1_024;
/// Messages of a page.
const PAGE: i32 = 50;
/// Confirmations are gathered for this long.
const CONFIRM: Duration = Duration::from_millis(200);
/// A stream that is silent for longer, progress marks included, is taken for dead.
const SILENCE: Duration = Duration::from_millis(types::limits::STREAM_PROGRESS_MS + 5_000);
/// The longest pause before the next attempt to open a stream.
const PAUSE_MAX: Duration = Duration::from_millis(1_500);

type Confirms = Arc<std::sync::Mutex<BTreeMap<String, (u64, u64)>>>;

/// Does effects; its tasks end with it.
pub struct Doer {
    session: Arc<Session>,
    news: mpsc::Sender<News>,
    sends: mpsc::Sender<send::Order>,
    watched: watch::Sender<Vec<String>>,
    confirms: Confirms,
    calls: Arc<Semaphore>,
    tasks: tokio::task::JoinSet<()>,
}

impl Doer {
    /// Starts the stream and the tasks beside it.
    pub fn start(session: Arc<Session>, news: mpsc::Sender<News>) -> Self {
        let (sends, orders) = mpsc::channel(SENDS_MAX);
        let (watched, watching) = watch::channel(Vec::new());
        let confirms = Confirms::default();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(stream(Arc::clone(&session), news.clone(), watching));
        tasks.spawn(send::run(Arc::clone(&session), news.clone(), orders));
        tasks.spawn(confirm(Arc::clone(&session), Arc::clone(&confirms)));
        Self { session, news, sends, watched, confirms, calls: Arc::new(Semaphore::new(CALLS_MAX)), tasks }
    }

    /// Does one effect, without waiting for its end.
    pub fn run(&mut self, effect: Effect) {
        while self.tasks.try_join_next().is_some() {}
        match effect {
            Effect::Watch(users) => drop(self.watched.send_replace(users)),
            Effect::Confirm(conversation, delivered, displayed) => {
                let mut confirms = self.confirms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let entry = confirms.entry(conversation).or_default();
                *entry = (entry.0.max(delivered), entry.1.max(displayed));
            }
            Effect::Send { conversation, key, text, priority } => {
                let order = send::Order { conversation, key, text, priority };
                if let Err(mpsc::error::TrySendError::Full(order)) = self.sends.try_send(order) {
                    let fate = super::talk::Fate::Refused("too many messages wait here; copy it and try later".into());
                    let _ = self.news.try_send(News::Fate(order.conversation, order.key, fate));
                }
            }
            Effect::Quit => {}
            effect => self.call(effect),
        }
    }

    fn call(&mut self, effect: Effect) {
        let (session, news, calls) = (Arc::clone(&self.session), self.news.clone(), Arc::clone(&self.calls));
        self.tasks.spawn(async move {
            let Ok(_place) = calls.acquire().await else { return };
            let failed_page = if let Effect::Load(name, _) = &effect { Some(name.clone()) } else { None };
            let quiet = matches!(effect, Effect::Typing(_) | Effect::Activity(_) | Effect::Counts(..));
            let told = match (one(&session, effect).await, failed_page) {
                (Ok(told), _) => told,
                (Err(error), Some(name)) => Some(News::PageFailed(name, error.to_string())),
                (Err(_), None) if quiet => None,
                (Err(error), None) => Some(News::Notice(error.to_string())),
            };
            if let Some(told) = told {
                let _ = news.send(told).await;
            }
        });
    }
}

async fn one(session: &Session, effect: Effect) -> Result<Option<News>> {
    Ok(match effect {
        Effect::Load(name, start) => {
            let body = |read| v1::ListMessagesRequest {
                parent: name.clone(),
                start_seq: start,
                direction: v1::Direction::Backward as i32,
                page_size: PAGE,
                read: Some(read),
            };
            let page = session.read("load messages", body, rpc!(MessageServiceClient.list_messages)).await?;
            Some(News::Page(name, Box::new(page)))
        }
        Effect::Receipts(name) => {
            let answer = receipts(session, &name).await?;
            Some(News::Receipts(name, answer.receipts))
        }
        Effect::Counts(name, seq) => {
            let answer = receipts(session, &format!("{name}/messages/{seq}")).await?;
            Some(News::Counts(name, seq, answer.delivered_count, answer.displayed_count))
        }
        Effect::Refresh(name) => {
            let body = |read| v1::GetConversationRequest { name: name.clone(), read: Some(read) };
            let doing = "look at a conversation";
            let answer = session.read(doing, body, rpc!(ConversationServiceClient.get_conversation)).await?;
            answer.conversation.map(|info| News::Conversation(Box::new(info), false))
        }
        Effect::People(names) => {
            let people = address::people(session, names).await?;
            Some(News::People(people.0.into_values().collect()))
        }
        Effect::Search(query) => {
            let body = |read| v1::SearchUsersRequest { query: query.clone(), page_size: 50, read: Some(read) };
            let answer = session.read("look for people", body, rpc!(DirectoryServiceClient.search_users)).await?;
            Some(News::Found(query, answer.users, answer.truncated))
        }
        Effect::Open(user) => create(session, v1::ConversationKind::Direct, "", vec![user]).await?,
        Effect::Create(title, users) => create(session, v1::ConversationKind::Group, &title, users).await?,
        Effect::Presence(state, text) => {
            set_presence(session, state, &text, None).await?;
            Some(News::Notice("Your status is set.".into()))
        }
        Effect::Activity(idle) => {
            let idle_since = idle.map(|ms| prost_types::Timestamp { seconds: (ms / 1000) as i64, nanos: 0 });
            let body = |_| v1::ReportActivityRequest { idle_since };
            let call = Call::read("say whether someone is here");
            session.client.call(&call, body, rpc!(PresenceServiceClient.report_activity)).await?;
            None
        }
        Effect::Typing(conversation) => {
            let body = |_| v1::SendTypingRequest { conversation: conversation.clone() };
            let call = Call::read("say that you are typing");
            session.client.call(&call, body, rpc!(PresenceServiceClient.send_typing)).await?;
            None
        }
        Effect::Lock => {
            let body = |id| v1::LockSessionRequest { name: String::new(), request_id: Some(id) };
            session.write(Call::write("lock the session"), body, rpc!(LockServiceClient.lock_session)).await?;
            Some(News::Locked)
        }
        Effect::Unlock(Typed(typed)) => {
            let digits = typed.bytes().all(|byte| byte.is_ascii_digit());
            let proof = if digits { Unlock::Pin(typed) } else { Unlock::Password(typed) };
            Some(match session.unlock(proof).await {
                Ok(()) => News::Unlocked,
                Err(Error::Refused { why, .. }) => News::StillLocked(why),
                Err(error) => News::StillLocked(error.to_string()),
            })
        }
        Effect::Watch(_) | Effect::Confirm(..) | Effect::Send { .. } | Effect::Quit => None,
    })
}

async fn receipts(session: &Session, parent: &str) -> Result<v1::ListReceiptsResponse> {
    let body = |read| v1::ListReceiptsRequest {
        parent: parent.to_owned(),
        page_size: 500,
        page_token: String::new(),
        read: Some(read),
    };
    session.read("see how far messages are", body, rpc!(MessageServiceClient.list_receipts)).await
}

async fn create(
    session: &Session,
    kind: v1::ConversationKind,
    title: &str,
    users: Vec<String>,
) -> Result<Option<News>> {
    let participant = |user: &String| v1::Participant { user: user.clone(), ..Default::default() };
    let body = |id| v1::CreateConversationRequest {
        conversation: Some(v1::Conversation { kind: kind as i32, title: title.into(), ..Default::default() }),
        participants: users.iter().map(participant).collect(),
        request_id: Some(id),
    };
    let call = Call::write("begin the conversation");
    let answer = session.write(call, body, rpc!(ConversationServiceClient.create_conversation)).await?;
    Ok(answer.conversation.map(|info| News::Conversation(Box::new(info), true)))
}

/// Sends what was gathered; what was not taken stays for the next time.
async fn confirm(session: Arc<Session>, confirms: Confirms) {
    let lock = |confirms: &Confirms| {
        let mut confirms = confirms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut batch = std::mem::take(&mut *confirms);
        if batch.len() > 500 {
            *confirms = batch.split_off(&batch.keys().nth(500).cloned().unwrap_or_default());
        }
        batch
    };
    loop {
        tokio::time::sleep(CONFIRM).await;
        let batch = lock(&confirms);
        if batch.is_empty() {
            continue;
        }
        let confirmation = |(conversation, (delivered_seq, displayed_seq)): (&String, &(u64, u64))| v1::Confirmation {
            conversation: conversation.clone(),
            delivered_seq: *delivered_seq,
            displayed_seq: *displayed_seq,
        };
        let body = |_| v1::ConfirmMessagesRequest { confirmations: batch.iter().map(confirmation).collect() };
        let call = Call::read("confirm messages");
        let taken = session.client.call(&call, body, rpc!(MessageServiceClient.confirm_messages)).await;
        if let Err(Error::NoAnswer { .. }) = taken {
            let mut confirms = confirms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (name, (delivered, displayed)) in batch {
                let entry = confirms.entry(name).or_default();
                *entry = (entry.0.max(delivered), entry.1.max(displayed));
            }
        }
    }
}

/// Bootstraps, then keeps a stream open from where the last one ended. Bootstraps again when the cursor is too old.
async fn stream(session: Arc<Session>, news: mpsc::Sender<News>, mut watching: watch::Receiver<Vec<String>>) {
    let mut cursor: Option<Vec<u8>> = None;
    let mut failures = 0_u32;
    while !news.is_closed() {
        let ended = follow(&session, &news, &mut watching, &mut cursor, &mut failures).await;
        let why = match ended {
            Ok(()) => continue, // Only whom to watch changed: the same node again, at once.
            Err(End::Away(why)) => why,
            Err(End::Expired) => {
                cursor = None;
                continue;
            }
            // What the screen showed is gone: it is had anew once the session is unlocked.
            Err(End::Locked) => {
                let _ = news.send(News::Locked).await;
                continue;
            }
            Err(End::Unlocked) => {
                cursor = None;
                let _ = news.send(News::Unlocked).await;
                continue;
            }
            Err(End::Over(why)) => {
                let _ = news.send(News::Over(why)).await;
                return;
            }
        };
        let _ = news.send(News::Disconnected(why)).await;
        let current = session.client.current().to_owned();
        session.client.avoid(&current);
        // The first other node at once, then with growing pauses.
        let pause = Duration::from_millis(100) * 2_u32.saturating_pow(failures.saturating_sub(1).min(6));
        failures += 1;
        if failures > 1 {
            tokio::time::sleep(pause.min(PAUSE_MAX)).await;
        }
    }
}

enum End {
    /// The node went away.
    Away(String),
    /// The cursor is of no use any more.
    Expired,
    /// The session is over.
    Over(String),
    /// The session was locked.
    Locked,
    /// The session was unlocked.
    Unlocked,
}

async fn follow(
    session: &Session,
    news: &mpsc::Sender<News>,
    watching: &mut watch::Receiver<Vec<String>>,
    cursor: &mut Option<Vec<u8>>,
    failures: &mut u32,
) -> std::result::Result<(), End> {
    if cursor.is_none() {
        match address::conversations(session, false).await {
            Ok((conversations, info)) => {
                *cursor = info.map(|info| info.cursor);
                if let Some(restored) = session.client.take_restored() {
                    let _ = news.send(News::Restored(restored)).await;
                }
                let _ = news.send(News::Bootstrapped(conversations)).await;
            }
            // A stream from now on alerts, and says when it is unlocked.
            Err(error) if error.code() == "SESSION_LOCKED" => drop(news.send(News::Locked).await),
            Err(error) => return Err(lost(&error)),
        }
    }
    let request = v1::SyncRequest {
        cursor: cursor.clone().unwrap_or_default(),
        with_messages: true,
        watch_presence: watching.borrow_and_update().clone(),
    };
    let opened = session.client.open(request, rpc!(SyncServiceClient.sync)).await;
    let mut stream = opened.map_err(|status| ended(&status))?;
    let _ = news.send(News::Connected(session.client.current().to_owned())).await;
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(SILENCE, stream.message()) => next,
            changed = watching.changed() => match changed {
                Ok(()) => return Ok(()),
                Err(_) => return Err(End::Away("closing".into())),
            },
        };
        let item = next.unwrap_or_else(|_| Err(Status::unavailable("silent"))).map_err(|status| ended(&status))?;
        let Some(item) = item else { return Err(End::Away("the node closed the stream".into())) };
        *failures = 0;
        if !item.cursor.is_empty() {
            *cursor = Some(item.cursor.clone());
        }
        match &item.item {
            Some(Item::SessionLocked(locked)) if locked.session == session.state.session => return Err(End::Locked),
            Some(Item::SessionUnlocked(unlocked)) if unlocked.session == session.state.session => {
                return Err(End::Unlocked);
            }
            _ => {}
        }
        if news.send(News::Item(Box::new(item))).await.is_err() {
            return Err(End::Away("closing".into()));
        }
    }
}

fn lost(error: &Error) -> End {
    match error.code() {
        "NO_SESSION" | "DEACTIVATED" | "CREDENTIAL_CHANGED" => End::Over(over(error.code())),
        _ => End::Away(error.to_string()),
    }
}

fn ended(status: &Status) -> End {
    let judgement = judge(status);
    match (judgement.reason.as_str(), judgement.verdict) {
        ("CURSOR_EXPIRED" | "LINEAGE_CHANGED" | "CURSOR_INVALID", _) => End::Expired,
        ("NO_SESSION" | "DEACTIVATED" | "CREDENTIAL_CHANGED", Verdict::Final) => End::Over(over(&judgement.reason)),
        (reason, _) => End::Away(reason.to_owned()),
    }
}

fn over(reason: &str) -> String {
    format!("This session is over ({reason}). Leave with Ctrl-C and sign in again: tricord login LOGIN.")
}
