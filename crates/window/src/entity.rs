//! Entities: services, and what else talks or is talked to. An id is computed from the name, so every host comes to the
//! same id without asking anyone.

mod provisional;

use hashbrown::HashMap;
use provisional::Provisional;
pub(crate) use provisional::Time;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// The id of an entity: FNV-1a, 64 bits, of its name's UTF-8 bytes (offset basis `0xcbf29ce484222325`, prime
/// `0x100000001b3`). Stored data depends on it; it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub u64);

impl EntityId {
    /// The name of [`EntityId::OTHER`].
    pub const OTHER_NAME: &'static str = "other";
    /// What stands for all entities beyond a limit.
    pub const OTHER: EntityId = EntityId::of(Self::OTHER_NAME);

    /// The id of the entity with this name. One with a namespace is called `namespace/name`.
    #[must_use]
    pub const fn of(name: &str) -> Self {
        Self(hash(0xcbf2_9ce4_8422_2325, name.as_bytes()))
    }

    /// The id that is written as these sixteen hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl std::fmt::Display for EntityId {
    /// Sixteen hexadecimal digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const fn hash(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

impl Serialize for EntityId {
    /// Sixteen hexadecimal digits: JavaScript has no 64-bit numbers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntityId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("an id is sixteen hexadecimal digits"))
    }
}

/// What an entity is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody whose name is known: a process that is watched, a service or a pod of the cluster.
    Service,
    /// An address or the name of a host, with nobody known behind it.
    External,
    /// Several that did not fit a limit, or nobody knows who.
    Other,
}

#[derive(Debug)]
struct Entity {
    /// With its namespace, if it has one.
    name: Arc<str>,
    /// Bytes of the namespace in front; 0 if it has none.
    namespace: usize,
    kind: Kind,
    /// It is not known yet who this is, or was not.
    provisional: Option<Box<Provisional>>,
    /// When it was last named or part of a window; nanoseconds since 1970.
    used: u64,
}

/// The names behind the ids: a bounded table.
///
/// When it is full, entities that were not used for [`Entities::IDLE`] make room; if there are none, an unknown name
/// becomes [`EntityId::OTHER`] and is counted. Who keeps an id for longer than that should intern the name again.
#[derive(Debug)]
pub struct Entities {
    table: HashMap<EntityId, Entity>,
    max: usize,
    provisional: usize,
    /// Those that are addresses or names of hosts, without provisional ones.
    external: usize,
    folded: u64,
    in_networks: u64,
    collisions: u64,
    last_sweep: u64,
}

impl Entities {
    /// Most entities of [`Entities::default`].
    pub const MAX: usize = 16 * 1024;
    /// Longest name in bytes; the rest is cut.
    pub const MAX_NAME: usize = 255;
    /// How long an entity must have been unused before it makes room for another: one hour, in nanoseconds.
    pub const IDLE: u64 = 3600 * 1_000_000_000;
    /// A full table is searched for idle entities at most this often (ten seconds).
    const SWEEP: u64 = 10 * 1_000_000_000;

    /// A table for `max` entities besides "other".
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            table: HashMap::new(),
            max,
            provisional: 0,
            external: 0,
            folded: 0,
            in_networks: 0,
            collisions: 0,
            last_sweep: 0,
        }
    }

    /// The id of the service with this name. `now` is nanoseconds since 1970.
    pub fn intern(&mut self, name: &str, now: u64) -> EntityId {
        self.intern_as(Kind::Service, name, now)
    }

    /// The id of the entity with this name, of which so much is known. Who was once known as a service stays one.
    pub fn intern_as(&mut self, kind: Kind, name: &str, now: u64) -> EntityId {
        let name = &name[..name.floor_char_boundary(Self::MAX_NAME)];
        self.place(EntityId::of(name), name, 0, kind, None, now)
    }

    /// The id of an address with nobody known behind it. Where there are many of those (a quarter of the table), one that is new is
    /// counted as what `network` calls it, so that a scan, or all clients of a public server, do not push out whom one looks for.
    pub fn intern_address(&mut self, name: &str, network: impl FnOnce() -> String, now: u64) -> EntityId {
        if self.external >= self.max / 4 && !self.table.contains_key(&EntityId::of(name)) {
            self.sweep(now);
            if self.external >= self.max / 4 {
                self.in_networks += 1;
                return self.intern_as(Kind::External, &network(), now);
            }
        }
        self.intern_as(Kind::External, name, now)
    }

    /// Times that an address was counted as the network that it is in.
    #[must_use]
    pub fn in_networks(&self) -> u64 {
        self.in_networks
    }

    /// Forgets who was not used for long, if that was not tried lately.
    fn sweep(&mut self, now: u64) {
        if now.saturating_sub(self.last_sweep) < Self::SWEEP {
            return;
        }
        self.last_sweep = now;
        self.table.retain(|_, entity| now.saturating_sub(entity.used) < Self::IDLE);
        self.provisional = self.table.values().filter(|entity| entity.provisional.is_some()).count();
        let external = |entity: &&Entity| entity.kind == Kind::External && entity.provisional.is_none();
        self.external = self.table.values().filter(external).count();
    }

    /// The id of the entity with this name in this namespace.
    pub fn intern_in(&mut self, namespace: &str, name: &str, now: u64) -> EntityId {
        if namespace.is_empty() {
            return self.intern(name, now);
        }
        let namespace = &namespace[..namespace.floor_char_boundary(Self::MAX_NAME / 2)];
        let full = format!("{namespace}/{name}");
        let full = &full[..full.floor_char_boundary(Self::MAX_NAME)];
        self.place(EntityId::of(full), full, namespace.len(), Kind::Service, None, now)
    }

    fn place(
        &mut self,
        id: EntityId,
        name: &str,
        namespace: usize,
        kind: Kind,
        provisional: Option<Box<Provisional>>,
        now: u64,
    ) -> EntityId {
        if id == EntityId::OTHER {
            return id;
        }
        if let Some(entity) = self.table.get_mut(&id) {
            entity.used = entity.used.max(now);
            if entity.kind == Kind::External && kind < Kind::External && entity.provisional.is_none() {
                self.external -= 1;
            }
            entity.kind = entity.kind.min(kind);
            // One chance in 10^11 with a thousand names; the two are then counted as one.
            self.collisions += u64::from(&*entity.name != name);
            return id;
        }
        if self.table.len() >= self.max {
            self.sweep(now);
        }
        if self.table.len() >= self.max {
            self.folded += 1;
            return EntityId::OTHER;
        }
        self.provisional += usize::from(provisional.is_some());
        self.external += usize::from(kind == Kind::External && provisional.is_none());
        self.table.insert(id, Entity { name: name.into(), namespace, kind, provisional, used: now });
        id
    }

    /// Says that an entity is in use.
    pub fn touch(&mut self, id: EntityId, now: u64) {
        if let Some(entity) = self.table.get_mut(&id) {
            entity.used = entity.used.max(now);
        }
    }

    /// The name of an entity; the id in hexadecimal digits if the table does not know it (any more).
    #[must_use]
    pub fn name(&self, id: EntityId) -> Arc<str> {
        match self.table.get(&id) {
            Some(entity) => entity.name.clone(),
            None if id == EntityId::OTHER => EntityId::OTHER_NAME.into(),
            None => format!("{:016x}", id.0).into(),
        }
    }

    /// Bytes of the namespace in front of the name; 0 if it has none.
    #[must_use]
    pub fn namespace(&self, id: EntityId) -> usize {
        self.table.get(&id).map_or(0, |entity| entity.namespace)
    }

    /// What is known of it; [`Kind::Other`] if the table does not know it (any more).
    #[must_use]
    pub fn kind(&self, id: EntityId) -> Kind {
        self.table.get(&id).map_or(Kind::Other, |entity| entity.kind)
    }

    /// Entities in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How often a name became [`EntityId::OTHER`] because the table was full.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// How often a name had the id of another name.
    #[must_use]
    pub fn collisions(&self) -> u64 {
        self.collisions
    }
}

impl Default for Entities {
    fn default() -> Self {
        Self::new(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_addresses_are_counted_as_their_networks_and_make_room_again() {
        let mut entities = Entities::new(40);
        let mut of =
            |n: u32, now| entities.intern_address(&format!("10.0.{n}.7:443"), || format!("10.0.{}.0/24", n / 10), now);
        let first: Vec<_> = (0..10).map(|n| of(n, 1)).collect();
        assert_eq!(
            [of(3, 1), of(12, 1), of(13, 1)],
            [first[3], EntityId::of("10.0.1.0/24"), EntityId::of("10.0.1.0/24")]
        );
        let later = 1 + 2 * Entities::IDLE;
        assert_eq!(of(14, later), EntityId::of("10.0.14.7:443"), "nobody has asked for the others for long");
        assert_eq!((entities.in_networks(), entities.folded()), (2, 0));
    }

    #[test]
    fn ids_are_the_published_fnv_1a_values() {
        assert_eq!(EntityId::of("").0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(EntityId::of("a").0, 0xaf63_dc4c_8601_ec8c);
        assert_eq!(EntityId::of("foobar").0, 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_full_table_folds_until_an_entity_is_idle_for_an_hour() {
        let mut entities = Entities::new(2);
        let (shop, cart) = (entities.intern("shop", 1), entities.intern("cart", 1));
        assert_eq!(entities.intern("ads", 2), EntityId::OTHER);
        assert_eq!((entities.folded(), entities.len()), (1, 2));
        entities.touch(cart, 2 * Entities::IDLE);
        let ads = entities.intern("ads", 2 * Entities::IDLE + 1);
        assert_eq!((&*entities.name(ads), &*entities.name(cart)), ("ads", "cart"));
        assert_eq!(*entities.name(shop), *format!("{:016x}", shop.0), "forgotten");
        assert_eq!(entities.intern("shop", 2 * Entities::IDLE + 2), EntityId::OTHER, "full again");
        assert_eq!(&*entities.name(EntityId::OTHER), "other");
    }

    #[test]
    fn a_namespace_keeps_names_apart_and_belongs_to_the_name() {
        let mut entities = Entities::default();
        let (shop, test) = (entities.intern_in("shop", "cart", 0), entities.intern_in("test", "cart", 0));
        assert!(shop != test && shop == EntityId::of("shop/cart") && shop != entities.intern("cart", 0));
        assert_eq!((&*entities.name(shop), entities.namespace(shop)), ("shop/cart", 4));
        let bare = entities.intern_in("", "cart", 0);
        assert_eq!(entities.namespace(bare), 0);
    }

    #[test]
    fn who_is_known_as_a_service_stays_one() {
        let mut entities = Entities::default();
        let db = entities.intern_as(Kind::External, "db", 1);
        assert_eq!(entities.kind(db), Kind::External);
        assert_eq!((entities.intern("db", 2), entities.kind(db)), (db, Kind::Service));
        assert_eq!((entities.intern_as(Kind::External, "db", 3), entities.kind(db)), (db, Kind::Service));
        assert_eq!(entities.kind(EntityId::OTHER), Kind::Other);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut entities = Entities::default();
        let id = entities.intern(&"é".repeat(200), 0);
        assert_eq!(&*entities.name(id), "é".repeat(127));
    }
}
