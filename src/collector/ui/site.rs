//! What every page works with: the store, the catalogue of rules and frameworks, the door.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::PageError;
use super::lists::Drafts;
use crate::collector::App;
use crate::collector::auth::{Gate, random_id};
use crate::collector::basis::Basis;
use crate::collector::export;
use crate::collector::export::jobs::{Job, Jobs, State};
use crate::collector::store::Store;
use crate::evidence::material::{Period, Sampling, Scope, day_of};
use crate::model::finding::Severity;
use crate::model::ids::RandomId;
use crate::rules::framework::Page;
use crate::rules::{Pack, framework};

/// A rule as pages show it.
#[derive(Clone, Debug)]
pub struct RuleCard {
    /// Its id.
    pub id: String,
    /// One line.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// Why it matters.
    pub why: String,
    /// How to mend it.
    pub fix: String,
    /// How to see for oneself, with the vendor's own command; may be empty.
    pub verify: String,
    /// External references.
    pub refs: Vec<String>,
}

/// A control of a framework and the rules that speak to it.
#[derive(Clone, Debug)]
pub struct ControlCard {
    /// Its id in the framework, such as `CC6.7`.
    pub id: String,
    /// One line in our own words.
    pub title: String,
    /// Rules that satisfy or support it.
    pub rules: Vec<String>,
    /// What the collector tells from many reports; may be empty.
    pub fleet: String,
    /// What a person must record; empty when rules serve it alone.
    pub record: String,
    /// Record types that hold it.
    pub records: Vec<String>,
}

/// A framework.
#[derive(Clone, Debug)]
pub struct FrameworkCard {
    /// Its id, such as `soc2-2017`.
    pub id: String,
    /// Its name.
    pub title: String,
    /// Whether it is a page of commitments.
    pub is_page: bool,
    /// Its controls, in its order.
    pub controls: Vec<ControlCard>,
}

/// Rules and frameworks of the installed pack.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// By id.
    pub rules: BTreeMap<String, RuleCard>,
    /// In order of their files.
    pub frameworks: Vec<FrameworkCard>,
}

impl Catalogue {
    /// The rules of a pack, the frameworks that the program carries and the company's own pages.
    pub fn of(pack: &Pack, own: &[Page]) -> Self {
        let mut frameworks = framework::builtin().unwrap_or_else(|e| {
            tracing::error!("pages go without frameworks: {e}");
            Vec::new()
        });
        frameworks.extend(own.iter().map(|page| page.framework.clone()));
        Self { rules: pack.rules.iter().map(|r| (r.id.clone(), rule_card(r))).collect(), frameworks: frameworks.into_iter().map(framework_card).collect() }
    }

    /// Title of a rule; its id when the pack no longer has it.
    pub fn title<'a>(&'a self, rule: &'a str) -> &'a str {
        self.rules.get(rule).map_or(rule, |r| r.title.as_str())
    }

    /// Every control that a rule speaks to, with its framework.
    pub fn controls_of(&self, rule: &str) -> Vec<(&FrameworkCard, &ControlCard)> {
        let has = |c: &&ControlCard| c.rules.iter().any(|r| r == rule);
        self.frameworks.iter().flat_map(|f| f.controls.iter().filter(has).map(move |c| (f, c))).collect()
    }
}

fn rule_card(rule: &crate::rules::Rule) -> RuleCard {
    RuleCard {
        id: rule.id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        why: rule.why.clone(),
        fix: rule.fix.clone(),
        verify: rule.verify.clone(),
        refs: rule.refs.clone(),
    }
}

fn framework_card(framework: framework::Framework) -> FrameworkCard {
    let control = |c: framework::Control| ControlCard {
        id: c.id,
        title: c.title,
        rules: c.rules.into_iter().map(|m| m.rule).collect(),
        fleet: c.fleet,
        record: c.record,
        records: c.records,
    };
    let is_page = framework.kind == framework::Kind::Commitments;
    FrameworkCard { id: framework.id, title: framework.title, is_page, controls: framework.controls.into_iter().map(control).collect() }
}

/// What a person asks to be exported.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Id of the framework.
    pub framework: &'a str,
    /// First day.
    pub from: &'a str,
    /// Last day.
    pub to: &'a str,
    /// Which hosts.
    pub scope: Scope,
    /// How samples are drawn.
    pub sampling: Option<Sampling>,
}

/// Everything behind the pages.
#[derive(Debug)]
pub struct Site {
    /// The collector.
    pub app: Arc<App>,
    /// What was judged when the collector started; [`Site::catalogue`] is what is judged now.
    first: Arc<Catalogue>,
    /// The newest catalogue and the pages it was made of; `None`: it does not change.
    live: Option<Mutex<(Arc<Basis>, Arc<Catalogue>)>>,
    /// Who may come in.
    pub gate: Gate,
    /// Exports under way and done.
    pub jobs: Jobs,
    /// Lists that were uploaded and wait to be put into force.
    pub lists: Drafts,
}

impl Site {
    /// The pages' view of a collector, over a catalogue that does not change.
    pub fn new(app: Arc<App>, catalogue: Catalogue) -> Self {
        let jobs = Jobs::open(app.store.folder());
        Self { app, first: Arc::new(catalogue), live: None, gate: Gate::new(), jobs, lists: Drafts::default() }
    }

    /// The pages' view of a collector, over what it judges by.
    pub fn following(app: Arc<App>) -> Self {
        let basis = app.basis.now();
        let mut site = Self::new(app, Catalogue::of(&basis.pack, &basis.pages));
        site.live = Some(Mutex::new((basis, site.first.clone())));
        site
    }

    /// What is judged now: the company's own pages change while the collector runs.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        let Some(live) = &self.live else { return self.first.clone() };
        let basis = self.app.basis.now();
        let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
        if !(Arc::ptr_eq(&live.0.pages, &basis.pages) && Arc::ptr_eq(&live.0.pack, &basis.pack)) {
            *live = (basis.clone(), Arc::new(Catalogue::of(&basis.pack, &basis.pages)));
        }
        live.1.clone()
    }

    /// What is remembered.
    pub fn store(&self) -> &Store {
        &self.app.store
    }

    /// Whether people come over HTTPS; false only for the demo on loopback.
    pub fn is_secure(&self) -> bool {
        !self.app.plain_http
    }

    /// Begins an export; gives back its name in addresses.
    pub fn export(&self, by: RandomId, wanted: &Wanted<'_>, now: i64) -> Result<RandomId, PageError> {
        let mut all = framework::builtin().map_err(|e| PageError::Internal(e.to_string()))?;
        all.extend(self.app.basis.now().pages.iter().map(|page| page.framework.clone()));
        let framework = framework::find(&all, wanted.framework).ok_or_else(|| PageError::NotFound(format!("A framework “{}”", wanted.framework)))?;
        let period = Period::parse(wanted.from, wanted.to).map_err(|e| PageError::Bad(format!("The period can’t be exported: {e}.")))?;
        let app = self.app.clone();
        let source =
            export::Source { store: app.store.clone(), signer: app.signer.clone(), verifier: app.verifier.clone(), pack: app.basis.now().pack.clone() };
        let (scope, sampling) = (wanted.scope.clone(), wanted.sampling.clone());
        let order = export::Order { framework: framework.clone(), period, scope, sampling, inventory: None, today: day_of(now) };
        let (id, name) = (random_id()?, format!("assay-{}-{}-{}.zip", framework.id, wanted.from, wanted.to));
        let job = Job { id, by, at: now, name, state: State::Waiting };
        self.jobs.begin(job, source, order, move || app.sequencer.wake()).map_err(|busy| PageError::Bad(format!("No export was begun: {busy}.")))?;
        Ok(id)
    }

    /// Name of the session cookie: `__Host-` binds it to HTTPS, this host and the root path (RFC 6265bis section 4.1.3.2).
    pub fn cookie_name(&self) -> &'static str {
        if self.is_secure() { "__Host-assay" } else { "assay" }
    }

    /// A `Set-Cookie` value; an empty one takes the cookie away.
    pub fn cookie(&self, value: &str) -> String {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let end = if value.is_empty() { "; Max-Age=0" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}", self.cookie_name())
    }
}
