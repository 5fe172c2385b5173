//! Whose address is this, in a cluster.
