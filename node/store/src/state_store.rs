//! The replicated state of this node: what `state::apply` made of the log so far.

mod adopt;
mod apply;
mod cache;
mod generation;
mod marks;
mod overlay;
mod store;
mod tree;
mod view;

pub use adopt::adopt;
pub use apply::Outputs;
pub use store::{Applied, StateStore};
pub use tree::TreeNodes;
pub use view::StateView;

pub(crate) use marks::read_applied;

#[cfg(test)]
pub(crate) mod tests;
