//! A request that was kept.

use std::sync::Arc;
use steth_window::{EntityId, Side};

/// Why a request was kept: for one reason or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Why(u8);

impl Why {
    pub(crate) const NONE: Why = Why(0);
    /// The slowest of its operation and minute so far.
    pub const SLOWEST: Why = Why(1);
    /// It failed, and the operation's budget for errors was not used up.
    pub const ERROR: Why = Why(2);
    /// Chosen among all of its operation and minute by chance.
    pub const RANDOM: Why = Why(4);

    const NAMES: [(Why, &str); 3] = [(Self::SLOWEST, "slowest"), (Self::ERROR, "error"), (Self::RANDOM, "random")];

    /// The reason with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(why, _)| *why)
    }

    /// The names of its reasons, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(why, _)| self.has(*why)).map(|(_, name)| *name)
    }

    /// One bit for each reason. Stored data depends on them; they never change.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The reasons of these bits; others are not looked at.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::SLOWEST.0 | Self::ERROR.0 | Self::RANDOM.0))
    }

    /// Whether this is among the reasons.
    #[must_use]
    pub fn has(self, why: Why) -> bool {
        self.0 & why.0 != 0
    }

    pub(crate) fn and(self, why: Why) -> Self {
        Self(self.0 | why.0)
    }

    pub(crate) fn without(self, why: Why) -> Self {
        Self(self.0 & !why.0)
    }
}

/// What was written down of a request. All names in it are redacted by whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Who answered, with its namespace if it has one.
    pub server: Arc<str>,
    /// Bytes of the namespace in front of that name; 0 if it has none.
    pub server_namespace: usize,
    /// The operation.
    pub operation: Box<str>,
    /// Where it was observed.
    pub side: Side,
    /// When it ended, nanoseconds since 1970.
    pub end: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// It failed, as seen from its side.
    pub failed: bool,
    /// Everything there is to show, a JSON object.
    pub json: Box<str>,
}

impl Default for Sample {
    /// Of nobody, at the server's side.
    fn default() -> Self {
        Self {
            server: "".into(),
            server_namespace: 0,
            operation: "".into(),
            side: Side::Server,
            end: 0,
            duration_ns: 0,
            failed: false,
            json: "".into(),
        }
    }
}

impl Sample {
    /// Bytes that it takes; the name of the server is shared.
    #[must_use]
    pub fn size(&self) -> usize {
        // Behind an Arc (two counters), in a tree (number and reason).
        size_of::<Self>() + self.operation.len() + self.json.len() + 32
    }

    /// Whether the server goes by this name, with its namespace or without it.
    #[must_use]
    pub fn is_of(&self, service: &str) -> bool {
        let bare = || self.server.get(self.server_namespace..)?.strip_prefix('/');
        &*self.server == service || (self.server_namespace > 0 && bare() == Some(service))
    }
}

/// A sample in the store.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number: those that were kept later have greater ones.
    pub number: u64,
    /// Why it is there, still.
    pub why: Why,
    /// Whose it was when it was kept: who that is may have become known since.
    pub(crate) server: EntityId,
    /// What is there.
    pub sample: Arc<Sample>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_and_add_up() {
        let both = Why::ERROR.and(Why::SLOWEST);
        assert_eq!(both.names().collect::<Vec<_>>(), ["slowest", "error"]);
        assert_eq!(both.without(Why::ERROR), Why::SLOWEST);
        assert_eq!((Why::named("random"), Why::named("Random")), (Some(Why::RANDOM), None));
    }

    #[test]
    fn a_service_goes_by_its_name_with_and_without_its_namespace() {
        let sample = Sample { server: "shop/cart".into(), server_namespace: 4, ..Sample::default() };
        assert!(sample.is_of("shop/cart") && sample.is_of("cart"));
        assert!(!sample.is_of("shop") && !sample.is_of("/cart"));
        let sample = Sample { server: "shop/cart".into(), ..Sample::default() };
        assert!(sample.is_of("shop/cart") && !sample.is_of("cart"), "a slash in a name");
    }
}
