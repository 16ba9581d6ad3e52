//! The configuration language of nginx: directives, blocks, quotes, includes.

use std::rc::Rc;

use crate::facts::web::collect::Collector;
use crate::facts::web::tree::Directive;
use crate::host::glob::{glob, is_pattern};
use crate::host::root::CONFIG_LIMIT;
use crate::model::gap::reason;

/// Most files read of one configuration.
const FILE_LIMIT: usize = 2_000;
/// Deepest include, levels.
const INCLUDE_LIMIT: usize = 16;
/// Deepest block, levels.
const BLOCK_LIMIT: usize = 32;
/// Most directives kept of one configuration.
const DIRECTIVE_LIMIT: usize = 100_000;

/// What the files say.
#[derive(Debug, Default)]
pub struct Files {
    /// The main context.
    pub directives: Vec<Directive>,
    /// Files read, in order.
    pub paths: Vec<String>,
    count: usize,
}

/// Reads `main`; relative includes are looked for in its folder, as nginx does.
pub fn read(collector: &mut Collector<'_>, main: &str) -> Files {
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
    let mut reader = Reader { collector, folder, files: Files::default() };
    let directives = reader.file(main, 0);
    Files { directives, ..reader.files }
}

struct Reader<'a, 'c> {
    collector: &'a mut Collector<'c>,
    folder: String,
    files: Files,
}

impl Reader<'_, '_> {
    fn limit(&mut self, detail: String) {
        self.collector.gap("", "", reason::LIMIT_REACHED, detail, "Simplify the configuration of nginx.");
    }

    fn file(&mut self, path: &str, depth: usize) -> Vec<Directive> {
        if depth > INCLUDE_LIMIT || self.files.paths.len() >= FILE_LIMIT {
            self.limit(format!("{path}: more than {INCLUDE_LIMIT} levels or {FILE_LIMIT} files of includes"));
            return Vec::new();
        }
        let text = match self.collector.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) => {
                self.collector.gaps.add(e.to_gap(self.collector.family, "", ""));
                return Vec::new();
            }
        };
        self.files.paths.push(path.to_string());
        let mut parser = Parser { tokens: Tokens::new(&text), path: path.into(), problem: None };
        let parsed = parser.block(0);
        if let Some((line, problem)) = parser.problem {
            self.collector.gap("", "", reason::MALFORMED, format!("{path}:{line}: {problem}"), "Mend the file and check with nginx -t.");
        }
        self.included(parsed, depth)
    }

    /// Puts included files in the place of their directives.
    fn included(&mut self, directives: Vec<Directive>, depth: usize) -> Vec<Directive> {
        let mut out = Vec::new();
        for mut directive in directives {
            self.files.count += 1;
            if self.files.count == DIRECTIVE_LIMIT {
                self.limit(format!("{}:{}: more than {DIRECTIVE_LIMIT} directives", directive.path, directive.line));
            }
            if self.files.count >= DIRECTIVE_LIMIT {
                break;
            }
            if directive.name == "include" && directive.block.is_none() {
                out.extend(self.include(&directive, depth));
                continue;
            }
            directive.block = directive.block.take().map(|inner| self.included(inner, depth));
            out.push(directive);
        }
        out
    }

    fn include(&mut self, directive: &Directive, depth: usize) -> Vec<Directive> {
        let pattern = match directive.argument(0) {
            absolute if absolute.starts_with('/') => absolute.to_string(),
            relative => format!("{}/{relative}", self.folder),
        };
        if !is_pattern(&pattern) {
            return self.file(&pattern, depth + 1);
        }
        let found = glob(self.collector.host, &pattern);
        for error in found.errors {
            self.collector.gaps.add(error.to_gap(self.collector.family, "", ""));
        }
        found.paths.iter().flat_map(|path| self.file(path, depth + 1)).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

struct Parser<'t> {
    tokens: Tokens<'t>,
    path: Rc<str>,
    problem: Option<(usize, &'static str)>,
}

impl Parser<'_> {
    fn fail(&mut self, problem: &'static str) {
        self.problem.get_or_insert((self.tokens.line, problem));
    }

    /// Directives up to the closing brace, or the end of the file at depth 0.
    fn block(&mut self, depth: usize) -> Vec<Directive> {
        let mut out = Vec::new();
        let mut open: Option<Directive> = None;
        while let Some((line, token)) = self.tokens.next() {
            match token {
                Token::Word(word) => match &mut open {
                    Some(directive) => directive.arguments.push(word),
                    None => open = Some(Directive { path: self.path.clone(), line, name: word, ..Directive::default() }),
                },
                Token::End => out.extend(open.take()),
                Token::Open => {
                    let Some(mut directive) = open.take() else {
                        self.fail("a block without a name");
                        return out;
                    };
                    if directive.name.ends_with("_by_lua_block") {
                        self.tokens.skip_block();
                        directive.block = Some(Vec::new());
                    } else if depth >= BLOCK_LIMIT {
                        self.fail("blocks are nested too deeply");
                        return out;
                    } else {
                        directive.block = Some(self.block(depth + 1));
                    }
                    out.push(directive);
                }
                Token::Close if depth > 0 && open.is_none() => return out,
                Token::Close => {
                    self.fail("a closing brace that closes nothing");
                    return out;
                }
            }
        }
        if depth > 0 || open.is_some() {
            self.fail("the file ends inside a directive or block");
        }
        out
    }
}

struct Tokens<'t> {
    chars: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
}

impl<'t> Tokens<'t> {
    fn new(text: &'t str) -> Self {
        Self { chars: text.chars().peekable(), line: 1 }
    }

    fn char(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    /// Line of the first character, and the token.
    fn next(&mut self) -> Option<(usize, Token)> {
        loop {
            let &c = self.chars.peek()?;
            if c.is_ascii_whitespace() {
                self.char();
            } else if c == '#' {
                while self.chars.peek().is_some_and(|c| *c != '\n') {
                    self.char();
                }
            } else {
                break;
            }
        }
        let line = self.line;
        let &c = self.chars.peek()?;
        let token = match c {
            ';' | '{' | '}' => {
                self.char();
                match c {
                    ';' => Token::End,
                    '{' => Token::Open,
                    _ => Token::Close,
                }
            }
            '"' | '\'' => Token::Word(self.quoted(c)),
            _ => Token::Word(self.word()),
        };
        Some((line, token))
    }

    fn quoted(&mut self, quote: char) -> String {
        let mut out = String::new();
        self.char();
        while let Some(c) = self.char() {
            if c == quote {
                break;
            }
            if c == '\\' { self.escape(&mut out) } else { out.push(c) }
        }
        out
    }

    /// A brace behind a dollar belongs to the word: `${name}`.
    fn word(&mut self) -> String {
        let mut out = String::new();
        while let Some(&c) = self.chars.peek() {
            if c.is_ascii_whitespace() || c == ';' || (c == '{' && !out.ends_with('$')) {
                break;
            }
            self.char();
            if c == '\\' { self.escape(&mut out) } else { out.push(c) }
        }
        out
    }

    /// A backslash before a quote or another one disappears, before `t`, `r`, `n` it makes a blank; elsewhere it stays.
    fn escape(&mut self, out: &mut String) {
        match self.char() {
            Some(c @ ('"' | '\'' | '\\')) => out.push(c),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('n') => out.push('\n'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }

    /// The text of another language up to the brace that closes it; quoted braces do not count.
    fn skip_block(&mut self) {
        let mut depth = 1_usize;
        let mut quote: Option<char> = None;
        while let Some(c) = self.char() {
            match (quote, c) {
                (Some(_), '\\') => drop(self.char()),
                (Some(q), c) if c == q => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '-') if self.chars.peek() == Some(&'-') => {
                    while self.chars.peek().is_some_and(|c| *c != '\n') {
                        self.char();
                    }
                }
                (None, '{') => depth += 1,
                (None, '}') => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn parsed(text: &str) -> (Vec<Directive>, Option<(usize, &'static str)>) {
        let mut parser = Parser { tokens: Tokens::new(text), path: "/n".into(), problem: None };
        (parser.block(0), parser.problem)
    }

    #[test]
    fn words_quotes_comments_and_blocks() {
        let text = "user a; # b;\nhttp {\n server { return 301 \"https://$host${uri}\"; add_header X 'a \\'b';\n}\n lua_code by ; content_by_lua_block { x = \"}\" -- }\n }\n if ($a ~ \"x{2}\") { }\n}";
        let (found, problem) = parsed(text);
        assert_eq!(problem, None);
        let http = found[1].inner();
        let names: Vec<&str> = http.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["server", "lua_code", "content_by_lua_block", "if"]);
        assert_eq!(http[0].inner()[0].arguments, ["301", "https://$host${uri}"]);
        assert_eq!((http[0].inner()[1].argument(1), http[0].inner()[1].line), ("a 'b", 3));
        assert_eq!(http[3].arguments, ["($a", "~", "x{2}", ")"]);
    }

    #[test]
    fn broken_files_end() {
        let text = "a { b \"x\\\" ; c } } { ; ${ \\ 'q";
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            parsed(&text[..end]);
        }
        assert!(parsed("a {").1.is_some() && parsed("a; }").1.is_some() && parsed("{ }").1.is_some() && parsed("a").1.is_some());
        assert!(parsed(&"a {".repeat(100)).1.is_some());
    }

    #[test]
    fn includes_are_relative_to_the_main_file_and_sorted() {
        let (_root, host) = rooted(&[
            ("/etc/nginx/nginx.conf", "http { include sites/*; include mime; }\ninclude /etc/nginx/none/*;\ninclude absent.conf;\n"),
            ("/etc/nginx/sites/b", "b;"),
            ("/etc/nginx/sites/a", "a;"),
            ("/etc/nginx/mime", "types { include mime; }"),
        ]);
        let mut gaps = Gaps::new();
        let files = read(&mut Collector::new(&host, "web", &mut gaps), "/etc/nginx/nginx.conf");
        let names: Vec<&str> = files.directives[0].inner().iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "types"]);
        let reasons: Vec<String> = gaps.into_sorted().into_iter().map(|g| g.reason).collect();
        assert_eq!(reasons, ["limit-reached", "missing"]);
    }
}
