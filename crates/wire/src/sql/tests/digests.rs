//! Cases: what becomes of a text.
