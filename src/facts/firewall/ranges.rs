//! Sets of numbers (addresses, ports) as sorted intervals.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Intervals, both ends included, sorted, apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// One interval; empty when the first is above the last.
    pub fn of(from: u128, to: u128) -> Self {
        if from <= to { Self(vec![(from, to)]) } else { Self::default() }
    }

    /// Any intervals.
    pub fn from_list(mut list: Vec<(u128, u128)>) -> Self {
        list.retain(|(from, to)| from <= to);
        list.sort_unstable();
        let mut out: Vec<(u128, u128)> = Vec::with_capacity(list.len());
        for (from, to) in list {
            match out.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => out.push((from, to)),
            }
        }
        Self(out)
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The intervals.
    pub fn list(&self) -> &[(u128, u128)] {
        &self.0
    }

    /// The only number in it.
    pub fn single(&self) -> Option<u128> {
        match self.0.as_slice() {
            [(from, to)] if from == to => Some(*from),
            _ => None,
        }
    }

    /// What is in both.
    pub fn and(&self, other: &Self) -> Self {
        let (mut out, mut a, mut b) = (Vec::new(), self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (from, to) = (x.0.max(y.0), x.1.min(y.1));
            if from <= to {
                out.push((from, to));
            }
            if x.1 < y.1 {
                a.next()
            } else {
                b.next()
            };
        }
        Self(out)
    }

    /// What is in this one alone.
    pub fn minus(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        for &(begin, to) in &self.0 {
            let mut from = Some(begin);
            for &(x, y) in other.0.iter().skip_while(|r| r.1 < begin).take_while(|r| r.0 <= to) {
                let Some(start) = from else { break };
                if x > start {
                    out.push((start, x - 1));
                }
                from = y.checked_add(1).filter(|next| *next <= to);
            }
            if let Some(start) = from {
                out.push((start, to));
            }
        }
        Self(out)
    }

    /// What is in either.
    pub fn or(&self, other: &Self) -> Self {
        Self::from_list(self.0.iter().chain(&other.0).copied().collect())
    }

    /// How many numbers; at most `u128::MAX`.
    pub fn size(&self) -> u128 {
        self.0.iter().fold(0, |sum: u128, (from, to)| sum.saturating_add((to - from).saturating_add(1)))
    }

    /// As networks (`10.0.0.0/8`), at most so many, and whether that is all.
    pub fn networks(&self, v6: bool, limit: usize) -> (Vec<String>, bool) {
        let bits: u32 = if v6 { 128 } else { 32 };
        let mut out = Vec::new();
        for &(from, to) in &self.0 {
            let mut at = Some(from);
            while let Some(start) = at {
                if out.len() == limit {
                    return (out, false);
                }
                // The largest network that begins here and ends within.
                let fits = |host: u32| host == 0 || last_of(start, host).is_some_and(|last| last <= to);
                let host = (0..=start.trailing_zeros().min(bits)).rev().find(|h| fits(*h)).unwrap_or_default();
                out.push(format!("{}/{}", address(start, v6), bits - host));
                at = last_of(start, host).and_then(|last| last.checked_add(1)).filter(|next| *next <= to);
            }
        }
        (out, true)
    }

    /// As ports (`22`, `8000-8010`).
    pub fn ports(&self) -> String {
        let shown = |(from, to): &(u128, u128)| if from == to { from.to_string() } else { format!("{from}-{to}") };
        self.0.iter().map(shown).collect::<Vec<_>>().join(",")
    }
}

/// Last number of a network that begins at `start` and leaves so many bits open.
const fn last_of(start: u128, host: u32) -> Option<u128> {
    if host >= 128 { Some(u128::MAX) } else { start.checked_add((1 << host) - 1) }
}

/// The number of an address.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

/// The address of a number.
pub fn address(number: u128, v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(Ipv6Addr::from(number)) } else { IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_intervals() {
        let a = Ranges::from_list(vec![(10, 20), (30, 40), (5, 9)]);
        assert_eq!(a.list(), [(5, 20), (30, 40)]);
        let b = Ranges::of(15, 35);
        assert_eq!(a.and(&b).list(), [(15, 20), (30, 35)]);
        assert_eq!(a.minus(&b).list(), [(5, 14), (36, 40)]);
        assert_eq!(b.minus(&a).list(), [(21, 29)]);
        assert_eq!(a.or(&b).list(), [(5, 40)]);
        assert_eq!((a.size(), Ranges::of(2, 1).is_empty(), Ranges::of(0, u128::MAX).size()), (27, true, u128::MAX));
        assert_eq!(Ranges::of(0, u128::MAX).minus(&Ranges::of(3, u128::MAX)).list(), [(0, 2)]);
    }

    #[test]
    fn networks_and_ports() {
        let v4 = |text: &str| number(text.parse().unwrap());
        let range = Ranges::of(v4("10.0.0.1"), v4("10.0.0.4"));
        assert_eq!(range.networks(false, 9), (vec!["10.0.0.1/32".into(), "10.0.0.2/31".into(), "10.0.0.4/32".into()], true));
        assert!(!range.networks(false, 2).1);
        assert_eq!(Ranges::of(0, u128::from(u32::MAX)).networks(false, 9).0, ["0.0.0.0/0"]);
        assert_eq!(Ranges::of(0, u128::MAX).networks(true, 9).0, ["::/0"]);
        assert_eq!(Ranges::of(v4("fe80::"), v4("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff")).networks(true, 9).0, ["fe80::/10"]);
        assert_eq!(Ranges::from_list(vec![(22, 22), (80, 90)]).ports(), "22,80-90");
    }
}
