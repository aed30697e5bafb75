//! What other threads have of a client.

use std::sync::mpsc::channel;

use puka::Error;

use crate::support::{Session, new_client, url};

#[test]
fn a_break_before_the_loop_is_not_lost() {
    let mut session = Session::new();
    let handle = session.handle().unwrap();
    handle.loop_break().unwrap();
    // Waits run no calls, and do not lose them.
    let queue = session.queue();
    session.publish(&queue, "x");
    session.loop_forever().unwrap();
}

#[test]
fn a_handle_outlives_its_client_and_says_so() {
    let mut client = new_client(&url()).unwrap();
    let handle = client.handle().unwrap();
    let (sender, dropped) = channel::<()>();
    handle.run(move |_| sender.send(()).unwrap()).unwrap();
    drop(client);
    assert!(dropped.recv().is_err());
    assert!(matches!(handle.run(|_| ()), Err(Error::ClientGone)));
    assert!(matches!(handle.loop_break(), Err(Error::ClientGone)));
}

#[test]
fn a_call_that_the_client_has_not_run_goes_with_it() {
    let mut client = new_client(&url()).unwrap();
    let handle = client.handle().unwrap();
    let (sender, ran) = channel();
    handle.run(move |_| sender.send("it ran").unwrap()).unwrap();
    drop(client);
    assert!(ran.recv().is_err());
    assert!(matches!(handle.run(|_| {}), Err(Error::ClientGone)));
}
