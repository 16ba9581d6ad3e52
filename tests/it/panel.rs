//! The survey of TLS against a panel of real endpoints, with the truth of each beside it
//! (tests/lab/panel/README.md).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::ASSAY;

/// Folder of the panel's programs.
const PANEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/panel");
/// Longest time until every endpoint listens; the first start of all fetches programs.
const START: Duration = Duration::from_secs(240);

/// The running panel; dropped, it stops every server it started.
struct Panel {
    child: Child,
}

impl Panel {
    fn start(out: &Path) -> Self {
        let mut command = python("panel.py");
        let child = command.args(["start", "--out"]).arg(out).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut panel = Self { child };
        let began = Instant::now();
        while !out.join("panel.json").exists() {
            let ended = panel.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < START, "the panel did not start: {ended:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        panel
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn python(program: &str) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(format!("{PANEL}/{program}"));
    command
}

#[test]
fn the_survey_tells_the_truth_about_every_endpoint_of_the_panel() {
    let out = tempfile::tempdir().unwrap();
    let _panel = Panel::start(out.path());
    let compared = python("compare.py").arg(ASSAY).arg(out.path().join("panel.json")).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&compared.stdout);
    println!("{text}");
    assert!(compared.status.success(), "{text}\n{}", String::from_utf8_lossy(&compared.stderr));
    // An empty panel would agree with everything.
    let endpoints: usize = text.lines().find_map(|l| l.split(" over ").nth(1)?.split(' ').next()?.parse().ok()).unwrap();
    assert!(endpoints >= 67, "{endpoints} endpoints");
}
