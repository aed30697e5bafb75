use super::*;

/// User, password, vhost, host, port and TLS: in the order of puka's own tests.
type Parts<'a> = (&'a str, &'a str, &'a str, &'a str, u16, bool);

#[track_caller]
fn assert_parts(url: &str, expected: Parts<'_>) {
    let parsed = AmqpUrl::parse(url).unwrap();
    let AmqpUrl {
        username,
        password,
        vhost,
        host,
        port,
        tls,
        ..
    } = &parsed;
    let parts: Parts<'_> = (username, password, vhost, host, *port, *tls);
    assert_eq!(parts, expected, "{url}");
}

#[track_caller]
fn error(url: &str) -> String {
    AmqpUrl::parse(url).unwrap_err()
}

/// The examples in puka's own documentation, in its order; `http://asd` is below.
#[test]
fn a_url_is_read_as_puka_reads_it() {
    let guest = |vhost, host| ("guest", "guest", vhost, host, 5672, false);
    for (url, parts) in [
        ("amqp:///", guest("/", "localhost")),
        ("amqp://a:b@c:1/d", ("a", "b", "d", "c", 1, false)),
        (
            "amqp://g%20uest:g%20uest@host/vho%20st",
            ("g uest", "g uest", "vho st", "host", 5672, false),
        ),
        ("amqp://host/%2f", guest("/", "host")),
        ("amqp://host/%2fabc", guest("/abc", "host")),
        ("amqp://host/", guest("/", "host")),
        ("amqp://host", guest("/", "host")),
        (
            "amqp://user:pass@host:10000/vhost",
            ("user", "pass", "vhost", "host", 10000, false),
        ),
        (
            "amqp://user%61:%61pass@ho%61st:10000/v%2fhost",
            ("usera", "apass", "v/host", "hoast", 10000, false),
        ),
        ("amqp://", guest("/", "localhost")),
        ("amqp://:@/", ("", "", "/", "localhost", 5672, false)),
        (
            "amqp://user@/",
            ("user", "guest", "/", "localhost", 5672, false),
        ),
        (
            "amqp://user:@/",
            ("user", "", "/", "localhost", 5672, false),
        ),
        ("amqp:///vhost", guest("vhost", "localhost")),
        ("amqp://host/%2f%2f", guest("//", "host")),
        // As kombu, Celery and others write it.
        ("amqp://host//", guest("/", "host")),
        ("amqp://[::1]", guest("/", "::1")),
        (
            "amqps://user:pass@host:10000/vhost",
            ("user", "pass", "vhost", "host", 10000, true),
        ),
    ] {
        assert_parts(url, parts);
    }
}

#[test]
fn amqps_has_a_port_of_its_own() {
    assert_parts("amqps://host", ("guest", "guest", "/", "host", 5671, true));
}

#[test]
fn the_scheme_is_of_any_case() {
    assert_parts("AMQPS://host", ("guest", "guest", "/", "host", 5671, true));
}

#[test]
fn an_ipv6_address_may_have_a_port_or_an_empty_one() {
    let expected = |port| ("guest", "guest", "v", "2001:db8::1", port, false);
    assert_parts("amqp://[2001:db8::1]:5673/v", expected(5673));
    assert_parts("amqp://[2001:db8::1]:/v", expected(5672));
}

#[test]
fn a_password_may_have_a_colon_and_an_at() {
    assert_parts(
        "amqp://u:p:a@ss@host",
        ("u", "p:a@ss", "/", "host", 5672, false),
    );
}

#[test]
fn text_is_utf_8_encoded_or_not() {
    assert_parts("amqp://é:%c3%A9@h/é", ("é", "é", "é", "h", 5672, false));
}

#[test]
fn the_host_may_be_any_that_the_system_resolves() {
    let expected = |host| ("guest", "guest", "/", host, 5672, false);
    assert_parts("amqp://my_rabbit-1", expected("my_rabbit-1"));
    assert_parts("amqp://127.0.0.1", expected("127.0.0.1"));
    assert_parts("amqp://rabbit.example.", expected("rabbit.example."));
    for name in ["rabbit.1", "rabbit.1.", "a.b.0x1g", "rabbit-1.2"] {
        assert_parts(&format!("amqp://{name}"), expected(name));
    }
    assert_parts("amqp://[fe80::1%25eth0]", expected("fe80::1%eth0"));
    assert_parts("amqp://[fe80::1%eth0]:", expected("fe80::1%eth0"));
    assert_eq!(
        parse_address("[fe80::1%25en-0]:5673"),
        Ok(("fe80::1%en-0".into(), Some(5673)))
    );
}

#[test]
fn each_error_says_what_is_wrong_and_what_is_right() {
    for (url, wrong) in [
        ("", "there is no :// in it"),
        ("localhost:5672", "there is no :// in it"),
        ("http://asd", "the scheme is neither amqp nor amqps"),
        ("://", "the scheme is neither amqp nor amqps"),
        ("amqp://host/\n", "there is a control character in it"),
        ("amqp://host/#top", "it has a fragment"),
        (
            "amqp://host/?heartbeat=10&x=1",
            "query parameter 2 (\"x\") is unknown; known are heartbeat",
        ),
        (
            "amqp://u:p@ss?word@host",
            "query parameter 1 is unknown; known are heartbeat",
        ),
        (
            "amqp://host/?heartbeat=1&heartbeat=2",
            "the query names heartbeat twice",
        ),
        ("amqp://host/?heartbeat", "heartbeat is no number"),
        (
            "amqp://host/?channel_max=65536",
            "channel_max is no number, or too large",
        ),
        (
            "amqp://host/?connection_timeout=-1",
            "connection_timeout is no number",
        ),
        (
            "amqp://host/?auth_mechanism=cram",
            "auth_mechanism is none of plain",
        ),
        (
            "amqp://host/?verify=verify_peer",
            "verify is of no use without TLS",
        ),
        (
            "amqps://host/?verify=yes",
            "verify is neither verify_peer nor verify_none",
        ),
        (
            "amqps://host/?certfile=a",
            "certfile and keyfile come together",
        ),
        ("amqp://host/a/b", "its path has more than one segment"),
        (
            "amqp://host//b",
            "its path has more than one segment; a / in a vhost is written %2f",
        ),
        ("amqp://host///", "its path has more than one segment"),
        ("amqp://host:port", "the port is not a number"),
        ("amqp://host:+1", "the port is not a number"),
        ("amqp://host:0", "the port is not from 1 to 65535"),
        ("amqp://host:65536", "the port is not from 1 to 65535"),
        ("amqp://ho st", "there is a blank in it"),
        (" amqp://host", "there is a blank in it"),
        ("amqp://host/ ", "there is a blank in it"),
        ("amqp://u:p p@host", "there is a blank in it"),
        ("amqp://host/\u{a0}", "there is a blank in it"),
        (
            "amqp://localhost:5720/sesame@host",
            "an @ comes after the first /",
        ),
        (
            "amqp://localhost:5720?sesame@host",
            "query parameter 1 is unknown; known are heartbeat",
        ),
        ("amqp://1.2.3.256", "the host is no name and no address"),
        ("amqp://1.2.3.4.5", "the host is no name and no address"),
        ("amqp://[fe80::1%25]", "the host is no name and no address"),
        (
            "amqp://[fe80::g%25eth0]",
            "the host is no name and no address",
        ),
        (
            "amqp://[fe80::1%25a%2fb]",
            "the host is no name and no address",
        ),
        ("amqp://ho%2fst", "the host is no name and no address"),
        ("amqp://::1", "the host is no name and no address"),
        ("amqp://[::g]", "the host is no name and no address"),
        ("amqp://[::1", "the host is no name and no address"),
        (
            "amqp://u%@host",
            "the user has a % without two hexadecimal digits",
        ),
        (
            "amqp://u:%4@host",
            "the password has a % without two hexadecimal digits",
        ),
        (
            "amqp://host/%+1",
            "the vhost has a % without two hexadecimal digits",
        ),
        (
            "amqp://host/%é",
            "the vhost has a % without two hexadecimal digits",
        ),
        ("amqp://host/%ff", "the vhost is not UTF-8 when decoded"),
        ("amqp://u%00:p@host", "the user has a zero byte"),
        ("amqp://u:%00p@host", "the password has a zero byte"),
    ] {
        let error = error(url);
        assert!(error.starts_with(wrong), "{url}: {error}");
        assert!(
            error.contains("amqp://user:password@host:5672/vhost"),
            "{error}"
        );
    }
}

#[test]
fn the_query_has_rabbitmqs_parameters() {
    let url = "amqps://host/v?heartbeat=7&connection_timeout=1500&channel_max=9&frame_max=8192&auth_mechanism=external\
               &auth_mechanism=plain&connection_name=a%20b+c&cacertfile=%2Fca.pem&certfile=c.pem&keyfile=k.pem\
               &verify=verify_none&server_name_indication=other";
    let url = AmqpUrl::parse(url).unwrap();
    let options = &url.options;
    assert_eq!((&*url.vhost, options.heartbeat), ("v", Some(7)));
    assert_eq!(options.connect_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(
        (options.channel_max, options.frame_max),
        (Some(9), Some(8192))
    );
    assert_eq!(
        options.auth_mechanisms,
        [AuthMechanism::External, AuthMechanism::Plain]
    );
    let name = options.client_properties.get("connection_name").unwrap();
    assert_eq!(name.as_str(), Some("a b c"));
    let tls = &options.tls;
    assert_eq!(tls.ca_file, Some("/ca.pem".into()));
    assert_eq!(tls.certificate_file, Some("c.pem".into()));
    assert_eq!(tls.key_file, Some("k.pem".into()));
    assert_eq!(tls.server_name.as_deref(), Some("other"));
    assert_eq!(tls.accept_any_certificate, Some(true));
    let url = AmqpUrl::parse("amqp://host/?connection_name=me@home").unwrap();
    let name = url.options.client_properties.get("connection_name");
    assert_eq!(name.unwrap().as_str(), Some("me@home"));
    assert_parts(
        "amqp://u:p@host/v%40w",
        ("u", "p", "v@w", "host", 5672, false),
    );
    assert_parts("amqp://host?", ("guest", "guest", "/", "host", 5672, false));
}

#[test]
fn what_the_code_says_wins_over_the_url() {
    let url =
        AmqpUrl::parse("amqp://host/?heartbeat=7&frame_max=8192&connection_name=url").unwrap();
    let options = ClientOptions::new()
        .heartbeat(3)
        .connection_name("code")
        .or(url.options);
    assert_eq!(
        (options.heartbeat, options.frame_max),
        (Some(3), Some(8192))
    );
    let name = options.client_properties.get("connection_name").unwrap();
    assert_eq!(name.as_str(), Some("code"));
}

#[test]
fn user_and_vhost_have_255_bytes_at_most_and_a_password_may_have_more() {
    let (most, more) = ("%41".repeat(255), "%41".repeat(256));
    let (decoded, token) = ("A".repeat(255), "A".repeat(256));
    assert_parts(
        &format!("amqp://{most}:{more}@host/{most}"),
        (&decoded, &token, &decoded, "host", 5672, false),
    );
    for (url, what) in [
        (format!("amqp://{more}@host"), "the user has 256 bytes"),
        (format!("amqp://host/{more}"), "the vhost has 256 bytes"),
    ] {
        assert!(error(&url).starts_with(what), "{}", error(&url));
    }
}

/// Whatever is put together from these is a URL or an error, and the error does not show the secret: what stands
/// before an `@`.
#[test]
fn no_text_is_too_strange_and_no_error_shows_a_password() {
    const PIECES: [&str; 20] = [
        "amqp://", "amqps:", "sesame", ":", "@", "/", "?", "#", "%", "%2f", "%ff", "[", "]", "::1",
        "5672", "99999", "é", "\0", " ", ".",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..100_000 {
        let mut url = String::from("amqp://");
        for _ in 0..8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            url += PIECES[(state % 20) as usize];
        }
        url += "@host";
        for url in [&*url, &url["amqp://".len()..]] {
            if let Err(error) = AmqpUrl::parse(url) {
                assert!(!error.contains("sesame"), "{url:?}: {error}");
            }
        }
    }
}

#[test]
fn debug_shows_no_password() {
    let url = AmqpUrl::parse("amqp://me:sesame@host/").unwrap();
    assert!(!format!("{url:?} {url:#?}").contains("sesame"));
}
