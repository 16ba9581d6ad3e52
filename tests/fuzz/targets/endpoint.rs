//! A server that answers anything: whatever it says, identifying it ends and does not panic.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use assay::probe::dial::Dialer;
use assay::probe::{Limits, identify};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // A zero byte ends what is said before the peer speaks; each later one ends one answer.
    let answers: Vec<Vec<u8>> = data.split(|b| *b == 0xfe).map(<[u8]>::to_vec).collect();
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
        let _ = identify::identify(&dialer).await;
        server.abort();
    });
});
