//! Each fault, planted in a house of a few files, is found; and what looks like one is not.

use super::Exception;
use super::rules::faults;
use super::syntax::{Sources, Texts};

/// A house without fault, but for what is planted.
fn house(planted: &[(&str, &str)]) -> Texts {
    let sound = [
        (
            "lib.rs",
            "mod client; mod connection; mod driver; mod net; mod promises; mod types; mod wire; pub use client::Client;",
        ),
        (
            "client/mod.rs",
            "use crate::driver::Driver; pub struct Client { driver: Driver }",
        ),
        (
            "connection/mod.rs",
            "mod state; pub struct Connection { state: state::State } pub struct Config;",
        ),
        ("connection/state.rs", "pub struct State;"),
        (
            "driver/mod.rs",
            "use crate::connection::Connection; pub struct Driver(Connection); pub fn now() {}",
        ),
        ("net/mod.rs", "pub mod clock;"),
        (
            "net/clock.rs",
            "pub fn now() -> std::time::Instant { std::time::Instant::now() }",
        ),
        ("promises/mod.rs", "pub struct Promises;"),
        ("types/mod.rs", "mod error; pub use error::*;"),
        (
            "types/error.rs",
            "use crate::wire::ShortStr; pub struct Error(ShortStr);",
        ),
        ("wire/mod.rs", "pub struct ShortStr;"),
    ];
    let files = sound.iter().chain(planted);
    files
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect()
}

fn found(planted: &[(&str, &str)]) -> Vec<String> {
    faults(&Sources::read(&house(planted)), &[], &[])
}

/// The one fault.
#[track_caller]
fn fault(planted: &[(&str, &str)]) -> String {
    let mut faults = found(planted);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.remove(0)
}

/// What one file of connection/ holds is one fault, which begins like this.
#[track_caller]
fn refused(text: &str, beginning: &str) {
    let fault = fault(&[("connection/state.rs", &format!("pub struct State;\n{text}"))]);
    assert!(
        fault.starts_with(&format!("src/connection/state.rs:{beginning}")),
        "{fault}"
    );
}

#[track_caller]
fn accepted(planted: &[(&str, &str)]) {
    assert_eq!(found(planted), Vec::<String>::new());
}

#[test]
fn a_sound_house_has_no_fault() {
    accepted(&[]);
}

#[test]
fn an_arrow_up_says_where_what_and_what_to_do() {
    let fault = fault(&[(
        "connection/state.rs",
        "pub struct State;\n\nuse crate::driver::Driver;",
    )]);
    let expected = "src/connection/state.rs:3: `crate::driver::Driver` is in src/driver/mod.rs: an arrow up, from \
                    connection/ to driver/: move what both need down, or hand it over as an argument";
    assert_eq!(fault, expected);
}

#[test]
fn an_arrow_to_the_side_is_found() {
    refused(
        "use crate::net::clock;",
        "2: `crate::net::clock` is in src/net/clock.rs: an arrow sideways",
    );
    refused(
        "fn f(_: crate::promises::Promises) {}",
        "2: `crate::promises::Promises` is in src/promises/mod.rs",
    );
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let names = "2: `crate::driver::now`";
    refused("fn f() { crate::driver::now() }", names);
    refused(
        "fn f() { super::super::driver::now() }",
        "2: `super::super::driver::now` is in src/driver/mod.rs",
    );
    refused(
        "fn f() { println!(\"{:?}\", Some(crate::driver::now())) }",
        names,
    );
    refused("macro_rules! f { () => { $crate::driver::now() } }", names);
    refused(
        "impl State { fn f() { let f = || [crate::driver::now(); 1]; } }",
        names,
    );
    refused(
        "mod inner { fn f() { super::super::super::driver::now() } }",
        "2: `super::super::super::driver::now`",
    );
    refused(
        "#[cfg(feature = \"testing\")] fn f() { crate::driver::now() }",
        names,
    );
    refused("#[cfg(not(test))] fn f() { crate::driver::now() }", names);
}

#[test]
fn every_form_of_use_is_understood() {
    let names = "2: `crate::driver::Driver` is in src/driver/mod.rs";
    refused("use crate::{driver::Driver, types::Error};", names);
    refused("use crate::driver::Driver as Engine;", names);
    refused(
        "use super::super::{driver::{Driver}};",
        "2: `super::super::driver::Driver` is in src/driver/mod.rs",
    );
    refused(
        "use crate::driver::{self};",
        "2: `crate::driver` is in src/driver/mod.rs",
    );
    refused(
        "use crate::driver::*;",
        "2: `crate::driver` is in src/driver/mod.rs",
    );
    refused("fn f() { use crate::driver::Driver; }", names);
    refused("pub use crate::driver::Driver;", names);
}

#[test]
fn a_name_that_is_passed_on_leads_to_the_file_that_has_it() {
    refused(
        "use crate::Client;",
        "2: `crate::Client` is in src/client/mod.rs",
    );
    accepted(&[(
        "connection/state.rs",
        "pub struct State(crate::types::Error);",
    )]);

    let passed_on = [
        (
            "connection/mod.rs",
            "mod rest; mod state; use state::State; pub struct Connection { state: State, rest: rest::Rest }",
        ),
        ("connection/rest.rs", "pub struct Rest(super::State);"),
    ];
    accepted(&passed_on);
    let there_and_back = [
        passed_on[0],
        passed_on[1],
        (
            "connection/state.rs",
            "pub struct State; use super::rest::Rest;",
        ),
    ];
    assert!(
        fault(&there_and_back)
            .contains("src/connection/rest.rs:1: `super::State` is in src/connection/state.rs")
    );
}

#[test]
fn the_world_is_for_net_alone() {
    refused(
        "fn f() { let _ = std::time::Instant::now(); }",
        "2: `std::time::Instant::now` names Instant::now (the clock)",
    );
    refused(
        "use std::time::Instant; fn f() -> Instant { Instant::now() }",
        "2: `Instant::now` names Instant::now",
    );
    refused(
        "use std::time as t; fn f() { t::SystemTime::now(); }",
        "2: `t::SystemTime::now` names SystemTime::now",
    );
    refused(
        "fn f(since: std::time::Instant) { since.elapsed(); }",
        "2: `Instant::elapsed` names",
    );
    refused(
        "use std::{io, net::TcpStream};",
        "2: `std::net::TcpStream` names std::net (sockets",
    );
    refused("use mio::{Poll as P};", "2: `mio::Poll` names mio");
    refused(
        "fn f() { std::thread::spawn(|| {}); }",
        "2: `std::thread::spawn` names std::thread (threads)",
    );
    refused(
        "fn f() { std::fs::read(\"a\"); }",
        "2: `std::fs::read` names std::fs (files)",
    );
    refused(
        "fn f() { assert!(std::env::var(\"a\").is_ok()); }",
        "2: `std::env::var` names std::env",
    );
    accepted(&[(
        "connection/state.rs",
        "pub struct State { due: std::time::Instant, wait: std::time::Duration }",
    )]);
}

#[test]
fn a_circle_of_two_files_says_both_arrows() {
    let fault = fault(&[
        ("promises/mod.rs", "mod inbox; mod table;"),
        (
            "promises/inbox.rs",
            "use super::table::Table; pub struct Inbox;",
        ),
        (
            "promises/table.rs",
            "pub struct Table;\npub struct Row(super::inbox::Inbox);",
        ),
    ]);
    let expected = "src/promises/inbox.rs:1: `super::table::Table` is in src/promises/table.rs\n\
                    src/promises/table.rs:2: `super::inbox::Inbox` is in src/promises/inbox.rs\n    a circle of files: ";
    assert!(fault.starts_with(expected), "{fault}");
}

#[test]
fn a_longer_circle_is_found() {
    let fault = fault(&[
        ("promises/mod.rs", "mod a; mod b; mod c;"),
        ("promises/a.rs", "pub struct A(super::b::B);"),
        ("promises/b.rs", "pub struct B(super::c::C);"),
        ("promises/c.rs", "pub struct C(Box<super::a::A>);"),
    ]);
    assert_eq!(fault.lines().count(), 4, "{fault}");
}

#[test]
fn a_module_and_its_child_may_be_a_circle() {
    let child = |text| fault(&[("connection/state.rs", text)]);
    assert!(
        child("pub struct State(super::Config);")
            .contains("`super::Config` is in src/connection/mod.rs")
    );
    assert!(
        child("pub struct State; fn f(_: &super::Connection) {}").contains("`super::Connection`")
    );
    let passed_on = [(
        "connection/mod.rs",
        "mod state; pub use state::State; pub struct Connection(State); pub struct Config;",
    )];
    let fault = fault(&[
        passed_on[0],
        ("connection/state.rs", "pub struct State(super::Config);"),
    ]);
    assert!(
        fault.contains("`State` is in src/connection/state.rs"),
        "{fault}"
    );
}

#[test]
fn a_module_that_passes_on_what_its_children_have_is_no_circle() {
    accepted(&[
        (
            "promises/mod.rs",
            "mod inbox; pub use inbox::Inbox; pub struct Promises;",
        ),
        ("promises/inbox.rs", "pub struct Inbox(super::Promises);"),
    ]);
}

#[test]
fn a_file_may_go_on_with_the_type_of_the_module_it_is_in() {
    let text = "use super::Connection; pub struct State; impl Connection { fn f() {} } fn g(_: &mut Connection) {}";
    accepted(&[("connection/state.rs", text)]);
    let text =
        "use super::{Config, Connection}; pub struct State; impl Connection { fn f(_: Config) {} }";
    assert!(fault(&[("connection/state.rs", text)]).contains("`super::Config`"));
}

#[test]
fn code_for_tests_is_left_out() {
    let up = "use crate::driver::Driver;";
    let with =
        |text: String| accepted(&[("connection/state.rs", &format!("pub struct State; {text}"))]);
    with(format!("#[cfg(test)] {up}"));
    with(format!("#[cfg(any(test, fuzzing))] {up}"));
    with(format!("#[cfg(all(test, unix))] mod tests {{ {up} }}"));
    with(format!("impl State {{ #[cfg(test)] fn f() {{ {up} }} }}"));
    with(format!(
        "fn f() {{ #[cfg(test)] let _ = crate::driver::now(); }} // {up}"
    ));
    with("#[cfg(test)] mod tests;".to_owned());
}

#[test]
fn a_folder_that_is_not_in_the_house_is_a_fault() {
    let text = "mod client; mod connection; mod driver; mod net; mod promises; mod types; mod utils; mod wire; pub use client::Client;";
    let fault = fault(&[("lib.rs", text), ("utils.rs", "")]);
    assert!(
        fault.starts_with("src/utils.rs: this is in no folder of the house"),
        "{fault}"
    );
}

#[test]
fn an_exception_holds_for_what_it_names_and_only_while_it_is_needed() {
    let with = |text: &str, exceptions: &[Exception], knotted: &[&str]| {
        faults(
            &Sources::read(&house(&[("connection/state.rs", text)])),
            exceptions,
            knotted,
        )
    };
    let sound = "pub struct State;";
    let up = "pub struct State(crate::driver::Driver);";
    let circle = "pub struct State(super::Config);";
    let thread = "pub struct State(std::thread::Result<()>);";
    let driver = [("connection/state.rs", "driver/mod.rs", "")];
    let parent = [("connection/state.rs", "connection/mod.rs", "")];
    let result = [("connection/state.rs", "std::thread::Result", "")];

    assert!(with(up, &driver, &[]).is_empty());
    assert!(with(circle, &parent, &[]).is_empty());
    assert!(with(circle, &[], &["connection"]).is_empty());
    assert!(with(thread, &result, &[]).is_empty());
    assert_eq!(
        with("pub struct State(std::thread::Thread);", &result, &[]).len(),
        2
    );
    for exceptions in [driver, parent, result] {
        assert!(with(sound, &exceptions, &[])[0].contains("no longer names"));
    }
    assert!(with(sound, &[], &["connection"])[0].contains("no circle any more"));
}
