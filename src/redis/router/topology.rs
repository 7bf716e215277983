//! Which node has which keys.

use std::sync::Arc;

use crc::{CRC_16_XMODEM, Crc};

use crate::redis::net::Node;

/// Slots of a cluster.
pub(crate) const SLOTS: u16 = 16_384;
/// Marks a slot that no node has.
const NOBODY: u16 = u16::MAX;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The nodes and their slots, as last seen. Immutable, and replaced as a whole.
pub(crate) struct Topology {
    nodes: Vec<Arc<Node>>,
    /// For each slot which of the nodes has it; `None`: one node has everything.
    slots: Option<Vec<u16>>,
}

impl Topology {
    pub(crate) fn of_one(node: Arc<Node>) -> Self {
        Self { nodes: vec![node], slots: None }
    }

    /// A topology from ranges of slots (first and last) and their owners.
    pub(crate) fn of_ranges(ranges: &[(u16, u16, Arc<Node>)]) -> Self {
        let mut topology = Self { nodes: Vec::new(), slots: Some(vec![NOBODY; SLOTS.into()]) };
        for (first, last, node) in ranges {
            let index = topology.index_of(node);
            if let Some(slots) = &mut topology.slots {
                slots[usize::from(*first)..=usize::from(*last)].fill(index);
            }
        }
        topology
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// How many slots have a node.
    pub(crate) fn slots_owned(&self) -> usize {
        self.slots.iter().flatten().filter(|index| **index != NOBODY).count()
    }

    pub(crate) fn owner(&self, key: &str) -> Option<&Arc<Node>> {
        self.nodes.get(self.index(key))
    }

    /// This topology with the key's slot given to `node`; `None` if there are no slots, or `node` has that one
    /// already.
    pub(crate) fn with_owner(&self, key: &str, node: &Arc<Node>) -> Option<Self> {
        if self.owner(key).is_some_and(|known| known.address == node.address) {
            return None;
        }
        let mut better = Self { nodes: self.nodes.clone(), slots: self.slots.clone() };
        let index = better.index_of(node);
        *better.slots.as_mut()?.get_mut(slot_of(key))? = index;
        Some(better)
    }

    fn index(&self, key: &str) -> usize {
        match &self.slots {
            None => 0,
            Some(slots) => slots[slot_of(key)].into(),
        }
    }

    fn index_of(&mut self, node: &Arc<Node>) -> u16 {
        let known = self.nodes.iter().position(|known| known.address == node.address);
        let index = known.unwrap_or_else(|| {
            self.nodes.push(Arc::clone(node));
            self.nodes.len() - 1
        });
        u16::try_from(index).unwrap_or(NOBODY)
    }
}

/// The slot of a key: of what is between its first brace and the next that closes it, if anything,
/// else of all of it.
fn slot_of(key: &str) -> usize {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    usize::from(CRC.checksum(hashed.as_bytes()) % SLOTS)
}

#[cfg(test)]
mod tests {
    use super::slot_of;

    /// As `CLUSTER KEYSLOT` says.
    #[test]
    fn slots_are_those_of_redis() {
        for (key, slot) in [
            ("", 0),
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("a{}foo", 16_292),
            ("{}{a}", 13_650),
            ("a{b}{c}", 3_300),
            ("a}b{c", 13_587),
            ("trypema:a:{user}:1", 5_474),
            ("é{ü}", 9_552),
        ] {
            assert_eq!(slot_of(key), slot, "{key:?}");
        }
    }
}
