//! Logins, and what a URL says of them.

use puka::{AuthMechanism, Client, ClientOptions, Error};

use crate::support::{Broker, Session, new_client_with, unique, url};

pub(crate) fn connect(url: &str, options: ClientOptions) -> puka::Result<Client> {
    let mut client = new_client_with(url, options)?;
    client.connect().wait(&mut client)?;
    Ok(client)
}

#[test]
fn user_and_password_go_by_either_mechanism() {
    for mechanism in [AuthMechanism::Plain, AuthMechanism::AmqPlain] {
        let options = || ClientOptions::new().auth_mechanisms([mechanism]);
        Session::with(options());
        let wrong = url().replace("amqp://", "amqp://guest:wrong@");
        let error = connect(&wrong, options()).unwrap_err();
        assert!(matches!(error, Error::AccessRefused(_)), "{error}");
        assert!(!error.is_connection_broken());
    }
    connect(
        &format!("{}?auth_mechanism=amqplain", url()),
        ClientOptions::new(),
    )
    .unwrap();
}

#[test]
fn a_mechanism_that_the_broker_does_not_offer_is_named_with_those_it_does() {
    let options = ClientOptions::new().auth_mechanisms([AuthMechanism::External]);
    let error = connect(&url(), options).unwrap_err();
    let Error::NoMechanism { offered, allowed } = &error else {
        panic!("{error}");
    };
    assert_eq!(allowed, "EXTERNAL");
    // Which others the broker offers, and in what order, is its own business.
    assert!(
        offered.split(' ').any(|offered| offered == "PLAIN"),
        "{error}"
    );
}

#[test]
fn where_only_one_mechanism_is_offered_that_one_is_used() {
    let broker = Broker::start(&["auth_mechanisms.1 = AMQPLAIN"]);
    Session::at(&broker.url, ClientOptions::new());
}

#[test]
fn a_long_token_goes_through_the_login() {
    let broker = Broker::start(&[]);
    let token = "t".repeat(2000);
    broker.add_user("long", &token);
    broker.set_permissions("long", [".*", ".*", ".*"]);
    let url = broker
        .url
        .replace("amqp://", &format!("amqp://long:{token}@"));
    connect(&url, ClientOptions::new()).unwrap();
}

#[test]
fn the_urls_query_is_in_force_and_the_code_wins() {
    let name = unique("name");
    let url = format!(
        "{}?heartbeat=7&channel_max=33&frame_max=8192&connection_name={name}",
        url()
    );
    let client = connect(&url, ClientOptions::new()).unwrap();
    let connected = client.connected().unwrap();
    assert_eq!(
        (
            connected.heartbeat,
            connected.channel_max,
            connected.frame_max
        ),
        (7, 33, 8192)
    );
    let client = connect(&url, ClientOptions::new().heartbeat(3)).unwrap();
    assert_eq!(client.connected().unwrap().heartbeat, 3);
    let error = connect(
        &format!("{}?hartbeat=7", crate::support::url()),
        ClientOptions::new(),
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("query parameter 1 (\"hartbeat\") is unknown; known are heartbeat"),
        "{error}"
    );
}

/// Users in RabbitMQ's own database have no tokens that expire; the broker says what it makes of a new secret.
#[test]
fn a_new_secret_is_told() {
    let mut session = Session::new();
    let queue = session.queue();
    let updated = session.update_secret("guest", "a test");
    session.wait(updated).unwrap();
    session.publish(&queue, "x");
    session.close().wait(&mut session).unwrap();
    session.connect().wait(&mut session).unwrap();
}
