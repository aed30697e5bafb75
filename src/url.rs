//! `amqp://user:password@host:port/vhost`, as RabbitMQ's [URI specification](https://www.rabbitmq.com/docs/uri-spec) has
//! it, with puka's two liberties: every part has a default, and an empty vhost is `/`.
//!
//! The `url` crate checks the host. The rest is cut by hand: that crate does not decode, and refuses URLs without a
//! host, which puka takes. No error shows the URL, for there may be a password in it.

use std::fmt;

use url::Host;

/// Where to connect, and as whom. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AmqpUrl {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tls,
            host,
            port,
            username,
            vhost,
            ..
        } = self;
        write!(
            f,
            "amqp{}://{username}@{host}:{port}/{vhost}",
            if *tls { "s" } else { "" }
        )
    }
}

impl AmqpUrl {
    /// The error says what is wrong.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("it should look like amqp://user:password@host:port/vhost")?;
        let tls = match scheme {
            "amqp" => false,
            "amqps" => true,
            _ => return Err("only amqp:// and amqps:// are supported".into()),
        };
        if rest.contains('#') {
            return Err("it may have no fragment; a # in a part is written %23".into());
        }
        if rest.contains('?') {
            return Err(
                "it has a query, but no query parameter is known; options are set in ClientOptions"
                    .into(),
            );
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('/') {
            return Err("the vhost is one path segment; a / in it is written %2f".into());
        }
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let has_login = authority.contains('@');
        let (username, password) = match login.split_once(':') {
            Some((username, password)) => {
                (decode(username, "user")?, decode(password, "password")?)
            }
            None if has_login => (decode(login, "user")?, "guest".into()),
            None => ("guest".into(), "guest".into()),
        };
        let (host, port) = parse_address(address)?;
        let vhost = if path.is_empty() {
            "/".into()
        } else {
            decode(path, "vhost")?
        };
        for (part, what) in [(&username, "user"), (&vhost, "vhost")] {
            if part.len() > 255 {
                return Err(format!(
                    "the {what} has {} bytes, and may have 255",
                    part.len()
                ));
            }
        }
        let port = port.unwrap_or(if tls { 5671 } else { 5672 });
        Ok(Self {
            tls,
            host,
            port,
            username,
            password,
            vhost,
        })
    }
}

/// `host`, `host:port`, or an IPv6 address in brackets; each may be missing.
fn parse_address(address: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    };
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(
            port.parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or("the port should be from 1 to 65535")?,
        ),
        Some(_) => return Err("the port should be a number; a : in a part is written %3a".into()),
    };
    if host.is_empty() {
        return Ok(("localhost".into(), port));
    }
    match Host::parse(host) {
        Ok(Host::Domain(name)) => Ok((name, port)),
        Ok(Host::Ipv4(address)) => Ok((address.to_string(), port)),
        Ok(Host::Ipv6(address)) => Ok((address.to_string(), port)),
        Err(error) => Err(format!("the host is none: {error}")),
    }
}

/// Undoes percent-encoding.
fn decode(text: &str, what: &str) -> Result<String, String> {
    let bad = || {
        format!(
            "the {what} has a % that is not followed by two hexadecimal digits; a % itself is %25"
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = tail.split_first_chunk::<2>().ok_or_else(bad)?;
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or_else(bad);
        // Two hexadecimal digits are a byte.
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| format!("the {what} is not UTF-8 when decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(
        tls: bool,
        username: &str,
        password: &str,
        vhost: &str,
        host: &str,
        port: u16,
    ) -> Result<AmqpUrl, String> {
        let [username, password, vhost, host] = [username, password, vhost, host].map(String::from);
        Ok(AmqpUrl {
            tls,
            host,
            port,
            username,
            password,
            vhost,
        })
    }

    /// The examples in puka's own documentation; only the port of amqps:// is another.
    #[test]
    fn a_url_is_read_as_puka_reads_it() {
        let guest = |vhost, host| url(false, "guest", "guest", vhost, host, 5672);
        for (text, expected) in [
            ("amqp:///", guest("/", "localhost")),
            ("amqp://a:b@c:1/d", url(false, "a", "b", "d", "c", 1)),
            (
                "amqp://g%20uest:g%20uest@host/vho%20st",
                url(false, "g uest", "g uest", "vho st", "host", 5672),
            ),
            ("amqp://host/%2f", guest("/", "host")),
            ("amqp://host/%2fabc", guest("/abc", "host")),
            ("amqp://host/", guest("/", "host")),
            ("amqp://host", guest("/", "host")),
            (
                "amqp://user:pass@host:10000/vhost",
                url(false, "user", "pass", "vhost", "host", 10000),
            ),
            (
                "amqp://user%61:%61pass@ho%61st:10000/v%2fhost",
                url(false, "usera", "apass", "v/host", "hoast", 10000),
            ),
            ("amqp://", guest("/", "localhost")),
            ("amqp://:@/", url(false, "", "", "/", "localhost", 5672)),
            (
                "amqp://user@/",
                url(false, "user", "guest", "/", "localhost", 5672),
            ),
            (
                "amqp://user:@/",
                url(false, "user", "", "/", "localhost", 5672),
            ),
            ("amqp:///vhost", guest("vhost", "localhost")),
            ("amqp://host/%2f%2f", guest("//", "host")),
            ("amqp://[::1]", guest("/", "::1")),
            (
                "amqp://[::1]:5673/v",
                url(false, "guest", "guest", "v", "::1", 5673),
            ),
            (
                "amqps://user:pass@host:10000/vhost",
                url(true, "user", "pass", "vhost", "host", 10000),
            ),
            (
                "amqps://host",
                url(true, "guest", "guest", "/", "host", 5671),
            ),
        ] {
            assert_eq!(AmqpUrl::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_an_error_that_shows_no_password() {
        let long = format!("amqp://secret:secret@host/{}", "v".repeat(256));
        for text in [
            "http://secret:secret@host",
            "secret",
            "",
            "amqp:secret@host",
            "amqp://secret:secret@host:port/",
            "amqp://secret:secret@host:0/",
            "amqp://secret:secret@host:65536/",
            "amqp://secret:secret@ho st/",
            "amqp://secret:secret@[::g]/",
            "amqp://secret:secret%@host/",
            "amqp://secret:secret%4@host/",
            "amqp://secret:secret%zz@host/",
            "amqp://secret:secret%ff@host/",
            "amqp://secret:secret@host/a/b",
            "amqp://secret:secret@host/?secret=1",
            "amqp://secret:secret@host/#secret",
            &long,
        ] {
            let error = AmqpUrl::parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let url = AmqpUrl::parse("amqp://me:secret@host/").unwrap();
        assert_eq!(format!("{url:?}"), "amqp://me@host:5672//");
    }
}
