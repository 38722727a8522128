//! `chat`: a terminal client. A pure model ([`model`]), a pure view ([`view`]) and the tasks that talk to the cluster
//! ([`link`], [`send`]) meet here, in one loop.

mod delivery;
#[cfg(test)]
mod fixture;
mod input;
mod keys;
mod link;
mod model;
mod news;
mod search;
mod send;
mod talk;
mod view;

use std::io::stdout;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange, Event, EventStream,
    KeyEventKind,
};
use crossterm::execute;
use futures::StreamExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::address;
use crate::error::{Error, Result};
use crate::session::Session;
use model::Model;
use news::Effect;

/// How often time passes for the model.
const TICK: Duration = Duration::from_millis(250);

/// Runs until left.
pub async fn run(mut session: Session, conversation: Option<String>) -> Result<()> {
    use std::io::IsTerminal;
    if !stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Error::Usage("chat needs a terminal; tricord message send and tail work in scripts".into()));
    }
    let wanted = match conversation {
        Some(text) => Some(address::conversation(&session, &text, true).await?.name),
        None => None,
    };
    session.quiet = true;
    let mut model = Model::new(session.state.user.clone(), session.state.session.clone(), now());
    model.wanted = wanted;
    let fail = |source| Error::Terminal { doing: "take over the terminal", source };
    let mut terminal = ratatui::try_init().map_err(fail)?;
    let result = match execute!(stdout(), EnableBracketedPaste, EnableFocusChange) {
        Ok(()) => live(&mut terminal, Arc::new(session), &mut model).await,
        Err(source) => Err(fail(source)),
    };
    let _ = execute!(stdout(), DisableFocusChange, DisableBracketedPaste);
    let _ = ratatui::try_restore();
    result
}

async fn live(terminal: &mut ratatui::DefaultTerminal, session: Arc<Session>, model: &mut Model) -> Result<()> {
    let fail = |source| Error::Terminal { doing: "use the terminal", source };
    let (sender, mut news) = mpsc::channel(link::NEWS_MAX);
    let mut doer = link::Doer::start(session, sender);
    let mut events = EventStream::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(fail)?;
    loop {
        terminal.draw(|frame| view::draw(frame, model)).map_err(fail)?;
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => take(model, event),
                Some(Err(source)) => return Err(fail(source)),
                None => return Ok(()),
            },
            Some(told) = news.recv() => {
                model.news(told);
                // What waits is taken together: one drawing for a burst.
                while let Ok(told) = news.try_recv() {
                    model.news(told);
                }
            }
            _ = tick.tick() => {}
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
        model.tick(now());
        for effect in model.take_effects() {
            if effect == Effect::Quit {
                return Ok(());
            }
            doer.run(effect);
        }
    }
}

fn take(model: &mut Model, event: Event) {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => model.key(key),
        Event::Paste(text) => model.paste(&text),
        Event::FocusGained => model.focus(true),
        Event::FocusLost => model.focus(false),
        Event::Key(_) | Event::Mouse(_) | Event::Resize(..) => {}
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
