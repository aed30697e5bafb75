"""pika, as its documentation and examples advise.

For throughput that is `SelectConnection` with callbacks (the examples
`asynchronous_publisher_example` and `asynchronous_consumer_example`),
without their timers and logging. `BlockingConnection` costs as much or
more, and waits for each confirm. The plain loop is the generator
`BlockingChannel.consume` (`blocking_consumer_generator`). A channel has
one declare under way, and further ones queue up in it: a thousand at
once are a thousand channels.

pika_client.py WORK BYTES MESSAGES URL
"""

import functools
import os
import resource
import sys
import time

import pika

IN_FLIGHT = 1000
PREFETCH = 500
BUFFERED = 8 << 20


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """What was measured between its making and `stop`, which exits."""

    def __init__(self):
        self.begun, self.cpu = time.perf_counter(), cpu()

    def stop(self, messages):
        wall_s, cpu_s = time.perf_counter() - self.begun, cpu() - self.cpu
        with open('/proc/self/status') as status:
            # ru_maxrss would count the parent's.
            peak_kib = next(int(line.split()[1]) for line in status
                            if line.startswith('VmHWM'))
        print(
            f'{{"messages": {messages}, "wall_s": {wall_s:.6f}, '
            f'"cpu_us_per_message": {cpu_s * 1e6 / messages:.4f}, '
            f'"messages_per_s": {messages / wall_s:.0f}, '
            f'"peak_kib": {peak_kib}}}',
            flush=True,
        )
        os._exit(0)


def on_closed(_closed, reason):
    sys.exit(f'closed: {reason}')


def run(url, on_channel, channels=1):
    """Runs the loop; `on_channel` gets the channels once all are open."""
    opened = []

    def on_channel_open(channel):
        channel.add_on_close_callback(on_closed)
        opened.append(channel)
        if len(opened) == channels:
            on_channel(*opened)

    def on_open(connection):
        for _ in range(channels):
            connection.channel(on_open_callback=on_channel_open)

    connection = pika.SelectConnection(
        pika.URLParameters(url),
        on_open_callback=on_open,
        on_close_callback=on_closed,
    )
    connection.ioloop.start()


def publish_with_confirms(url, size, messages, in_flight):
    body = b'x' * size
    # The first one is not counted.
    total = messages + 1
    sent = confirmed = 0
    meter = None

    def on_channel(channel):
        def publish_up_to(last):
            nonlocal sent
            for _ in range(last - sent):
                channel.basic_publish('', 'bench', body)
            sent = last

        def on_confirm(frame):
            nonlocal confirmed, meter
            if isinstance(frame.method, pika.spec.Basic.Nack):
                sys.exit('a nack')
            # The brokers here confirm in order: `multiple` says no more.
            confirmed = frame.method.delivery_tag
            if meter is None:
                meter = Meter()
            if confirmed == total:
                meter.stop(messages)
            # Half of them at once.
            if sent - confirmed <= in_flight // 2:
                publish_up_to(min(confirmed + in_flight, total))

        channel.confirm_delivery(
            on_confirm, callback=lambda _frame: publish_up_to(1)
        )

    run(url, on_channel)


def confirm(url, size, messages):
    publish_with_confirms(url, size, messages, IN_FLIGHT)


def wait(url, size, messages):
    publish_with_confirms(url, size, messages, 1)


def publish(url, size, messages):
    body = b'x' * size
    burst = min(10_000, max(1, BUFFERED // size))
    left = messages
    meter = None

    def on_channel(channel):
        def publish_burst(_frame):
            nonlocal left, meter
            if meter is None:
                meter = Meter()
            if left == 0:
                meter.stop(messages)
            count = min(left, burst)
            left -= count
            for _ in range(count):
                channel.basic_publish('', 'bench', body)
            # A round trip, so that the buffer gets written.
            channel.basic_qos(callback=publish_burst)

        channel.basic_publish('', 'bench', body)
        channel.basic_qos(callback=publish_burst)

    run(url, on_channel)


def consume(url, size, messages, no_ack):
    left = messages
    meter = None

    def on_message(channel, method, _properties, _body):
        nonlocal left, meter
        if not no_ack:
            channel.basic_ack(method.delivery_tag)
        if meter is None:
            # The first one is not counted.
            meter = Meter()
            return
        left -= 1
        if left == 0:
            meter.stop(messages)

    def on_channel(channel):
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(f'bench-{size}', on_message, auto_ack=no_ack)

    run(url, on_channel)


def ack(url, size, messages):
    consume(url, size, messages, no_ack=False)


def noack(url, size, messages):
    consume(url, size, messages, no_ack=True)


def ack_plain(url, size, messages):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_qos(prefetch_count=PREFETCH)
    deliveries = channel.consume(f'bench-{size}')
    method, _properties, _body = next(deliveries)
    channel.basic_ack(method.delivery_tag)
    left = messages
    meter = Meter()
    for method, _properties, _body in deliveries:
        channel.basic_ack(method.delivery_tag)
        left -= 1
        if left == 0:
            meter.stop(messages)


def declare(url, _size, messages):
    sent = declared = 0
    meter = None

    def declare_on(channel):
        nonlocal sent
        if sent < messages:
            sent += 1
            callback = functools.partial(on_declared, channel)
            channel.queue_declare('bench', callback=callback)

    def on_declared(channel, _frame):
        nonlocal declared
        declared += 1
        if declared == messages:
            meter.stop(messages)
        declare_on(channel)

    def on_channels(*channels):
        def begin(_frame):
            nonlocal meter
            meter = Meter()
            for channel in channels:
                declare_on(channel)

        # The first one is not counted.
        channels[0].queue_declare('bench', callback=begin)

    run(url, on_channels, channels=IN_FLIGHT)


WORKS = {
    'confirm': confirm,
    'publish': publish,
    'wait': wait,
    'ack': ack,
    'ack-plain': ack_plain,
    'noack': noack,
    'declare': declare,
}


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in WORKS:
        sys.exit(__doc__.splitlines()[-1])
    work, size, messages, url = sys.argv[1:]
    WORKS[work](url, int(size), int(messages))


if __name__ == '__main__':
    main()
