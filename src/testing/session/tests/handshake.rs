//! From the protocol header to `connection.open-ok`.

use super::*;
use crate::testing::model::Permissions;

/// The node says that, and nothing is open.
#[track_caller]
fn refused(world: &mut World, link: LinkId, said: &[&str]) {
    assert_eq!(world.said(link), said);
    assert!(world.node.open_links().is_empty());
}

/// Three seconds of silence, then the end.
#[track_caller]
fn silence(world: &mut World, link: LinkId) {
    assert!(!world.node.wants_read(link) && !world.node.is_done(link));
    world.pass(2);
    assert!(!world.node.is_done(link));
    world.pass(1);
    assert!(world.node.is_done(link));
    assert_eq!(world.said(link), Vec::<String>::new());
}

#[test]
fn a_client_logs_in_by_each_mechanism_byte_by_byte() {
    let amqplain = FieldTable::new()
        .with("LOGIN", "guest")
        .with("PASSWORD", "guest");
    let mut world = World::new();
    world.host.mechanisms = "PLAIN AMQPLAIN EXTERNAL".into();
    world.host.external_user = Some("guest".into());
    for (mechanism, response) in [
        ("PLAIN", &b"\0guest\0guest"[..]),
        ("AMQPLAIN", amqplain.encoded()),
        ("EXTERNAL", b""),
    ] {
        let link = world.connect();
        world.start_ok(link, mechanism, response);
        assert_eq!(world.said(link), ["0 connection.tune 2047 131072 60"]);
        let tune = wire::ConnectionTuneOk {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
        };
        for byte in method_frame(0, &tune) {
            world.send(link, &[byte]);
        }
        world.open_vhost(link, "/");
        assert_eq!(world.said(link), ["0 connection.open-ok"], "{mechanism}");
        assert!(world.node.open_links().contains(&link));
    }
}

#[test]
fn all_of_a_handshake_may_come_at_once() {
    let mut world = World::new();
    let link = world.node.accept(world.now, &world.host.clone());
    let ok = wire::ConnectionStartOk {
        mechanism: b"PLAIN",
        response: b"\0guest\0guest",
        ..Default::default()
    };
    let tune = wire::ConnectionTuneOk {
        channel_max: 1,
        frame_max: 4096,
        heartbeat: 0,
    };
    let open = wire::ConnectionOpen {
        virtual_host: b"/",
        ..Default::default()
    };
    let mut bytes = PROTOCOL_HEADER.to_vec();
    bytes.extend(method_frame(0, &ok));
    bytes.extend(method_frame(0, &tune));
    bytes.extend(method_frame(0, &open));
    world.send(link, &bytes);
    let said = world.said(link);
    assert_eq!(
        said,
        [
            "0 connection.start",
            "0 connection.tune 2047 131072 60",
            "0 connection.open-ok"
        ]
    );
}

#[test]
fn another_protocol_is_answered_with_the_right_one() {
    let mut world = World::new();
    for (version, answer) in [("3.13.7", PROTOCOL_HEADER), ("4.0.5", b"AMQP\x03\x01\0\0")] {
        world.host.version = version.into();
        let link = world.node.accept(world.now, &world.host);
        world.send(link, b"HTTP/1.1");
        assert!(!world.node.is_done(link), "the answer is still to be sent");
        assert_eq!(world.node.take_output(link, 100), answer);
        assert!(world.node.is_done(link));
    }
}

#[test]
fn who_shakes_no_hands_is_cut_off() {
    let mut world = World::new();
    let link = world.connect();
    world.pass(9);
    assert!(!world.node.is_done(link));
    world.pass(1);
    assert!(world.node.is_done(link));
}

#[test]
fn a_wrong_password_is_told_to_who_can_take_it() {
    let mut world = World::new();
    let link = world.connect();
    world.start_ok(link, "PLAIN", b"\0guest\0wrong");
    let text = "0 connection.close ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see \
                the broker logfile. 0.0";
    refused(&mut world, link, &[text]);
    silence(&mut world, link);

    world.capabilities = &[];
    let link = world.connect();
    world.start_ok(link, "PLAIN", b"\0guest\0wrong");
    refused(&mut world, link, &[]);
    silence(&mut world, link);
}

#[test]
fn what_makes_no_sense_before_the_login_is_met_with_silence() {
    let mut world = World::new();
    for (mechanism, response) in [("FOO", &b""[..]), ("PLAIN", b"junk")] {
        let link = world.connect();
        world.start_ok(link, mechanism, response);
        refused(&mut world, link, &[]);
        silence(&mut world, link);
    }
    let link = world.connect();
    world.open_vhost(link, "/");
    silence(&mut world, link);
    // Limits that were not proposed.
    for (channel_max, frame_max) in [
        (3000, 131_072),
        (0, 131_072),
        (10, 100),
        (10, 200_000),
        (10, 0),
    ] {
        let link = world.tuned(channel_max, frame_max, 0);
        silence(&mut world, link);
    }
}

#[test]
fn a_virtual_host_that_is_not_there_or_not_the_users_is_refused_in_words() {
    let mut world = World::new();
    let link = world.tuned(10, 131_072, 0);
    world.open_vhost(link, "nope");
    let text = "0 connection.close NOT_ALLOWED - vhost nope not found 10.40";
    refused(&mut world, link, &[text]);
    world.say(link, 0, &wire::ConnectionCloseOk {});
    assert!(world.node.is_done(link));

    world.node.add_user("me", "mine");
    let link = world.connect();
    world.start_ok(link, "PLAIN", b"\0me\0mine");
    world.tune_ok(link, 10, 131_072, 0);
    world.said(link);
    world.open_vhost(link, "/");
    let text = "0 connection.close NOT_ALLOWED - access to vhost '/' refused for user 'me' 10.40";
    assert_eq!(world.said(link), [text]);

    let all = || ".*".to_owned();
    let permissions = Permissions {
        configure: all(),
        write: all(),
        read: all(),
    };
    world.node.add_vhost("other");
    world
        .node
        .set_permissions("me", "other", permissions)
        .unwrap();
    let link = world.connect();
    world.start_ok(link, "PLAIN", b"\0me\0mine");
    world.tune_ok(link, 10, 131_072, 0);
    world.said(link);
    world.open_vhost(link, "other");
    assert_eq!(world.said(link), ["0 connection.open-ok"]);
}

#[test]
fn a_close_before_open_is_out_of_place() {
    let mut world = World::new();
    let link = world.tuned(10, 131_072, 0);
    world.say(link, 0, &close());
    let text =
        "0 connection.close CHANNEL_ERROR - unexpected method in connection state opening 10.50";
    refused(&mut world, link, &[text]);
}
