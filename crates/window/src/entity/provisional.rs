//! Entities of which it is not known yet who they are: what is learnt of them before their window is over names them there.

use super::{Entities, Entity, EntityId, Kind, hash};

/// Somebody of whom it is not known yet who it is.
#[derive(Debug, Default)]
pub(super) struct Provisional {
    /// Who, once it is known.
    is: Option<EntityId>,
    /// Who it counts as in windows that are over before that.
    meanwhile: Option<EntityId>,
    /// An address is: what stands for it where there are many.
    network: Option<Box<str>>,
}

/// Of which window rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// Of one that goes on: whoever is not known yet may be by its end.
    UnderWay,
    /// Of one that is over: whoever is not known has the name that there is.
    Over,
}

impl Entities {
    /// An entity of its own, of which it is not known yet who it is: `token` tells it from others of the same name. When
    /// [`Entities::settle`] has said so, its rows become rows of that entity; in a window that is over before that, they are rows
    /// of the one that has its name.
    pub fn provisional(&mut self, name: &str, token: u64, now: u64) -> EntityId {
        self.unknown(Kind::Service, name, token, Provisional::default, now)
    }

    /// The same of an address that nobody is known behind yet; `network` as in [`Entities::intern_address`], which it is for windows
    /// that are over before somebody is.
    pub fn provisional_address(
        &mut self,
        name: &str,
        network: impl FnOnce() -> String,
        token: u64,
        now: u64,
    ) -> EntityId {
        let provisional = || Provisional { network: Some(network().into()), ..Provisional::default() };
        self.unknown(Kind::External, name, token, provisional, now)
    }

    fn unknown(
        &mut self,
        kind: Kind,
        name: &str,
        token: u64,
        provisional: impl FnOnce() -> Provisional,
        now: u64,
    ) -> EntityId {
        let name = &name[..name.floor_char_boundary(Self::MAX_NAME)];
        let id = EntityId(hash(hash(EntityId::of(name).0, &[0]), &token.to_le_bytes()));
        let provisional = (!self.table.contains_key(&id)).then(|| Box::new(provisional()));
        self.place(id, name, 0, kind, provisional, now)
    }

    /// It is known by now who a provisional entity is.
    pub fn settle(&mut self, provisional: EntityId, is: EntityId) {
        if let Some(unknown) = self.table.get_mut(&provisional).and_then(|entity| entity.provisional.as_mut()) {
            unknown.is = Some(is);
        }
    }

    /// Whether there are provisional entities.
    #[must_use]
    pub fn any_provisional(&self) -> bool {
        self.provisional > 0
    }

    /// Who this is; `None` if that is not known yet.
    #[must_use]
    pub fn settled(&self, id: EntityId) -> Option<EntityId> {
        match self.unknown_yet(id) {
            Some(unknown) => unknown.is,
            None => Some(id),
        }
    }

    fn unknown_yet(&self, id: EntityId) -> Option<&Provisional> {
        self.table.get(&id)?.provisional.as_deref()
    }

    /// Whose rows the rows of this one are in a window at that time.
    pub(crate) fn stands_for(&self, id: EntityId, time: Time) -> EntityId {
        let Some(unknown) = self.unknown_yet(id) else { return id };
        let meanwhile = unknown.meanwhile.filter(|_| time == Time::Over);
        unknown.is.or(meanwhile).unwrap_or(id)
    }

    /// A window is over: whoever is not known counts in it as whoever has that name. It may still be known before the end of the
    /// next one.
    pub(crate) fn call_by_name(&mut self, now: u64) {
        if self.provisional == 0 {
            return;
        }
        let unknown = |(id, entity): (&EntityId, &Entity)| {
            let unknown = entity.provisional.as_ref().filter(|unknown| unknown.is.is_none())?;
            Some((*id, entity.name.clone(), unknown.network.clone()))
        };
        let rest: Vec<_> = self.table.iter().filter_map(unknown).collect();
        for (id, name, network) in rest {
            let called = match network {
                Some(network) => self.intern_address(&name, || network.into(), now),
                None => self.intern(&name, now),
            };
            if let Some(unknown) = self.table.get_mut(&id).and_then(|entity| entity.provisional.as_mut()) {
                unknown.meanwhile = Some(called);
            }
        }
    }

    /// Forgets provisional entities that were not used since `before`.
    pub(crate) fn forget_provisional(&mut self, before: u64) {
        if self.provisional == 0 {
            return;
        }
        self.table.retain(|_, entity| entity.provisional.is_none() || entity.used >= before);
        self.provisional = self.table.values().filter(|entity| entity.provisional.is_some()).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provisional_entity_becomes_somebody() {
        let mut entities = Entities::default();
        let (one, other) = (entities.provisional("nginx", 1, 0), entities.provisional("nginx", 2, 0));
        assert!(one != other && entities.any_provisional());
        assert_eq!((entities.settled(one), &*entities.name(one)), (None, "nginx"));
        let web = entities.intern("web", 0);
        entities.settle(one, web);
        entities.settle(web, other);
        assert_eq!((entities.settled(one), entities.settled(web)), (Some(web), Some(web)));
        entities.call_by_name(0);
        assert_eq!((entities.settled(other), entities.stands_for(other, Time::UnderWay)), (None, other));
        assert_eq!(entities.stands_for(other, Time::Over), EntityId::of("nginx"));
        entities.settle(other, web);
        assert_eq!(entities.stands_for(other, Time::Over), web, "known by the end of the next window");
        entities.forget_provisional(1);
        assert!(!entities.any_provisional() && entities.len() == 2);
    }

    #[test]
    fn an_address_that_stays_unknown_is_counted_as_any_other_address() {
        let mut entities = Entities::new(40);
        let mut of =
            |n: u32| entities.provisional_address(&format!("10.0.{n}.7:443"), || format!("10.0.{}.0/24", n / 10), 0, 1);
        let all: Vec<_> = (0..12).map(&mut of).collect();
        assert_eq!(of(3), all[3]);
        entities.call_by_name(1);
        let called: Vec<_> = all.iter().map(|id| entities.stands_for(*id, Time::Over)).collect();
        let (kind, network) = (entities.kind(all[0]), |id: &&EntityId| **id == EntityId::of("10.0.0.0/24"));
        assert_eq!((kind, entities.in_networks(), called.len()), (Kind::External, 2, 12));
        assert!(called.iter().filter(network).count() <= 2 && !called.contains(&EntityId::OTHER));
    }
}
