//! The values that have bytes, declared.

mod answer;
mod backup;
mod command;
mod conversation;
mod identity;
mod key;
mod people;
mod primitive;
mod record;
mod row;
mod seat;
mod trust;
mod user;
