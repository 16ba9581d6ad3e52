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

fn pump(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
