//! It fails closed.
