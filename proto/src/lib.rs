//! The wire contract: what clients speak ([`v1`]), what a node speaks on its own machine ([`local`]) and what nodes speak among
//! themselves ([`peer`]), generated from `proto/`. The .proto files are the reference.
#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated; documented in the .proto files")]

/// `tricord.v1`: clients.
pub mod v1 {
    tonic::include_proto!("tricord.v1");
}

/// `tricord.local.v1`: a node on its own machine.
pub mod local {
    include!(concat!(env!("OUT_DIR"), "/nodes/tricord.local.v1.rs"));
}

/// `tricord.peer.v1`: nodes among themselves.
pub mod peer {
    include!(concat!(env!("OUT_DIR"), "/nodes/tricord.peer.v1.rs"));
}

pub mod strict;

/// The descriptors of all services, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
