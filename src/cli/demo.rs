//! `assay-collector demo`

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::output::line;
use super::scan::{self, ProgressLine};
use crate::agent::run::{self, Outcome, Request};
use crate::agent::{deliver, enrol};
use crate::collector::auth;
use crate::collector::records::{Book, Order, privileges, record, start_review};
use crate::collector::store::{Store, UserRow};
use crate::collector::{Running, start};
use crate::config::collector::Config;
use crate::facts::services::Plan;
use crate::host::{Host, clock};
use crate::model::against::Against;
use crate::model::policy::Policy;
use crate::model::receipt::Receipt;
use crate::model::report::ScanKind;
use crate::pki::token::Token;
use crate::probe::Limits;
use crate::records::Action;

/// How long the enrolment token lives, seconds.
const TOKEN_LIFE: i64 = 600;
/// Longest scan.
const SCAN_DEADLINE: Duration = Duration::from_secs(300);
/// Where the pages are served if the address is free.
const PEOPLE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8650);

const EXAMPLES: &str = "\
Examples:
  assay-collector demo                             as an ordinary user: what needs more rights is unknown
  sudo assay-collector demo                        everything
  assay-collector demo --people 127.0.0.1:9000     at an address of your choice";

/// Arguments of `assay-collector demo`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Where the review pages are served (plain HTTP, loopback only) [default: 127.0.0.1:8650, or a free port]
    #[arg(long, value_name = "ADDR:PORT")]
    people: Option<SocketAddr>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let folder = Folder::create()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::pin!(stop);
        let running = tokio::select! {
            running = show(arguments, &folder) => running?,
            () = &mut stop => return Ok(Exit::Ok),
        };
        stop.await;
        running.stop().await;
        Ok(Exit::Ok)
    });
    // A scan that Ctrl-C interrupts is let go.
    runtime.shutdown_background();
    result
}

/// Everything up to the pages, which are served from then on.
async fn show(arguments: &Arguments, folder: &Folder) -> anyhow::Result<Running> {
    let running = serve(arguments.people, folder).await?;
    line(&format!("collector   agents {}   pages {}   data {}", running.app.agents_url, running.app.people_url, folder.0.display()))?;
    let (name, state) = (machine_name(), folder.0.join("agent"));
    let token = Token::generate(running.app.authority.der())?;
    running.app.store.put_secret("enrol", &token.secret_digest(), "", clock::unix_now() + TOKEN_LIFE, 1).await?;
    let url = running.app.agents_url.clone();
    let scanned = tokio::task::spawn_blocking(move || -> anyhow::Result<(Outcome, Receipt, Duration)> {
        enrol::enrol(&url, &token, &state, Some(&name))?;
        let began = Instant::now();
        let outcome = scan_here(began)?;
        let receipt = deliver::report(&outcome, ScanKind::OnDemand, None, &state)?;
        Ok((outcome, receipt, began.elapsed()))
    });
    let (outcome, receipt, took) = scanned.await.context("scan")??;
    line("")?;
    line(scan::table(&outcome, &running.app.pack, took, false).trim_end())?;
    if let Some(cure) = scan::missing_rights(&outcome, "sudo assay-collector demo") {
        line(&cure)?;
    }
    let checkpoint = receipt.checkpoint.lines().nth(1).unwrap_or_default();
    line(&format!("\nreport {} accepted: ledger leaf {} of {checkpoint}, receipt verified", short(&receipt.report.to_string()), receipt.index))?;
    let admin = UserRow { id: auth::random_id()?, name: "demo".into(), role: "admin".into(), password: String::new(), created_at: clock::unix_now() };
    running.app.store.put_user(&admin, "demo", admin.created_at).await?;
    records(&running.app.store).await?;
    let link = auth::issue_link(&running.app.store, &admin.id, clock::unix_now()).await?;
    line(&format!(
        "\nopen      {}/signin/once?token={link}\n          signs you in once as admin; Ctrl-C ends the demo and removes its data",
        running.app.people_url
    ))?;
    Ok(running)
}

/// A few records, so that the registers show what they are for.
async fn records(store: &Store) -> anyhow::Result<()> {
    let ago = |hours: i64| jiff::Timestamp::from_second(clock::unix_now() - hours * 3_600).map(|t| t.to_string());
    let known = ago(30)?;
    let incident = [
        ("description", "A laptop was left on a train. Its disk is encrypted."),
        ("occurred_at", &ago(40)?),
        ("known_at", &known),
        ("reporter", "m.keller"),
        ("notifiable", "undecided"),
        ("acting_as", "controller"),
        ("contact", "dpo@example.org"),
    ];
    let mail = [("purpose", "delivery of mail"), ("data", "addresses, subjects"), ("place", "Ireland"), ("transfer_mechanism", "not-needed"), ("owner", "ada")];
    for (kind, subject, fields) in [("incidents", "lost laptop (demo)", &incident[..]), ("sub-processors", "Mail Ltd (demo)", &mail[..])] {
        let kind = Book::read(store).await?.kind(kind)?;
        let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        record(store, kind, Action::Add, Order { subject: subject.into(), fields, by: "demo".into(), ..Order::default() }).await?;
    }
    let reviewed = privileges(store).await?;
    start_review(store, "this machine (demo)", &reviewed, "demo").await?;
    Ok(())
}

async fn serve(people: Option<SocketAddr>, folder: &Folder) -> anyhow::Result<Running> {
    let config =
        |people| Config { data: folder.0.join("collector"), agents: SocketAddr::from(([127, 0, 0, 1], 0)), people, plain_http: true, ..Config::default() };
    match people {
        Some(address) => start(config(address)).await,
        None if std::net::TcpListener::bind(PEOPLE).is_ok() => start(config(PEOPLE)).await,
        None => start(config(SocketAddr::from(([127, 0, 0, 1], 0)))).await,
    }
}

fn scan_here(began: Instant) -> anyhow::Result<Outcome> {
    let host = Host::live()?;
    let request = Request {
        host: &host,
        families: Vec::new(),
        plan: Plan::default(),
        limits: Limits::default(),
        policy: Policy::default(),
        against: Against::default(),
        advisories: None,
    };
    let progress = ProgressLine::new(began);
    let outcome = run::scan_with(request, &run::builtin_rules()?, SCAN_DEADLINE, &|p| progress.draw(p))?;
    progress.clear();
    Ok(outcome)
}

fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "this-machine".into() } else { name }
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// Everything the demo keeps; removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("assay-demo-{}", crate::model::ids::hex_encode(&crate::pki::random::<6>()?));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("can't create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(folder: &Path) {
    if let Err(e) = std::fs::remove_dir_all(folder) {
        let _ = writeln!(std::io::stderr(), "note: {} could not be removed: {e}", folder.display());
    }
}
