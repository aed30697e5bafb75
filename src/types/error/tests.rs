use super::*;

fn reply(code: u16, text: &str) -> Reply {
    Reply {
        code,
        text: text.into(),
        class_id: 50,
        method_id: 10,
        from_broker: true,
    }
}

#[test]
fn every_code_has_its_name() {
    for (code, name) in [
        (311, "ContentTooLarge"),
        (313, "NoConsumers"),
        (320, "ConnectionForced"),
        (402, "InvalidPath"),
        (403, "AccessRefused"),
        (404, "NotFound"),
        (405, "ResourceLocked"),
        (406, "PreconditionFailed"),
        (501, "FrameError"),
        (502, "SyntaxError"),
        (503, "CommandInvalid"),
        (504, "ChannelError"),
        (505, "UnexpectedFrame"),
        (506, "ResourceError"),
        (530, "NotAllowed"),
        (540, "NotImplemented"),
        (541, "InternalError"),
        (599, "Other"),
    ] {
        let error = Error::from_reply(reply(code, "WHY - because"));
        assert!(format!("{error:?}").starts_with(name), "{error:?}");
        assert_eq!(error.reply_code(), Some(code));
        assert_eq!(
            error.to_string(),
            format!("WHY - because ({code}, queue.declare)")
        );
        let wrapped = Error::OutcomeUnknown(Box::new(error));
        assert_eq!(wrapped.reply().map(|reply| reply.code), Some(code));
    }
}

#[test]
fn a_connection_is_broken_by_a_shutdown_and_by_nonsense_too() {
    let ours = |code| Reply {
        from_broker: false,
        ..reply(code, "nonsense")
    };
    for (error, is_broken) in [
        (Error::ConnectionBroken(Disconnect::Eof), true),
        (Error::UnsupportedProtocol("HTTP".into()), true),
        (Error::from_reply(reply(320, "CONNECTION_FORCED")), true),
        (Error::NotConnected, true),
        (Error::from_reply(ours(503)), true),
        (Error::from_reply(reply(503, "COMMAND_INVALID")), false),
        (Error::from_reply(reply(404, "NOT_FOUND")), false),
        (Error::Closed, false),
    ] {
        assert_eq!(error.is_connection_broken(), is_broken, "{error}");
        let wrapped = Error::NotSent(Box::new(error));
        assert_eq!(wrapped.is_connection_broken(), is_broken, "{wrapped}");
    }
}

#[test]
fn a_network_that_fails_is_not_the_peers_doing() {
    let io = |kind: io::ErrorKind| Disconnect::Io(Arc::new(kind.into()));
    assert!(Disconnect::Eof.is_by_peer() && io(io::ErrorKind::ConnectionReset).is_by_peer());
    assert!(!io(io::ErrorKind::TimedOut).is_by_peer());
    assert!(!io(io::ErrorKind::HostUnreachable).is_by_peer());
}
