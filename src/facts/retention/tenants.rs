//! What is left of tenants whose contract ended.

use super::{Place, Retention, Tenant, files};
use crate::facts::Document as _;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::kept::{Offboarded, TENANT, end_of, is_tenant};
use crate::model::table;

/// Most tenants of one list.
const TENANTS: usize = 10_000;
const REMEDY: &str = "Correct the list; it has the columns tenant and ended (YYYY-MM-DD).";

pub(super) fn look(host: &Host, declared: &Offboarded, gaps: &mut Gaps) -> Vec<Tenant> {
    let source = Source { place: String::new(), line: 0, directive: "offboarded".into() };
    if declared.list.is_empty() {
        return vec![one(host, declared, &declared.tenant, end_of(&declared.ended).unwrap_or(0), source, gaps)];
    }
    let rows = match listed(host, &declared.list) {
        Ok(rows) => rows,
        Err((id, detail)) => {
            gaps.note(Retention::NAME, "tenants", &declared.list, id, detail, REMEDY);
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for (line, name, ended) in rows {
        let place = Source::line(declared.list.clone(), line, "");
        // A name with a slash could lead anywhere: it is not put into a path.
        match end_of(&ended).filter(|_| is_tenant(&name)) {
            Some(at) => out.push(one(host, declared, &name, at, place, gaps)),
            None => {
                let subject = format!("{}:{line}", declared.list);
                let detail = format!("{subject}: no tenant that can stand in a path, or no day of the calendar");
                gaps.note(Retention::NAME, "tenants", &subject, reason::MALFORMED, detail, REMEDY);
            }
        }
    }
    out
}

/// Line, tenant, end.
type Listed = (usize, String, String);

/// The rows. Whoever may write the list decides what is read: that must be root alone.
fn listed(host: &Host, path: &str) -> Result<Vec<Listed>, (&'static str, String)> {
    let stat = host.stat(path).map_err(|e| (if e.is_not_found() { reason::MISSING } else { reason::READ_FAILED }, e.to_string()))?;
    if stat.uid != 0 || stat.mode & 0o022 != 0 {
        return Err((reason::PERMISSION_DENIED, format!("{path}: others than root may write it, so it is not used")));
    }
    let bytes = host.read(path, table::TABLE_LIMIT).map_err(|e| (reason::READ_FAILED, e.to_string()))?;
    let list = table::parse(path, &bytes, "list of tenants", "tenants").map_err(|e| (reason::MALFORMED, e.to_string()))?;
    let column = |wanted: &str| list.columns.iter().position(|(name, _)| table::plain_name(name) == wanted);
    let (Some(tenant), Some(ended)) = (column("tenant"), column("ended")) else {
        return Err((reason::MALFORMED, format!("{path}: the columns tenant and ended are not there")));
    };
    if list.rows.len() > TENANTS {
        return Err((reason::LIMIT_REACHED, format!("{path}: more than {TENANTS} tenants")));
    }
    let text = |row: &table::Row, at: usize| row.cells.iter().find(|c| c.column == at).map(|c| c.text.clone()).unwrap_or_default();
    Ok(list.rows.iter().map(|row| (row.line as usize, text(row, tenant), text(row, ended))).collect())
}

fn one(host: &Host, declared: &Offboarded, tenant: &str, ended_at: i64, source: Source, gaps: &mut Gaps) -> Tenant {
    let mut places = Vec::new();
    for template in &declared.paths {
        let path = template.replace(TENANT, tenant);
        match host.stat_link(&path) {
            Ok(_) => {}
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                gaps.add(e.to_gap(Retention::NAME, "tenants.places", tenant));
                continue;
            }
        }
        let mut place = Place { path: path.clone(), ..Place::default() };
        let outcome = files::walk(host, &path, &mut |file| {
            place.files += 1;
            place.bytes = place.bytes.saturating_add(file.bytes);
        });
        // An empty folder says nothing of a customer but that there was one; a link or what can't be read counts.
        let is_folder = host.stat_link(&path).is_ok_and(|s| s.kind == FileKind::Folder);
        if place.files > 0 || !is_folder || !outcome.errors.is_empty() || outcome.cut {
            places.push(place);
        }
    }
    Tenant { subject: tenant.to_string(), ended_at, limit_days: declared.limit_days, places, source }
}
