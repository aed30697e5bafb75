//! What the files name: the file that has the item of each path.
//!
//! It knows neither types nor methods, nor which names a macro makes: those are taken to be where the macro is.

use std::collections::BTreeSet;

use super::syntax::{Mention, Path, Place, Sources, Use};

/// Where the item of a path is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    File {
        file: String,
        item: String,
    },
    /// In another crate.
    Outside(Path),
}

/// Something that a file names and does not have itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) written: String,
    pub(crate) target: Target,
}

impl Sources {
    pub(crate) fn files(&self) -> BTreeSet<&str> {
        self.modules
            .values()
            .map(|module| module.file.as_str())
            .collect()
    }

    /// All that is named across files, in the order of the files and their lines. A module that passes on what its
    /// children have does not name it, nor does a file name the type of the module it is in whose `impl` it goes on with.
    pub(crate) fn named(&self) -> Vec<Named> {
        let implemented: BTreeSet<_> = self
            .mentions
            .iter()
            .filter(|it| it.place == Place::Impl)
            .map(|it| (self.file(&it.module), self.target(&it.module, &it.path)))
            .collect();
        let named = self.mentions.iter().filter(|it| !self.is_passed_on(it));
        let named = named.map(|it| Named {
            file: self.file(&it.module).to_owned(),
            line: it.line,
            written: it.path.join("::"),
            target: self.target(&it.module, &it.path),
        });
        let is_elsewhere = |named: &Named| match &named.target {
            Target::File { file, .. } if *file == named.file => false,
            target @ Target::File { file, .. } if self.is_inside(&named.file, file) => {
                !implemented.contains(&(named.file.as_str(), target.clone()))
            }
            _ => true,
        };
        let mut named: Vec<_> = named.filter(is_elsewhere).collect();
        named.sort();
        named.dedup();
        named
    }

    fn file(&self, module: &Path) -> &str {
        &self.modules[module].file
    }

    fn is_inside(&self, file: &str, parent: &str) -> bool {
        let path = |file: &str| {
            self.modules
                .iter()
                .find(|(_, module)| module.file == file)
                .map(|(path, _)| path)
        };
        path(file)
            .zip(path(parent))
            .is_some_and(|(file, parent)| file.starts_with(parent))
    }

    fn is_passed_on(&self, mention: &Mention) -> bool {
        let absolute = self.absolute(&mention.module, &mention.path, 0);
        let is_below = absolute.is_some_and(|path| path.starts_with(&mention.module));
        match mention.place {
            Place::PublicUse => is_below,
            // A name that came by a `use` was counted there, unless that only passed it on.
            _ if mention.path.len() == 1 => !self.modules[&mention.module]
                .uses
                .iter()
                .any(|it| it.is_public && it.name == mention.path[0] && is_below),
            _ => false,
        }
    }

    /// The path from the root, or none if it leads to another crate.
    fn absolute(&self, module: &Path, path: &[String], depth: usize) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        let child = [module.as_slice(), &path[..1]].concat();
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => return Some([module, rest].concat()),
            "super" => {
                let ups = path.iter().take_while(|it| *it == "super").count();
                return Some([&module[..module.len().saturating_sub(ups)], &path[ups..]].concat());
            }
            _ if self.modules.contains_key(&child) => return Some([&child, rest].concat()),
            // Modules may import each other's everything, in a ring.
            _ if depth > 8 => return None,
            _ => {}
        }
        let used = self.used(module, first)?;
        let used = self.absolute(module, &used.path, depth + 1)?;
        Some([&used, rest].concat())
    }

    /// The `use` that brings a name into a module. (`use log::log` is no reason to look for the crate in itself.)
    fn used(&self, module: &Path, name: &str) -> Option<&Use> {
        self.modules[module]
            .uses
            .iter()
            .find(|it| it.name == name && it.path[0] != name)
    }

    fn target(&self, module: &Path, path: &[String]) -> Target {
        if let Some(absolute) = self.absolute(module, path, 0) {
            return self.locate(&absolute, 0);
        }
        let mut path = path.to_vec();
        while let Some(used) = self.used(module, &path[0]) {
            path.splice(..1, used.path.iter().cloned());
        }
        Target::Outside(path)
    }

    /// Follows re-exports to the file that has the item.
    fn locate(&self, absolute: &[String], depth: usize) -> Target {
        let is_module = |n: &usize| self.modules.contains_key(&absolute[..*n]);
        let known = (0..=absolute.len()).rev().find(is_module).unwrap_or(0);
        let (path, rest) = (absolute[..known].to_vec(), &absolute[known..]);
        let module = &self.modules[&path];
        let item = rest.first().cloned().unwrap_or_default();
        let found = || Target::File {
            file: module.file.clone(),
            item: item.clone(),
        };
        if item.is_empty() || depth > 8 {
            return found();
        }
        if let Some(used) = self.used(&path, &item) {
            return match self.absolute(&path, &used.path, 0) {
                Some(used) => self.locate(&[&used, &rest[1..]].concat(), depth + 1),
                None => self.target(&path, &[&used.path, &rest[1..]].concat()),
            };
        }
        if module.items.contains(&item) {
            return found();
        }
        let globs = module.uses.iter().filter(|it| it.name == "*");
        let mut from = globs.filter_map(|glob| self.absolute(&path, &glob.path, 0));
        let from = from.find(|from| {
            let there = self.modules.get(from);
            there.is_some_and(|there| {
                there.items.contains(&item) || self.used(from, &item).is_some()
            })
        });
        from.map_or_else(found, |from| {
            self.locate(&[&from, rest].concat(), depth + 1)
        })
    }
}
