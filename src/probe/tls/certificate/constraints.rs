//! Name constraints (RFC 5280 section 4.2.1.10).

use super::der::{Element, Malformed, constructed, context};
use super::general_name::GeneralName;
use super::name;

/// Subtrees in which the names below an authority must, or must not, lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    permitted: Vec<GeneralName>,
    excluded: Vec<GeneralName>,
}

impl Constraints {
    /// Reads the SEQUENCE of the extension.
    pub fn read(sequence: &Element<'_>) -> Result<Self, Malformed> {
        let mut fields = sequence.inside();
        let permitted = fields.optional(constructed(0))?.map_or(Ok(Vec::new()), |list| subtrees(&list))?;
        let excluded = fields.optional(constructed(1))?.map_or(Ok(Vec::new()), |list| subtrees(&list))?;
        fields.end()?;
        Ok(Self { permitted, excluded })
    }

    /// The first of `names` that these constraints forbid.
    pub fn forbidden<'n>(&self, names: &'n [GeneralName]) -> Option<&'n GeneralName> {
        names.iter().find(|name| {
            let mut same = self.permitted.iter().filter(|base| base.kind() == name.kind()).peekable();
            let outside = same.peek().is_some() && !same.any(|base| lies_in(name, base));
            outside || self.excluded.iter().any(|base| base.kind() == name.kind() && lies_in_or_unknown(name, base))
        })
    }
}

fn subtrees(list: &Element<'_>) -> Result<Vec<GeneralName>, Malformed> {
    let mut inside = list.inside();
    let mut out = Vec::new();
    while !inside.is_empty() {
        let mut subtree = inside.sequence()?;
        let base = GeneralName::read(&subtree.element()?)?;
        // Section 4.2.1.10: the minimum must be zero and the maximum be absent.
        let minimum = subtree.optional(context(0))?.map_or(Ok(0), |m| m.number())?;
        if minimum != 0 || !subtree.is_empty() {
            return Err(Malformed("a subtree has a minimum or maximum"));
        }
        if matches!(&base, GeneralName::Ip(octets) if !matches!(octets.len(), 8 | 32)) {
            return Err(Malformed("a subtree of addresses has no mask"));
        }
        out.push(base);
    }
    Ok(out)
}

/// A kind that can't be compared lies in every excluded subtree and in no permitted one.
fn lies_in_or_unknown(name: &GeneralName, base: &GeneralName) -> bool {
    matches!(name, GeneralName::Other(_)) || lies_in(name, base)
}

fn lies_in(name: &GeneralName, base: &GeneralName) -> bool {
    match (name, base) {
        (GeneralName::Dns(name), GeneralName::Dns(base)) => in_domain(name, base, true),
        (GeneralName::Email(name), GeneralName::Email(base)) => in_mailbox(name, base),
        (GeneralName::Uri(uri), GeneralName::Uri(base)) => host_of(uri).is_some_and(|host| in_domain(host, base, false)),
        (GeneralName::Ip(octets), GeneralName::Ip(base)) => in_network(octets, base),
        (GeneralName::Directory(name), GeneralName::Directory(base)) => in_directory(name, base),
        _ => false,
    }
}

/// `example.com` holds itself and, for DNS names, what is below it; `.example.com` only what is below it.
fn in_domain(name: &str, base: &str, below: bool) -> bool {
    let tidy = |text: &str| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let (name, base) = (tidy(name), tidy(base));
    if base.is_empty() {
        return true;
    }
    if base.starts_with('.') {
        return name.len() > base.len() && name.ends_with(&base);
    }
    name == base || below && name.strip_suffix(base.as_str()).is_some_and(|rest| rest.ends_with('.'))
}

/// A mailbox, all mailboxes of a host, or of every host below a domain.
fn in_mailbox(name: &str, base: &str) -> bool {
    let Some((local, host)) = name.rsplit_once('@') else { return false };
    match base.rsplit_once('@') {
        Some((base_local, base_host)) => local == base_local && host.eq_ignore_ascii_case(base_host),
        None => in_domain(host, base, false),
    }
}

fn host_of(uri: &str) -> Option<&str> {
    let rest = uri.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(host.rsplit_once(':').map_or(host, |(name, _)| name)).filter(|h| !h.is_empty())
}

fn in_network(octets: &[u8], base: &[u8]) -> bool {
    let Some((address, mask)) = base.split_at_checked(base.len() / 2) else { return false };
    octets.len() == address.len() && octets.iter().zip(address).zip(mask).all(|((a, b), m)| a & m == b & m)
}

/// The relative names of the base are the first of the name.
fn in_directory(name: &[u8], base: &[u8]) -> bool {
    match (name::canonical(name), name::canonical(base)) {
        // Each relative name begins with its length, so that a prefix ends between two of them.
        (Ok(name), Ok(base)) => name.starts_with(&base),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(name: &str) -> GeneralName {
        GeneralName::Dns(name.into())
    }

    #[test]
    fn names_lie_below_their_subtree() {
        for (name, base, lies) in [
            (dns("a.example"), dns("example"), true),
            (dns("a.example"), dns("a.example"), true),
            (dns("a.example"), dns("A.EXAMPLE"), true),
            (dns("b.a.example"), dns(".a.example"), true),
            (dns("a.example"), dns(".a.example"), false),
            (dns("xa.example"), dns("a.example"), false),
            (dns("a.example"), dns(""), true),
            (GeneralName::Email("x@a.example".into()), GeneralName::Email("a.example".into()), true),
            (GeneralName::Email("x@b.a.example".into()), GeneralName::Email("a.example".into()), false),
            (GeneralName::Email("x@b.a.example".into()), GeneralName::Email(".a.example".into()), true),
            (GeneralName::Email("x@a.example".into()), GeneralName::Email("y@a.example".into()), false),
            (GeneralName::Uri("https://u@a.example:8/x".into()), GeneralName::Uri("a.example".into()), true),
            (GeneralName::Ip(vec![10, 1, 2, 3]), GeneralName::Ip(vec![10, 0, 0, 0, 255, 0, 0, 0]), true),
            (GeneralName::Ip(vec![11, 1, 2, 3]), GeneralName::Ip(vec![10, 0, 0, 0, 255, 0, 0, 0]), false),
            (GeneralName::Ip(vec![0; 16]), GeneralName::Ip(vec![10, 0, 0, 0, 255, 0, 0, 0]), false),
        ] {
            assert_eq!(lies_in(&name, &base), lies, "{name:?} {base:?}");
        }
    }

    #[test]
    fn a_kind_that_is_not_named_is_free() {
        let constraints = Constraints { permitted: vec![dns("a.example")], excluded: vec![dns("b.a.example"), GeneralName::Other(0)] };
        assert_eq!(constraints.forbidden(&[dns("x.a.example"), GeneralName::Ip(vec![1, 2, 3, 4])]), None);
        assert_eq!(constraints.forbidden(&[dns("x.a.example"), dns("y.b.a.example")]), Some(&dns("y.b.a.example")));
        assert_eq!(constraints.forbidden(&[dns("c.example")]), Some(&dns("c.example")));
        assert_eq!(constraints.forbidden(&[GeneralName::Other(0)]), Some(&GeneralName::Other(0)));
    }
}
