//! One protocol after another, with a server that answers anything: however it goes on after its
//! greeting or after a question, what it says ends and does not panic.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use assay::probe::Limits;
use assay::probe::dial::Dialer;
use assay::probe::service::{PROTOCOLS, UPGRADES, is_complete};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, said)) = data.split_first() else { return };
    let choice = usize::from(*choice);
    // Pairs of 0xfe and 0xfd end one answer: every other byte may be of a protocol.
    let mut answers: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = said;
    while let Some((byte, tail)) = rest.split_first() {
        match tail.first() {
            Some(0xfd) if *byte == 0xfe => {
                answers.push(Vec::new());
                rest = &tail[1..];
            }
            _ => {
                answers.last_mut().expect("one at least").push(*byte);
                rest = tail;
            }
        }
    }
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                for (number, answer) in answers.iter().enumerate() {
                    if number > 0 && !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                        break;
                    }
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            }
        });
        let limits = Limits { answer_timeout: Duration::from_millis(5), ..Limits::default() };
        let dialer = Dialer::new(address, "localhost", &limits, Arc::new(Semaphore::new(8)), Duration::from_millis(200));
        match PROTOCOLS.get(choice) {
            Some(protocol) => {
                if let Some(ask) = protocol.ask {
                    let _ = ask(&dialer).await;
                }
                if let (Some(talk), Ok(mut connection)) = (protocol.talk, dialer.connect().await)
                    && let Ok(first) = connection.greeting(Duration::from_millis(5), is_complete).await
                {
                    let _ = talk(&dialer, connection, &first).await;
                }
            }
            None => {
                if let Ok(mut connection) = dialer.connect().await {
                    let _ = UPGRADES[choice % UPGRADES.len()].prepare(&mut connection).await;
                }
            }
        }
        server.abort();
    });
});
