"""puka (the Python one), as its README, documentation and examples advise.

Publishes are promises. Of a burst only the last is waited for (the
example `stress_amqp_consume_y.py`); `run_any_callbacks` then lets go of
the others. Publisher acks are detected, which is the default. A thousand
declares are made at once and then waited for (`parallel_declare.py`).
Messages come to a callback in `loop` (the README's asynchronous way), or
are waited for one by one (its synchronous way).

puka_python.py WORK BYTES MESSAGES URL
"""

import os
import resource
import sys
import time

import puka

IN_FLIGHT = 1000
PREFETCH = 500
BUFFERED = 8 << 20


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """What was measured between its making and `stop`."""

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


def bursts(messages, burst):
    """How many messages each burst has."""
    while messages:
        count = min(messages, burst)
        yield count
        messages -= count


def publish_in_bursts(client, size, messages, burst):
    body = b'x' * size
    client.wait(client.basic_publish('', 'bench', body=body))
    meter = Meter()
    for count in bursts(messages, burst):
        for _ in range(count):
            last = client.basic_publish('', 'bench', body=body)
        client.wait(last)
        client.run_any_callbacks()
    meter.stop(messages)


def confirm(client, size, messages):
    publish_in_bursts(client, size, messages, IN_FLIGHT)


def publish(client, size, messages):
    # A publish always has a promise. It is waited for now and then only,
    # so that the buffer gets written.
    burst = min(10_000, max(1, BUFFERED // size))
    publish_in_bursts(client, size, messages, burst)


def wait(client, size, messages):
    body = b'x' * size
    client.wait(client.basic_publish('', 'bench', body=body))
    meter = Meter()
    for _ in range(messages):
        client.wait(client.basic_publish('', 'bench', body=body))
    meter.stop(messages)


def consume(client, size, messages, no_ack):
    meter = None
    left = messages

    def on_message(_promise, message):
        nonlocal meter, left
        if message.is_error:
            raise message.exception
        if not no_ack:
            client.basic_ack(message)
        if meter is None:
            # The first one is not counted.
            meter = Meter()
            return
        left -= 1
        if left == 0:
            meter.stop(messages)
            os._exit(0)

    client.basic_consume(
        f'bench-{size}',
        prefetch_count=PREFETCH,
        no_ack=no_ack,
        callback=on_message,
    )
    client.loop()


def ack(client, size, messages):
    consume(client, size, messages, no_ack=False)


def noack(client, size, messages):
    consume(client, size, messages, no_ack=True)


def ack_plain(client, size, messages):
    promise = client.basic_consume(f'bench-{size}', prefetch_count=PREFETCH)
    client.basic_ack(client.wait(promise))
    meter = Meter()
    for _ in range(messages):
        message = client.wait(promise)
        client.basic_ack(message)
    meter.stop(messages)
    os._exit(0)


def declare(client, _size, messages):
    client.wait(client.queue_declare('bench'))
    meter = Meter()
    for count in bursts(messages, IN_FLIGHT):
        promises = [client.queue_declare('bench') for _ in range(count)]
        client.wait_for_all(promises)
    meter.stop(messages)


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
    client = puka.Client(url)
    client.wait(client.connect())
    WORKS[work](client, int(size), int(messages))


if __name__ == '__main__':
    main()
