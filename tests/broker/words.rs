//! The words of RabbitMQ's refusals. A program sees them, and so `puka::testing` says them, too.

use puka::{
    Client, ClientOptions, Consume, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, Message,
    Promise, QueueBind, QueueDeclare, QueueDelete,
};

use crate::support::{Broker, Session, is_rabbitmq_3, new_client};

/// What is there: a queue with a message and a limit, one that another connection has for itself, one that has an exclusive
/// consumer; a fanout exchange with a binding, and an internal one.
struct Names {
    queue: String,
    locked: String,
    taken: String,
    fanout: String,
    internal: String,
}

type Ask = fn(&mut Session, &Names) -> String;

/// Code and text, or whatever else it comes to.
fn words_of<T>(result: puka::Result<T>) -> String {
    match result {
        Ok(_) => "done".into(),
        Err(error) => match error.reply() {
            Some(reply) => format!("{}: {}", reply.code, reply.text),
            None => error.to_string(),
        },
    }
}

fn words<T: puka::PromiseValue>(session: &mut Session, promise: Promise<T>) -> String {
    words_of(session.wait(promise))
}

macro_rules! asked {
    ($($what:literal: |$session:ident, $names:ident| $promise:expr, $words:literal;)*) => {
        const TABLE: &[(&str, Ask, &str)] = &[
            $(($what, |$session, $names| { let promise = $promise; words($session, promise) }, $words),)*
        ];
    };
}

asked! {
    "a passive declare of no queue": |session, _names| session.queue_declare(QueueDeclare::new("NO").passive(true)), "404: NOT_FOUND - no queue 'NO' in vhost '/'";
    "a passive declare of no exchange": |session, _names| session.exchange_declare(ExchangeDeclare::fanout("NO").passive(true)), "404: NOT_FOUND - no exchange 'NO' in vhost '/'";
    "a purge of no queue": |session, _names| session.queue_purge("NO"), "404: NOT_FOUND - no queue 'NO' in vhost '/'";
    "a get from no queue": |session, _names| session.basic_get(Get::new("NO")), "404: NOT_FOUND - no queue 'NO' in vhost '/'";
    "a consumer of no queue": |session, _names| session.basic_consume("NO"), "404: NOT_FOUND - no queue 'NO' in vhost '/'";
    "a publish to no exchange": |session, _names| session.basic_publish("NO", "", "x"), "404: NOT_FOUND - no exchange 'NO' in vhost '/'";
    "a binding of no queue": |session, names| session.queue_bind(QueueBind::new("NO", &names.fanout)), "404: NOT_FOUND - no queue 'NO' in vhost '/'";
    "a binding to no exchange": |session, names| session.queue_bind(QueueBind::new(&names.queue, "NO")), "404: NOT_FOUND - no exchange 'NO' in vhost '/'";
    "a binding of neither": |session, _names| session.queue_bind(QueueBind::new("NO", "NOR")), "404: NOT_FOUND - no exchange 'NOR' in vhost '/'";
    "a binding of exchanges to none": |session, names| session.exchange_bind(ExchangeBind::new(&names.fanout, "NO")), "404: NOT_FOUND - no exchange 'NO' in vhost '/'";
    "a queue that is durable now": |session, names| session.queue_declare(QueueDeclare::new(&names.queue).durable(true)), "406: PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'QUEUE' in vhost '/': received 'true' but current is 'false'";
    "a queue that deletes itself now": |session, names| session.queue_declare(QueueDeclare::new(&names.queue).auto_delete(true).argument("x-max-length", 9)), "406: PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'QUEUE' in vhost '/': received 'true' but current is 'false'";
    "a queue that is exclusive now": |session, names| session.queue_declare(QueueDeclare::new(&names.queue).exclusive(true).argument("x-max-length", 9)), "405: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'QUEUE' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    "a queue without its argument": |session, names| session.queue_declare(QueueDeclare::new(&names.queue)), "406: PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'QUEUE' in vhost '/': received none but current is the value '9' of type 'signedint'";
    "a queue with another argument": |session, names| session.queue_declare(QueueDeclare::new(&names.queue).argument("x-max-length", 8)), "406: PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'QUEUE' in vhost '/': received '8' but current is '9'";
    "a queue with an argument of another type": |session, names| session.queue_declare(QueueDeclare::new(&names.queue).argument("x-max-length", "9")), "406: PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'QUEUE' in vhost '/': received '9' but current is '9'";
    "a queue with one more argument": |session, names| session.queue_declare(QueueDeclare::new(&names.queue).argument("x-max-length", 9).argument("x-message-ttl", 9)), "406: PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'QUEUE' in vhost '/': received the value '9' of type 'signedint' but current is none";
    "a queue with a negative limit": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-max-length", -1)), "406: PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'NEW' in vhost '/': {value_negative,-1}";
    "a queue with a limit in words": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-max-length", "many")), r#"406: PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'NEW' in vhost '/': "expected integer, got longstr""#;
    "a queue with an unknown overflow": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-overflow", "swim")), "406: PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'NEW' in vhost '/': invalid_overflow";
    "a queue with no time to expire": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-expires", 0)), "406: PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'NEW' in vhost '/': {value_zero,0}";
    "a queue with a negative time": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-message-ttl", -1)), "406: PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'NEW' in vhost '/': {value_negative,-1}";
    "a queue with a key for dead letters and no exchange": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-dead-letter-routing-key", "k")), "406: PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'NEW' in vhost '/': routing_key_but_no_dlx_defined";
    "a queue with an exchange that is no name": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-dead-letter-exchange", 5)), "406: PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'NEW' in vhost '/'";
    "a queue with too many priorities": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-max-priority", 256)), "406: PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'NEW' in vhost '/': {max_value_exceeded,256}";
    "a queue of an unknown type": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-queue-type", "cubic")), r#"406: PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'NEW' in vhost '/': "unsupported queue type 'cubic'""#;
    "a quorum queue that is not durable": |session, _names| session.queue_declare(QueueDeclare::new("NEW").argument("x-queue-type", "quorum")), "406: PRECONDITION_FAILED - invalid property 'non-durable' for queue 'NEW' in vhost '/'";
    "a quorum queue that is exclusive": |session, _names| session.queue_declare(QueueDeclare::new("NEW").durable(true).exclusive(true).argument("x-queue-type", "quorum")), "406: PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 'NEW' in vhost '/'";
    "a queue with a reserved name": |session, _names| session.queue_declare("amq.mine"), "403: ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'";
    "an exchange with a reserved name": |session, _names| session.exchange_declare("amq.mine"), "403: ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'";
    "an exchange of another type": |session, names| session.exchange_declare(ExchangeDeclare::topic(&names.fanout)), "406: PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'FANOUT' in vhost '/': received 'topic' but current is 'fanout'";
    "an exchange that is durable now": |session, names| session.exchange_declare(ExchangeDeclare::fanout(&names.fanout).durable(true)), "406: PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'FANOUT' in vhost '/': received 'true' but current is 'false'";
    "an exchange with one more argument": |session, names| session.exchange_declare(ExchangeDeclare::fanout(&names.fanout).argument("alternate-exchange", "a")), "406: PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'FANOUT' in vhost '/': received the value 'a' of type 'longstr' but current is none";
    "the default exchange, declared": |session, _names| session.exchange_declare(""), "403: ACCESS_REFUSED - operation not permitted on the default exchange";
    "the default exchange, deleted": |session, _names| session.exchange_delete(""), "403: ACCESS_REFUSED - operation not permitted on the default exchange";
    "the default exchange, bound": |session, names| session.queue_bind(QueueBind::new(&names.queue, "")), "403: ACCESS_REFUSED - operation not permitted on the default exchange";
    "an exchange of the broker's, deleted": |session, _names| session.exchange_delete("amq.direct"), "403: ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed";
    "an exchange in use": |session, names| session.exchange_delete(ExchangeDelete::new(&names.fanout).if_unused(true)), "406: PRECONDITION_FAILED - exchange 'FANOUT' in vhost '/' in use";
    "a queue in use": |session, names| session.queue_delete(QueueDelete::new(&names.taken).if_unused(true)), "406: PRECONDITION_FAILED - queue 'TAKEN' in vhost '/' in use";
    "a queue that is not empty": |session, names| session.queue_delete(QueueDelete::new(&names.queue).if_empty(true)), "406: PRECONDITION_FAILED - queue 'QUEUE' in vhost '/' not empty";
    "a publish to an internal exchange": |session, names| session.basic_publish(&names.internal, "", "x"), "403: ACCESS_REFUSED - cannot publish to internal exchange 'INTERNAL' in vhost '/'";
    "an expiration in words": |session, names| session.basic_publish("", &names.queue, Message::new("x").expiration("soon")), "406: PRECONDITION_FAILED - invalid expiration 'soon': no_integer";
    "a negative expiration": |session, names| session.basic_publish("", &names.queue, Message::new("x").expiration("-5")), "406: PRECONDITION_FAILED - invalid expiration '-5': {value_negative,-5}";
    "another user's message": |session, names| session.basic_publish("", &names.queue, Message::new("x").user_id("somebody")), "406: PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'";
    "a CC that is no list": |session, names| session.basic_publish("", &names.queue, Message::new("x").header("CC", 5)), r#"406: PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",signedint}"#;
    "a header match that is unknown": |session, names| session.queue_bind(QueueBind::new(&names.queue, "amq.headers").argument("x-match", "some")), r#"406: PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x"#;
    "a locked queue, declared": |session, names| session.queue_declare(QueueDeclare::new(&names.locked).exclusive(true)), "405: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'LOCKED' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    "a locked queue, asked for": |session, names| session.queue_declare(QueueDeclare::new(&names.locked).passive(true)), "405: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'LOCKED' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    "a locked queue, consumed": |session, names| session.basic_consume(&names.locked), "405: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'LOCKED' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    "a locked queue, read": |session, names| session.basic_get(&names.locked), "405: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'LOCKED' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    "a locked queue, deleted": |session, names| session.queue_delete(&names.locked), "405: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'LOCKED' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    "a locked queue, bound": |session, names| session.queue_bind(QueueBind::new(&names.locked, &names.fanout)), "405: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'LOCKED' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    "a queue that somebody consumes alone": |session, names| session.basic_consume(&names.taken), "403: ACCESS_REFUSED - queue 'TAKEN' in vhost '/' in exclusive use";
    "a queue that somebody consumes alone, read": |session, names| session.basic_get(&names.taken), "done";
    "a queue that others consume, alone": |session, names| session.basic_consume(Consume::new(&names.queue).exclusive(true)), "403: ACCESS_REFUSED - queue 'QUEUE' in vhost '/' in exclusive use";
    "a consumer with a priority in words": |session, names| session.basic_consume(Consume::new(&names.queue).argument("x-priority", "high")), r#"406: PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'QUEUE' in vhost '/': "expected integer, got longstr""#;
}

#[test]
fn refusals_are_in_these_words() {
    let mut other = Session::new();
    let names = Names {
        queue: other.name(),
        locked: other.name(),
        taken: other.queue(),
        fanout: other.name(),
        internal: other.name(),
    };
    let declares = [
        QueueDeclare::new(&names.queue).argument("x-max-length", 9),
        QueueDeclare::new(&names.locked).exclusive(true),
    ];
    for declare in declares {
        other.queue_declare(declare).wait(&mut other).unwrap();
    }
    let declares = [
        ExchangeDeclare::fanout(&names.fanout),
        ExchangeDeclare::fanout(&names.internal).internal(true),
    ];
    for declare in declares {
        other.exchange_declare(declare).wait(&mut other).unwrap();
    }
    let binding = QueueBind::new(&names.queue, &names.fanout);
    other.queue_bind(binding).wait(&mut other).unwrap();
    let kept = other.basic_consume(Consume::new(&names.queue).prefetch_count(1));
    let alone = other.basic_consume(Consume::new(&names.taken).exclusive(true));
    for queue in [&names.queue, &names.taken] {
        other.publish(queue, "first");
    }
    other.next(kept);
    other.next(alone);
    other.publish(&names.queue, "second");

    let mut wrong = Vec::new();
    for (what, ask, expected) in TABLE {
        let mut session = Session::new();
        let mut text = ask(&mut session, &names);
        let all = [
            (&names.queue, "QUEUE"),
            (&names.locked, "LOCKED"),
            (&names.taken, "TAKEN"),
            (&names.fanout, "FANOUT"),
            (&names.internal, "INTERNAL"),
        ];
        for (name, short) in all {
            text = text.replace(name.as_str(), short);
        }
        if text != *expected {
            wrong.push(format!("{what}:\n  {text}\n  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a connection, or a request, of a user who may not do everything comes to.
#[test]
fn refusals_of_logins_and_of_users_are_in_these_words() {
    let broker = Broker::start(&[]);
    broker.add_user("reader", "secret");
    broker.add_user("nobody", "secret");
    broker.set_permissions("reader", ["^mine", "^$", "^mine|^read"]);
    let mut owner = Session::at(&broker.url, ClientOptions::new());
    for queue in ["read", "other"] {
        owner.queue_declare(queue).wait(&mut owner).unwrap();
    }
    let url = |login: &str, vhost: &str| format!("amqp://{login}@{}/{vhost}", broker.host());
    let connect = |login: &str, vhost: &str| {
        let mut client = new_client(&url(login, vhost)).unwrap();
        let promise = client.connect();
        words_of(client.wait(promise))
    };
    let mut said = vec![
        connect("reader:wrong", ""),
        connect("stranger:secret", ""),
        connect("nobody:secret", ""),
        connect("reader:secret", "nowhere"),
    ];
    let mut ask = |ask: &dyn Fn(&mut Client) -> String| {
        let mut client = new_client(&url("reader:secret", "")).unwrap();
        client.connect().wait(&mut client).unwrap();
        said.push(ask(&mut client));
    };
    ask(&|client| words_of(client.queue_declare("new").wait(client)));
    ask(&|client| words_of(client.queue_declare("mine").wait(client)));
    ask(&|client| {
        words_of(
            client
                .queue_declare(QueueDeclare::new("other").passive(true))
                .wait(client),
        )
    });
    ask(&|client| words_of(client.queue_delete("other").wait(client)));
    ask(&|client| words_of(client.queue_purge("other").wait(client)));
    ask(&|client| words_of(client.basic_get("other").wait(client)));
    ask(&|client| words_of(client.basic_consume("other").wait(client)));
    ask(&|client| words_of(client.basic_get("read").wait(client)));
    ask(&|client| words_of(client.basic_publish("", "other", "x").wait(client)));
    ask(&|client| words_of(client.basic_publish("amq.topic", "", "x").wait(client)));
    ask(&|client| words_of(client.exchange_declare("new").wait(client)));
    ask(&|client| words_of(client.exchange_delete("amq.topic").wait(client)));
    ask(&|client| {
        words_of(
            client
                .queue_bind(QueueBind::new("mine", "amq.topic"))
                .wait(client),
        )
    });
    ask(&|client| {
        words_of(
            client
                .queue_bind(QueueBind::new("other", "amq.topic"))
                .wait(client),
        )
    });
    ask(&|client| {
        words_of(
            client
                .exchange_bind(ExchangeBind::new("amq.topic", "amq.direct"))
                .wait(client),
        )
    });
    let with_letters = QueueDeclare::new("mine2").argument("x-dead-letter-exchange", "dead");
    ask(&|client| words_of(client.queue_declare(with_letters.clone()).wait(client)));
    let with_other = ExchangeDeclare::fanout("mine3").argument("alternate-exchange", "dead");
    ask(&|client| words_of(client.exchange_declare(with_other.clone()).wait(client)));
    let expected = [
        "403: ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
        "403: ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
        "530: NOT_ALLOWED - access to vhost '/' refused for user 'nobody'",
        "530: NOT_ALLOWED - vhost nowhere not found",
        "403: ACCESS_REFUSED - configure access to queue 'new' in vhost '/' refused for user 'reader'",
        "done",
        "done",
        "403: ACCESS_REFUSED - configure access to queue 'other' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - read access to queue 'other' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - read access to queue 'other' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - read access to queue 'other' in vhost '/' refused for user 'reader'",
        "done",
        "403: ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - write access to exchange 'amq.topic' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - configure access to exchange 'new' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
        "403: ACCESS_REFUSED - write access to queue 'mine' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - write access to queue 'other' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - write access to exchange 'amq.topic' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - write access to exchange 'dead' in vhost '/' refused for user 'reader'",
        "403: ACCESS_REFUSED - write access to exchange 'dead' in vhost '/' refused for user 'reader'",
    ];
    for (said, expected) in said.iter().zip(expected) {
        // Since 4.0 it says which kind of access.
        let mut expected = expected.to_owned();
        if is_rabbitmq_3() {
            for kind in ["configure ", "read ", "write "] {
                expected = expected.replace(&format!("{kind}access"), "access");
            }
        }
        assert_eq!(*said, expected);
    }
    assert_eq!(said.len(), expected.len());
}
