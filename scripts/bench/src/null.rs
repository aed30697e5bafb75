//! A broker that does nothing but keep the protocol, without a socket: what is measured against it is the client.
//!
//! It confirms what each piece of input brought with one `multiple` ack, and delivers up to the prefetch. A queue's name
//! says the size of its messages: `bench-1024`.

/// What goes on on a channel.
#[derive(Default)]
struct Channel {
    confirms: bool,
    /// The last tag that was published.
    published: u64,
    unconfirmed: bool,
    prefetch: u64,
    consumer: Option<Consumer>,
}

struct Consumer {
    /// All frames of one delivery; the tag is at `tag_at`.
    frames: Vec<u8>,
    tag_at: usize,
    no_ack: bool,
    tag: u64,
    unacked: u64,
}

#[derive(Default)]
pub struct Session {
    channels: Vec<Channel>,
    input: Vec<u8>,
    /// Whether the client's protocol header has come.
    begun: bool,
    /// What is to be sent; whoever has sent it empties it.
    pub out: Vec<u8>,
}

fn short(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn long_long(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"))
}

impl Session {
    /// Takes in what the client has sent.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.input.is_empty() && self.begun {
            // Whole frames are looked at where they are.
            let used = self.frames(bytes);
            self.input.extend_from_slice(&bytes[used..]);
        } else {
            self.input.extend_from_slice(bytes);
            let mut input = std::mem::take(&mut self.input);
            if !self.begun && input.len() >= 8 {
                self.begun = true;
                input.drain(..8);
                self.start();
            }
            if self.begun {
                let used = self.frames(&input);
                input.drain(..used);
            }
            self.input = input;
        }
        self.confirm();
    }

    fn start(&mut self) {
        // 0-9, no properties but the capabilities that clients look for.
        let mut capabilities = Vec::new();
        for name in [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "authentication_failure_close",
        ] {
            capabilities.push(name.len() as u8);
            capabilities.extend(name.as_bytes());
            capabilities.extend(b"t\x01");
        }
        let mut table = Vec::new();
        table.extend(b"\x0ccapabilitiesF");
        table.extend((capabilities.len() as u32).to_be_bytes());
        table.extend(&capabilities);
        for (name, value) in [("product", "RabbitMQ"), ("version", "3.10.8")] {
            table.push(name.len() as u8);
            table.extend(name.as_bytes());
            table.push(b'S');
            table.extend((value.len() as u32).to_be_bytes());
            table.extend(value.as_bytes());
        }
        let mut start = vec![0, 9];
        start.extend((table.len() as u32).to_be_bytes());
        start.extend(&table);
        start.extend(b"\0\0\0\x0ePLAIN AMQPLAIN\0\0\0\x05en_US");
        self.method(0, 10, 10, &start);
    }

    fn frames(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        while let Some(head) = input.get(at..at + 7) {
            let size = u32::from_be_bytes(head[3..7].try_into().expect("four bytes")) as usize;
            let Some(payload) = input.get(at + 7..at + 7 + size) else {
                break;
            };
            if input.len() <= at + 7 + size {
                break;
            }
            if head[0] == 1 {
                self.handle(short(&head[1..]), payload);
            }
            at += size + 8;
        }
        at
    }

    fn handle(&mut self, number: u16, payload: &[u8]) {
        let index = usize::from(number);
        if self.channels.len() <= index {
            self.channels.resize_with(index + 1, Channel::default);
        }
        let (class, method, arguments) = (short(payload), short(&payload[2..]), &payload[4..]);
        let channel = &mut self.channels[index];
        match (class, method) {
            (60, 40) => {
                channel.published += 1;
                channel.unconfirmed = true;
            }
            (60, 80) => {
                if let Some(consumer) = &mut channel.consumer {
                    let (tag, multiple) = (long_long(arguments), arguments[8] & 1 == 1);
                    let oldest = consumer.tag - consumer.unacked;
                    consumer.unacked -= if multiple { tag - oldest } else { 1 };
                }
            }
            (10, 11) => self.method(0, 10, 30, &[0x07, 0xff, 0, 2, 0, 0, 0, 0]),
            (10, 31) => {}
            (10, 40) => self.method(0, 10, 41, &[0]),
            (10, 50) => self.method(0, 10, 51, &[]),
            (20, 10) => {
                *channel = Channel::default();
                self.method(number, 20, 11, &[0; 4]);
            }
            (20, 40) => self.method(number, 20, 41, &[]),
            (85, 10) => {
                channel.confirms = true;
                self.method(number, 85, 11, &[]);
            }
            (60, 10) => {
                channel.prefetch = short(&arguments[4..]).into();
                self.method(number, 60, 11, &[]);
            }
            (50, 10) => {
                let name = &arguments[3..3 + usize::from(arguments[2])];
                let mut ok = vec![name.len() as u8];
                ok.extend(name);
                ok.extend([0; 8]);
                self.method(number, 50, 11, &ok);
            }
            (60, 20) => {
                let queue = &arguments[3..3 + usize::from(arguments[2])];
                let rest = &arguments[3 + queue.len()..];
                let tag = &rest[1..1 + usize::from(rest[0])];
                let tag = if tag.is_empty() { b"ctag" } else { tag };
                let no_ack = rest[1 + usize::from(rest[0])] & 2 != 0;
                let size = std::str::from_utf8(queue).ok();
                let size = size.and_then(|name| name.rsplit_once('-')?.1.parse().ok());
                channel.consumer = Some(Consumer::new(number, tag, no_ack, size.unwrap_or(16)));
                let mut ok = vec![tag.len() as u8];
                ok.extend(tag);
                self.method(number, 60, 21, &ok);
            }
            (60, 30) => {
                channel.consumer = None;
                let tag = arguments[..1 + usize::from(arguments[0])].to_vec();
                self.method(number, 60, 31, &tag);
            }
            other => eprintln!("unknown method {other:?}"),
        }
    }

    fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        self.out.push(1);
        self.out.extend(channel.to_be_bytes());
        self.out.extend((arguments.len() as u32 + 4).to_be_bytes());
        self.out.extend(class.to_be_bytes());
        self.out.extend(method.to_be_bytes());
        self.out.extend(arguments);
        self.out.push(0xce);
    }

    fn confirm(&mut self) {
        for index in 0..self.channels.len() {
            let channel = &mut self.channels[index];
            if channel.confirms && std::mem::take(&mut channel.unconfirmed) {
                let mut ack = [1; 9];
                ack[..8].copy_from_slice(&channel.published.to_be_bytes());
                self.method(index as u16, 60, 80, &ack);
            }
        }
    }

    /// Adds deliveries, up to the prefetch, or until there are so many bytes. Whether there would always be more.
    pub fn deliver(&mut self, limit: usize) -> bool {
        let mut endless = false;
        for channel in &mut self.channels {
            let Some(consumer) = &mut channel.consumer else {
                continue;
            };
            let bounded = !consumer.no_ack && channel.prefetch > 0;
            while self.out.len() < limit && (!bounded || consumer.unacked < channel.prefetch) {
                consumer.tag += 1;
                consumer.unacked += u64::from(!consumer.no_ack);
                let at = self.out.len() + consumer.tag_at;
                self.out.extend_from_slice(&consumer.frames);
                self.out[at..at + 8].copy_from_slice(&consumer.tag.to_be_bytes());
            }
            endless |= !bounded;
        }
        endless
    }
}

impl Consumer {
    fn new(channel: u16, tag: &[u8], no_ack: bool, size: usize) -> Self {
        let mut frames = Vec::new();
        let mut frame = |kind: u8, payload: &[u8]| {
            frames.push(kind);
            frames.extend(channel.to_be_bytes());
            frames.extend((payload.len() as u32).to_be_bytes());
            frames.extend(payload);
            frames.push(0xce);
        };
        let mut deliver = vec![0, 60, 0, 60, tag.len() as u8];
        deliver.extend(tag);
        let tag_at = 7 + deliver.len();
        deliver.extend([0; 9]);
        let name = format!("bench-{size}");
        deliver.push(0);
        deliver.push(name.len() as u8);
        deliver.extend(name.as_bytes());
        frame(1, &deliver);
        let mut header = vec![0, 60, 0, 0];
        header.extend((size as u64).to_be_bytes());
        header.extend([0, 0]);
        frame(2, &header);
        for piece in vec![b'x'; size].chunks(131_072 - 8) {
            frame(3, piece);
        }
        Self {
            frames,
            tag_at,
            no_ack,
            tag: 0,
            unacked: 0,
        }
    }
}
