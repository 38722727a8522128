//! `top`: the three nodes, live. Asks once a second; what it shows says how old it is.

use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use proto::v1;
use proto::v1::cluster_service_client::ClusterServiceClient;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::Call;
use crate::error::{Error, Result};
use crate::rpc;
use crate::session::Session;
use crate::top::{Model, draw};

/// How often the cluster is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Runs until left.
pub async fn run(mut session: Session) -> Result<()> {
    if !stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Error::Usage("top needs a terminal; tricord cluster status --output json works in scripts".into()));
    }
    session.quiet = true;
    let fail = |source| Error::Terminal { doing: "take over the terminal", source };
    let mut terminal = ratatui::try_init().map_err(fail)?;
    let result = live(&mut terminal, session).await;
    let _ = ratatui::try_restore();
    result
}

async fn live(terminal: &mut ratatui::DefaultTerminal, session: Session) -> Result<()> {
    let fail = |source| Error::Terminal { doing: "use the terminal", source };
    let (sender, mut answers) = mpsc::channel(1);
    // Asked beside the drawing: a node that does not answer must not stop the clock on the screen.
    let asking = tokio::spawn(async move {
        while sender.send(ask(&session).await).await.is_ok() {
            tokio::time::sleep(ASK_EVERY).await;
        }
    });
    let mut model = Model::default();
    let mut events = EventStream::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(fail)?;
    loop {
        terminal.draw(|frame| draw(frame, &model, Instant::now())).map_err(fail)?;
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) if leaves(key) => break,
                Some(Ok(_)) => {}
                Some(Err(source)) => return Err(fail(source)),
                None => break,
            },
            Some(answer) = answers.recv() => match answer {
                Ok(status) => model.told(status, Instant::now()),
                Err(Error::NoAnswer { tried, .. }) => model.silent(tried),
                Err(error) => return Err(error),
            },
            () = tokio::time::sleep(ASK_EVERY) => {}
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
        }
    }
    asking.abort();
    Ok(())
}

async fn ask(session: &Session) -> Result<v1::GetClusterStatusResponse> {
    let call = Call::read("ask how the cluster is");
    session.client.call(&call, |_| v1::GetClusterStatusRequest {}, rpc!(ClusterServiceClient.get_cluster_status)).await
}

fn leaves(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || control_c)
}
