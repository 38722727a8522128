//! The audit log, for those who may look at it. Looking is recorded before the answer leaves.

use std::time::Duration;

use proto::v1::audit_service_server::AuditService;
use proto::v1::*;
use raft::{Handle, TreeNodes};
use record::checkpoint::{Checkpoint, key_name, origin};
use record::note::{Note, Signature, Verifier};
use record::tree;
use state::policy::Action as Wish;
use state::view::{Rows, View};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use types::command::{Observation, ResolveDivergence};
use types::limits::{PAGE_BYTES_MAX, RECORD_REASON_BYTES_MAX};
use types::record::{Action, Entity, Purpose, Record};
use types::row::Head;
use types::{Command, Key, Reject, Row};

use crate::audit::log::{self, Filter};
use crate::audit::observe::seen;
use crate::audit::words;
use crate::call::Call;
use crate::errors::Error;
use crate::reads::Read;
use crate::writes::numbered;
use crate::{Services, addresses, convert, names, pages};

/// Parts of an export that are ready and not yet taken.
const PARTS_READY_MAX: usize = 4;
/// Records of one part of an export.
const PART_RECORDS_MAX: usize = 1_024;
/// A reader who takes no part of an export for so long is cut off: as long as it lasts, a view of the state is held.
const PART_WAIT_MAX: Duration = Duration::from_secs(60);

type Parts = ReceiverStream<Result<ExportRecordsResponse, Status>>;

#[tonic::async_trait]
impl<H: Handle> AuditService for Services<H> {
    type ExportRecordsStream = Parts;

    async fn list_records(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsResponse>, Status> {
        self.call("ListRecords", request, |call, body| list(self, call, body)).await
    }

    async fn get_head(&self, request: Request<GetHeadRequest>) -> Result<Response<GetHeadResponse>, Status> {
        self.call("GetHead", request, |call, _| get_head(self, call)).await
    }

    async fn prove_message(
        &self,
        request: Request<ProveMessageRequest>,
    ) -> Result<Response<ProveMessageResponse>, Status> {
        self.call("ProveMessage", request, |call, body| prove(self, call, body)).await
    }

    async fn prove_consistency(
        &self,
        request: Request<ProveConsistencyRequest>,
    ) -> Result<Response<ProveConsistencyResponse>, Status> {
        self.call("ProveConsistency", request, |call, body| prove_consistency(self, call, body)).await
    }

    async fn export_records(&self, request: Request<ExportRecordsRequest>) -> Result<Response<Parts>, Status> {
        self.call("ExportRecords", request, |call, body| export(self, call, body)).await
    }

    async fn resolve_divergence(
        &self,
        request: Request<ResolveDivergenceRequest>,
    ) -> Result<Response<ResolveDivergenceResponse>, Status> {
        self.call("ResolveDivergence", request, |call, body| resolve(self, call, body)).await
    }
}

async fn read<H: Handle>(services: &Services<H>, call: &Call) -> Result<Read<H::View>, Error> {
    let read = services.read(call, None).await?;
    read.check(Wish::ReadAudit)?;
    Ok(read)
}

async fn list<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListRecordsRequest,
) -> Result<ListRecordsResponse, Error> {
    let size = pages::size(body.page_size)?;
    let below = pages::after("records", &body.page_token)?;
    let below = below.map(|last| last.try_into().map(u64::from_be_bytes)).transpose();
    let below = below.map_err(|_| Error::invalid("page_token", "is not a token that this list gave"))?;
    let read = read(services, &call).await?;
    let addresses = body.show_addresses;
    if addresses {
        read.check(Wish::SeeAddresses)?;
    }
    let filter = filter(&read, body)?;
    let asked = (filter.user.map(Entity::User), filter.target);
    let (page, _) = services.scan(read, move |read| log::page(&read.view, &filter, below, size)).await?;
    let shown = match (page.records.last(), page.records.first()) {
        (Some((first, _)), Some((last, _))) => Some(Entity::Records(*first, *last)),
        _ => None,
    };
    let entities = [shown, asked.0, asked.1].into_iter().flatten().collect();
    let action = if addresses { Action::ShowAddresses } else { Action::ReadAudit };
    services.observe(vec![seen(call.session, action, entities)], call.deadline).await?;
    let view = services.inner.handle.view();
    let told = page.records.iter().map(|(index, record)| {
        let address = match record.address.as_slice() {
            sealed @ [_, ..] if addresses => {
                services.inner.keyring.address(&view, addresses::of_record(record), sealed)?
            }
            _ => String::new(),
        };
        Ok(AuditRecord { address, ..words::record(*index, record) })
    });
    Ok(ListRecordsResponse {
        records: told.collect::<Result<_, Error>>()?,
        next_page_token: page.next.map_or_else(String::new, |next| pages::token("records", &next.to_be_bytes())),
    })
}

fn filter<V: View<Fault = raft::Fault>>(read: &Read<V>, body: ListRecordsRequest) -> Result<Filter, Error> {
    let user = match body.user.as_str() {
        "" => None,
        name => Some(match names::user_or_login("user", name)? {
            names::UserName::Id(id) => id,
            names::UserName::Login(login) => read.view.login(&login)?.ok_or(Reject::NotFound)?,
        }),
    };
    let outcome = AuditOutcome::try_from(body.outcome).map_err(|_| convert::unknown("outcome", body.outcome))?;
    Ok(Filter {
        user,
        action: words::action_in("action", &body.action)?,
        target: words::target_in("target", &body.target)?,
        from: body.start_time.map(|at| convert::time_in("start_time", at)).transpose()?,
        to: body.end_time.map(|at| convert::time_in("end_time", at)).transpose()?,
        done: match outcome {
            AuditOutcome::Unspecified => None,
            AuditOutcome::Done => Some(true),
            AuditOutcome::Refused => Some(false),
        },
    })
}

async fn get_head<H: Handle>(services: &Services<H>, call: Call) -> Result<GetHeadResponse, Error> {
    let read = read(services, &call).await?;
    let work = |read: &Read<H::View>| {
        let head = log::sealed_head(&read.view)?.map(|(size, head)| note(&read.view, size, &head)).transpose()?;
        let records = state::view::heads(&read.view)?.records;
        let mut answer = GetHeadResponse { head, records, ..GetHeadResponse::default() };
        if let Some(divergence) = read.view.divergence()? {
            answer.diverged_size = divergence.size;
            let head = read.view.head(divergence.size)?;
            let signed = head.into_iter().flat_map(|head| head.signatures);
            answer.diverged_roots = signed.map(|one| format!("{} {}", one.node, words::hex(&one.root))).collect();
        }
        Ok(answer)
    };
    Ok(services.scan(read, work).await?.0)
}

async fn prove<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ProveMessageRequest,
) -> Result<ProveMessageResponse, Error> {
    let (conversation, seq) = names::message("name", &body.name)?;
    let reason = reason(&body)?;
    let read = read(services, &call).await?;
    if body.reveal {
        read.check(Wish::RevealMessages)?;
    }
    let reveal = body.reveal;
    let work = move |read: &Read<H::View>| {
        let view = &read.view;
        let message = view.message(conversation, seq)?.ok_or(Reject::NotFound)?;
        let (index, record) =
            log::of_message(view, conversation, seq, message.at)?.ok_or(Error::Internal("a message has no record"))?;
        let (size, head) = log::sealed_head(view)?.filter(|(size, _)| *size > index).ok_or(Error::NotSealed)?;
        let last = view.record(size - 1)?.ok_or(Error::Internal("a record is missing"))?;
        Ok(ProveMessageResponse {
            head: Some(note(view, size, &head)?),
            record: Some(proven(view, index, size, &record)?),
            last: Some(proven(view, size - 1, size, &last)?),
            payload: match reveal {
                true => seal::reveal(&read.keyring.payload(view, conversation, &message)?),
                false => Vec::new(),
            },
        })
    };
    let (answer, _) = services.scan(read, work).await?;
    let action = if reveal { Action::RevealMessage } else { Action::ProveMessage };
    let shown = seen(call.session, action, vec![Entity::Messages(conversation, seq, seq)]);
    let purpose = reveal.then_some(Purpose::Compliance);
    services.observe(vec![Observation { purpose, reason, ..shown }], call.deadline).await?;
    Ok(answer)
}

fn reason(body: &ProveMessageRequest) -> Result<Option<String>, Error> {
    if !body.reveal {
        return Ok(None);
    }
    let text = body.reason.trim();
    if text.is_empty() || text.len() > RECORD_REASON_BYTES_MAX || text.chars().any(char::is_control) {
        let wanted = format!("say in 1 to {RECORD_REASON_BYTES_MAX} bytes why the text is given away");
        return Err(Error::invalid("reason", wanted));
    }
    Ok(Some(text.to_owned()))
}

async fn prove_consistency<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ProveConsistencyRequest,
) -> Result<ProveConsistencyResponse, Error> {
    let read = read(services, &call).await?;
    let work = move |read: &Read<H::View>| {
        let view = &read.view;
        let new = match body.new_size {
            0 => log::sealed_head(view)?.ok_or(Error::NotSealed)?.0,
            size => size,
        };
        if new > state::view::heads(view)?.records {
            return Err(Error::invalid("new_size", "there are not so many records"));
        }
        let nodes = TreeNodes(view);
        let proof = tree::prove_consistency(&nodes, body.old_size, new)?
            .ok_or_else(|| Error::invalid("old_size", "must be from 1 to the later size"))?;
        let head = view.head(new)?.filter(|head| head.sealed.is_some());
        Ok(ProveConsistencyResponse {
            proof: proof.iter().map(|hash| hash.to_vec()).collect(),
            old_root: tree::root(&nodes, body.old_size)?.to_vec(),
            new_root: tree::root(&nodes, new)?.to_vec(),
            new_size: new,
            head: head.map(|head| note(view, new, &head)).transpose()?,
        })
    };
    Ok(services.scan(read, work).await?.0)
}

async fn export<H: Handle>(services: &Services<H>, call: Call, body: ExportRecordsRequest) -> Result<Parts, Error> {
    let read = read(services, &call).await?;
    let (size, head) = log::sealed_head(&read.view)?.ok_or(Error::NotSealed)?;
    if body.start_index > size {
        return Err(Error::invalid("start_index", format!("is beyond the newest sealed head, of size {size}")));
    }
    let head = note(&read.view, size, &head)?;
    if body.start_index < size {
        let entities = vec![Entity::Records(body.start_index, size - 1)];
        services.observe(vec![seen(call.session, Action::ExportAudit, entities)], call.deadline).await?;
    }
    let (parts, receiver) = mpsc::channel(PARTS_READY_MAX + 1);
    // Room for the last word: an export that is broken off must not look like one that is complete.
    let last_word = parts.clone().try_reserve_owned().map_err(|_| Error::Internal("a new channel is full"))?;
    let (services, runtime) = (services.clone(), tokio::runtime::Handle::current());
    raft::blocking::run(move || {
        let mut ended = Ok(());
        let told = give(&read.view, body.start_index, size, head, |part| {
            ended = still_allowed(&services, &call);
            if ended.is_err() {
                return false;
            }
            match runtime.block_on(tokio::time::timeout(PART_WAIT_MAX, parts.reserve())) {
                Ok(Ok(room)) => room.send(Ok(part)),
                Ok(Err(_)) => return false, // A reader that goes away goes on later from where it was.
                Err(_) => ended = Err(Error::SlowReader),
            }
            ended.is_ok()
        });
        if let Err(error) = told.and(ended) {
            last_word.send(Err(services.status(&error)));
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// Whether whoever asked for an export may still see it: asked before each part. It ends with its token, as every stream does, so
/// that a stolen one is of no use for longer; whoever has the next goes on from where it was.
fn still_allowed<H: Handle>(services: &Services<H>, call: &Call) -> Result<(), Error> {
    let view = services.inner.handle.view();
    let now = state::view::heads(&view)?.clock;
    let actor = services.standing(&view, now, call.session)?.ok_or(Reject::NoSession)?;
    if actor.is_locked() {
        return Err(Reject::SessionLocked.into());
    }
    if call.token_until <= now {
        return Err(Error::TokenExpired);
    }
    state::policy::may(&view, &actor.user, Wish::ReadAudit)?.check().map_err(|reject| Error::Denied(reject, None))
}

fn give<V: View<Fault = raft::Fault>>(
    view: &V,
    start: u64,
    size: u64,
    head: AuditHead,
    mut send: impl FnMut(ExportRecordsResponse) -> bool,
) -> Result<(), Error> {
    use export_records_response::Part;
    if !send(ExportRecordsResponse { part: Some(Part::Head(head)) }) {
        return Ok(());
    }
    let mut next = start;
    while next < size {
        let mut batch = RecordBatch { first_index: next, stored: Vec::new() };
        let mut bytes = 0;
        for (key, row) in view.scan(&Key::Record(next), &Key::Record(size - 1), false, PART_RECORDS_MAX)? {
            let (Key::Record(index), Row::Record(record)) = (key, row) else { continue };
            let stored = codec::encode_record(&record);
            bytes += stored.len();
            batch.stored.push(stored);
            next = index + 1;
            if bytes >= PAGE_BYTES_MAX {
                break;
            }
        }
        if batch.stored.is_empty() {
            return Err(Error::Internal("a record is missing"));
        }
        if !send(ExportRecordsResponse { part: Some(Part::Records(batch)) }) {
            return Ok(());
        }
    }
    let (from, to) = state::keys::signers();
    for (_, row) in view.scan(&from, &to, false, types::limits::SIGNERS_MAX)? {
        let Row::Signer(signer) = row else { continue };
        if signer.since > 0
            && let Some((size, head)) = log::sealed_above(view, signer.since)?
            && !send(ExportRecordsResponse { part: Some(Part::Head(note(view, size, &head)?)) })
        {
            return Ok(());
        }
    }
    Ok(())
}

async fn resolve<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ResolveDivergenceRequest,
) -> Result<ResolveDivergenceResponse, Error> {
    let id = numbered(body.request_id)?;
    let root = body.root.as_slice().try_into().map_err(|_| Error::invalid("root", "must have 32 bytes"))?;
    let command = Command::ResolveDivergence(ResolveDivergence { size: body.size, root });
    let content = ResolveDivergenceRequest { request_id: None, ..body };
    services.put(&call, "ResolveDivergence", id, &content, command).await?;
    Ok(ResolveDivergenceResponse {})
}

/// A sealed head as a note, with all signatures of its root.
pub(crate) fn note<V: View<Fault = raft::Fault>>(view: &V, size: u64, head: &Head) -> Result<AuditHead, Error> {
    let cluster = view.cluster()?.ok_or(Error::NotFounded)?;
    let root = head.root().ok_or(Error::NotSealed)?;
    let text = Checkpoint { origin: origin(cluster.id), size, root }.text();
    let mut signatures = Vec::new();
    for one in head.signatures.iter().filter(|one| one.root == root) {
        let Some(signer) = view.signer(one.node)? else { continue };
        let verifier = Verifier::new(&key_name(cluster.id, one.node), signer.key);
        let verifier = verifier.map_err(|_| Error::Internal("a signer has no name"))?;
        signatures.push(Signature::new(&verifier, &one.signature));
    }
    let seal_time = head.sealed.map(convert::time);
    Ok(AuditHead { size, note: Note { text, signatures }.to_string(), seal_time })
}

fn proven<V: View<Fault = raft::Fault>>(
    view: &V,
    index: u64,
    size: u64,
    record: &Record,
) -> Result<ProvenRecord, Error> {
    let path = log::path(view, index, size)?.iter().map(|hash| hash.to_vec()).collect();
    Ok(ProvenRecord { index, stored: codec::encode_record(record), path })
}
