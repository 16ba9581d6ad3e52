//! Which TCP ports of a host accept connections. Nothing is said on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::halt::Halt;

/// What a port did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// It accepted a connection.
    Open,
    /// The host says that nothing listens.
    Refused,
    /// No answer, or one from elsewhere: filtered.
    Silent,
}

/// Tries each address, `at_once` of them at a time, waiting `wait` for each; in the order given. Stops when asked to: what was
/// not tried is left out.
pub async fn knock(addresses: &[SocketAddr], at_once: usize, wait: Duration, halt: &Halt) -> Vec<(SocketAddr, Port)> {
    let places = Arc::new(Semaphore::new(at_once.max(1)));
    let mut trying = JoinSet::new();
    for (number, address) in addresses.iter().copied().enumerate() {
        let (places, halt) = (places.clone(), halt.clone());
        trying.spawn(async move {
            let _place = places.acquire_owned().await;
            if halt.is_asked() {
                return None;
            }
            let port = match tokio::time::timeout(wait, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Port::Open,
                Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => Port::Refused,
                Ok(Err(_)) | Err(_) => Port::Silent,
            };
            Some((number, address, port))
        });
    }
    let mut found = Vec::with_capacity(addresses.len());
    while let Some(joined) = trying.join_next().await {
        found.extend(joined.ok().flatten());
    }
    found.sort_by_key(|f| f.0);
    found.into_iter().map(|(_, address, port)| (address, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn open_and_refused_are_told_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let refused = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        let halt = Halt::default();
        let found = knock(&[open, refused], 4, Duration::from_secs(3), &halt).await;
        assert_eq!(found, [(open, Port::Open), (refused, Port::Refused)]);
        halt.ask();
        assert!(knock(&[open], 1, Duration::from_secs(3), &halt).await.is_empty());
    }
}
