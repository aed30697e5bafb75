//! The others: each as its own documentation and examples advise for speed, and where they are silent, as was quickest.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_lite::{StreamExt, future::poll_once};
use tokio::{runtime::Builder, sync::Notify};

use puka_bench::{IN_FLIGHT, Job, Meter, PREFETCH, Work};

/// As many of lapin's futures are begun together; more would only take memory.
const PIECE: usize = 100;

/// Begins what is waited for later, as a `FuturesOrdered` would; `finish` gives its result.
async fn begin<F: Future>(future: F) -> Result<F::Output, Pin<Box<F>>> {
    let mut future = Box::pin(future);
    poll_once(&mut future).await.ok_or(future)
}

async fn finish<F: Future>(begun: Result<F::Output, Pin<Box<F>>>) -> F::Output {
    match begun {
        Ok(output) => output,
        Err(future) => future.await,
    }
}

/// How many there are in each piece of `messages`.
fn pieces(messages: usize, piece: usize) -> impl Iterator<Item = usize> {
    (0..messages)
        .step_by(piece)
        .map(move |done| piece.min(messages - done))
}

/// lapin. The loop of its README, which awaits each publish and ack until that is written, costs a switch between threads
/// for each; so many are begun before they are awaited, as its promises allow. `current_thread` takes the least CPU.
fn lapin(job: &Job) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime
        .expect("tokio")
        .block_on(run_lapin(job))
        .expect("lapin");
}

async fn run_lapin(job: &Job) -> lapin::Result<()> {
    use lapin::options::*;
    use lapin::types::FieldTable;
    use lapin::{BasicProperties, Connection, ConnectionProperties};

    // Without `%2f` the vhost would have no name.
    let url = format!("amqp://{}/%2f", job.address());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = &connection.create_channel().await?;
    let body = &vec![b'x'; job.size][..];
    let publish = || {
        let (options, properties) = Default::default();
        let _: &BasicProperties = &properties;
        channel.basic_publish("".into(), "bench".into(), options, body, properties)
    };
    let declare = |passive| {
        let options = QueueDeclareOptions {
            passive,
            ..Default::default()
        };
        channel.queue_declare("bench".into(), options, FieldTable::default())
    };
    if matches!(job.work, Work::Confirm | Work::Wait) {
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
    }
    match job.work {
        Work::Confirm => {
            publish().await?.await?;
            let meter = Meter::start();
            let mut in_flight = VecDeque::with_capacity(IN_FLIGHT);
            for count in pieces(job.messages, PIECE) {
                while in_flight.len() > IN_FLIGHT - PIECE {
                    in_flight.pop_front().expect("one").await?;
                }
                let mut begun = Vec::with_capacity(PIECE);
                for _ in 0..count {
                    begun.push(begin(publish()).await);
                }
                for publish in begun {
                    in_flight.push_back(finish(publish).await?);
                }
            }
            for confirm in in_flight {
                confirm.await?;
            }
            meter.stop(job);
        }
        Work::Publish => {
            publish().await?;
            let meter = Meter::start();
            for count in pieces(job.messages, PIECE) {
                let mut begun = Vec::with_capacity(PIECE);
                for _ in 0..count {
                    begun.push(begin(publish()).await);
                }
                for publish in begun {
                    finish(publish).await?;
                }
            }
            declare(true).await?;
            meter.stop(job);
        }
        Work::Wait => {
            publish().await?.await?;
            let meter = Meter::start();
            for _ in 0..job.messages {
                publish().await?.await?;
            }
            meter.stop(job);
        }
        Work::Ack | Work::AckPlain | Work::NoAck => {
            let no_ack = job.work == Work::NoAck;
            channel
                .basic_qos(PREFETCH, BasicQosOptions::default())
                .await?;
            let options = BasicConsumeOptions {
                no_ack,
                ..Default::default()
            };
            let mut consumer = channel
                .basic_consume(
                    job.queue().into(),
                    "bench".into(),
                    options,
                    FieldTable::default(),
                )
                .await?;
            let first = consumer.next().await.expect("a delivery")?;
            if !no_ack {
                first.ack(BasicAckOptions::default()).await?;
            }
            let meter = Meter::start();
            let mut acks = Vec::with_capacity(PIECE);
            for _ in 0..job.messages {
                let delivery = consumer.next().await.expect("a delivery")?;
                if !no_ack {
                    let ack = async move { delivery.ack(BasicAckOptions::default()).await };
                    acks.push(begin(ack).await);
                }
                if acks.len() == PIECE {
                    for ack in acks.drain(..) {
                        finish(ack).await?;
                    }
                }
            }
            for ack in acks {
                finish(ack).await?;
            }
            meter.stop(job);
            std::process::exit(0);
        }
        Work::ConfirmMany | Work::AckMany | Work::Fill => panic!("that is for puka to do"),
        Work::Declare => {
            let meter = Meter::start();
            for count in pieces(job.messages, IN_FLIGHT) {
                let mut begun = Vec::with_capacity(IN_FLIGHT);
                for _ in 0..count {
                    begun.push(begin(declare(false)).await);
                }
                for declare in begun {
                    finish(declare).await?;
                }
            }
            meter.stop(job);
        }
    }
    Ok(())
}

/// amqprs. Confirms come to a `ChannelCallback`, deliveries by `basic_consume_rx`, which has no boxed future for each. A
/// declare is one at a time: another on the same channel would take its place. `current_thread` takes the least CPU, but
/// without acks its reader would leave the consumer no turn.
fn amqprs(job: &Job) {
    let mut builder = match job.work {
        Work::NoAck => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().expect("tokio");
    runtime.block_on(run_amqprs(job)).expect("amqprs");
}

type AmqprsResult<T> = std::result::Result<T, amqprs::error::Error>;

/// The highest tag that was confirmed.
#[derive(Default)]
struct Confirmed {
    tag: AtomicU64,
    changed: Notify,
}

impl Confirmed {
    async fn wait(&self, tag: u64) {
        while self.tag.load(Ordering::Acquire) < tag {
            self.changed.notified().await;
        }
    }
}

struct Confirms(Arc<Confirmed>);

/// What `#[async_trait]` makes of the callbacks, which are all done at once.
macro_rules! callbacks {
    ($($name:ident($this:ident $(, $argument:ident: $type:ty)*) -> $output:ty { $($body:tt)* })*) => {$(
        fn $name<'a, 'b, 'c>(
            &'a mut self,
            _: &'b amqprs::channel::Channel,
            $($argument: $type),*
        ) -> Pin<Box<dyn Future<Output = $output> + Send + 'c>>
        where
            'a: 'c,
            'b: 'c,
            Self: 'c,
        {
            let $this = self;
            Box::pin(async move { $($body)* })
        }
    )*};
}

impl amqprs::callbacks::ChannelCallback for Confirms {
    callbacks! {
        publish_ack(this, ack: amqprs::Ack) -> () {
            this.0.tag.fetch_max(ack.delivery_tag(), Ordering::Release);
            this.0.changed.notify_one();
        }
        publish_nack(_this, _nack: amqprs::Nack) -> () { panic!("a nack") }
        publish_return(
            _this, _return: amqprs::Return, _properties: amqprs::BasicProperties, _body: Vec<u8>
        ) -> () { panic!("a return") }
        close(_this, _close: amqprs::CloseChannel) -> AmqprsResult<()> { panic!("closed") }
        cancel(_this, _cancel: amqprs::Cancel) -> AmqprsResult<()> { Ok(()) }
        flow(_this, _active: bool) -> AmqprsResult<bool> { Ok(true) }
    }
}

async fn run_amqprs(job: &Job) -> AmqprsResult<()> {
    use amqprs::BasicProperties;
    use amqprs::channel::*;
    use amqprs::connection::{Connection, OpenConnectionArguments};

    let (host, port) = job.address().split_once(':').expect("host and port");
    let port = port.parse().expect("a port");
    let arguments = OpenConnectionArguments::new(host, port, "guest", "guest");
    let connection = Connection::open(&arguments).await?;
    let channel = connection.open_channel(None).await?;
    let body = vec![b'x'; job.size];
    let to = BasicPublishArguments::new("", "bench");
    let publish = || channel.basic_publish(BasicProperties::default(), body.clone(), to.clone());
    let declare = |passive| {
        channel.queue_declare(
            QueueDeclareArguments::new("bench")
                .passive(passive)
                .finish(),
        )
    };
    match job.work {
        Work::Confirm | Work::Wait => {
            let confirmed = Arc::new(Confirmed::default());
            channel
                .register_callback(Confirms(confirmed.clone()))
                .await?;
            channel
                .confirm_select(ConfirmSelectArguments::default())
                .await?;
            publish().await?;
            confirmed.wait(1).await;
            let half = if job.work == Work::Wait {
                0
            } else {
                IN_FLIGHT as u64 / 2
            };
            let last = job.messages as u64 + 1;
            let meter = Meter::start();
            for tag in 2..=last {
                publish().await?;
                if tag % half.max(1) == 0 {
                    confirmed.wait(tag - half).await;
                }
            }
            confirmed.wait(last).await;
            meter.stop(job);
        }
        Work::Publish => {
            publish().await?;
            let meter = Meter::start();
            for _ in 0..job.messages {
                publish().await?;
            }
            declare(true).await?;
            meter.stop(job);
        }
        Work::Ack | Work::AckPlain | Work::NoAck => {
            let no_ack = job.work == Work::NoAck;
            channel
                .basic_qos(BasicQosArguments::new(0, PREFETCH, false))
                .await?;
            let mut arguments = BasicConsumeArguments::new(&job.queue(), "bench");
            let arguments = arguments.manual_ack(!no_ack).finish();
            let (_, mut deliveries) = channel.basic_consume_rx(arguments).await?;
            let mut meter = None;
            // One more, the first.
            for _ in 0..=job.messages {
                let delivery = deliveries.recv().await.expect("a delivery");
                if !no_ack {
                    let tag = delivery.deliver.expect("it is there").delivery_tag();
                    channel
                        .basic_ack(BasicAckArguments::new(tag, false))
                        .await?;
                }
                meter.get_or_insert_with(Meter::start);
            }
            meter.expect("started").stop(job);
            std::process::exit(0);
        }
        Work::ConfirmMany | Work::AckMany | Work::Fill => panic!("that is for puka to do"),
        Work::Declare => {
            let meter = Meter::start();
            for _ in 0..job.messages {
                declare(false).await?;
            }
            meter.stop(job);
        }
    }
    Ok(())
}

/// amiquip. Confirms go through its smoother, as in its example. Its documentation says that a larger bound of the channel
/// to its thread may be quicker for what is asynchronous: it is, but for large bodies, which would only pile up there.
fn amiquip(job: &Job) {
    run_amiquip(job).expect("amiquip");
}

fn run_amiquip(job: &Job) -> amiquip::Result<()> {
    use amiquip::*;

    let tuning = match job.size {
        ..4096 => ConnectionTuning::default().mem_channel_bound(IN_FLIGHT),
        _ => ConnectionTuning::default(),
    };
    let mut connection = Connection::insecure_open_tuned(&job.url, tuning)?;
    let channel = connection.open_channel(None)?;
    let exchange = Exchange::direct(&channel);
    let body = vec![b'x'; job.size];
    let publish = || exchange.publish(Publish::new(&body, "bench"));
    match job.work {
        Work::Confirm | Work::Wait => {
            let confirms = channel.listen_for_publisher_confirms()?;
            channel.enable_publisher_confirms()?;
            let mut smoother = ConfirmSmoother::new();
            let mut wait = || {
                let confirm = confirms.recv().expect("a confirm");
                smoother.process(confirm).count()
            };
            publish()?;
            wait();
            let limit = if job.work == Work::Wait { 1 } else { IN_FLIGHT };
            let mut in_flight = 0;
            let meter = Meter::start();
            for _ in 0..job.messages {
                publish()?;
                in_flight += 1;
                if in_flight == limit {
                    while in_flight > limit / 2 {
                        in_flight -= wait();
                    }
                }
            }
            while in_flight > 0 {
                in_flight -= wait();
            }
            meter.stop(job);
        }
        Work::Publish => {
            publish()?;
            let meter = Meter::start();
            for _ in 0..job.messages {
                publish()?;
            }
            channel.queue_declare_passive("bench")?;
            meter.stop(job);
        }
        Work::Ack | Work::AckPlain | Work::NoAck => {
            let no_ack = job.work == Work::NoAck;
            channel.qos(0, PREFETCH, false)?;
            let options = ConsumerOptions {
                no_ack,
                ..Default::default()
            };
            let consumer = channel.basic_consume(job.queue(), options)?;
            let mut meter = None;
            // One more, the first.
            for message in consumer.receiver().iter().take(job.messages + 1) {
                let ConsumerMessage::Delivery(delivery) = message else {
                    panic!("{message:?}");
                };
                if !no_ack {
                    consumer.ack(delivery)?;
                }
                meter.get_or_insert_with(Meter::start);
            }
            meter.expect("started").stop(job);
            std::process::exit(0);
        }
        Work::ConfirmMany | Work::AckMany | Work::Fill => panic!("that is for puka to do"),
        Work::Declare => {
            let meter = Meter::start();
            for _ in 0..job.messages {
                channel.queue_declare("bench", QueueDeclareOptions::default())?;
            }
            meter.stop(job);
        }
    }
    Ok(())
}

fn main() {
    let (library, job) = Job::from_arguments();
    match library.as_str() {
        "lapin" => lapin(&job),
        "amqprs" => amqprs(&job),
        "amiquip" => amiquip(&job),
        _ => panic!("unknown library {library}"),
    }
}
