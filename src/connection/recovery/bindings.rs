//! Bindings, found by either end and by themselves without looking at all of them: a client may have tens of thousands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::types::requests::{ExchangeBind, QueueBind};
use crate::wire::ShortStr;

/// What binds one thing to another.
pub(crate) trait Binding: Clone {
    fn source(&self) -> &ShortStr;
    fn destination(&self) -> &ShortStr;
    fn destination_mut(&mut self) -> &mut ShortStr;
    fn routing_key(&self) -> &ShortStr;
    /// Its arguments, encoded.
    fn arguments(&self) -> &[u8];

    /// What tells it from all others.
    fn key(&self) -> Key {
        Key {
            source: self.source().clone(),
            destination: self.destination().clone(),
            routing_key: self.routing_key().clone(),
            arguments: self.arguments().into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    source: ShortStr,
    destination: ShortStr,
    routing_key: ShortStr,
    arguments: Box<[u8]>,
}

macro_rules! binding {
    ($type:ty: $source:ident to $destination:ident) => {
        impl Binding for $type {
            fn source(&self) -> &ShortStr {
                &self.$source
            }

            fn destination(&self) -> &ShortStr {
                &self.$destination
            }

            fn destination_mut(&mut self) -> &mut ShortStr {
                &mut self.$destination
            }

            fn routing_key(&self) -> &ShortStr {
                &self.routing_key
            }

            fn arguments(&self) -> &[u8] {
                self.arguments.encoded()
            }
        }
    };
}

binding!(QueueBind: exchange to queue);
binding!(ExchangeBind: source to destination);

/// In the order in which they were made.
#[derive(Debug)]
pub(crate) struct Bindings<B> {
    next: u64,
    bindings: BTreeMap<u64, B>,
    numbers: HashMap<Key, u64>,
    by_source: HashMap<ShortStr, BTreeSet<u64>>,
    by_destination: HashMap<ShortStr, BTreeSet<u64>>,
}

impl<B> Default for Bindings<B> {
    fn default() -> Self {
        Self {
            next: 0,
            bindings: BTreeMap::new(),
            numbers: HashMap::new(),
            by_source: HashMap::new(),
            by_destination: HashMap::new(),
        }
    }
}

impl<B: Binding> Bindings<B> {
    /// Adds one, unless it is there.
    pub(crate) fn insert(&mut self, binding: B) {
        let number = self.next;
        self.insert_as(number, binding);
        self.next += 1;
    }

    fn insert_as(&mut self, number: u64, binding: B) {
        let key = binding.key();
        if self.numbers.contains_key(&key) {
            return;
        }
        let source = self.by_source.entry(key.source.clone());
        source.or_default().insert(number);
        let destination = self.by_destination.entry(key.destination.clone());
        destination.or_default().insert(number);
        self.numbers.insert(key, number);
        self.bindings.insert(number, binding);
    }

    /// Takes one away; false: it was not there.
    pub(crate) fn remove(&mut self, binding: &B) -> bool {
        let number = self.numbers.get(&binding.key()).copied();
        number.and_then(|number| self.take(number)).is_some()
    }

    fn take(&mut self, number: u64) -> Option<B> {
        let binding = self.bindings.remove(&number)?;
        self.numbers.remove(&binding.key());
        for (index, name) in [
            (&mut self.by_source, binding.source()),
            (&mut self.by_destination, binding.destination()),
        ] {
            if let Some(numbers) = index.get_mut(name) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    index.remove(name);
                }
            }
        }
        Some(binding)
    }

    /// Takes those away that bind anything to this source.
    pub(crate) fn remove_from(&mut self, source: &ShortStr) -> Vec<B> {
        let numbers = self.by_source.get(source).cloned().unwrap_or_default();
        numbers.into_iter().filter_map(|it| self.take(it)).collect()
    }

    /// Takes those away that bind this to anything.
    pub(crate) fn remove_to(&mut self, destination: &ShortStr) -> Vec<B> {
        let numbers = self.by_destination.get(destination).cloned();
        let numbers = numbers.unwrap_or_default();
        numbers.into_iter().filter_map(|it| self.take(it)).collect()
    }

    pub(crate) fn has_source(&self, source: &ShortStr) -> bool {
        self.by_source.contains_key(source)
    }

    pub(crate) fn contains(&self, binding: &B) -> bool {
        self.numbers.contains_key(&binding.key())
    }

    /// Those that bind anything to this source.
    pub(crate) fn from<'a>(&'a self, source: &ShortStr) -> impl Iterator<Item = &'a B> {
        let numbers = self.by_source.get(source).into_iter().flatten();
        numbers.filter_map(|number| self.bindings.get(number))
    }

    /// Those that bind this to anything.
    pub(crate) fn to<'a>(&'a self, destination: &ShortStr) -> impl Iterator<Item = &'a B> {
        let numbers = self.by_destination.get(destination).into_iter().flatten();
        numbers.filter_map(|number| self.bindings.get(number))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &B> {
        self.bindings.values()
    }

    /// What they bind has another name now.
    pub(crate) fn rename_destination(&mut self, old: &ShortStr, new: &ShortStr) {
        let numbers = self.by_destination.get(old).cloned().unwrap_or_default();
        for number in numbers {
            if let Some(mut binding) = self.take(number) {
                binding.destination_mut().clone_from(new);
                self.insert_as(number, binding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(queue: &str, key: &str) -> QueueBind {
        QueueBind::new(queue, "x").routing_key(key)
    }

    #[test]
    fn bindings_are_found_by_either_end_and_kept_in_order() {
        let mut bindings = Bindings::default();
        for binding in [bind("b", "1"), bind("a", "2"), bind("b", "1")] {
            bindings.insert(binding);
        }
        let names = |bindings: &Bindings<QueueBind>| -> Vec<String> {
            let names = bindings
                .iter()
                .map(|it| format!("{}{}", it.queue, it.routing_key));
            names.collect()
        };
        assert_eq!(names(&bindings), ["b1", "a2"]);
        bindings.rename_destination(&"b".into(), &"c".into());
        assert_eq!(names(&bindings), ["c1", "a2"]);
        assert!(!bindings.remove(&bind("b", "1")));
        assert!(bindings.remove(&bind("a", "2")));
        assert_eq!(bindings.remove_to(&"c".into()), [bind("c", "1")]);
        assert!(!bindings.has_source(&"x".into()));
        bindings.insert(bind("d", "1"));
        assert_eq!(bindings.remove_from(&"x".into()), [bind("d", "1")]);
        let left = (
            bindings.numbers.len(),
            bindings.by_source.len(),
            bindings.by_destination.len(),
        );
        assert_eq!(left, (0, 0, 0));
    }
}
