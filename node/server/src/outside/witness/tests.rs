//! Against a witness that holds to the specification: it checks the proof before it signs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::Response;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use record::checkpoint::Checkpoint;
use record::cosignature::cosigner::Cosigner;
use record::note::Signer;
use record::tree::{self, Memory};
use tokio::net::TcpListener;
use types::{ClusterId, Timestamp};

use super::*;

const AT: u64 = 1_772_598_540;

/// What the witness has seen, and how often it was asked.
#[derive(Default)]
struct Seen {
    size: u64,
    root: Hash,
    asked: u32,
    /// It answers everything with this.
    mood: Option<StatusCode>,
}

struct World {
    seen: Arc<Mutex<Seen>>,
    witness: Witness,
    dir: tempfile::TempDir,
    tree: Memory,
}

fn grown(size: u64) -> Memory {
    let mut tree = Memory::default();
    (0..size).for_each(|n| tree.push(record::leaf_hash(&n.to_be_bytes())));
    tree
}

fn head(tree: &Memory) -> SealedHead {
    let (size, cluster) = (tree.size(), ClusterId([7; 16]));
    let root = tree::root(tree, size).expect("whole");
    let text = Checkpoint { origin: record::checkpoint::origin(cluster), size, root }.text();
    let signer = Signer::from_seed("a1", [1; 32]).expect("a key");
    let signatures = vec![Signature::new(signer.verifier(), &signer.sign(&text))];
    SealedHead { cluster, size, sealed: Timestamp(AT * 1_000), note: Note { text, signatures }.to_string() }
}

impl World {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/tricord/", listener.local_addr().expect("bound")).parse().expect("an address");
        let key = Cosigner::from_seed("witness.example", [9; 32]).expect("a key").witness().clone();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let of = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let of = Arc::clone(&of);
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let of = Arc::clone(&of);
                    async move {
                        assert_eq!(request.uri().path(), "/tricord/add-checkpoint");
                        let body = request.into_body().collect().await.expect("a body").to_bytes();
                        let (status, text) = answer(&mut of.lock().expect("whole"), &String::from_utf8_lossy(&body));
                        let mut response = Response::new(Full::new(Bytes::from(text)));
                        *response.status_mut() = status;
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("audit.cosigned");
        Self {
            seen,
            witness: Witness::new(WitnessConfig { url, key, trust: None }, file),
            dir,
            tree: Memory::default(),
        }
    }

    async fn add(&self, tree: &Memory) -> Result<(), String> {
        let prove = |old, new| {
            let proof =
                if old == 0 { Some(Vec::new()) } else { tree::prove_consistency(tree, old, new).expect("whole") };
            async move { proof.ok_or_else(|| Failure("no such proof".into())) }
        };
        self.witness.add(&head(tree), prove).await.map_err(|error| error.to_string())
    }

    fn kept(&self) -> Option<Note> {
        let text = std::fs::read_to_string(self.dir.path().join("audit.cosigned")).ok()?;
        Some(Note::parse(&text).expect("a note"))
    }
}

fn answer(seen: &mut Seen, body: &str) -> (StatusCode, String) {
    seen.asked += 1;
    if let Some(mood) = seen.mood {
        return (mood, "no".into());
    }
    let (proof, note) = body.split_once("\n\n").expect("a proof and a note");
    let (old, proof) = proof.split_once('\n').unwrap_or((proof, ""));
    let old: u64 = old.strip_prefix("old ").expect("a size").parse().expect("a number");
    let hash = |line: &str| STANDARD.decode(line).expect("base64").try_into().expect("a hash");
    let proof: Vec<Hash> = proof.lines().map(hash).collect();
    let note = Note::parse(note).expect("a note");
    let new = Checkpoint::parse(&note.text).expect("a checkpoint");
    if old != seen.size {
        return (StatusCode::CONFLICT, format!("{}\n", seen.size));
    }
    let goes_on = match old {
        0 => proof.is_empty(),
        _ if old == new.size => seen.root == new.root && proof.is_empty(),
        _ => tree::verify_consistency((old, &seen.root), (new.size, &new.root), &proof),
    };
    if !goes_on {
        return (StatusCode::UNPROCESSABLE_ENTITY, String::new());
    }
    (seen.size, seen.root) = (new.size, new.root);
    let cosigner = Cosigner::from_seed("witness.example", [9; 32]).expect("a key");
    let note = Note { text: String::new(), signatures: vec![cosigner.cosign(&note.text, AT)] };
    (StatusCode::OK, note.to_string().trim_start().to_owned())
}

#[tokio::test]
async fn a_witness_signs_heads_that_go_on_and_what_it_signed_is_kept() {
    let mut world = World::new().await;
    for size in [3, 7, 8, 100] {
        world.tree = grown(size);
        world.add(&world.tree).await.expect("signed");
        let kept = world.kept().expect("kept");
        assert_eq!(Checkpoint::parse(&kept.text).expect("a checkpoint").size, size);
        assert_eq!(world.witness.config.key.saw(&kept), Some(AT));
        assert_eq!(kept.signatures.len(), 2, "the node's line, and the witness's");
    }
    assert_eq!(world.seen.lock().expect("whole").asked, 4, "one question each");
}

#[tokio::test]
async fn after_a_restart_and_beside_other_nodes_the_witness_is_asked_what_it_has_seen() {
    let world = World::new().await;
    world.add(&grown(7)).await.expect("signed");
    world.witness.seen.store(0, Ordering::Relaxed); // The node was restarted.
    world.add(&grown(20)).await.expect("signed");
    assert_eq!(world.seen.lock().expect("whole").asked, 3);
    world.add(&grown(9)).await.expect("another node was first");
    assert_eq!(Checkpoint::parse(&world.kept().expect("kept").text).expect("a checkpoint").size, 20);
}

#[tokio::test]
async fn a_log_written_anew_is_not_signed_and_that_is_said() {
    let world = World::new().await;
    world.add(&grown(7)).await.expect("signed");
    let mut other = Memory::default();
    (0..9).for_each(|_| other.push(record::leaf_hash(b"another history")));
    let said = world.add(&other).await.expect_err("a fork");
    assert!(said.contains("holds another history") && said.contains("7 records"), "{said}");
    assert_eq!(Checkpoint::parse(&world.kept().expect("kept").text).expect("a checkpoint").size, 7);
}

#[tokio::test]
async fn each_refusal_says_what_to_do_and_a_signature_of_another_key_is_none() {
    let mut world = World::new().await;
    let moods = [(404, "does not know this log"), (403, "trusts none"), (500, "500"), (409, "is it a witness")];
    for (mood, wanted) in moods {
        world.seen.lock().expect("whole").mood = Some(StatusCode::from_u16(mood).expect("a status"));
        let said = world.add(&grown(3)).await.expect_err("refused");
        assert!(said.contains(wanted), "{said}");
    }
    world.seen.lock().expect("whole").mood = None;
    world.witness.config.key = Cosigner::from_seed("witness.example", [8; 32]).expect("a key").witness().clone();
    let said = world.add(&grown(3)).await.expect_err("another key");
    assert!(said.contains("did not sign as witness.example") && world.kept().is_none(), "{said}");
}
