//! NATS: three servers with a `JetStream` file stream of three replicas, synced before each acknowledgement. Its protocol is
//! lines of text; what is needed of it is here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{Result, ports};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::process::Nodes;
use super::{CONNECTIONS, Line, PATIENCE};

/// Frames that wait to be written.
const WAITING: usize = 4_096;
/// How long a server may take to answer while the cluster forms.
const SETUP: Duration = Duration::from_secs(2);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Vec<u8>>>>>;

#[derive(Clone)]
pub struct Connection {
    frames: mpsc::Sender<Vec<u8>>,
    waiting: Waiting,
    next: Arc<AtomicU64>,
}

impl Connection {
    async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let (frames, mut outgoing) = mpsc::channel::<Vec<u8>>(WAITING);
        let waiting = Waiting::default();
        let (answered, pong) = (waiting.clone(), frames.clone());
        tokio::spawn(async move {
            let mut more = Vec::new();
            while outgoing.recv_many(&mut more, WAITING).await > 0 {
                if writer.write_all(&more.concat()).await.is_err() {
                    return;
                }
                more.clear();
            }
        });
        tokio::spawn(async move {
            let mut reader = BufReader::new(reader);
            while let Ok(Some(frame)) = read(&mut reader).await {
                match frame {
                    Frame::Answer(number, payload) => {
                        let caller = answered.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                        caller.map(|caller| caller.send(payload));
                    }
                    Frame::Ping => drop(pong.send(b"PONG\r\n".to_vec()).await),
                    Frame::Other => {}
                }
            }
            answered.lock().unwrap_or_else(PoisonError::into_inner).clear(); // Who waits hears that it is over.
        });
        let connection = Self { frames, waiting, next: Arc::new(AtomicU64::new(1)) };
        let hello = json!({"verbose": false, "pedantic": false, "lang": "rust", "version": "0", "echo": false});
        connection.frames.send(format!("CONNECT {hello}\r\nSUB a.* 1\r\n").into_bytes()).await?;
        Ok(connection)
    }

    /// Publishes, and waits for the answer.
    async fn ask(&self, subject: &str, payload: &[u8]) -> Result<Value> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (caller, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, caller);
        let mut frame = format!("PUB {subject} a.{number} {}\r\n", payload.len()).into_bytes();
        frame.extend_from_slice(payload);
        frame.extend_from_slice(b"\r\n");
        self.frames.send(frame).await?;
        let answer: Value = serde_json::from_slice(&answer.await?)?;
        match answer.get("error") {
            Some(error) => Err(format!("{subject}: {error}").into()),
            None => Ok(answer),
        }
    }
}

impl Line for Connection {
    async fn keep(&self, text: Vec<u8>) -> Result<()> {
        let answer = self.ask("bench.message", &text).await?;
        if answer["seq"].is_u64() { Ok(()) } else { Err(format!("not an acknowledgement: {answer}").into()) }
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Frame {
    Answer(u64, Vec<u8>),
    Ping,
    Other,
}

/// The next thing a server says; none at the end.
///
/// Errors: it is not the protocol.
async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Frame>> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    match words.next() {
        Some("PING") => Ok(Some(Frame::Ping)),
        Some("MSG") => {
            let number = words.next().and_then(|subject| subject.strip_prefix("a.")).ok_or("no subject of ours")?;
            let bytes: usize = words.next_back().ok_or("no length")?.parse()?;
            let mut payload = vec![0; bytes + 2];
            reader.read_exact(&mut payload).await?;
            payload.truncate(bytes);
            Ok(Some(Frame::Answer(number.parse()?, payload)))
        }
        Some("-ERR") => Err(line.into()),
        _ => Ok(Some(Frame::Other)),
    }
}

/// Three servers with a stream that keeps messages, and connections spread over them.
pub async fn start() -> Result<(Nodes, Vec<Connection>)> {
    let mut nodes = Nodes::new()?;
    let [a, b, c, x, y, z] = ports::free_ports::<6>()?;
    let (clients, routes) = ([a, b, c], [x, y, z]);
    let all: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    for (at, (client, route)) in clients.into_iter().zip(routes).enumerate() {
        let path = nodes.dir().join(format!("n{at}.conf"));
        let config = format!(
            "server_name: n{at}\nlisten: 127.0.0.1:{client}\n\
             jetstream {{ store_dir: \"{}\", max_file_store: 20GB, max_memory_store: 256MB, sync_interval: always }}\n\
             cluster {{ name: peers, listen: 127.0.0.1:{route}, routes: [{}] }}\n",
            nodes.dir().join(format!("n{at}")).display(),
            all.join(", ")
        );
        std::fs::write(&path, config)?;
        nodes.start("nats-server", &[String::from("-c"), path.display().to_string()])?;
    }
    let mut lines = Vec::new();
    for at in 0..CONNECTIONS {
        lines.push(open(clients[at % 3]).await?);
    }
    make_stream(&lines[0]).await?;
    for line in &lines[..3] {
        super::first(line).await?;
    }
    Ok((nodes, lines))
}

async fn open(port: u16) -> Result<Connection> {
    let until = Instant::now() + PATIENCE;
    loop {
        match Connection::open(port).await {
            Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(100)).await,
            other => return other,
        }
    }
}

async fn make_stream(line: &Connection) -> Result<()> {
    let wanted = json!({
        "name": "BENCH", "subjects": ["bench.>"], "storage": "file", "retention": "limits", "num_replicas": 3,
    })
    .to_string();
    let until = Instant::now() + PATIENCE;
    loop {
        let asked = line.ask("$JS.API.STREAM.CREATE.BENCH", wanted.as_bytes());
        match tokio::time::timeout(SETUP, asked).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if Instant::now() >= until => return Err(error),
            Err(_) if Instant::now() >= until => return Err("the servers make no stream".into()),
            _ => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_server_says_is_understood_and_what_it_may_not_say_refused() {
        let said = b"INFO {}\r\nPING\r\nMSG a.7 1 12\r\n{\"seq\":1}\r\n \r\nMSG a.8 1 other.reply 2\r\nok\r\n";
        let mut reader = BufReader::new(&said[..]);
        let mut frames = Vec::new();
        while let Some(frame) = read(&mut reader).await.expect("understood") {
            frames.push(frame);
        }
        let answers = [Frame::Answer(7, b"{\"seq\":1}\r\n ".to_vec()), Frame::Answer(8, b"ok".to_vec())];
        let [one, other] = answers;
        assert_eq!(frames, [Frame::Other, Frame::Ping, one, other]);
        for wrong in [&b"MSG b.1 1 2\r\nok\r\n"[..], b"MSG a.1 1 9\r\nok\r\n", b"-ERR 'Stale Connection'\r\n"] {
            assert!(read(&mut BufReader::new(wrong)).await.is_err());
        }
    }
}
