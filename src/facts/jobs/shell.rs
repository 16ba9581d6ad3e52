//! Shell text cut into simple commands (POSIX Shell Command Language, sections 2.2 to 2.10), as far
//! as is needed to tell which files it starts. Nothing is evaluated: a word that depends on more
//! than literal assignments is marked and never guessed.

/// Longest text looked at, bytes.
pub const TEXT_LIMIT: usize = 256 << 10;
/// Most commands kept of one text.
const COMMAND_LIMIT: usize = 8_192;
/// Deepest nesting of substitutions.
const DEPTH_LIMIT: usize = 6;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As written, quotes removed.
    Text(String),
    /// `$NAME` or `${NAME}`.
    Variable(String),
    /// Something that only running it would tell.
    Opaque,
}

/// One word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Its parts in order.
    pub parts: Vec<Part>,
    /// Whether any of it stood in quotes: then it is no keyword and no pattern.
    pub quoted: bool,
}

/// One simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its words, redirections left out.
    pub words: Vec<Word>,
    /// Body of its here-document.
    pub input: Option<String>,
}

/// The simple commands of a text in the order in which they stand, those of substitutions before
/// the command that holds them.
pub fn commands(text: &str) -> Vec<Command> {
    let mut end = text.len().min(TEXT_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = Vec::new();
    parse(text.get(..end).unwrap_or(""), 0, &mut out);
    out
}

fn parse(text: &str, depth: usize, out: &mut Vec<Command>) {
    if depth > DEPTH_LIMIT {
        return;
    }
    let mut parser = Parser {
        chars: text.chars().collect(),
        at: 0,
        depth,
        out,
        start: 0,
        current: Command::default(),
        word: None,
        parens: 0,
        skip: false,
        documents: Vec::new(),
    };
    parser.start = parser.out.len();
    parser.run();
}

/// A here-document whose body has not come yet: index of its command, delimiter, tabs stripped.
struct Document {
    command: Option<usize>,
    delimiter: String,
    strips_tabs: bool,
}

struct Parser<'a> {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    out: &'a mut Vec<Command>,
    /// Index of the first command since the last separator but `|`.
    start: usize,
    current: Command,
    word: Option<Word>,
    parens: usize,
    /// Whether the word being read is the target of a redirection.
    skip: bool,
    documents: Vec<Document>,
}

impl Parser<'_> {
    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\n' => {
                    self.separate(true);
                    self.read_documents();
                }
                ' ' | '\t' | '\r' => self.end_word(),
                '#' if self.word.is_none() => self.skip_line(),
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.push_quoted(c),
                },
                '\'' => self.single(),
                '"' => self.double(),
                '$' => self.dollar(),
                '`' => self.backquote(),
                ';' | '|' | '&' | '(' | ')' => self.operator(c),
                '<' | '>' => self.redirect(c),
                other => self.push(other),
            }
        }
        self.separate(true);
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn push(&mut self, c: char) {
        let word = self.word.get_or_insert_default();
        match word.parts.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => word.parts.push(Part::Text(c.to_string())),
        }
    }

    fn push_quoted(&mut self, c: char) {
        self.push(c);
        self.word.get_or_insert_default().quoted = true;
    }

    fn push_part(&mut self, part: Part) {
        self.word.get_or_insert_default().parts.push(part);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take()
            && !std::mem::take(&mut self.skip)
        {
            self.current.words.push(word);
        }
    }

    /// Ends the command; `whole` also ends the list of a pipeline.
    fn separate(&mut self, whole: bool) {
        self.end_word();
        let command = std::mem::take(&mut self.current);
        if !command.words.is_empty() && self.out.len() < COMMAND_LIMIT {
            for document in self.documents.iter_mut().filter(|d| d.command.is_none()) {
                document.command = Some(self.out.len());
            }
            self.out.push(command);
        }
        if whole {
            self.start = self.out.len();
        }
        self.skip = false;
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    fn single(&mut self) {
        self.word.get_or_insert_default().quoted = true;
        while let Some(c) = self.next() {
            if c == '\'' {
                return;
            }
            self.push(c);
        }
    }

    fn double(&mut self) {
        self.word.get_or_insert_default().quoted = true;
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('$' | '`' | '"' | '\\')) => self.push(c),
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                '$' => self.dollar(),
                '`' => self.backquote(),
                c => self.push(c),
            }
        }
    }

    fn dollar(&mut self) {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let is_arithmetic = self.peek() == Some('(');
                let inner = self.until_close('(', ')');
                if !is_arithmetic {
                    parse(&inner, self.depth + 1, self.out);
                }
                self.push_part(Part::Opaque);
            }
            Some('{') => {
                self.at += 1;
                let inner = self.until_close('{', '}');
                self.push_part(if is_name(&inner) { Part::Variable(inner) } else { Part::Opaque });
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.at += 1;
                }
                self.push_part(Part::Variable(name));
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.at += 1;
                self.push_part(Part::Opaque);
            }
            _ => self.push('$'),
        }
    }

    fn backquote(&mut self) {
        let mut inner = String::new();
        while let Some(c) = self.next() {
            match c {
                '`' => break,
                '\\' => inner.extend(self.next()),
                c => inner.push(c),
            }
        }
        parse(&inner, self.depth + 1, self.out);
        self.push_part(Part::Opaque);
    }

    /// The text up to the bracket that closes the one just read; quotes are respected.
    fn until_close(&mut self, open: char, close: char) -> String {
        let (mut inner, mut depth, mut quote) = (String::new(), 1_usize, None::<char>);
        while let Some(c) = self.next() {
            match (quote, c) {
                (_, '\\') if quote != Some('\'') => {
                    inner.push(c);
                    inner.extend(self.next());
                    continue;
                }
                (Some(q), c) if c == q => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (None, c) if c == open => depth += 1,
                (None, c) if c == close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inner.push(c);
        }
        inner
    }

    fn operator(&mut self, c: char) {
        match c {
            '&' if self.peek() == Some('>') => {
                self.at += 1;
                self.end_word();
                self.target();
            }
            '(' => {
                let assigns = matches!(self.word.as_ref().and_then(|w| w.parts.last()), Some(Part::Text(t)) if t.ends_with('='));
                if assigns {
                    // An array of the shells that have them.
                    self.until_close('(', ')');
                    self.push_part(Part::Opaque);
                    return;
                }
                self.end_word();
                // `name()` opens a function.
                self.current = Command::default();
                self.parens += 1;
                self.start = self.out.len();
            }
            ')' if self.parens == 0 => {
                // A pattern of `case`.
                self.end_word();
                self.current = Command::default();
                self.out.truncate(self.start.min(self.out.len()));
            }
            ')' => {
                self.parens -= 1;
                self.separate(true);
            }
            '|' if self.peek() != Some('|') => self.separate(false),
            _ => {
                if self.peek() == Some(c) {
                    self.at += 1;
                }
                self.separate(true);
            }
        }
    }

    fn redirect(&mut self, c: char) {
        // Digits that touch the sign number a descriptor.
        let is_number = self.word.as_ref().is_some_and(|w| !w.quoted && matches!(w.parts.as_slice(), [Part::Text(t)] if t.bytes().all(|b| b.is_ascii_digit())));
        if is_number {
            self.word = None;
        }
        self.end_word();
        if self.peek() == Some('(') {
            self.at += 1;
            let inner = self.until_close('(', ')');
            parse(&inner, self.depth + 1, self.out);
            self.push_part(Part::Opaque);
            return;
        }
        if c == '<' && self.peek() == Some('<') {
            self.at += 1;
            if self.peek() == Some('<') {
                self.at += 1;
                self.target();
            } else {
                self.document();
            }
            return;
        }
        self.target();
    }

    /// What follows is the target of a redirection.
    fn target(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, '>' | '&' | '|' | '<')) {
            self.at += 1;
        }
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
        }
        self.skip = true;
    }

    fn document(&mut self) {
        let strips_tabs = self.peek() == Some('-');
        self.at += usize::from(strips_tabs);
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
        }
        let mut delimiter = String::new();
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace() && !";|&()<>".contains(*c)) {
            if !"'\"\\".contains(c) {
                delimiter.push(c);
            }
            self.at += 1;
        }
        if !delimiter.is_empty() {
            self.documents.push(Document { command: None, delimiter, strips_tabs });
        }
    }

    /// The bodies of the here-documents of the line that just ended.
    fn read_documents(&mut self) {
        for document in std::mem::take(&mut self.documents) {
            let mut body = String::new();
            while self.at < self.chars.len() {
                let mut line = String::new();
                while let Some(c) = self.next().filter(|c| *c != '\n') {
                    line.push(c);
                }
                let shown = if document.strips_tabs { line.trim_start_matches('\t') } else { &line };
                if shown == document.delimiter {
                    break;
                }
                body.push_str(shown);
                body.push('\n');
            }
            if let Some(command) = document.command.and_then(|i| self.out.get_mut(i)) {
                command.input = Some(body);
            }
        }
    }
}

/// Whether the text is the name of a variable.
pub fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let part = |p: &Part| match p {
            Part::Text(t) => t.clone(),
            Part::Variable(v) => format!("${v}"),
            Part::Opaque => "?".into(),
        };
        let word = |w: &Word| w.parts.iter().map(part).collect::<String>();
        commands(text).iter().map(|c| c.words.iter().map(word).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn lists_groups_and_redirections() {
        assert_eq!(
            shown("test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }"),
            ["test -x /usr/sbin/anacron", "{ cd /", "run-parts --report /etc/cron.daily", "}"]
        );
        assert_eq!(shown("/a/b >/dev/null 2>&1 </x; (/c d)|/e&/f &>/g"), ["/a/b", "/c d", "/e", "/f"]);
        assert_eq!(shown("'/a b'/\"c $D\"\\ e # /no\n/f#g"), ["/a b/c $D e", "/f#g"]);
        assert_eq!(shown("x=$(/in side | /two) /run `/three` ${A} ${A:-/b} $1 $((1/2))"), ["/in side", "/two", "/three", "x=? /run ? $A ? ? ?"]);
    }

    #[test]
    fn patterns_functions_arrays_and_documents_are_no_commands() {
        assert_eq!(shown("case $1 in\n /opt/a|/opt/b) /run ;;\n *) /other ;; esac"), ["case ? in", "/run", "/other", "esac"]);
        assert_eq!(shown("f() { /x; }\nA=(/p /q)\n"), ["{ /x", "}", "A=?"]);
        assert_eq!(shown("cat <<EOF >/y\n/not/run\nEOF\n/z <<-'E'\n\t/body\n\tE\n/w"), ["cat", "/z", "/w"]);
        assert_eq!(commands("sh <<'M'\n/body x\nM\n")[0].input.as_deref(), Some("/body x\n"));
    }

    #[test]
    fn garbage_ends() {
        let mut seed = 7_u64;
        let alphabet: Vec<char> = "ab/ $(){}<>|&;'\"`\\\n#=-".chars().collect();
        for _ in 0..3000 {
            let mut text = String::new();
            for _ in 0..60 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                text.push(alphabet[(seed >> 33) as usize % alphabet.len()]);
            }
            let _ = commands(&text);
        }
        let _ = commands(&"$(".repeat(50_000));
        let _ = commands(&"(".repeat(300_000));
        assert!(commands(&"/a;".repeat(90_000)).len() <= COMMAND_LIMIT);
    }
}
