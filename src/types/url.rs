//! `amqp://user:password@host:port/vhost?name=value`, as RabbitMQ's [URI
//! specification](https://www.rabbitmq.com/docs/uri-spec) and its [query
//! parameters](https://www.rabbitmq.com/docs/uri-query-parameters) have it, with puka's two liberties: every part has a
//! default, and an empty vhost is `/`.
//!
//! The `url` crate checks the host. The rest is cut by hand: that crate does not decode, and refuses URLs without a
//! host, which puka takes. No error shows any part of the URL, for there may be a password in it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use url::{Host, ParseError, form_urlencoded};

use crate::types::client_options::{AuthMechanism, ClientOptions};

/// Every query parameter, for the error that lists them.
const PARAMETERS: &str = "heartbeat (seconds), connection_timeout (milliseconds), channel_max, frame_max, \
    auth_mechanism (plain, amqplain or external; may be repeated), connection_name, and for amqps:// cacertfile, \
    certfile, keyfile, verify (verify_peer or verify_none), server_name_indication";

/// Where to connect, and as whom. `Debug` does not show the password.
#[derive(Clone)]
pub(crate) struct AmqpUrl {
    pub(crate) tls: bool,
    /// An IPv6 address is without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Whether the URL names a user, or the default does.
    pub(crate) has_login: bool,
    pub(crate) vhost: String,
    /// What the query says.
    pub(crate) options: ClientOptions,
}

impl AmqpUrl {
    /// The error says what is wrong, and what a URL looks like.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        Self::cut(url).map_err(|wrong| {
            format!("{wrong} (a URL looks like amqp://user:password@host:5672/vhost)")
        })
    }

    fn cut(url: &str) -> Result<Self, String> {
        if url.contains(char::is_control) {
            return Err("there is a control character in it, a line break perhaps".into());
        }
        if url.contains(char::is_whitespace) {
            return Err("there is a blank in it; a blank in a part is written %20".into());
        }
        let (scheme, rest) = url.split_once("://").ok_or("there is no :// in it")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "amqp" => false,
            "amqps" => true,
            _ => return Err("the scheme is neither amqp nor amqps".into()),
        };
        if rest.contains('#') {
            return Err("it has a fragment; a # in a part is written %23".into());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        // Else what is meant for a password would be a vhost, and part of a login a host to connect to.
        if path.contains('@') {
            return Err(
                "an @ comes after the first /; in a user or password a / is written %2f, and in a vhost an @ is written \
                 %40"
                    .into(),
            );
        }
        let options = parse_query(query, tls)?;
        let vhost = parse_path(path)?;
        let has_login = authority.contains('@');
        let (login, address) = authority.rsplit_once('@').unwrap_or(("guest", authority));
        let (username, password) = login.split_once(':').unwrap_or((login, "guest"));
        let (host, port) = parse_address(address)?;
        Ok(Self {
            tls,
            host,
            port: port.unwrap_or(if tls { 5671 } else { 5672 }),
            username: short(decode_login(username, "user")?, "user")?,
            // A token may be long.
            password: decode_login(password, "password")?,
            has_login,
            options,
            vhost,
        })
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpUrl")
            .field("tls", &self.tls)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("username", &self.username)
            .field("vhost", &self.vhost)
            .finish_non_exhaustive()
    }
}

/// The vhost. Many programs write `/`, the default one, unencoded: `amqp://host//`.
fn parse_path(path: &str) -> Result<String, String> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" | "/" => Ok("/".into()),
        segments if segments.contains('/') => Err(
            "its path has more than one segment; a / in a vhost is written %2f, so the vhost a/b is /a%2fb, and /a is \
             /%2fa"
                .into(),
        ),
        vhost => short(decode(vhost, "vhost")?, "vhost"),
    }
}

fn parse_query(query: &str, tls: bool) -> Result<ClientOptions, String> {
    let mut options = ClientOptions::default();
    let mut seen: Vec<String> = Vec::new();
    for (index, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
        let value = value.into_owned();
        if name != "auth_mechanism" && seen.iter().any(|other| *other == name) {
            return Err(format!("the query names {name} twice"));
        }
        let is_tls = matches!(
            &*name,
            "cacertfile" | "certfile" | "keyfile" | "verify" | "server_name_indication"
        );
        if is_tls && !tls {
            return Err(format!(
                "{name} is of no use without TLS: the scheme for that is amqps"
            ));
        }
        match &*name {
            "heartbeat" => options.heartbeat = Some(number(&name, &value)?),
            "channel_max" => options.channel_max = Some(number(&name, &value)?),
            "frame_max" => options.frame_max = Some(number(&name, &value)?),
            "connection_timeout" => {
                options.connect_timeout = Some(Duration::from_millis(number(&name, &value)?));
            }
            "auth_mechanism" => options.auth_mechanisms.push(mechanism(&value)?),
            "connection_name" => options = options.connection_name(value),
            "cacertfile" => options.tls.ca_file = Some(value.into()),
            "certfile" => options.tls.certificate_file = Some(value.into()),
            "keyfile" => options.tls.key_file = Some(value.into()),
            "server_name_indication" => options.tls.server_name = Some(value),
            "verify" => match &*value {
                "verify_peer" => options.tls.accept_any_certificate = Some(false),
                "verify_none" => options.tls.accept_any_certificate = Some(true),
                _ => return Err("verify is neither verify_peer nor verify_none".into()),
            },
            name => {
                // With an @ behind it, it may be the rest of a password.
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
                let which = if !query.contains('@') && name.chars().all(is_name) {
                    format!("{} ({name:?})", index + 1)
                } else {
                    format!("{}", index + 1)
                };
                return Err(format!(
                    "query parameter {which} is unknown; known are {PARAMETERS}; a ? in a part is written %3f"
                ));
            }
        }
        seen.push(name.into_owned());
    }
    if options.tls.certificate_file.is_some() != options.tls.key_file.is_some() {
        return Err("certfile and keyfile come together or not at all".into());
    }
    Ok(options)
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name} is no number, or too large a one"))
}

fn mechanism(value: &str) -> Result<AuthMechanism, String> {
    let known = [
        AuthMechanism::Plain,
        AuthMechanism::AmqPlain,
        AuthMechanism::External,
    ];
    known
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(value))
        .ok_or_else(|| "auth_mechanism is none of plain, amqplain and external".into())
}

/// `host`, `host:port`, or an IPv6 address in brackets; each may be missing.
pub(crate) fn parse_address(address: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (address, ""),
    };
    let port = match port {
        "" => None,
        _ if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse() {
            Ok(port @ 1..) => Some(port),
            _ => return Err("the port is not from 1 to 65535".into()),
        },
        _ => {
            return Err(
                "the port is not a number; a : or @ in a part is written %3a or %40".into(),
            );
        }
    };
    let host = match host {
        "" => "localhost".into(),
        host => parse_host(host)
            .map_err(|error| format!("the host is no name and no address: {error}"))?,
    };
    Ok((host, port))
}

/// A name or an address, which the `url` crate knows by the rules of browsers, and decodes; and what those do not know.
fn parse_host(host: &str) -> Result<String, ParseError> {
    if let Some((address, zone)) = zoned(host) {
        let Host::Ipv6(address) = Host::parse(&format!("{address}]"))? else {
            return Err(ParseError::InvalidIpv6Address);
        };
        return Ok(format!("{address}%{zone}"));
    }
    let error = match Host::parse(host) {
        Ok(Host::Domain(name)) => return Ok(name),
        Ok(Host::Ipv4(address)) => return Ok(address.to_string()),
        Ok(Host::Ipv6(address)) => return Ok(address.to_string()),
        Err(error) => error,
    };
    // A browser takes every host that ends in a number for an IPv4 address, and rabbit.1 is none.
    if error == ParseError::InvalidIpv4Address
        && host.contains(|c: char| !c.is_ascii_digit() && c != '.')
        && let Ok(Host::Domain(name)) = Host::parse(&format!("{host}.name"))
        && let Some(name) = name.strip_suffix(".name")
    {
        return Ok(name.to_owned());
    }
    Err(error)
}

/// An IPv6 address of one link, up to the zone that says which: `[fe80::1%25eth0]`, by RFC 6874, or `[fe80::1%eth0]`.
fn zoned(host: &str) -> Option<(&str, &str)> {
    let (address, zone) = host.strip_suffix(']')?.split_once('%')?;
    let zone = zone.strip_prefix("25").unwrap_or(zone);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~');
    (address.starts_with('[') && !zone.is_empty() && zone.chars().all(is_plain))
        .then_some((address, zone))
}

/// PLAIN, the login mechanism, sets the user and the password apart by a zero byte.
fn decode_login(text: &str, what: &str) -> Result<String, String> {
    let text = decode(text, what)?;
    if text.contains('\0') {
        return Err(format!("the {what} has a zero byte"));
    }
    Ok(text)
}

/// What AMQP has only a short string for.
fn short(text: String, what: &str) -> Result<String, String> {
    match text.len() {
        0..=255 => Ok(text),
        len => Err(format!("the {what} has {len} bytes; 255 are the most")),
    }
}

/// Undoes percent-encoding.
fn decode(text: &str, what: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(format!(
                "the {what} has a % without two hexadecimal digits after it; a % is written %25"
            ));
        };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| format!("the {what} is not UTF-8 when decoded"))
}

#[cfg(test)]
mod tests {
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
            "amqp://", "amqps:", "sesame", ":", "@", "/", "?", "#", "%", "%2f", "%ff", "[", "]",
            "::1", "5672", "99999", "é", "\0", " ", ".",
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
}
