//! The table of digests.
