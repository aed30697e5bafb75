//! Logins, and what a URL says of them.

use puka::{AuthMechanism, Client, ClientOptions, Error};

use crate::support::{Broker, Session, unique, url};

fn connect(url: &str, options: ClientOptions) -> puka::Result<Client> {
    let mut client = Client::with_options(url, options)?;
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
    broker.eval(&format!(
        "rabbit_auth_backend_internal:add_user(<<\"long\">>, <<\"{token}\">>, <<\"test\">>)."
    ));
    broker.eval("rabbit_auth_backend_internal:set_permissions(<<\"long\">>, <<\"/\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>).");
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

/// A broker that takes JSON web tokens, signed with a key that only it knows.
fn broker_of_tokens() -> Broker {
    let conf = ["auth_backends.1 = rabbit_auth_backend_oauth2"];
    let broker = Broker::start_with(&conf, "rabbitmq_auth_backend_oauth2");
    broker.eval(
        "application:set_env(rabbitmq_auth_backend_oauth2, resource_server_id, <<\"rabbitmq\">>), \
         application:set_env(rabbitmq_auth_backend_oauth2, key_config, [{default_key, <<\"k\">>}, {signing_keys, \
         #{<<\"k\">> => {map, #{<<\"kty\">> => <<\"oct\">>, <<\"alg\">> => <<\"HS256\">>, <<\"k\">> => \
         base64:encode(<<\"secret\">>)}}}}]).",
    );
    broker
}

/// A token that lasts for so many seconds.
fn token(broker: &Broker, seconds: u32) -> String {
    let made = broker.eval(&format!(
        "E = fun(B) -> B1 = binary:replace(base64:encode(B), <<\"+\">>, <<\"-\">>, [global]), B2 = binary:replace(B1, \
         <<\"/\">>, <<\"_\">>, [global]), binary:replace(B2, <<\"=\">>, <<>>, [global]) end, \
         X = integer_to_binary(os:system_time(second) + {seconds}), \
         H = E(<<\"{{\\\"alg\\\":\\\"HS256\\\",\\\"kid\\\":\\\"k\\\",\\\"typ\\\":\\\"JWT\\\"}}\">>), \
         P = E(<<\"{{\\\"aud\\\":[\\\"rabbitmq\\\"],\\\"sub\\\":\\\"me\\\",\\\"scope\\\":[\\\"rabbitmq.read:*/*\\\",\
         \\\"rabbitmq.write:*/*\\\",\\\"rabbitmq.configure:*/*\\\"],\\\"exp\\\":\", X/binary, \"}}\">>), \
         S = E(crypto:mac(hmac, sha256, <<\"secret\">>, <<H/binary, \".\", P/binary>>)), \
         binary_to_list(<<H/binary, \".\", P/binary, \".\", S/binary>>)."
    ));
    // {ok, "the token"}
    made.split('"').nth(1).expect("a token").to_owned()
}

#[test]
fn a_token_that_expires_is_renewed() {
    let broker = broker_of_tokens();
    let url = |token: &str| {
        broker
            .url
            .replace("amqp://", &format!("amqp://me:{token}@"))
    };
    let brief = token(&broker, 6);
    let mut renewed = connect(&url(&brief), ClientOptions::new()).unwrap();
    let mut neglected = connect(&url(&brief), ClientOptions::new()).unwrap();
    let update = renewed.update_secret(token(&broker, 3600), "the old one expires");
    renewed.wait(update).unwrap();
    // Once it has expired the broker refuses whatever the other one asks for.
    let until = std::time::Instant::now() + crate::support::LIMIT;
    let mut asked = 0;
    let error = loop {
        asked += 1;
        let name = format!("asked-{asked}");
        if let Err(error) = neglected.queue_declare(name).wait(&mut neglected) {
            break error;
        }
        assert!(std::time::Instant::now() < until, "it does not expire");
        neglected
            .sleep(std::time::Duration::from_millis(100))
            .unwrap();
    };
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    let _ = neglected.close().wait(&mut neglected);
    renewed.queue_declare("mine").wait(&mut renewed).unwrap();
    // Later logins use the new one.
    renewed.close().wait(&mut renewed).unwrap();
    renewed.connect().wait(&mut renewed).unwrap();
    let error = neglected.connect().wait(&mut neglected).unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    assert!(!format!("{renewed:?} {error}").contains(&brief));
}
