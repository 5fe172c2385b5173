//! The ledger: what was seen, what was reported, what was lost and why.
//!
//! Every stage of the data path counts what it loses, here, by [`Lost`] reason. The promise that the tests check is
//!
//! ```text
//! exchanges that happened = reported + sum of lost, per protocol
//! ```
//!
//! An exchange is accounted for by whoever saw the first record of its *request*: if the kernel had to drop that record,
//! the kernel counts the exchange as lost ([`Lost::RingFull`]); if it was delivered, user space either reports the
//! exchange or counts it under one of the other reasons. So no exchange is counted twice or not at all.
//!
//! ```
//! use steth_ledger::{Exchanges, Lost};
//! let mut http = Exchanges::default();
//! http.reported += 1;
//! http.lose(Lost::Hole, 2);
//! assert_eq!((http.reported, http.lost(), http.lost_by(Lost::Hole)), (1, 2, 2));
//! ```

use serde::ser::{Serialize, SerializeMap, Serializer};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// Why an exchange was not reported.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Lost { $($(#[doc = $doc])+ $variant,)* }

        impl Lost {
            /// All reasons.
            pub const ALL: &'static [Lost] = &[$(Lost::$variant,)*];
            /// The reason as it is written in the ledger and in metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Lost::$variant => $name,)* }
            }
            /// One sentence for help texts and documentation.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Lost::$variant => concat!($($doc,)+).trim_ascii(),)* }
            }
        }
    };
}

reasons! {
    /// The record in which the request began did not fit into the ring.
    RingFull = "ring_full",
    /// Bytes between the request and its response are missing, came too late or made no sense, so it cannot be said which response is whose.
    Hole = "hole",
    /// Bytes of unknown framing were not copied, by the capture policy or because they could not be read, and more followed.
    Truncated = "truncated",
    /// The bytes are not what the protocol allows.
    Parse = "parse",
    /// A response whose request was not seen: it was sent before the agent attached.
    Orphan = "orphan_response",
    /// The connection was in use before the agent came, and it could not be made certain which response is whose.
    Joined = "joined_late",
    /// The connection, or one of its requests, was given up to stay within a limit, or because its protocol was switched off.
    Evicted = "evicted",
    /// The connection's protocol was recognised too late or wrongly; what was parsed of it is withdrawn.
    Misinferred = "misinferred",
}

/// Exchanges of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanges {
    /// Became a record.
    pub reported: u64,
    lost: [u64; Lost::ALL.len()],
}

impl Exchanges {
    /// Counts `n` exchanges as lost.
    #[inline]
    pub fn lose(&mut self, reason: Lost, n: u64) {
        self.lost[reason as usize] += n;
    }
    /// Lost for this reason.
    #[must_use]
    pub fn lost_by(&self, reason: Lost) -> u64 {
        self.lost[reason as usize]
    }
    /// Lost for any reason.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.iter().sum()
    }
    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.reported += other.reported;
        for (mine, theirs) in self.lost.iter_mut().zip(other.lost) {
            *mine += theirs;
        }
    }
}

impl Serialize for Exchanges {
    /// `{"reported":n,"lost":n,"lost_by":{"hole":n,…}}`, with every reason, zero or not.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct By<'a>(&'a Exchanges);
        impl Serialize for By<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(Lost::ALL.iter().map(|reason| (reason.name(), self.0.lost_by(*reason))))
            }
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("reported", &self.reported)?;
        map.serialize_entry("lost", &self.lost())?;
        map.serialize_entry("lost_by", &By(self))?;
        map.end()
    }
}
