//! Who logs in: the mechanisms PLAIN, AMQPLAIN and EXTERNAL.

use super::fault::erlang;
use super::host::HostSettings;
use super::{Fault, Turn};
use crate::wire::{ConnectionStartOk, FieldTable, FieldValue};

/// The user, once the password is right.
pub(super) fn log_in(
    turn: &Turn<'_>,
    host: &HostSettings,
    ok: &ConnectionStartOk<'_>,
) -> Result<String, Fault> {
    let mechanism = String::from_utf8_lossy(ok.mechanism);
    if !host.offers(&mechanism) {
        let text = format!("unknown authentication mechanism '{mechanism}'");
        return Err(Fault::connection(503, text));
    }
    let malformed = || {
        let text = format!("response {} invalid", erlang(ok.response));
        Fault::connection(502, text)
    };
    let refused = || {
        let text = format!(
            "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
        );
        Fault::connection(403, text)
    };
    let credentials = match &*mechanism {
        "PLAIN" => plain(ok.response),
        "AMQPLAIN" => amqplain(ok.response),
        // The certificate has said it.
        _ => return host.external_user.clone().ok_or_else(refused),
    };
    let (user, password) = credentials.ok_or_else(malformed)?;
    if turn.model.is_password(&user, &password) {
        Ok(user)
    } else {
        Err(refused())
    }
}

/// An authorization that is ignored, user and password, with a NUL between them.
fn plain(response: &[u8]) -> Option<(String, String)> {
    let text = str::from_utf8(response).ok()?;
    let mut parts = text.split('\0');
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    parts
        .next()
        .is_none()
        .then(|| (user.to_owned(), password.to_owned()))
}

/// A table's entries.
fn amqplain(response: &[u8]) -> Option<(String, String)> {
    let table = FieldTable::from_wire(bytes::Bytes::copy_from_slice(response));
    let text = |name| match table.get(name)? {
        FieldValue::LongString(text) => String::from_utf8(text.to_vec()).ok(),
        _ => None,
    };
    Some((text("LOGIN")?, text("PASSWORD")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_has_three_parts() {
        let guest = Some(("guest".into(), "secret".into()));
        assert_eq!(plain(b"\0guest\0secret"), guest);
        assert_eq!(plain(b"other\0guest\0secret"), guest);
        assert_eq!(plain(b"\0guest"), None);
        assert_eq!(plain(b"\0guest\0secret\0"), None);
    }

    #[test]
    fn amqplain_is_a_table() {
        let table = FieldTable::new()
            .with("LOGIN", "guest")
            .with("PASSWORD", "secret");
        let guest = Some(("guest".into(), "secret".into()));
        assert_eq!(amqplain(table.encoded()), guest);
        assert_eq!(amqplain(b"nonsense"), None);
    }
}
