//! Runs a plan against a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::{OutgoingMessage, SendMessageRequest, UserKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::plan::{Day, Plan, What};
use super::presence::Presence;
use super::verify::{Entry, Verdict, fresh_clients, list_all};
use crate::{Client, Cluster, Observer, Person, Result, SLOTS, create_group, enrol_all, reason};

/// How long a killed node stays away, and how long all three are left alone after it is back.
const AWAY: Duration = Duration::from_millis(800);
/// See [`AWAY`].
const BETWEEN_KILLS: Duration = Duration::from_secs(2);
/// How long the streams may take to bring what was acknowledged last.
const STREAMS_CATCH_UP: Duration = Duration::from_secs(120);

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Kill and restart a node every few seconds.
    pub kill: bool,
    /// So many times as fast as the files' clock; none: as fast as it goes.
    pub speed: Option<f64>,
}

/// How it ended.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Messages acknowledged, and found.
    pub messages: usize,
    /// Conversations.
    pub conversations: usize,
    /// Users.
    pub users: usize,
    /// What was not as it must be.
    pub verdict: Verdict,
    /// Texts that the cluster refused, as it must.
    pub refused: usize,
    /// Nodes killed.
    pub kills: usize,
    /// The longest time without any acknowledgement.
    pub longest_pause: Duration,
    /// In words, what presence there was.
    pub presence: String,
}

impl Summary {
    /// The one line that tells all.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "verified: {} messages, {} conversations, {} users, {} missing, {} duplicated, {} out of order, {} refused",
            self.messages,
            self.conversations,
            self.users,
            self.verdict.missing,
            self.verdict.duplicated,
            self.verdict.out_of_order,
            self.refused,
        )
    }
}

/// What the days' tasks share.
struct Shared {
    people: Vec<Arc<Client>>,
    presence: Presence,
    done: AtomicUsize,
    began: Instant,
    last_ack: AtomicU64,
    longest_pause: AtomicU64,
    speed: Option<f64>,
}

/// A day's end: what was acknowledged, in order, and what is wrong already.
struct Told {
    conversation: String,
    expected: Vec<Entry>,
    refused: usize,
    verdict: Verdict,
}

/// Replays and verifies; `tell` is told the stage, how much of it is done, and how much there is.
pub async fn run(
    cluster: &mut Cluster,
    plan: Plan,
    settings: Settings,
    tell: impl Fn(&str, usize, usize) + Sync,
) -> Result<Summary> {
    let watchers: Vec<Person> = SLOTS
        .iter()
        .map(|slot| Person {
            kind: UserKind::Service,
            ..Person::new(&format!("observer-{slot}"), &format!("Observer {}", slot.to_uppercase()))
        })
        .collect();
    let signed_in = AtomicUsize::new(0);
    let step = || tell("sign in", signed_in.fetch_add(1, Ordering::Relaxed) + 1, plan.people.len());
    let watching = enrol_all(cluster.links(), cluster.admin(), &watchers, || {}).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &plan.people, step).await?;
    let mut observers = Vec::new();
    for (node, client) in watching.iter().enumerate() {
        observers.push(Observer::start(Arc::clone(client), node).await?);
    }
    let conversations = create_conversations(&watching, &people, &plan.days).await?;

    let (messages, days) = (plan.messages(), plan.days.len());
    let shared = Arc::new(Shared {
        people,
        presence: Presence::default(),
        done: AtomicUsize::new(0),
        began: Instant::now(),
        last_ack: AtomicU64::new(0),
        longest_pause: AtomicU64::new(0),
        speed: settings.speed,
    });
    let mut tasks = JoinSet::new();
    for (day, conversation) in plan.days.into_iter().zip(conversations) {
        tasks.spawn(tell_day(Arc::clone(&shared), day, conversation));
    }
    let (told, kills) =
        attend(cluster, &mut tasks, &shared, settings.kill, &|done| tell("send", done, messages)).await?;

    let sent = told.iter().map(|day| day.expected.len()).sum();
    for observer in &mut observers {
        observer.wait_for(sent, STREAMS_CATCH_UP).await?;
    }
    let mut verdict = told.iter().fold(Verdict::default(), |sum, day| sum.and(day.verdict));
    let fresh = fresh_clients(cluster.links(), &watchers[0].login, &watchers[0].password()).await?;
    for (index, day) in told.iter().enumerate() {
        for (node, client) in fresh.iter().enumerate() {
            let got = list_all(client, node, &day.conversation).await?;
            verdict = verdict.and(Verdict::of(&day.expected, &got));
            let seen = observers[node].seen(&day.conversation).into_iter();
            let streamed: Vec<Entry> =
                seen.map(|seen| Entry { seq: seen.seq, sender: seen.sender, text: seen.text }).collect();
            verdict = verdict.and(Verdict::of(&day.expected, &streamed));
        }
        tell("verify", index + 1, days);
    }
    Ok(Summary {
        messages: sent,
        conversations: days,
        users: shared.people.len(),
        verdict,
        refused: told.iter().map(|day| day.refused).sum(),
        kills,
        longest_pause: Duration::from_millis(shared.longest_pause.load(Ordering::Relaxed)),
        presence: shared.presence.describe(),
    })
}

async fn create_conversations(watching: &[Arc<Client>], people: &[Arc<Client>], days: &[Day]) -> Result<Vec<String>> {
    let mut conversations = Vec::new();
    for day in days {
        let others = watching[1..].iter().chain(day.people.iter().map(|&who| &people[who]));
        let users: Vec<String> = others.map(|client| client.user().to_owned()).collect();
        conversations.push(create_group(&watching[0], &format!("#ubuntu {}", day.title), &users).await?);
    }
    Ok(conversations)
}

/// Waits for all days, telling how far they are; with `kill`, nodes are killed and restarted meanwhile.
async fn attend(
    cluster: &mut Cluster,
    tasks: &mut JoinSet<Result<Told>>,
    shared: &Shared,
    kill: bool,
    tell: &(impl Fn(usize) + Sync),
) -> Result<(Vec<Told>, usize)> {
    let mut told = Vec::new();
    let mut kills = 0;
    while !tasks.is_empty() {
        let pause = Instant::now() + BETWEEN_KILLS;
        while Instant::now() < pause {
            tell(shared.done.load(Ordering::Relaxed));
            tokio::select! {
                Some(ended) = tasks.join_next() => told.push(ended??),
                () = sleep(Duration::from_millis(200)) => {}
            }
            if tasks.is_empty() {
                break;
            }
        }
        if kill && !tasks.is_empty() {
            // The leader every other time, and each of the others in turn.
            let leader = cluster.leader().await?;
            let node = if kills % 2 == 0 { leader } else { (leader + 1 + kills / 2 % 2) % 3 };
            cluster.node(node).kill()?;
            kills += 1;
            sleep(AWAY).await;
            cluster.node(node).start()?;
            cluster.wait_until_well().await?;
        }
    }
    tell(shared.done.load(Ordering::Relaxed));
    Ok((told, kills))
}

async fn tell_day(shared: Arc<Shared>, day: Day, conversation: String) -> Result<Told> {
    let mut told = Told { conversation, expected: Vec::new(), refused: 0, verdict: Verdict::default() };
    let first = day.steps.first().map_or(0, |step| step.minute);
    for step in day.steps {
        if let Some(speed) = shared.speed {
            let due = f64::from(step.minute.saturating_sub(first)) * 60.0 / speed;
            tokio::time::sleep_until(shared.began + Duration::from_secs_f64(due)).await;
        }
        let client = &shared.people[step.who];
        match step.what {
            What::Arrive => shared.presence.arrive(step.who, client),
            What::Depart => shared.presence.depart(step.who),
            What::Say(text) => say(&shared, &mut told, client, text).await?,
        }
    }
    Ok(told)
}

async fn say(shared: &Shared, told: &mut Told, client: &Client, text: Vec<u8>) -> Result<()> {
    let legal = String::from_utf8(text.clone())
        .ok()
        .filter(|text| !text.is_empty() && text.len() <= types::limits::MESSAGE_TEXT_BYTES_MAX);
    let message = OutgoingMessage { conversation: told.conversation.clone(), text, ..OutgoingMessage::default() };
    let answer = client
        .write(|wire, id| {
            let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
            async move { MessageServiceClient::new(wire).send_message(request).await }
        })
        .await;
    match (answer, legal) {
        (Ok(answer), Some(text)) => {
            let seq = told.expected.len() as u64 + 1;
            if answer.seq != seq {
                told.verdict.out_of_order += 1;
            }
            told.expected.push(Entry { seq, sender: client.user().to_owned(), text });
        }
        (Ok(_), None) => return Err("a text that is empty, too long or not UTF-8 was taken".into()),
        (Err(status), None) if reason(&status) == "INVALID" => told.refused += 1,
        (Err(status), _) => {
            return Err(format!("send: {:?} {} {}", status.code(), reason(&status), status.message()).into());
        }
    }
    let now = u64::try_from(shared.began.elapsed().as_millis())?;
    let before = shared.last_ack.fetch_max(now, Ordering::Relaxed);
    shared.longest_pause.fetch_max(now.saturating_sub(before), Ordering::Relaxed);
    shared.done.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
