//! Runs classes of packets through chains, as the kernel runs packets: expression by expression, and
//! splits a class where a rule matches a part of it alone.
//!
//! What can't be decoded never hides: a class that an unknown match may drop goes on in doubt, one that it
//! may accept is accepted in doubt and goes on. A match that varies (a limit) does both, without doubt.

use super::load;
use super::packet::{Packet, Test, Tracking};
use super::ranges::Ranges;
use super::registers::{Content, Registers};
use super::xtables::{self, Effect};
use crate::host::nftables::{Chain, Element, Expression, MetaKey, NatRegisters, Rule, Ruleset, Value, Verdict};

/// Deepest jump, as in the kernel (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;
/// Most steps (a rule for a class) of one run.
const STEPS: usize = 2_000_000;
/// Most classes at once.
const CLASSES: usize = 4_000;

/// The interface that packets come in by and, when they are forwarded, the one they leave by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// ARPHRD type.
    pub hardware: u16,
    /// Group.
    pub group: u32,
    /// Kind of virtual interface.
    pub kind: String,
    /// Number and name of the interface it leaves by; 0 and empty before that is known.
    pub out: (u32, String),
    /// The machine's own addresses on the interface, where a redirection leads.
    pub own: Ranges,
    /// All own addresses.
    pub local: Ranges,
}

/// How a class leaves a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Accepted.
    Accept,
    /// Dropped.
    Drop,
    /// At the end of the chain or by `return`.
    Return,
}

/// A class and how it left.
pub type Outcome = (Packet, End);

/// One run over a rule set.
#[derive(Debug)]
pub struct Walk<'a> {
    ruleset: &'a Ruleset,
    way: &'a Way,
    steps: usize,
}

/// A class within a rule.
#[derive(Clone, Debug)]
struct Case {
    packet: Packet,
    registers: Registers,
    /// A match before was not understood.
    doubt: Option<String>,
    /// A match before matches some of the time.
    varying: bool,
}

/// Where the classes of a rule go.
#[derive(Debug, Default)]
struct Exits {
    outcomes: Vec<Outcome>,
    going: Vec<Packet>,
}

/// What an expression does to one case.
enum Step {
    Cases(Vec<Case>),
    Done,
}

impl<'a> Walk<'a> {
    /// A run for packets of one interface.
    pub const fn new(ruleset: &'a Ruleset, way: &'a Way) -> Self {
        Self { ruleset, way, steps: STEPS }
    }

    /// Runs classes through a chain.
    pub fn chain(&mut self, chain: &Chain, packets: Vec<Packet>, depth: usize) -> Vec<Outcome> {
        let mut exits = Exits { outcomes: Vec::new(), going: packets };
        for (position, rule) in chain.rules.iter().enumerate() {
            let packets = std::mem::take(&mut exits.going);
            if packets.is_empty() {
                break;
            }
            self.steps = self.steps.saturating_sub(packets.len());
            if self.steps == 0 || packets.len() > CLASSES || depth > DEPTH {
                exits.outcomes.extend(packets.into_iter().map(|p| (p.doubted("more cases than the limit"), End::Accept)));
                break;
            }
            for packet in packets {
                self.rule(chain, position, rule, packet, depth, &mut exits);
            }
        }
        exits.outcomes.extend(exits.going.into_iter().map(|p| (p, End::Return)));
        exits.outcomes
    }

    fn rule(&mut self, chain: &Chain, position: usize, rule: &Rule, packet: Packet, depth: usize, exits: &mut Exits) {
        let place = place(chain, position);
        let mut cases = vec![Case { packet, registers: Registers::default(), doubt: None, varying: false }];
        for expression in &rule.expressions {
            let mut next = Vec::new();
            for case in cases {
                match self.step(chain, &place, expression, case, depth, exits) {
                    Step::Cases(more) => next.extend(more),
                    Step::Done => {}
                }
            }
            cases = next;
            if cases.is_empty() {
                return;
            }
        }
        exits.going.extend(cases.into_iter().map(|c| c.packet));
    }

    fn step(&mut self, chain: &Chain, place: &str, expression: &Expression, mut case: Case, depth: usize, exits: &mut Exits) -> Step {
        let test = match expression {
            Expression::Verdict(Verdict::Continue) | Expression::Silent(_) | Expression::Dynset { limited: false, .. } => Test::All,
            Expression::Verdict(verdict) => {
                self.finish(chain, place, case, verdict, depth, exits);
                return Step::Done;
            }
            Expression::Reject => {
                self.finish(chain, place, case, &Verdict::Drop, depth, exits);
                return Step::Done;
            }
            Expression::Queue => {
                self.finish(chain, place, case, &Verdict::Queue, depth, exits);
                return Step::Done;
            }
            Expression::Immediate { .. } | Expression::Bitwise { .. } | Expression::ByteOrder { .. } => {
                calculate(&mut case.registers, expression);
                Test::All
            }
            Expression::Payload { load, offset, length, to } => {
                case.registers.put(*to, load::payload(&case.packet, *load, *offset, *length));
                Test::All
            }
            Expression::Meta { .. } | Expression::Ct { .. } | Expression::Fib { .. } => match load::other(&case.packet, self.way, expression) {
                Some((to, contents)) => {
                    case.registers.put(to, contents);
                    Test::All
                }
                // What a packet from outside lacks ends the rule.
                None => Test::Nothing,
            },
            Expression::SetMeta { .. } | Expression::SetCt { .. } | Expression::Untracked => {
                set(&mut case, expression);
                Test::All
            }
            Expression::Compare { register, how, value } => case.registers.compare(&case.packet, *register, *how, value),
            Expression::Range { register, outside, from, to } => case.registers.range(&case.packet, *register, from, to, *outside),
            Expression::Lookup { set, register, inverted, to } => return self.lookup(chain, place, (set, *register, *inverted, *to), case, depth, exits),
            Expression::Varying(_) | Expression::Dynset { limited: true, .. } => Test::Varying,
            Expression::XtMatch { name, revision, info } => xtables::matches(name, *revision, info, &case.packet, load::is_local(&case.packet, self.way)),
            Expression::XtTarget { name, revision, info } => return self.target(place, (name, *revision, info), case, exits),
            Expression::Dnat(registers) => {
                let found = translation(&case.registers, *registers, &case.packet);
                return translate(place, case, found, exits);
            }
            Expression::Redirect(registers) => {
                let found = translation(&case.registers, *registers, &case.packet).map(|(_, port)| (Some(self.way.own.clone()), port));
                return translate(place, case, found, exits);
            }
            Expression::Other(name) => Test::Unknown(name.clone()),
        };
        Step::Cases(apply(place, case, test, &mut exits.going))
    }

    /// Looks a key up in a set or map.
    fn lookup(&mut self, chain: &Chain, place: &str, lookup: (&str, u32, bool, Option<u32>), case: Case, depth: usize, exits: &mut Exits) -> Step {
        let (name, register, inverted, to) = lookup;
        let Some(set) = self.ruleset.set(chain, name) else {
            return Step::Cases(apply(place, case, Test::Unknown(format!("set {name}")), &mut exits.going));
        };
        let Some(to) = to else {
            let test = if set.catch_all.is_some() { Test::All } else { any(&case, register, &set.elements) };
            return Step::Cases(apply(place, case, test.inverted(inverted), &mut exits.going));
        };
        let mut cases = Vec::new();
        let mut left = vec![case];
        let mut unsure = false;
        for (value, elements) in by_value(&set.elements) {
            let mut unmatched = Vec::new();
            for mut case in left {
                let test = any(&case, register, &elements);
                if let (Test::Unknown(why), Some(Value::Bytes(bytes))) = (&test, value) {
                    // Which value it is can't be told: one case stands for them all.
                    case.registers.put(to, vec![Content::Unknown(bytes.len(), why.clone())]);
                    case.doubt.get_or_insert_with(|| format!("{place}: {why}"));
                    cases.push(case);
                    continue;
                }
                let (inside, outside, is_sure) = divide(place, case, test);
                // Where the key is not certain, every verdict is possible and the class goes on once.
                let mut aside = Exits::default();
                let to_exits = if is_sure { &mut *exits } else { &mut aside };
                for matched in inside {
                    self.found(chain, place, matched, value, to, depth, to_exits, &mut cases);
                }
                exits.outcomes.append(&mut aside.outcomes);
                unsure |= !is_sure;
                unmatched.extend(outside);
            }
            left = unmatched;
        }
        for case in left {
            match (&set.catch_all, &case.doubt) {
                (Some(value), _) => self.found(chain, place, case, value.as_ref(), to, depth, exits, &mut cases),
                (None, Some(why)) if unsure => exits.going.push(case.packet.doubted(&why.clone())),
                (None, _) => exits.going.push(case.packet),
            }
        }
        Step::Cases(cases)
    }

    #[expect(clippy::too_many_arguments, reason = "where a class goes is one thing in many places")]
    fn found(&mut self, chain: &Chain, place: &str, mut case: Case, value: Option<&Value>, to: u32, depth: usize, exits: &mut Exits, cases: &mut Vec<Case>) {
        match value {
            Some(Value::Verdict(Verdict::Continue)) => cases.push(case),
            Some(Value::Verdict(verdict)) => self.finish(chain, place, case, verdict, depth, exits),
            Some(Value::Bytes(bytes)) => {
                case.registers.put(to, vec![Content::Bytes(bytes.clone())]);
                cases.push(case);
            }
            None => cases.push(case),
        }
    }

    fn target(&self, place: &str, target: (&str, u32, &[u8]), mut case: Case, exits: &mut Exits) -> Step {
        let (name, revision, info) = target;
        let sure = case.doubt.is_none() && !case.varying;
        match xtables::target(name, revision, info, &case.packet) {
            Effect::None => {}
            Effect::Untrack => case.packet.tracking = if sure { Tracking::Untracked } else { case.packet.tracking },
            Effect::Mark(mark) => case.packet.mark = mark.filter(|_| sure),
            Effect::ConnectionMark(mark) => case.packet.connection_mark = mark.filter(|_| sure),
            Effect::Drop => {
                end(place, case, End::Drop, exits);
                return Step::Done;
            }
            Effect::Dnat { address, port } => return translate(place, case, Some((address, port)), exits),
            Effect::Redirect { port } => return translate(place, case, Some((Some(self.way.own.clone()), port)), exits),
            Effect::Unknown(why) => {
                // It may accept, drop or go on.
                let why = format!("{place}: {why}");
                let packet = case.packet.doubted(&why);
                exits.outcomes.push((packet.clone(), End::Accept));
                exits.going.push(packet);
                return Step::Done;
            }
        }
        Step::Cases(vec![case])
    }

    fn finish(&mut self, chain: &Chain, place: &str, case: Case, verdict: &Verdict, depth: usize, exits: &mut Exits) {
        match verdict {
            Verdict::Accept => end(place, case, End::Accept, exits),
            Verdict::Return => end(place, case, End::Return, exits),
            Verdict::Drop | Verdict::Other => end(place, case, End::Drop, exits),
            Verdict::Continue | Verdict::Break => exits.going.push(case.packet),
            Verdict::Queue => {
                let why = format!("{place}: a program decides");
                end(place, Case { packet: case.packet.doubted(&why), ..case }, End::Accept, exits);
            }
            Verdict::Jump(name) | Verdict::Goto(name) => {
                let Some(next) = self.ruleset.chain(chain, name) else {
                    let packet = case.packet.doubted(&format!("{place}: a chain that is missing"));
                    exits.outcomes.push((packet.clone(), End::Accept));
                    exits.going.push(packet);
                    return;
                };
                let inner = self.chain(next, vec![case.packet.clone()], depth + 1);
                leave(case, inner, matches!(verdict, Verdict::Goto(_)), exits);
            }
        }
    }
}

/// `inet filter input rule 3`.
fn place(chain: &Chain, position: usize) -> String {
    format!("{} {} {} rule {}", chain.family.word(), chain.table, chain.name, position + 1)
}

fn calculate(registers: &mut Registers, expression: &Expression) {
    match expression {
        Expression::Immediate { to, value } => registers.put(*to, vec![Content::Bytes(value.clone())]),
        Expression::Bitwise { from, to, mask, xor } => registers.mask(*from, *to, mask, xor),
        Expression::ByteOrder { from, to, length, size } => registers.turn(*from, *to, *length, *size),
        _ => {}
    }
}

/// What a rule writes to the packet or its connection; after a match in doubt it is not known.
fn set(case: &mut Case, expression: &Expression) {
    let sure = case.doubt.is_none() && !case.varying;
    let number = |register: u32| match case.registers.take(register, 4).as_slice() {
        [Content::Bytes(bytes)] if sure => bytes.as_slice().try_into().ok().map(u32::from_ne_bytes),
        _ => None,
    };
    const CT_MARK: u32 = 3;
    match expression {
        Expression::SetMeta { key: MetaKey::Mark, from } => case.packet.mark = number(*from),
        Expression::SetCt { key: CT_MARK, from } => case.packet.connection_mark = number(*from),
        Expression::Untracked if sure && case.packet.tracking == Tracking::Before => case.packet.tracking = Tracking::Untracked,
        _ => {}
    }
}

/// Whether the key is one of these elements.
fn any(case: &Case, register: u32, elements: &[impl std::borrow::Borrow<Element>]) -> Test {
    let (mut parts, mut unknown, mut varying) = (Vec::new(), None, false);
    for element in elements {
        match case.registers.element(&case.packet, register, element.borrow()) {
            Test::All => return Test::All,
            Test::Parts(more) => parts.extend(more),
            Test::Unknown(why) => unknown = unknown.or(Some(why)),
            Test::Varying => varying = true,
            Test::Nothing | Test::Outside(_) => {}
        }
    }
    match (unknown, varying) {
        (Some(why), _) => Test::Unknown(why),
        (None, true) => Test::Varying,
        (None, false) if parts.is_empty() => Test::Nothing,
        (None, false) => Test::Parts(parts),
    }
}

/// Elements by what they lead to.
fn by_value(elements: &[Element]) -> Vec<(Option<&Value>, Vec<&Element>)> {
    let mut out: std::collections::BTreeMap<Option<&Value>, Vec<&Element>> = std::collections::BTreeMap::new();
    for element in elements {
        out.entry(element.value.as_ref()).or_default().push(element);
    }
    out.into_iter().collect()
}

/// What matches goes on in the rule, the rest to the next one.
fn apply(place: &str, case: Case, test: Test, going: &mut Vec<Packet>) -> Vec<Case> {
    let (inside, outside, is_sure) = divide(place, case, test);
    // A case in doubt is carried on by whatever ends it.
    if is_sure {
        going.extend(outside.into_iter().map(|c| c.packet));
    }
    inside
}

/// Cases inside and outside of a match, and whether those are apart.
fn divide(place: &str, mut case: Case, test: Test) -> (Vec<Case>, Vec<Case>, bool) {
    let with = |packets: Vec<Packet>, case: &Case| packets.into_iter().map(|packet| Case { packet, ..case.clone() }).collect::<Vec<_>>();
    match test {
        Test::All => (vec![case], Vec::new(), true),
        Test::Nothing => (Vec::new(), vec![case], true),
        Test::Parts(parts) => {
            let (inside, outside) = case.packet.clone().split(parts);
            (with(inside, &case), with(outside, &case), true)
        }
        Test::Outside(parts) => {
            let (inside, outside) = case.packet.clone().split(parts);
            (with(outside, &case), with(inside, &case), true)
        }
        Test::Varying => {
            case.varying = true;
            (vec![case.clone()], vec![case], false)
        }
        Test::Unknown(why) => {
            case.doubt.get_or_insert_with(|| format!("{place}: {why}"));
            (vec![case.clone()], vec![case], false)
        }
    }
}

/// A verdict, and where the class goes on when the match before it was not certain.
fn end(place: &str, case: Case, how: End, exits: &mut Exits) {
    let Case { mut packet, doubt, varying, .. } = case;
    let before = packet.clone();
    if how == End::Accept {
        packet.through = place.to_string();
    }
    match (doubt, how) {
        (Some(why), End::Drop) => exits.going.push(before.doubted(&why)),
        (Some(why), End::Accept) => {
            exits.outcomes.push((packet.doubted(&why), End::Accept));
            exits.going.push(before);
        }
        (Some(why), End::Return) => {
            exits.outcomes.push((packet.doubted(&why), End::Return));
            exits.going.push(before.doubted(&why));
        }
        (None, how) => {
            if varying {
                exits.going.push(before);
            }
            exits.outcomes.push((packet, how));
        }
    }
}

/// How a class goes on after a jump.
fn leave(case: Case, inner: Vec<Outcome>, is_goto: bool, exits: &mut Exits) {
    let Case { packet, doubt, varying, .. } = case;
    let Some(why) = doubt else {
        if varying {
            exits.going.push(packet);
        }
        for (packet, how) in inner {
            match how {
                End::Return if !is_goto => exits.going.push(packet),
                how => exits.outcomes.push((packet, how)),
            }
        }
        return;
    };
    let drops = inner.iter().any(|(_, how)| *how == End::Drop);
    let unsure = drops || is_goto;
    for (inner, how) in inner {
        match how {
            End::Accept => exits.outcomes.push((inner.doubted(&why), End::Accept)),
            End::Return if is_goto => exits.outcomes.push((inner.doubted(&why), End::Return)),
            _ => {}
        }
    }
    exits.going.push(if unsure { packet.doubted(&why) } else { packet });
}

/// Where a translation leads: address, port; `None` when that can't be told.
type Target = Option<(Option<Ranges>, Option<Ranges>)>;

fn translation(registers: &Registers, nat: NatRegisters, packet: &Packet) -> Target {
    let number = |register: u32, length: usize| match registers.take(register, length).as_slice() {
        [Content::Bytes(bytes)] => Some(bytes.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte))),
        _ => None,
    };
    let range = |first: u32, last: u32, length: usize| -> Option<Option<Ranges>> {
        if first == 0 {
            return Some(None);
        }
        let from = number(first, length)?;
        let to = if last == 0 { from } else { number(last, length)? };
        Some(Some(Ranges::of(from, to)))
    };
    let address = range(nat.address, nat.address_last, if packet.v6 { 16 } else { 4 })?;
    Some((address, range(nat.port, nat.port_last, 2)?))
}

fn translate(place: &str, case: Case, target: Target, exits: &mut Exits) -> Step {
    let Some((address, port)) = target else {
        let why = format!("{place}: a translation that is not understood");
        end(place, Case { packet: case.packet.doubted(&why), ..case }, End::Accept, exits);
        return Step::Done;
    };
    let mut translated = case.clone();
    let original = (case.packet.destination.clone(), case.packet.port.clone(), place.to_string());
    translated.packet.translated = Some(original);
    if let Some(address) = address {
        translated.packet.destination = address;
    }
    if let Some(port) = port {
        translated.packet.port = port;
    }
    // What goes on when the match was not certain is the packet as it came.
    let (doubt, varying) = (translated.doubt.take(), std::mem::take(&mut translated.varying));
    let through = case.packet.through.clone();
    let packet = Packet { through, ..translated.packet };
    match doubt {
        Some(why) => {
            exits.outcomes.push((packet.doubted(&why), End::Accept));
            exits.going.push(case.packet.doubted(&why));
        }
        None => {
            if varying {
                exits.going.push(case.packet);
            }
            exits.outcomes.push((packet, End::Accept));
        }
    }
    Step::Done
}
