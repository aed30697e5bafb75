//! Other threads, at work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use puka::{Client, Consume, Delivery, Handle, Promise, Result};

use crate::support::Session;

#[test]
fn nothing_is_lost_with_eight_threads_calling_at_once() {
    const THREADS: usize = 8;
    const CALLS: usize = 2_000;
    let mut session = Session::new();
    let queue = session.queue();
    let handle = session.handle().unwrap();
    let ran = Arc::new(Mutex::new(vec![0; THREADS]));
    let confirmed = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (handle, queue) = (handle.clone(), queue.clone());
            let (ran, confirmed) = (ran.clone(), confirmed.clone());
            thread::spawn(move || {
                for call in 0..CALLS {
                    let (queue, ran, confirmed) = (queue.clone(), ran.clone(), confirmed.clone());
                    let publish = move |client: &mut Client| {
                        let mut ran = ran.lock().unwrap();
                        // In the order of each thread's calls.
                        assert_eq!(ran[thread], call);
                        ran[thread] += 1;
                        client.basic_publish("", &queue, "x").then(
                            client,
                            move |client, _, result| {
                                result.unwrap();
                                let count = confirmed.fetch_add(1, Ordering::Relaxed) + 1;
                                if count == THREADS * CALLS {
                                    client.loop_break();
                                }
                            },
                        );
                    };
                    handle.run(publish).unwrap();
                }
            })
        })
        .collect();
    session.loop_forever().unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(confirmed.load(Ordering::Relaxed), THREADS * CALLS);
    session.wait_for_messages(&queue, (THREADS * CALLS) as u32);
}

#[test]
fn a_loop_that_sleeps_is_woken_up_and_ended() {
    let mut session = Session::new();
    let handle = session.handle().unwrap();
    let (sender, inside) = channel();
    let breaker = thread::spawn(move || {
        inside.recv().unwrap();
        handle.loop_break().unwrap();
    });
    session
        .handle()
        .unwrap()
        .run(move |_| sender.send(()).unwrap())
        .unwrap();
    session.loop_forever().unwrap();
    breaker.join().unwrap();
}

#[test]
fn several_clients_in_one_loop_are_woken_up_too() {
    let (mut one, mut two) = (Session::new(), Session::new());
    let handle = two.handle().unwrap();
    let breaker = thread::spawn(move || handle.loop_break().unwrap());
    puka::loop_forever(&mut [&mut one, &mut two]).unwrap();
    breaker.join().unwrap();
}

/// Workers that take deliveries to their threads and have the client acknowledge them.
#[test]
fn worker_threads_acknowledge_through_the_handle() {
    const MESSAGES: u32 = 100;
    let mut session = Session::new();
    let queue = session.queue();
    for _ in 0..MESSAGES {
        session.basic_publish("", &queue, "work");
    }
    let handle = session.handle().unwrap();
    let (sender, work) = channel::<Delivery>();
    let work = Arc::new(Mutex::new(work));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (handle, work): (Handle, _) = (handle.clone(), work.clone());
            thread::spawn(move || {
                loop {
                    let Ok(delivery) = work.lock().unwrap().recv() else {
                        return;
                    };
                    handle
                        .run(move |client| client.basic_ack(delivery).unwrap())
                        .unwrap();
                }
            })
        })
        .collect();
    let mut left = MESSAGES;
    let on_delivery = move |client: &mut Client, _: Promise<Delivery>, result: Result<Delivery>| {
        let Ok(delivery) = result else { return };
        sender.send(delivery).unwrap();
        left -= 1;
        if left == 0 {
            client.loop_break();
        }
    };
    let consumer = session.basic_consume(Consume::new(&queue).prefetch_count(10));
    consumer.for_each(&mut session, on_delivery);
    session.loop_forever().unwrap();
    session.basic_cancel(consumer).wait(&mut session).unwrap();
    // The callback, and the work's other end with it, goes when it has been told of the end.
    while session.wait(consumer).is_ok() {}
    for worker in workers {
        worker.join().unwrap();
    }
    session.run_any_callbacks();
    session.close().wait(&mut session).unwrap();
    let mut session = Session::new();
    session.wait_for_messages(&queue, 0);
}
