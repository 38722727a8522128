//! Properties of all bytes.

mod properties;
