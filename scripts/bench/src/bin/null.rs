//! The null broker on a socket; it prints its port.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use puka_bench::null::Session;

/// As much as one read takes, and as one write of deliveries is.
const BUFFER: usize = 1 << 20;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            // The client's end is no news.
            let _ = serve(stream);
        });
    }
    Ok(())
}

/// Confirms what each read brought, and delivers as fast as the socket takes it.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        session.receive(&buffer[..count]);
        loop {
            flush(&mut stream, &mut session)?;
            // Without a prefetch it goes on until the client has something to say.
            let endless = session.deliver(BUFFER);
            flush(&mut stream, &mut session)?;
            if !endless || is_readable(&stream)? {
                break;
            }
        }
    }
}

fn flush(stream: &mut TcpStream, session: &mut Session) -> std::io::Result<()> {
    stream.write_all(&session.out)?;
    session.out.clear();
    Ok(())
}

fn is_readable(stream: &TcpStream) -> std::io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(peeked.is_ok())
}
