//! The rules, and what is against them: where, what, which rule, and what to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::names::{Named, Target};
use super::syntax::Sources;
use super::{Exception, HOUSE, WORLD};

pub(crate) fn faults(sources: &Sources, exceptions: &[Exception], knotted: &[&str]) -> Vec<String> {
    let named = sources.named();
    let mut excuses = Excuses::new(exceptions);
    let mut faults = folders(sources);
    // Within folders: between them, arrows that only point down make no circle.
    let mut arrows = Arrows::new();
    for named in &named {
        let (fault, names) = match &named.target {
            Target::File { file, .. } if folder(file) == folder(&named.file) => {
                let from = arrows.entry(&named.file).or_default();
                from.entry(file).or_insert(named);
                continue;
            }
            Target::File { file, .. } => (arrow(named, file), file.clone()),
            Target::Outside(path) => (world(named, path), path.join("::")),
        };
        faults.extend(fault.filter(|_| !excuses.excuse(&named.file, &names)));
    }
    let all = arrows.clone();
    for (from, to) in &mut arrows {
        to.retain(|to, _| leads(&all, to, from).is_none() || !excuses.excuse(from, to));
    }
    let circles = circles(&arrows);
    for folder in knotted {
        if circles.iter().all(|(knot, _)| knot != folder) {
            faults.push(format!(
                "src/{folder}/ has no circle any more: {OFF_THE_LIST}"
            ));
        }
    }
    let new = circles
        .into_iter()
        .filter(|(folder, _)| !knotted.contains(folder));
    faults.extend(new.map(|(_, fault)| fault));
    faults.extend(excuses.unused());
    faults
}

const OFF_THE_LIST: &str = "take it off the list in tests/house/main.rs";

/// The exceptions, and which of them were needed.
struct Excuses<'a> {
    exceptions: &'a [Exception],
    needed: BTreeSet<&'a Exception>,
}

impl<'a> Excuses<'a> {
    fn new(exceptions: &'a [Exception]) -> Self {
        let needed = BTreeSet::new();
        Self { exceptions, needed }
    }

    fn excuse(&mut self, file: &str, names: &str) -> bool {
        let begins = |with| {
            names
                .strip_prefix(with)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let mut fitting = self
            .exceptions
            .iter()
            .filter(|it| it.0 == file && begins(it.1));
        let found = fitting.next();
        self.needed.extend(found);
        found.is_some()
    }

    fn unused(&self) -> impl Iterator<Item = String> {
        let unused = self
            .exceptions
            .iter()
            .filter(|it| !self.needed.contains(it));
        unused.map(|(file, names, _)| {
            format!("src/{file} no longer names {names} against the rules: {OFF_THE_LIST}")
        })
    }
}

/// The folder, or a file beside `lib.rs`.
fn folder(file: &str) -> &str {
    file.split_once('/')
        .map_or(file.trim_end_matches(".rs"), |(folder, _)| folder)
}

fn may_name(from: &str) -> Option<&'static [&'static str]> {
    HOUSE
        .iter()
        .find(|(folder, _)| *folder == from)
        .map(|(_, below)| *below)
}

fn folders(sources: &Sources) -> Vec<String> {
    let files = sources
        .files()
        .into_iter()
        .filter(|file| *file != "lib.rs" && may_name(folder(file)).is_none());
    files.map(|file| format!("src/{file}: this is in no folder of the house: move it into one, or add its folder to HOUSE")).collect()
}

fn arrow(named: &Named, file: &str) -> Option<String> {
    let (from, to) = (folder(&named.file), folder(file));
    // A folder that is not there has its own fault.
    let below = may_name(from)?;
    if below.contains(&to) {
        return None;
    }
    let (way, remedy) = match may_name(to) {
        Some(above) if above.contains(&from) => (
            "up",
            "move what both need down, or hand it over as an argument",
        ),
        _ => (
            "sideways",
            "move what both need into types/, or let the folder above join them",
        ),
    };
    Some(format!(
        "src/{}:{}: `{}` is in src/{file}: an arrow {way}, from {from}/ to {to}/: {remedy}",
        named.file, named.line, named.written
    ))
}

fn world(named: &Named, path: &[String]) -> Option<String> {
    if folder(&named.file) == "net" {
        return None;
    }
    let is_in = |what: &str| {
        let what: Vec<_> = what.split("::").collect();
        path.windows(what.len()).any(|part| part == what)
    };
    let (what, means) = WORLD.iter().find(|(what, _)| is_in(what))?;
    Some(format!(
        "src/{}:{}: `{}` names {what} ({means}), which is for net/ alone: ask net/ for it, or take it as an argument",
        named.file, named.line, named.written
    ))
}

/// From which file to which, and the first that is named.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Named>>;

/// The shortest way, both ends included.
fn leads<'a>(arrows: &Arrows<'a>, from: &'a str, to: &'a str) -> Option<Vec<&'a str>> {
    let mut before = BTreeMap::from([(from, None)]);
    let mut queue = VecDeque::from([from]);
    while let Some(file) = queue.pop_front() {
        if file == to {
            let mut way: Vec<_> = std::iter::successors(Some(file), |file| before[file]).collect();
            way.reverse();
            return Some(way);
        }
        for &next in arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            before.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Some(file)
            });
        }
    }
    None
}

/// The shortest circle of each knot, with its folder.
fn circles<'a>(arrows: &Arrows<'a>) -> Vec<(&'a str, String)> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut circles = Vec::new();
    for (&from, to) in arrows {
        let back = to
            .keys()
            .filter_map(|to| leads(arrows, to, from))
            .min_by_key(Vec::len);
        let Some(way) = back.filter(|_| !seen.contains(from)) else {
            continue;
        };
        seen.extend(arrows.keys().filter(|it| {
            leads(arrows, from, it)
                .and(leads(arrows, it, from))
                .is_some()
        }));
        let steps = std::iter::once(from)
            .chain(way.iter().copied())
            .zip(way.iter().copied());
        let step = |(from, to)| {
            let it: &Named = arrows[from][to];
            format!("src/{from}:{}: `{}` is in src/{to}\n", it.line, it.written)
        };
        let steps: String = steps.map(step).collect();
        let remedy = "a circle of files: give what both sides need a file of its own, below them";
        circles.push((folder(from), format!("{steps}    {remedy}")));
    }
    circles
}
