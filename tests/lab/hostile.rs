//! Servers that misbehave, and a relay that counts. Their threads end with the test's process.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::free_port;

/// What a misbehaving server does with each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Nothing.
    Silent,
    /// One byte each two seconds.
    Drip,
    /// A few bytes of no protocol.
    Garbage,
    /// Hangs up at once.
    Close,
    /// Bytes without end.
    Flood,
    /// Hangs up after the first bytes of the client.
    HangUp,
    /// Greets as a mail server, then drips.
    StallingMail,
    /// An alert record that says it is longer than any.
    BrokenTls,
}

/// Starts one; the port on 127.0.0.1.
pub fn start(habit: Habit) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || misbehave(habit, stream));
        }
    });
    port
}

fn misbehave(habit: Habit, mut stream: TcpStream) {
    let drip = |stream: &mut TcpStream| {
        while stream.write_all(b"2").is_ok() {
            std::thread::sleep(Duration::from_secs(2));
        }
    };
    match habit {
        Habit::Silent => std::thread::sleep(Duration::from_secs(60)),
        Habit::Drip => drip(&mut stream),
        Habit::Garbage => {
            let _ = stream.write_all(&[0x9c, 0x01, 0xfe, 0x7f, 0x00, 0xc3, 0x28, 0x11, 0x80, 0x90]);
            std::thread::sleep(Duration::from_secs(60));
        }
        Habit::Close => {}
        Habit::Flood => while stream.write_all(&[b'A'; 65_536]).is_ok() {},
        Habit::HangUp => {
            let _ = stream.read(&mut [0; 1]);
        }
        Habit::StallingMail => {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
            drip(&mut stream);
        }
        Habit::BrokenTls => {
            let _ = stream.read(&mut [0; 1]);
            let _ = stream.write_all(&[22, 3, 3, 0xff, 0xff, 2, 0, 0, 0]);
            std::thread::sleep(Duration::from_secs(60));
        }
    }
}

/// Relays to another local port and counts connections.
pub fn counting_relay(to: u16) -> (u16, Arc<AtomicUsize>) {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
            pump(client.try_clone().unwrap(), server.try_clone().unwrap());
            pump(server, client);
        }
    });
    (port, count)
}

/// Relays to another local port, and hangs up at once on clients beyond `most`.
pub fn limited_relay(to: u16, most: usize) -> (u16, Arc<AtomicUsize>) {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (open, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = refused.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if open.load(Ordering::SeqCst) >= most {
                counted.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
            open.fetch_add(1, Ordering::SeqCst);
            let open = open.clone();
            std::thread::spawn(move || {
                relay(client, server, Duration::ZERO);
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (port, refused)
}

/// Relays to another local port, one client after the other, the rest waiting to be accepted.
pub fn queueing_relay(to: u16) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
            relay(client, server, Duration::ZERO);
        }
    });
    port
}

/// Relays to another local port; each answer of the server comes this much later.
pub fn slow_relay(to: u16, delay: Duration) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
            std::thread::spawn(move || relay(client, server, delay));
        }
    });
    port
}

/// Relays until one side is done; what the server says waits for `delay`.
fn relay(mut client: TcpStream, server: TcpStream, delay: Duration) {
    let (from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let upward = std::thread::spawn(move || {
        let _ = std::io::copy(&mut &from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 65_536];
    while let Ok(n @ 1..) = (&server).read(&mut buffer) {
        std::thread::sleep(delay);
        if client.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    std::thread::sleep(delay);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upward.join();
}

/// Relays to another local port and writes over words on the way, as packet filters do that keep
/// the length: what servers say, what clients say. Upper and lower case count as the same.
pub fn rewriting_relay(to: u16, of_servers: Option<&'static str>, of_clients: Option<&'static str>) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
            rewrite(client.try_clone().unwrap(), server.try_clone().unwrap(), of_clients);
            rewrite(server, client, of_servers);
        }
    });
    port
}

fn rewrite(mut from: TcpStream, mut to: TcpStream, word: Option<&'static str>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let chunk = &mut buffer[..count];
            for at in 0..count {
                if let Some(word) = word
                    && chunk.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
                {
                    chunk[at..at + word.len()].fill(b'X');
                }
            }
            if to.write_all(chunk).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
