//! What there is at the broker: which queues and exchanges, and what is special about each.

use puka::{ExchangeDeclare, QueueDeclare};

/// Durable, and nobody deletes or empties them: no message that is in one gets lost.
pub(crate) const CALM: &[&str] = &["calm-1", "calm-2"];
/// Deleted, purged, declared anew in another shape, by anybody.
pub(crate) const WILD: &[&str] = &["wild-1", "wild-2", "wild-3"];
/// Five messages; the sixth is refused.
pub(crate) const FULL: &str = "full";
/// Five messages; the sixth drives the first out, which is dead-lettered.
pub(crate) const SHORT: &str = "short";
/// Messages live for two seconds, and are dead-lettered then.
pub(crate) const MORTAL: &str = "mortal";
/// Where dead letters come.
pub(crate) const DEAD: &str = "dead";
/// A quorum queue; the third return is too much.
pub(crate) const QUORUM: &str = "quorum";
/// With a single active consumer.
pub(crate) const SINGLE: &str = "single";
/// Goes after five seconds without use.
pub(crate) const FLEETING: &str = "fleeting";
/// For one connection.
pub(crate) const OWN: &str = "own";
/// Goes with its last consumer.
pub(crate) const TEMPORARY: &str = "temporary";
/// Somebody may answer there, or nobody.
pub(crate) const SERVICE: &str = "service";
/// Whoever declares it, or consumes from it, or publishes with it as the correlation id, is thrown out.
pub(crate) const DEADLY: &[&str] = &["deadly-1", "deadly-2", "deadly-3"];

/// Exchanges that come and go. Two have names that the broker's text does not tell apart.
pub(crate) const EXCHANGES: &[&str] = &["x", "y", LONG[0], LONG[1]];
const LONG: [&str; 2] = [
    "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\
     eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-1",
    "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\
     eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-2",
];
/// Goes with its last binding.
pub(crate) const SELF_DELETED: &str = "self-deleted";
/// Nobody may publish to it.
pub(crate) const INTERNAL: &str = "internal";
/// What is dead goes there, and from there to [`DEAD`].
const DEAD_LETTERS: &str = "dead-letters";

/// Queues that are there when it begins, and that a restart does not take.
pub(crate) fn fixed_queues() -> Vec<QueueDeclare> {
    let calm = CALM
        .iter()
        .map(|&name| QueueDeclare::new(name).durable(true));
    let dead = |queue: QueueDeclare| queue.argument("x-dead-letter-exchange", DEAD_LETTERS);
    let mut queues: Vec<QueueDeclare> = calm.collect();
    queues.extend([
        QueueDeclare::new(FULL)
            .durable(true)
            .argument("x-max-length", 5)
            .argument("x-overflow", "reject-publish"),
        dead(
            QueueDeclare::new(SHORT)
                .durable(true)
                .argument("x-max-length", 5),
        ),
        dead(
            QueueDeclare::new(MORTAL)
                .durable(true)
                .argument("x-message-ttl", 2000),
        ),
        QueueDeclare::new(DEAD).durable(true),
        dead(quorum()),
        single(),
        QueueDeclare::new(SERVICE).durable(true),
    ]);
    queues
}

fn quorum() -> QueueDeclare {
    QueueDeclare::new(QUORUM)
        .durable(true)
        .argument("x-queue-type", "quorum")
        .argument("x-delivery-limit", 3)
}

fn single() -> QueueDeclare {
    QueueDeclare::new(SINGLE)
        .durable(true)
        .argument("x-single-active-consumer", true)
}

/// A queue of that name in the shape that it always has; none for those whose shape changes.
pub(crate) fn shape_of(name: &str) -> QueueDeclare {
    match name {
        OWN => QueueDeclare::new(OWN).exclusive(true),
        TEMPORARY => QueueDeclare::new(TEMPORARY).auto_delete(true),
        FLEETING => QueueDeclare::new(FLEETING).argument("x-expires", 5000),
        name => {
            let mut fixed = fixed_queues().into_iter();
            let position = names_of_fixed().iter().position(|&it| it == name);
            let shape = position.and_then(|index| fixed.nth(index));
            shape.unwrap_or_else(|| QueueDeclare::new(name).durable(true))
        }
    }
}

/// In the order of [`fixed_queues`].
pub(crate) fn names_of_fixed() -> Vec<&'static str> {
    let mut names = CALM.to_vec();
    names.extend([FULL, SHORT, MORTAL, DEAD, QUORUM, SINGLE, SERVICE]);
    names
}

pub(crate) fn fixed_exchanges() -> Vec<ExchangeDeclare> {
    vec![
        ExchangeDeclare::fanout(DEAD_LETTERS).durable(true),
        ExchangeDeclare::fanout(INTERNAL)
            .durable(true)
            .internal(true),
    ]
}

/// Queues and the exchanges that they are bound to.
pub(crate) const FIXED_BINDINGS: &[(&str, &str)] = &[(DEAD, DEAD_LETTERS)];
