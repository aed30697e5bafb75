//! Connect and close, and what may go wrong with them.

use std::time::Duration;

use puka::{Client, ClientOptions, Disconnect, Error};

use crate::support::{LIMIT, Session, Silent, cut, new_client, new_client_with, nobody, now, url};

/// The test broker's URL with another login and vhost.
fn url_with(login: &str, vhost: &str) -> String {
    let url = url();
    let address = url
        .trim_start_matches("amqp://")
        .rsplit('@')
        .next()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    format!("amqp://{login}@{address}/{vhost}")
}

fn connect_error(url: &str, options: ClientOptions) -> Error {
    let mut client = new_client_with(url, options).unwrap();
    let promise = client.connect();
    client.wait(promise).unwrap_err()
}

#[test]
fn the_broker_introduces_itself() {
    let mut client = new_client(&url()).unwrap();
    assert!(!client.is_connected() && client.connected().is_none());
    let connected = client.connect().wait(&mut client).unwrap();
    assert_eq!(
        connected.server_properties.get("product").unwrap().as_str(),
        Some("RabbitMQ")
    );
    assert!(connected.channel_max > 0 && connected.frame_max >= 4096);
    assert_eq!(connected.heartbeat, 0);
    assert!(connected.to_string().starts_with("RabbitMQ "));
    assert_eq!(client.connected(), Some(&connected));
    assert!(client.is_connected());
}

#[test]
fn limits_are_agreed_on() {
    let options = ClientOptions::new()
        .channel_max(10)
        .frame_max(8192)
        .heartbeat(7);
    let session = Session::with(options);
    let connected = session.connected().unwrap();
    assert_eq!(
        (
            connected.channel_max,
            connected.frame_max,
            connected.heartbeat
        ),
        (10, 8192, 7)
    );
    // What the broker proposes shows where the client asks for as much as there is: the smaller counts.
    let agreed = |channels, frame, heartbeat| {
        let options = ClientOptions::new()
            .channel_max(channels)
            .frame_max(frame)
            .heartbeat(heartbeat);
        let session = Session::with(options);
        let connected = session.connected().unwrap();
        (
            connected.channel_max,
            connected.frame_max,
            connected.heartbeat,
        )
    };
    let (channels, frame, heartbeat) = agreed(u16::MAX, u32::MAX, u16::MAX);
    let less = (channels.min(5000), frame.min(1 << 20), heartbeat.min(600));
    assert_eq!(agreed(5000, 1 << 20, 600), less);
    assert_eq!(
        agreed(channels, frame, heartbeat),
        (channels, frame, heartbeat)
    );
}

#[test]
fn frames_too_small_for_amqp_are_refused_at_home() {
    let error = connect_error(&url(), ClientOptions::new().frame_max(4095));
    assert!(
        matches!(&error, Error::InvalidArgument(text) if text.contains("4096")),
        "{error}"
    );
}

#[test]
fn a_client_connects_again_after_a_close() {
    let mut session = Session::new();
    for _ in 0..3 {
        let queue = session.queue();
        session.publish(&queue, "a");
        assert_eq!(session.take(&queue).unwrap().body, "a");
        session.close().wait(&mut session).unwrap();
        assert!(!session.is_connected());
        let error = session.queue_declare("a").wait(&mut session).unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{error}");
        let error = session.close().wait(&mut session).unwrap_err();
        assert!(matches!(error, Error::NotConnected), "{error}");
        session.connect().wait(&mut session).unwrap();
    }
}

#[test]
fn a_second_connect_is_refused() {
    let mut session = Session::new();
    let error = session.connect().wait(&mut session).unwrap_err();
    assert!(matches!(error, Error::AlreadyConnected), "{error}");
    assert!(session.is_connected());
}

#[test]
fn requests_made_while_connecting_wait_for_it() {
    let mut client = new_client(&url()).unwrap();
    let connected = client.connect();
    let queue = crate::support::unique("early");
    let declared = client.queue_declare(&queue);
    let published = client.basic_publish("", "puka-nowhere", "a");
    client.wait(published).unwrap();
    client.wait(declared).unwrap();
    client.wait(connected).unwrap();
    client.queue_delete(&queue).wait(&mut client).unwrap();
}

#[test]
fn everything_open_fails_with_a_close_and_the_close_succeeds() {
    let mut session = Session::new();
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    session.queue_declare(&queue).wait(&mut session).unwrap();
    let closed = session.close();
    let late = session.queue_declare(&queue);
    session.wait(closed).unwrap();
    assert!(matches!(session.wait(late), Err(Error::Closed)));
    assert!(matches!(session.wait(consumer), Err(Error::Closed)));
}

#[test]
fn what_was_published_before_a_close_arrives() {
    let mut session = Session::new();
    let queue = session.queue();
    for _ in 0..100 {
        session.basic_publish("", &queue, "a");
    }
    session.close().wait(&mut session).unwrap();
    session.connect().wait(&mut session).unwrap();
    session.wait_for_messages(&queue, 100);
}

#[test]
fn a_client_that_is_dropped_writes_nothing_more() {
    let mut session = Session::new();
    let queue = session.queue();
    session.publish(&queue, "stays");
    let mut client = new_client(&url()).unwrap();
    client.connect().wait(&mut client).unwrap();
    let delivery = client.basic_get(&queue).wait(&mut client).unwrap();
    client.basic_ack(delivery.unwrap()).unwrap();
    for _ in 0..5 {
        client.basic_publish("", &queue, "lost");
    }
    drop(client);
    // The broker has it again when it has seen the end of the connection.
    session.wait_for_messages(&queue, 1);
    assert_eq!(session.take(&queue).unwrap().body, "stays");
}

#[test]
fn connect_sees_a_loss_that_nobody_was_told_of() {
    let mut session = Session::new();
    let queue = session.queue();
    let consumer = session.basic_consume(&queue);
    session.queue_declare(&queue).wait(&mut session).unwrap();
    cut(&session);
    assert!(session.is_connected());
    session.connect().wait(&mut session).unwrap();
    let error = session.wait(consumer).unwrap_err();
    assert!(matches!(error, Error::ConnectionBroken(_)), "{error}");
    session.publish(&queue, "a");
    assert_eq!(session.take(&queue).unwrap().body, "a");

    // What recovery is at is no lack of a connection.
    let options = ClientOptions::new().recovery(puka::Recovery::new());
    let mut recovering = Session::with(options);
    cut(&recovering);
    let error = recovering.connect().wait(&mut recovering).unwrap_err();
    assert!(matches!(error, Error::AlreadyConnected), "{error}");
    recovering.publish(&queue, "b");
}

#[test]
fn a_close_that_fails_leaves_no_connection_either() {
    let mut session = Session::new();
    cut(&session);
    let error = session.close().wait(&mut session).unwrap_err();
    assert!(error.is_connection_broken(), "{error}");
    session.connect().wait(&mut session).unwrap();
}

#[test]
fn a_publish_without_a_connection_is_surely_not_sent() {
    fn assert_not_sent(client: &mut Client) {
        let error = client.basic_publish("", "q", "a").wait(client).unwrap_err();
        assert!(
            matches!(&error, Error::NotSent(cause) if matches!(**cause, Error::NotConnected)),
            "{error}"
        );
        assert!(error.is_connection_broken());
    }

    assert_not_sent(&mut new_client(&url()).unwrap());
    let mut session = Session::new();
    session.close().wait(&mut session).unwrap();
    assert_not_sent(&mut session);
    session.connect().wait(&mut session).unwrap();
    cut(&session);
    session.sleep(LIMIT).unwrap_err();
    assert_not_sent(&mut session);
    session.connect().wait(&mut session).unwrap();
}

#[test]
fn a_close_while_connecting_ends_both() {
    let mut client = new_client(&url()).unwrap();
    let connected = client.connect();
    let closed = client.close();
    client.wait(closed).unwrap();
    assert!(matches!(client.wait(connected), Err(Error::Closed)));
    client.connect().wait(&mut client).unwrap();
}

#[test]
fn a_wrong_password_is_access_refused() {
    let error = connect_error(&url_with("guest:wrong", ""), ClientOptions::new());
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("wrong"), "{error}");
}

#[test]
fn an_unknown_vhost_is_not_allowed() {
    let error = connect_error(
        &url_with("guest:guest", "puka-no-such-vhost"),
        ClientOptions::new(),
    );
    assert!(matches!(error, Error::NotAllowed(_)), "{error}");
}

#[test]
fn a_name_that_means_nothing_is_an_error_of_the_promise() {
    let error = connect_error("amqp://no-such-host.invalid/", ClientOptions::new());
    assert!(
        matches!(error, Error::ConnectionBroken(Disconnect::Resolve { .. })),
        "{error}"
    );
    assert!(error.is_connection_broken());
}

#[test]
fn a_refused_connection_names_the_address() {
    let address = nobody();
    let error = connect_error(&format!("amqp://{address}/"), ClientOptions::new());
    assert!(
        matches!(error, Error::ConnectionBroken(Disconnect::Connect(_))),
        "{error}"
    );
    assert!(error.to_string().contains(&address), "{error}");
}

#[test]
fn a_peer_that_says_nothing_is_given_up_in_time() {
    let silent = Silent::new();
    let begun = now();
    let limit = Duration::from_millis(300);
    let error = connect_error(&silent.url, ClientOptions::new().connect_timeout(limit));
    assert!(
        matches!(error, Error::ConnectionBroken(Disconnect::TimedOut { .. })),
        "{error}"
    );
    assert!(now() - begun >= limit && now() - begun < LIMIT);
}

#[test]
fn what_is_no_url_is_an_error_at_once() {
    for url in ["", "http://localhost/", "amqp://localhost:x/"] {
        let error = new_client(url).unwrap_err();
        assert!(matches!(error, Error::InvalidUrl(_)), "{error}");
    }
}

#[test]
fn tls_where_it_is_not_compiled_in_is_an_error_that_says_how_to_get_it() {
    let client = new_client("amqps://localhost/");
    if cfg!(feature = "tls") {
        client.unwrap();
    } else {
        let error = client.unwrap_err().to_string();
        assert!(error.contains("features = [\"tls\"]"), "{error}");
    }
}

#[test]
fn heartbeats_keep_an_idle_connection() {
    let mut session = Session::with(ClientOptions::new().heartbeat(1));
    assert_eq!(session.connected().unwrap().heartbeat, 1);
    let queue = session.queue();
    let consumer = session.basic_consume(puka::Consume::new(&queue).no_ack(true));
    // The broker would give up a silent client in three intervals.
    assert_eq!(
        session
            .wait_timeout(consumer, Duration::from_secs(4))
            .unwrap(),
        None
    );
    session.publish(&queue, "a");
    assert_eq!(session.next(consumer).body, "a");
}
