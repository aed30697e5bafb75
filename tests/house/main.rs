//! The house of the sources: which folder may know which, and who knows the world outside.
//!
//! ```text
//!   testing/                      a RabbitMQ in memory, for programs' tests
//!      |
//!   client/                       what a program calls
//!      |
//!   driver/                       joins the three below
//!      |
//!   promises/  connection/  net/  these do not know each other
//!      |
//!   types/                        plain data
//!      |
//!   wire/                         bytes
//! ```
//!
//! A file that names an item of another file, in a `use` or in any path, makes an *arrow* to the file that has that item,
//! whatever modules pass it on. What is higher may know what is lower, never the other way, and never to the side. Nor may
//! arrows go in a circle, within a folder either: then the data that both sides need belongs into a file of its own, below
//! both. Two things are no arrows:
//! - that a module declares its children and passes their items on. That it uses one itself, is;
//! - that a file goes on with the `impl` of a type of the module it is in. That it uses anything else of that module, is.
//!
//! The world outside (sockets, the clock, threads, files) is known in `net/` alone: the rest can be run in memory.
//!
//! `lib.rs` may name everything. Code for tests and fuzzers alone is left out. Calls of methods are not seen.

mod names;
mod planted;
mod rules;
mod syntax;

use std::fs;
use std::path::Path;

use rules::faults;
use syntax::{Sources, Texts};

/// Which folders each folder may name.
const HOUSE: &[(&str, &[&str])] = &[
    ("testing", &["client", "net", "types", "wire"]),
    (
        "client",
        &["driver", "promises", "connection", "net", "types", "wire"],
    ),
    (
        "driver",
        &["promises", "connection", "net", "types", "wire"],
    ),
    ("promises", &["types", "wire"]),
    ("connection", &["types", "wire"]),
    ("net", &["types", "wire"]),
    ("types", &["wire"]),
    ("wire", &[]),
    ("guide", &[]),
];

/// What only `net/` may name.
const WORLD: &[(&str, &str)] = &[
    ("mio", "sockets and their readiness"),
    ("socket2", "sockets"),
    ("rustls", "TLS"),
    ("std::net", "sockets and the resolver"),
    ("core::net", "addresses of sockets"),
    ("Instant::now", "the clock"),
    ("Instant::elapsed", "the clock"),
    ("SystemTime::now", "the clock"),
    ("std::thread", "threads"),
    ("std::fs", "files"),
    ("std::env", "the environment"),
];

/// A file, what it names against the rules (another file, or something of the world), and why it may.
type Exception = (&'static str, &'static str, &'static str);

const EXCEPTIONS: &[Exception] = &[
    (
        "client/embed.rs",
        "mio",
        "a client is one of mio's sources, for programs with a poll of their own",
    ),
    (
        "testing/broker.rs",
        "std::time::Instant::elapsed",
        "a method of that name, which asks the network in memory",
    ),
    (
        "testing/cluster.rs",
        "std::net",
        "addresses, as the network in memory has them",
    ),
    (
        "testing/conformance.rs",
        "std::net",
        "addresses, as the network in memory has them",
    ),
    (
        "testing/inside.rs",
        "std::net",
        "addresses, as the network in memory has them",
    ),
    (
        "wire/field_value.rs",
        "wire/field_table.rs",
        "a value may be a table, and a table is of values",
    ),
];

/// What is still wrong: both lists only shrink, for an entry that is not needed any more is a fault, too.
const NOT_YET: &[Exception] = &[];

/// The folders that still have a circle.
const KNOTTED_YET: &[&str] = &["testing"];

#[test]
fn arrows_point_down_and_the_world_is_known_in_one_folder() {
    let sources = Sources::read(&texts());
    let found = sources.files().len();
    assert!(found > 60, "only {found} files of src/ were found");
    let faults = faults(&sources, &[EXCEPTIONS, NOT_YET].concat(), KNOTTED_YET);
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n"));
}

fn texts() -> Texts {
    fn collect(root: &Path, folder: &Path, into: &mut Texts) {
        for entry in fs::read_dir(folder).expect("a folder of src/") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(root, &path, into);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let parts = path.strip_prefix(root).expect("below src/").iter();
                let name = parts
                    .map(|it| it.to_str().expect("a plain name"))
                    .collect::<Vec<_>>()
                    .join("/");
                into.insert(name, fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = Texts::new();
    collect(&root, &root, &mut texts);
    texts
}
