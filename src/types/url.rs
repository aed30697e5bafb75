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
            name => return Err(unknown(index, name, query)),
        }
        seen.push(name.into_owned());
    }
    if options.tls.certificate_file.is_some() != options.tls.key_file.is_some() {
        return Err("certfile and keyfile come together or not at all".into());
    }
    Ok(options)
}

/// Which parameter is unknown; its name only if that cannot be the rest of a password with an @ behind it.
fn unknown(index: usize, name: &str, query: &str) -> String {
    let which = index + 1;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = match !query.contains('@') && name.chars().all(is_name) {
        true => format!(" ({name:?})"),
        false => String::new(),
    };
    format!(
        "query parameter {which}{name} is unknown; known are {PARAMETERS}; a ? in a part is written %3f"
    )
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
mod tests;
