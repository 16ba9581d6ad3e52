//! A network between two programs that can be broken: cut, silent, slow, each way apart.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::free_port;

/// What happens to bytes on one way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// After so many bytes both ends are reset.
    pub cut: Option<usize>,
    /// After so many bytes nothing arrives any more, and nobody is told.
    pub silent: Option<usize>,
    /// So many bytes at a time, with this pause after each piece.
    pub drip: Option<(usize, Duration)>,
}

/// A relay to another local port.
pub struct Proxy {
    pub port: u16,
    ways: Arc<Mutex<(Way, Way)>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    counted: Arc<(AtomicUsize, AtomicUsize)>,
}

impl Proxy {
    /// Starts one; connections that it can't make are closed.
    pub fn start(to: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let proxy = Self { port, ways: Arc::default(), open: Arc::default(), counted: Arc::default() };
        let (ways, open, counted) = (proxy.ways.clone(), proxy.open.clone(), proxy.counted.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
                let (up, down) = *ways.lock().unwrap();
                open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pump(client.try_clone().unwrap(), server.try_clone().unwrap(), up, counted.clone(), true);
                pump(server, client, down, counted.clone(), false);
            }
        });
        proxy
    }

    /// What happens on connections from now on: up to the server, and down from it.
    pub fn set(&self, up: Way, down: Way) {
        *self.ways.lock().unwrap() = (up, down);
    }

    /// Sound from now on; every connection of before is reset.
    pub fn heal(&self) {
        self.set(Way::default(), Way::default());
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Bytes that went up and down since the last time.
    pub fn counted(&self) -> (usize, usize) {
        (self.counted.0.swap(0, Ordering::SeqCst), self.counted.1.swap(0, Ordering::SeqCst))
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, way: Way, counted: Arc<(AtomicUsize, AtomicUsize)>, up: bool) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; way.drip.map_or(16_384, |(bytes, _)| bytes)];
        let mut done = 0;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let (cut, silent) = (way.cut.map_or(usize::MAX, |n| n.saturating_sub(done)), way.silent.map_or(usize::MAX, |n| n.saturating_sub(done)));
            let passed = count.min(cut).min(silent);
            let counter = if up { &counted.0 } else { &counted.1 };
            counter.fetch_add(passed, Ordering::SeqCst);
            done += count;
            if to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            if cut < count {
                // Both ends see the connection break, the other way too.
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
            if let Some((_, pause)) = way.drip {
                std::thread::sleep(pause);
            }
        }
        if way.silent.is_none_or(|n| done < n) {
            let _ = to.shutdown(Shutdown::Write);
        }
    });
}
