//! Properties of all bytes, and bytes that are kept to be compared with.

mod golden;
mod properties;
mod refusals;
mod samples;
