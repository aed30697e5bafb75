//! What a simulation asks for.

use super::*;
use crate::testing::node::Death;

#[test]
fn a_poisoned_name_ends_the_connection_as_it_was_told() {
    for (death, said) in [
        (
            Death::Naming(541),
            &["0 connection.close INTERNAL_ERROR - something went wrong with bad 50.10"][..],
        ),
        (
            Death::NamingNothing(541),
            &["0 connection.close INTERNAL_ERROR - something went wrong with bad 0.0"],
        ),
        (Death::Wordless, &[]),
    ] {
        let mut world = World::new();
        let link = world.open();
        world.node.troubles().poison("bad", death);
        world.queue(link, "good");
        world.say(link, 1, &declare("bad"));
        assert_eq!(world.said(link), said);
        assert_eq!(world.node.is_done(link), death == Death::Wordless);
        assert_eq!(world.node.queue_names("/"), ["good"]);
    }
}

#[test]
fn a_queue_whose_node_is_down_is_not_found_until_it_is_up() {
    let mut world = World::new();
    let link = world.open();
    world.queue(link, "q");
    world.node.troubles().take_down("q", "its node is down");
    world.say(link, 1, &consume("q", "t"));
    let text = "1 channel.close NOT_FOUND - its node is down 60.20";
    assert_eq!(world.said(link), [text]);
    world.say(link, 1, &wire::ChannelCloseOk {});
    assert!(world.node.troubles().bring_up("q"));
    world.open_channel(link, 1);
    world.say(link, 1, &consume("q", "t"));
    assert_eq!(world.said(link), ["1 basic.consume-ok t"]);
}

#[test]
fn who_missed_his_heartbeats_is_noted() {
    let mut world = World::new();
    let link = world.open_with(10, 131_072, 2);
    world.pass(5);
    assert!(world.node.troubles().take_missed().is_empty());
    world.pass(1);
    let missed = world.node.troubles().take_missed();
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0].link, link);
}
