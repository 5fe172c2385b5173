//! What a capture file gives: packets, or why it gives none.

/// Why a file cannot be read, or not any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Neither format.
    #[error("not a capture: it begins with {0:02x?}, and neither a pcap nor a pcapng file does")]
    Magic([u8; 4]),
    /// A capture perhaps, once it is unpacked.
    #[error("the file is compressed; unpack it first: {0}")]
    Compressed(&'static str),
    /// A format of another age.
    #[error("{format} version {major}.{minor} at byte {at}; this steth reads version {known}")]
    Version {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Where the header begins.
        at: usize,
        /// What it says.
        major: u16,
        /// What it says.
        minor: u16,
        /// What would be understood.
        known: &'static str,
    },
    /// The writer was killed, the disk was full, or the copy is incomplete.
    #[error("the file ends inside the {what} at byte {at}: {needed} bytes wanted, {left} left; all before it was read")]
    Truncated {
        /// What is cut.
        what: &'static str,
        /// Where it begins.
        at: usize,
        /// How long it claims to be.
        needed: usize,
        /// What there is of it.
        left: usize,
    },
    /// A block that contradicts itself. What follows cannot be found.
    #[error("the block at byte {at} is damaged: {problem}; all before it was read")]
    Damaged {
        /// Where it begins.
        at: usize,
        /// The contradiction.
        problem: &'static str,
    },
}

/// One packet as the file has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// Counted from the beginning of the file, over all sections.
    pub(crate) interface: u32,
    /// None: the packet names an interface that was not described.
    pub(crate) link_type: Option<u16>,
    /// What was captured.
    pub(crate) data: &'a [u8],
    /// How long the packet was; never less than what was captured.
    pub(crate) original: u64,
}
