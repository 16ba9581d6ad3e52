//! One protocol's question and what follows from it over several connections, each of which goes on with the
//! answers where the last one stopped: it ends and does not panic.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use assay::probe::dial::Dialer;
use assay::probe::service::{self, PROTOCOLS, http};
use assay::probe::{Limits, bson};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The first byte chooses the protocol; each 0xfe ends one answer.
    let Some((number, data)) = data.split_first() else { return };
    let protocol = &PROTOCOLS[usize::from(*number) % PROTOCOLS.len()];
    for other in PROTOCOLS {
        let _ = (other.greets.map(|f| f(data)), other.hinted.map(|f| f(data)));
    }
    let _ = (service::is_complete(data), bson::read(data), http::fields::read(&http::answer::head(data)));
    let answers: Vec<Vec<u8>> = data.split(|b| *b == 0xfe).map(<[u8]>::to_vec).collect();
    let speaks_first = protocol.is_greeter();
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let server = tokio::spawn(async move {
            // Every connection goes on where the last one stopped.
            let mut answers = answers.into_iter().peekable();
            let mut greets = speaks_first;
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                while answers.peek().is_some() {
                    if !std::mem::take(&mut greets) && !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                        break;
                    }
                    if stream.write_all(&answers.next().unwrap_or_default()).await.is_err() {
                        break;
                    }
                }
            }
        });
        let limits = Limits { answer_timeout: Duration::from_millis(5), ..Limits::default() };
        let dialer = Dialer::new(address, "localhost", &limits, Arc::new(Semaphore::new(8)), Duration::from_millis(50));
        match protocol.ask.or(http::PROTOCOL.ask.filter(|_| protocol.over_http.is_some())) {
            Some(ask) => drop(ask(&dialer).await),
            None => {
                if let Ok(mut connection) = dialer.connect().await
                    && let Ok(first) = connection.greeting(Duration::from_millis(5), service::is_complete).await
                {
                    let _ = service::converse(&dialer, connection, &first).await;
                }
            }
        }
        server.abort();
    });
});
