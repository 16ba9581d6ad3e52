//! Rule files of polkit(8), read without running them.
//!
//! They are programs. What most of them are made of (`if` over action, user and group, then
//! `return polkit.Result.X`) is followed exactly; a condition that is not understood can only
//! narrow a grant, so it is kept as "not certain"; any other statement makes the file a gap.

use super::condition::{Condition, Literal, Term, WAY_LIMIT, both, negate_unless, possible, terms};
use super::token::{Token, tokens};

/// What is known about one way through a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Action ids; `prefix*` for a prefix; empty: every action.
    pub actions: Vec<String>,
    /// `unix-user:NAME` or `unix-group:NAME`; empty: anybody.
    pub who: Vec<String>,
    /// `active`, `local`.
    pub session: Vec<String>,
    /// Other conditions that were understood.
    pub conditions: Vec<String>,
    /// Whether every condition was understood.
    pub certain: bool,
    /// Result, lower case: `yes`, `auth_admin`, …
    pub result: String,
    /// Line of the `return`.
    pub line: usize,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Ways to a result, in order.
    pub ways: Vec<Way>,
    /// Administrators that `addAdminRule` names, with the line.
    pub admins: Vec<(String, usize)>,
    /// Line and kind of what was not understood.
    pub problems: Vec<(usize, &'static str)>,
}

/// Reads a file.
pub fn script(text: &str) -> Script {
    let mut out = Script::default();
    let tokens = match tokens(text) {
        Ok(tokens) => with_constants(tokens),
        Err(problem) => {
            out.problems.push(problem);
            return out;
        }
    };
    let mut p = Parser { tokens: &tokens, at: 0, depth: 0 };
    while !p.end() {
        p.depth = 0;
        let line = p.line();
        let admin = if p.take(&["polkit", ".", "addRule", "("]) {
            false
        } else if p.take(&["polkit", ".", "addAdminRule", "("]) {
            true
        } else if p.take(&[";"]) || p.log() {
            continue;
        } else {
            out.problems.push((line, "a statement outside of addRule and addAdminRule"));
            break;
        };
        let read = p.rule().and_then(|statements| if admin { admins(&statements) } else { ways(&statements) }.map_err(|why| (line, why)));
        match read {
            Ok(Found::Ways(ways)) => out.ways.extend(ways),
            Ok(Found::Admins(names)) => out.admins.extend(names),
            Err(problem) => {
                out.problems.push(problem);
                p.skip_rule();
            }
        }
    }
    out
}

/// Names that are given a text or a list of texts once stand for it where they are used.
fn with_constants(mut tokens: Vec<(usize, Token)>) -> Vec<(usize, Token)> {
    let mut at = 0;
    while at < tokens.len() {
        let Some((name, value, end)) = constant(&tokens, at) else {
            at += 1;
            continue;
        };
        let is_name = |t: &(usize, Token)| matches!(&t.1, Token::Word(w) if *w == name);
        let mark = |t: Option<&(usize, Token)>, texts: &[&str]| matches!(t, Some((_, Token::Mark(m))) if texts.contains(&m.as_str()));
        let uses: Vec<usize> = (0..tokens.len()).filter(|i| !(at..end).contains(i) && tokens.get(*i).is_some_and(is_name)).collect();
        // Of another object, assigned again, changed in place, or used before: left as it is.
        let plain = |i: &usize| {
            let before = i.checked_sub(1).and_then(|b| tokens.get(b));
            let method = tokens.get(i + 2).is_none_or(|t| matches!(&t.1, Token::Word(w) if w == "indexOf" || w == "includes"));
            *i >= end
                && !mark(before, &[".", "++"])
                && !matches!(before, Some((_, Token::Word(w))) if ["var", "let", "const"].contains(&w.as_str()))
                && !mark(tokens.get(i + 1), &["=", "++", "[", "+"])
                && (!mark(tokens.get(i + 1), &["."]) || method)
        };
        if uses.len() > USE_LIMIT || value.len() > VALUE_LIMIT || !uses.iter().all(plain) {
            at = end;
            continue;
        }
        let mut out = Vec::with_capacity(tokens.len());
        for (i, token) in tokens.into_iter().enumerate() {
            if (at..end).contains(&i) {
                continue;
            }
            if uses.contains(&i) { out.extend(value.iter().map(|v| (token.0, v.clone()))) } else { out.push(token) }
        }
        tokens = out;
    }
    tokens
}

/// Most uses of one name that are replaced.
const USE_LIMIT: usize = 64;
/// Most words of what replaces it.
const VALUE_LIMIT: usize = 256;

/// `var NAME = "TEXT";` or `var NAME = ["TEXT", …];` at this place: name, value, and where it ends.
fn constant(tokens: &[(usize, Token)], at: usize) -> Option<(String, Vec<Token>, usize)> {
    let token = |i: usize| tokens.get(i).map(|t| &t.1);
    let mark = |i: usize, text: &str| matches!(token(i), Some(Token::Mark(m)) if m == text);
    let (Some(Token::Word(keyword)), Some(Token::Word(name))) = (token(at), token(at + 1)) else { return None };
    if !["var", "let", "const"].contains(&keyword.as_str()) || !mark(at + 2, "=") {
        return None;
    }
    let length = if mark(at + 3, "[") { tokens.get(at + 3..)?.iter().position(|t| t.1 == Token::Mark("]".into()))? + 1 } else { 1 };
    let end = at + 3 + length;
    let value: Vec<Token> = tokens.get(at + 3..end)?.iter().map(|t| t.1.clone()).collect();
    let literal = |t: &Token| matches!(t, Token::Text(_)) || matches!(t, Token::Mark(m) if ["[", "]", ","].contains(&m.as_str()));
    (mark(end, ";") && value.iter().all(literal)).then(|| (name.clone(), value, end + 1))
}

enum Found {
    Ways(Vec<Way>),
    Admins(Vec<(String, usize)>),
}

/// Deepest nesting of blocks and brackets.
const DEPTH_LIMIT: usize = 48;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Statement {
    If(Condition, Vec<Statement>, Vec<Statement>),
    Result(String, usize),
    Names(Vec<String>, usize),
}

type Problem = (usize, &'static str);

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at.min(self.tokens.len().saturating_sub(1))).map_or(0, |t| t.0)
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|t| &t.1)
    }

    fn is(&self, ahead: usize, text: &str) -> bool {
        matches!(self.peek(ahead), Some(Token::Word(t) | Token::Mark(t)) if t == text)
    }

    fn take(&mut self, texts: &[&str]) -> bool {
        let all = texts.iter().enumerate().all(|(i, text)| self.is(i, text));
        if all {
            self.at += texts.len();
        }
        all
    }

    fn text(&mut self) -> Option<String> {
        let Some(Token::Text(text)) = self.peek(0) else { return None };
        let text = text.clone();
        self.at += 1;
        Some(text)
    }

    fn expect(&mut self, text: &str, problem: &'static str) -> Result<(), Problem> {
        if self.take(&[text]) { Ok(()) } else { Err((self.line(), problem)) }
    }

    /// `polkit.log(…);` changes nothing.
    fn log(&mut self) -> bool {
        if !self.take(&["polkit", ".", "log", "("]) {
            return false;
        }
        self.skip_to_close();
        self.take(&[";"]);
        true
    }

    /// Behind the bracket that closes the one already taken.
    fn skip_to_close(&mut self) {
        let mut open = 1_usize;
        while open > 0 && !self.end() {
            if self.is(0, "(") || self.is(0, "{") || self.is(0, "[") {
                open += 1;
            } else if self.is(0, ")") || self.is(0, "}") || self.is(0, "]") {
                open -= 1;
            }
            self.at += 1;
        }
    }

    /// On to the next rule after a problem.
    fn skip_rule(&mut self) {
        while !self.end() && !(self.is(0, "polkit") && (self.is(2, "addRule") || self.is(2, "addAdminRule"))) {
            self.at += 1;
        }
    }

    /// `function(action, subject) { … });` or `(action, subject) => { … });`
    fn rule(&mut self) -> Result<Vec<Statement>, Problem> {
        const SHAPE: &str = "a rule that is not a plain function of action and subject";
        let function = self.take(&["function"]);
        self.expect("(", SHAPE)?;
        // Other names would need to be carried through; the manual's names are what people write.
        if !self.take(&["action", ",", "subject", ")"]) && !self.take(&["action", ")"]) {
            return Err((self.line(), SHAPE));
        }
        if !function {
            self.expect("=>", SHAPE)?;
        }
        self.expect("{", SHAPE)?;
        let statements = self.block()?;
        self.expect(")", SHAPE)?;
        self.take(&[";"]);
        Ok(statements)
    }

    fn block(&mut self) -> Result<Vec<Statement>, Problem> {
        let mut out = Vec::new();
        while !self.take(&["}"]) {
            if self.end() {
                return Err((self.line(), "a block without an end"));
            }
            self.statement(&mut out)?;
        }
        Ok(out)
    }

    fn statement(&mut self, out: &mut Vec<Statement>) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err((self.line(), "blocks nested too deep"));
        }
        let line = self.line();
        if self.take(&[";"]) || self.log() {
        } else if self.take(&["{"]) {
            out.extend(self.block()?);
        } else if self.take(&["if", "("]) {
            let condition = self.any()?;
            self.expect(")", "a condition of unknown form")?;
            let (mut then, mut otherwise) = (Vec::new(), Vec::new());
            self.statement(&mut then)?;
            if self.take(&["else"]) {
                self.statement(&mut otherwise)?;
            }
            out.push(Statement::If(condition, then, otherwise));
        } else if self.take(&["return"]) {
            out.push(self.result(line)?);
        } else {
            return Err((line, "a statement other than if and return"));
        }
        self.depth -= 1;
        Ok(())
    }

    fn result(&mut self, line: usize) -> Result<Statement, Problem> {
        let statement = if self.take(&["polkit", ".", "Result", "."]) {
            let Some(Token::Word(name)) = self.peek(0).cloned() else { return Err((line, "a result of unknown form")) };
            self.at += 1;
            Statement::Result(name.to_ascii_lowercase(), line)
        } else if self.take(&["["]) {
            let mut names = Vec::new();
            while !self.take(&["]"]) {
                names.push(self.text().ok_or((line, "a list of something else than texts"))?);
                self.take(&[","]);
            }
            Statement::Names(names, line)
        } else if let Some(text) = self.text() {
            Statement::Result(text.to_ascii_lowercase(), line)
        } else if self.take(&["null"]) || self.take(&["undefined"]) || self.is(0, ";") || self.is(0, "}") {
            Statement::Result("not_handled".into(), line)
        } else {
            return Err((line, "a result of unknown form"));
        };
        if !self.is(0, ";") && !self.is(0, "}") {
            return Err((line, "a result of unknown form"));
        }
        self.take(&[";"]);
        Ok(statement)
    }

    fn any(&mut self) -> Result<Condition, Problem> {
        let mut items = vec![self.all()?];
        while self.take(&["||"]) {
            items.push(self.all()?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Condition::Any(items) })
    }

    fn all(&mut self) -> Result<Condition, Problem> {
        let mut items = vec![self.one()?];
        while self.take(&["&&"]) {
            items.push(self.one()?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Condition::All(items) })
    }

    fn one(&mut self) -> Result<Condition, Problem> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err((self.line(), "brackets nested too deep"));
        }
        let start = self.at;
        let condition = if self.take(&["!"]) { Ok(Condition::Not(Box::new(self.one()?))) } else { self.plain(start) };
        self.depth -= 1;
        condition
    }

    fn plain(&mut self, start: usize) -> Result<Condition, Problem> {
        if self.take(&["("]) {
            let inner = self.any()?;
            if self.take(&[")"]) && self.closes() {
                return Ok(inner);
            }
        } else if let Some(condition) = self.known()
            && self.closes()
        {
            return Ok(condition);
        }
        // Not understood: over it to the next && , || or closing bracket of this level.
        self.at = start;
        while !self.end() && !self.closes() {
            let opens = self.is(0, "(") || self.is(0, "[") || self.is(0, "{");
            self.at += 1;
            if opens {
                self.skip_to_close();
            }
        }
        if self.at == start { Err((self.line(), "a condition of unknown form")) } else { Ok(Condition::Is(Literal::Unknown)) }
    }

    fn closes(&self) -> bool {
        self.is(0, ")") || self.is(0, "&&") || self.is(0, "||")
    }

    fn known(&mut self) -> Option<Condition> {
        let is = |literal| Some(Condition::Is(literal));
        if self.take(&["true"]) {
            return Some(Condition::All(Vec::new()));
        }
        if self.take(&["subject", ".", "isInGroup", "("]) {
            let group = self.text()?;
            return if self.take(&[")"]) { is(Literal::Who(format!("unix-group:{group}"))) } else { None };
        }
        for (field, word) in [("active", "active"), ("local", "local")] {
            if self.take(&["subject", ".", field]) {
                let positive = Condition::Is(Literal::Session(word.into()));
                return match self.equality() {
                    None => Some(positive),
                    Some(equal) => {
                        let value = if self.take(&["true"]) { true } else { self.take(&["false"]).then_some(false)? };
                        Some(negate_unless(positive, equal == value))
                    }
                };
            }
        }
        if self.take(&["subject", ".", "user"]) {
            let equal = self.equality()?;
            let name = self.text()?;
            return Some(negate_unless(Condition::Is(Literal::Who(format!("unix-user:{name}"))), equal));
        }
        if self.take(&["action", ".", "lookup", "("]) {
            let key = self.text()?;
            if !self.take(&[")"]) {
                return None;
            }
            let equal = self.equality()?;
            let value = self.text()?;
            return Some(negate_unless(Condition::Is(Literal::Other(format!("{key} is {value}"))), equal));
        }
        if self.take(&["["]) {
            return self.listed();
        }
        if self.take(&["action", ".", "id"]) { self.action() } else { None }
    }

    /// `["a", "b"].indexOf(action.id) >= 0`, `.includes(action.id)`.
    fn listed(&mut self) -> Option<Condition> {
        let mut ids = Vec::new();
        while !self.take(&["]"]) {
            ids.push(Condition::Is(Literal::Action(self.text()?)));
            self.take(&[","]);
        }
        let included = self.take(&[".", "includes", "(", "action", ".", "id", ")"]);
        let found = included || (self.take(&[".", "indexOf", "(", "action", ".", "id", ")"]) && self.found()?);
        found.then_some(Condition::Any(ids))
    }

    fn action(&mut self) -> Option<Condition> {
        if self.take(&[".", "startsWith", "("]) {
            let prefix = self.text()?;
            return self.take(&[")"]).then_some(Condition::Is(Literal::Action(format!("{prefix}*"))));
        }
        if self.take(&[".", "indexOf", "("]) {
            let part = self.text()?;
            if !self.take(&[")"]) {
                return None;
            }
            if self.take(&["==", "0"]) || self.take(&["===", "0"]) {
                return Some(Condition::Is(Literal::Action(format!("{part}*"))));
            }
            return self.found()?.then_some(Condition::Is(Literal::Action(format!("*{part}*"))));
        }
        let equal = self.equality()?;
        Some(negate_unless(Condition::Is(Literal::Action(self.text()?)), equal))
    }

    /// `>= 0`, `> -1`, `!= -1`, `!== -1`, `~`-less; false: not found.
    fn found(&mut self) -> Option<bool> {
        if self.take(&[">=", "0"]) || self.take(&[">", "-", "1"]) || self.take(&["!=", "-", "1"]) || self.take(&["!==", "-", "1"]) { Some(true) } else { None }
    }

    fn equality(&mut self) -> Option<bool> {
        if self.take(&["=="]) || self.take(&["==="]) {
            Some(true)
        } else if self.take(&["!="]) || self.take(&["!=="]) {
            Some(false)
        } else {
            None
        }
    }
}

const COMPLEX: &str = "conditions with too many combinations";

fn ways(statements: &[Statement]) -> Result<Found, &'static str> {
    let mut out = Vec::new();
    walk(statements, vec![Vec::new()], &mut out)?;
    Ok(Found::Ways(out))
}

/// Follows statements under the given terms; hands back the terms under which the end is reached.
fn walk(statements: &[Statement], mut here: Vec<Vec<Term>>, out: &mut Vec<Way>) -> Result<Vec<Vec<Term>>, &'static str> {
    for statement in statements {
        match statement {
            Statement::If(condition, then, otherwise) => {
                let holds = both(&here, &terms(condition, true).ok_or(COMPLEX)?).ok_or(COMPLEX)?;
                let fails = both(&here, &terms(condition, false).ok_or(COMPLEX)?).ok_or(COMPLEX)?;
                here = walk(then, possible(holds), out)?;
                here.extend(walk(otherwise, possible(fails), out)?);
                if here.len() > WAY_LIMIT {
                    return Err(COMPLEX);
                }
            }
            Statement::Result(result, line) => {
                if result != "not_handled" {
                    out.extend(here.iter().map(|terms| way(terms, result, *line)));
                }
                if out.len() > WAY_LIMIT * 16 {
                    return Err(COMPLEX);
                }
                return Ok(Vec::new());
            }
            Statement::Names(..) => return Err("a list where a result is expected"),
        }
    }
    Ok(here)
}

fn way(terms: &[Term], result: &str, line: usize) -> Way {
    let mut way = Way { result: result.into(), line, certain: true, ..Way::default() };
    for (literal, holds) in terms {
        let (list, text) = match literal {
            Literal::Action(id) if *holds => (&mut way.actions, id.clone()),
            Literal::Who(who) if *holds => (&mut way.who, who.clone()),
            Literal::Session(word) if *holds => (&mut way.session, word.clone()),
            Literal::Other(text) if *holds => (&mut way.conditions, text.clone()),
            // An action that is left out hardly narrows a grant, a person who is left out neither.
            Literal::Action(_) | Literal::Who(_) | Literal::Session(_) => continue,
            Literal::Other(text) => (&mut way.conditions, format!("not {text}")),
            Literal::Unknown => {
                way.certain = false;
                continue;
            }
        };
        if !list.contains(&text) {
            list.push(text);
        }
    }
    way
}

fn admins(statements: &[Statement]) -> Result<Found, &'static str> {
    match statements {
        [Statement::Names(names, line)] => Ok(Found::Admins(names.iter().map(|n| (n.clone(), *line)).collect())),
        _ => Err("an addAdminRule that is more than a list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<String> {
        let script = script(text);
        let show =
            |w: &Way| format!("{} {:?} {:?} {:?} {:?} {} {}", w.line, w.actions, w.who, w.session, w.conditions, w.result, if w.certain { "" } else { "?" });
        script.ways.iter().map(show).chain(script.problems.iter().map(|p| format!("{} {}", p.0, p.1))).collect()
    }

    #[test]
    fn common_shapes_become_ways() {
        assert_eq!(seen("polkit.addRule(function(action, subject) {\n return polkit.Result.YES;\n});"), ["2 [] [] [] [] yes "]);
        let text = "// x\npolkit.addRule(function(action, subject) {\n  if ((action.id == \"a.b\" || action.id === 'a.c') && subject.active == true && subject.local && subject.isInGroup(\"sudo\")) { return polkit.Result.YES; }\n});\n";
        assert_eq!(
            seen(text),
            [r#"3 ["a.b"] ["unix-group:sudo"] ["active", "local"] [] yes "#, r#"3 ["a.c"] ["unix-group:sudo"] ["active", "local"] [] yes "#]
        );
        let early = "polkit.addRule((action, subject) => { if (action.id != 'x.y') return polkit.Result.NOT_HANDLED; if (!subject.isInGroup('w')) { return polkit.Result.NO; } return polkit.Result.YES; });";
        assert_eq!(seen(early), [r#"1 ["x.y"] [] [] [] no "#, r#"1 ["x.y"] ["unix-group:w"] [] [] yes "#]);
        let unit = "polkit.addRule(function(action, subject) { if (action.id.indexOf('org.s.') == 0 && action.lookup('unit') == 'a.service' && subject.user == 'app') return 'yes'; });";
        assert_eq!(seen(unit), [r#"1 ["org.s.*"] ["unix-user:app"] [] ["unit is a.service"] yes "#]);
        let listed =
            "polkit.addRule(function(action, subject) { if (['a','b'].indexOf(action.id) > -1) { polkit.log('x(' + action); return polkit.Result.YES } });";
        assert_eq!(seen(listed), [r#"1 ["a"] [] [] [] yes "#, r#"1 ["b"] [] [] [] yes "#]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let regular = "polkit.addRule(function(action, subject) { if (/^org/.test(action.id) && subject.isInGroup('w')) return polkit.Result.YES; });";
        assert_eq!(seen(regular), [r#"1 [] ["unix-group:w"] [] [] yes ?"#]);
        assert_eq!(seen("polkit.addRule(function(action, subject) {\n var x = 1; return polkit.Result.YES; });"), ["2 a statement other than if and return"]);
        let list = "var who = 'paul';\npolkit.addRule(function(action, subject) {\n var ids = ['a.b', 'a.c'];\n if (ids.indexOf(action.id) >= 0 && subject.user == who) { return polkit.Result.YES; }\n});";
        assert_eq!(seen(list), [r#"4 ["a.b"] ["unix-user:paul"] [] [] yes "#, r#"4 ["a.c"] ["unix-user:paul"] [] [] yes "#]);
        assert!(seen(&list.replace("'a.c'];", "'a.c']; ids.push('x');")).iter().any(|w| w.contains("a statement other")));
        assert_eq!(seen("var y = 2;"), ["1 a statement outside of addRule and addAdminRule"]);
        assert_eq!(seen("/* polkit.addRule(function(action, subject) { return polkit.Result.YES; }); */ // x"), Vec::<String>::new());
        let admin = script("polkit.addAdminRule(function(action, subject) { return [\"unix-group:sudo\", \"unix-user:0\"]; });");
        assert_eq!(admin.admins, [("unix-group:sudo".to_string(), 1), ("unix-user:0".to_string(), 1)]);
    }

    #[test]
    fn garbage_and_deep_nesting_end() {
        let seed = "polkit.addRule(function(action, subject) { if (action.id == \"a\" && !(subject.local || subject.isInGroup('x'))) { return polkit.Result.YES; } else return null; });";
        for at in 0..seed.len() {
            for byte in [b'(', b')', b'{', b'}', b'"', b'/', b'!', b'[', 0, b'\\'] {
                let mut bytes = seed.as_bytes().to_vec();
                bytes[at] = byte;
                let _ = script(&String::from_utf8_lossy(&bytes));
            }
            let _ = script(&seed[..at]);
        }
        for piece in ["(", "!", "{", "if(", "["] {
            let _ = script(&format!("polkit.addRule(function(action, subject) {{ if ({}", piece.repeat(20_000)));
        }
        let wide = "(subject.local || subject.active) && ".repeat(40);
        assert_eq!(
            seen(&format!("polkit.addRule(function(action, subject) {{ if ({wide} true) return 'yes'; }});")),
            ["1 conditions with too many combinations"]
        );
    }
}
