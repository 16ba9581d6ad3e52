//! Every address of the people's listener: which role it needs, and how far it looks. One list, asked before any handler runs.
//!
//! An address that is not here opens for whoever is signed in, changes something for admins and reviewers only, and is closed to an auditor with
//! bounds: forgetting one closes it. A test holds the list to the routers.

use super::auth::Role;

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Strangers, too.
    Anyone,
    /// Whoever is signed in.
    SignedIn,
    /// Who may take evidence away.
    Export,
    /// Who records and decides.
    Record,
    /// Administrators.
    Admin,
}

impl Need {
    /// Whether a role suffices.
    pub const fn admits(self, role: Role) -> bool {
        match self {
            Self::Anyone | Self::SignedIn => true,
            Self::Export => role.may_export(),
            Self::Record => role.may_record(),
            Self::Admin => matches!(role, Role::Admin),
        }
    }

    /// The roles that suffice, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Anyone | Self::SignedIn => "any role",
            Self::Export => "auditor, reviewer or admin",
            Self::Record => "reviewer or admin",
            Self::Admin => "admin",
        }
    }
}

/// How far an address looks, for auditors with bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At nothing of hosts: an account, a form, a file of ours.
    Own,
    /// At one host, named in the path.
    Host,
    /// At one framework over the hosts that are asked for; it asks the grant itself.
    Evidence,
    /// At the whole fleet.
    Fleet,
    /// At the present, whatever day is asked for: closed when the period is over.
    Present,
}

/// One address.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// As the router writes it.
    pub path: &'static str,
    /// Who may look; `None`: there is nothing to look at.
    pub read: Option<Need>,
    /// Who may change; `None`: there is nothing to change.
    pub write: Option<Need>,
    /// How far it looks.
    pub reach: Reach,
}

const fn read(path: &'static str, need: Need, reach: Reach) -> Route {
    Route { path, read: Some(need), write: None, reach }
}

const fn write(path: &'static str, need: Need, reach: Reach) -> Route {
    Route { path, read: None, write: Some(need), reach }
}

const fn both(path: &'static str, of: Need, by: Need, reach: Reach) -> Route {
    Route { path, read: Some(of), write: Some(by), reach }
}

use Need::{Admin, Anyone, Export, Record, SignedIn};
use Reach::{Evidence, Fleet, Host, Own, Present};

/// All of them.
pub const ROUTES: &[Route] = &[
    // Without sign-in.
    read("/static/style.css", Anyone, Own),
    read("/static/app.js", Anyone, Own),
    read("/static/icon.svg", Anyone, Own),
    both("/signin", Anyone, Anyone, Own),
    both("/signin/once", Anyone, Anyone, Own),
    write("/signin/second", Anyone, Own),
    both("/setup", Anyone, Anyone, Own),
    // What everybody sees.
    read("/", SignedIn, Fleet),
    read("/findings", SignedIn, Fleet),
    write("/findings/act", SignedIn, Fleet),
    write("/findings/views", SignedIn, Fleet),
    both("/findings/review", SignedIn, Record, Fleet),
    both("/findings/{host}/{rule}", SignedIn, Record, Host),
    both("/assignments", SignedIn, Record, Fleet),
    both("/waivers", SignedIn, Record, Fleet),
    read("/waivers/new", SignedIn, Fleet),
    both("/waivers/{id}", SignedIn, Record, Fleet),
    read("/hosts", SignedIn, Fleet),
    read("/hosts/known", SignedIn, Fleet),
    read("/hosts/{host}", SignedIn, Host),
    read("/hosts/{host}/compare", SignedIn, Host),
    write("/hosts/{host}/labels", Record, Host),
    write("/hosts/{host}/scan", Record, Host),
    read("/commitments", SignedIn, Fleet),
    read("/commitments/{page}", SignedIn, Fleet),
    read("/commitments/{page}/status", SignedIn, Fleet),
    read("/search", SignedIn, Fleet),
    read("/people", SignedIn, Fleet),
    read("/people/privileged", SignedIn, Fleet),
    read("/people/{person}", SignedIn, Fleet),
    read("/vulnerabilities", SignedIn, Fleet),
    read("/vulnerabilities/{advisory}", SignedIn, Fleet),
    read("/certificates", SignedIn, Fleet),
    read("/certificates/{fingerprint}", SignedIn, Fleet),
    read("/calendar", SignedIn, Fleet),
    read("/lists", SignedIn, Fleet),
    both("/lists/{name}", SignedIn, Record, Fleet),
    write("/lists/{name}/check", Record, Fleet),
    read("/lists/{name}/{version}", SignedIn, Present),
    read("/registers", SignedIn, Fleet),
    read("/registers/due", SignedIn, Fleet),
    both("/registers/{type}", SignedIn, Record, Fleet),
    read("/registers/{type}/new", SignedIn, Fleet),
    read("/registers/{type}/published", SignedIn, Fleet),
    both("/registers/{type}/{entry}", SignedIn, Record, Fleet),
    read("/registers/{type}/{entry}/change", SignedIn, Fleet),
    read("/registers/{type}/{entry}/notification", SignedIn, Fleet),
    read("/registers/{type}/{entry}/file/{digest}", SignedIn, Present),
    read("/evidence", SignedIn, Evidence),
    write("/evidence/export", Export, Evidence),
    read("/evidence/export/{id}", Export, Own),
    read("/evidence/export/{id}/{name}", Export, Own),
    read("/log/{*path}", SignedIn, Own),
    write("/signout", SignedIn, Own),
    // Access and settings.
    read("/grant", SignedIn, Own),
    read("/audit", SignedIn, Fleet),
    read("/audit.csv", Export, Fleet),
    read("/audit/{leaf}", SignedIn, Fleet),
    both("/enrol", Admin, Admin, Present),
    read("/enrol/wait", Admin, Present),
    both("/settings", SignedIn, Admin, Own),
    read("/settings/account", SignedIn, Own),
    write("/settings/account/password", SignedIn, Own),
    write("/settings/account/second-factor", SignedIn, Own),
    write("/settings/account/sessions", SignedIn, Own),
    both("/settings/users", Admin, Admin, Present),
    both("/settings/users/{user}", Admin, Admin, Present),
    both("/settings/tokens", SignedIn, SignedIn, Own),
    write("/settings/tokens/{token}", SignedIn, Own),
    both("/settings/alerts", Admin, Admin, Present),
    write("/settings/alerts/{target}", Admin, Present),
    // The API.
    read("/api/v1/openapi.json", SignedIn, Own),
    read("/api/v1/record-types", SignedIn, Own),
    both("/api/v1/records/{type}", SignedIn, Record, Fleet),
    write("/api/v1/records/{type}/sign-off", Record, Fleet),
    both("/api/v1/records/{type}/{entry}", SignedIn, Record, Fleet),
    read("/api/v1/record-files/{digest}", SignedIn, Present),
    both("/api/v1/waivers", SignedIn, Record, Fleet),
    write("/api/v1/waivers/{entry}", Record, Fleet),
    write("/api/v1/access-reviews", Record, Fleet),
    read("/api/v1/access-reviews/{entry}", SignedIn, Present),
    read("/api/v1/due", SignedIn, Fleet),
    read("/api/v1/findings", SignedIn, Fleet),
    read("/api/v1/finding-groups", SignedIn, Fleet),
    write("/api/v1/assignments", Record, Fleet),
    write("/api/v1/comments", Record, Fleet),
    write("/api/v1/finding-reviews", Record, Fleet),
    both("/api/v1/baseline", SignedIn, Record, Fleet),
    both("/api/v1/finding-views", SignedIn, SignedIn, Fleet),
    write("/api/v1/finding-views/{id}", SignedIn, Fleet),
    read("/api/v1/hosts", SignedIn, Fleet),
    read("/api/v1/hosts/{host}", SignedIn, Host),
    read("/api/v1/hosts/{host}/compare", SignedIn, Host),
    write("/api/v1/hosts/{host}/scan", Record, Host),
    write("/api/v1/hosts/{host}/labels", Record, Host),
    read("/api/v1/known-elsewhere", SignedIn, Fleet),
    read("/api/v1/people", SignedIn, Fleet),
    read("/api/v1/people/privileged", SignedIn, Fleet),
    read("/api/v1/people/{person}", SignedIn, Fleet),
    read("/api/v1/certificates", SignedIn, Fleet),
    read("/api/v1/certificates/{fingerprint}", SignedIn, Fleet),
    read("/api/v1/tls-versions", SignedIn, Fleet),
    read("/api/v1/vulnerabilities", SignedIn, Fleet),
    read("/api/v1/vulnerabilities/{advisory}", SignedIn, Fleet),
    read("/api/v1/lists", SignedIn, Fleet),
    both("/api/v1/lists/{name}", SignedIn, Record, Fleet),
    read("/api/v1/lists/{name}/{version}", SignedIn, Present),
    read("/api/v1/search", SignedIn, Fleet),
    read("/api/v1/commitments", SignedIn, Fleet),
    read("/api/v1/commitments/{page}", SignedIn, Fleet),
    both("/api/v1/users", Admin, Admin, Present),
    both("/api/v1/users/{user}", Admin, Admin, Present),
    both("/api/v1/tokens", SignedIn, SignedIn, Own),
    write("/api/v1/tokens/{token}", SignedIn, Own),
    write("/api/v1/enrolment-tokens", Admin, Present),
    both("/api/v1/settings", SignedIn, Admin, Own),
    both("/api/v1/alert-targets", Admin, Admin, Present),
    write("/api/v1/alert-targets/{target}", Admin, Present),
    read("/api/v1/alerts", Admin, Present),
    read("/api/v1/audit-trail", SignedIn, Fleet),
];

/// The address of this pattern; one that is not listed is closed as far as it can be.
pub fn of(path: &str) -> Route {
    ROUTES.iter().find(|r| r.path == path).copied().unwrap_or(Route { path: "", read: Some(SignedIn), write: Some(Record), reach: Present })
}
