//! A matcher for the regular expressions of selectors and image names: the common part of RE2's
//! syntax (<https://github.com/google/re2/wiki/Syntax>), in time linear in the text.

/// How many instructions a pattern may become.
const MAX_PROGRAM: usize = 20_000;

#[derive(Clone, Debug)]
enum Step {
    One(Class),
    Split(usize, usize),
    Jump(usize),
    Start,
    End,
    Match,
}

#[derive(Clone, Debug, Default)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

#[derive(Clone, Debug)]
enum Tree {
    Empty,
    One(Class),
    Start,
    End,
    Sequence(Vec<Tree>),
    Either(Vec<Tree>),
    Repeat(Box<Tree>, usize, Option<usize>),
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    program: Vec<Step>,
}

impl Class {
    fn matches(&self, c: char) -> bool {
        self.ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != self.negated
    }
}

impl Pattern {
    /// Compiles `text`; the error says what is not understood.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let mut parser = Reader { chars: text.chars().collect(), at: 0, depth: 0 };
        let tree = parser.either()?;
        if parser.at < parser.chars.len() {
            return Err(format!("the pattern \"{text}\" has an unbalanced )"));
        }
        let mut program = Vec::new();
        emit(&tree, &mut program)?;
        program.push(Step::Match);
        Ok(Self { program })
    }

    /// A pattern that must match from the first to the last character; empty matches anything.
    pub(crate) fn anchored(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Self::new("");
        }
        Self::new(&format!("^(?:{text})$"))
    }

    /// Whether the pattern occurs in `text`.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let mut states = vec![false; self.program.len()];
        for at in 0..=chars.len() {
            let mut next = vec![false; self.program.len()];
            let edges = (at == 0, at == chars.len());
            let mut work: Vec<usize> = (0..states.len()).filter(|&state| states[state]).collect();
            work.push(0);
            let mut seen = vec![false; self.program.len()];
            while let Some(state) = work.pop() {
                if std::mem::replace(&mut seen[state], true) {
                    continue;
                }
                match &self.program[state] {
                    Step::Match => return true,
                    Step::Jump(to) => work.push(*to),
                    Step::Split(left, right) => work.extend([*left, *right]),
                    Step::Start if edges.0 => work.push(state + 1),
                    Step::End if edges.1 => work.push(state + 1),
                    Step::Start | Step::End => {}
                    Step::One(class) => {
                        if chars.get(at).is_some_and(|&c| class.matches(c)) {
                            next[state + 1] = true;
                        }
                    }
                }
            }
            states = next;
        }
        false
    }
}

fn emit(tree: &Tree, program: &mut Vec<Step>) -> Result<(), String> {
    if program.len() > MAX_PROGRAM {
        return Err("a pattern is too large".to_owned());
    }
    match tree {
        Tree::Empty => {}
        Tree::One(class) => program.push(Step::One(class.clone())),
        Tree::Start => program.push(Step::Start),
        Tree::End => program.push(Step::End),
        Tree::Sequence(parts) => parts.iter().try_for_each(|part| emit(part, program))?,
        Tree::Either(branches) => {
            let mut jumps = Vec::new();
            for (index, branch) in branches.iter().enumerate() {
                if index + 1 == branches.len() {
                    emit(branch, program)?;
                    break;
                }
                let split = program.len();
                program.push(Step::Jump(0));
                emit(branch, program)?;
                jumps.push(program.len());
                program.push(Step::Jump(0));
                program[split] = Step::Split(split + 1, program.len());
            }
            let end = program.len();
            for jump in jumps {
                program[jump] = Step::Jump(end);
            }
        }
        Tree::Repeat(inner, least, most) => {
            for _ in 0..*least {
                emit(inner, program)?;
            }
            match most {
                None => {
                    let split = program.len();
                    program.push(Step::Jump(0));
                    emit(inner, program)?;
                    program.push(Step::Jump(split));
                    program[split] = Step::Split(split + 1, program.len());
                }
                Some(most) => {
                    let mut splits = Vec::new();
                    for _ in *least..*most {
                        splits.push(program.len());
                        program.push(Step::Jump(0));
                        emit(inner, program)?;
                    }
                    let end = program.len();
                    for split in splits {
                        program[split] = Step::Split(split + 1, end);
                    }
                }
            }
        }
    }
    Ok(())
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Tree, String> {
        let mut branches = vec![self.sequence()?];
        while self.eat('|') {
            branches.push(self.sequence()?);
        }
        Ok(match branches.len() {
            1 => branches.remove(0),
            _ => Tree::Either(branches),
        })
    }

    fn sequence(&mut self) -> Result<Tree, String> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            let part = self.atom()?;
            parts.push(self.repeats(part)?);
        }
        Ok(if parts.is_empty() { Tree::Empty } else { Tree::Sequence(parts) })
    }

    fn repeats(&mut self, mut part: Tree) -> Result<Tree, String> {
        let mut before = false;
        loop {
            let (least, most) = match self.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => match self.counts() {
                    Some(counts) => counts,
                    None => return Ok(part),
                },
                _ => return Ok(part),
            };
            if before {
                return Err("a repetition of a repetition".to_owned());
            }
            if self.peek().is_some_and(|c| matches!(c, '*' | '+' | '?')) {
                self.at += 1;
            }
            // A lazy repetition matches the same texts.
            self.eat('?');
            if most.is_some_and(|most| most < least || most > 1000) || least > 1000 {
                return Err("a repetition out of range".to_owned());
            }
            part = Tree::Repeat(Box::new(part), least, most);
            before = true;
        }
    }

    /// `{n}`, `{n,}` and `{n,m}`; anything else after `{` is text.
    fn counts(&mut self) -> Option<(usize, Option<usize>)> {
        let close = self.chars[self.at..].iter().position(|&c| c == '}')?;
        let body: String = self.chars[self.at + 1..self.at + close].iter().collect();
        let counts = match body.split_once(',') {
            None => {
                let exact = body.parse().ok()?;
                (exact, Some(exact))
            }
            Some((least, "")) => (least.parse().ok()?, None),
            Some((least, most)) => (least.parse().ok()?, Some(most.parse().ok()?)),
        };
        self.at += close + 1;
        Some(counts)
    }

    fn atom(&mut self) -> Result<Tree, String> {
        match self.next() {
            Some('.') => Ok(Tree::One(Class { negated: true, ranges: vec![('\n', '\n')] })),
            Some('^') => Ok(Tree::Start),
            Some('$') => Ok(Tree::End),
            Some('(') => {
                if self.eat('?') && !self.eat(':') {
                    return Err("a group with flags or a name".to_owned());
                }
                self.depth += 1;
                if self.depth > 100 {
                    return Err("groups nested too deep".to_owned());
                }
                let inner = self.either()?;
                self.depth -= 1;
                if self.eat(')') { Ok(inner) } else { Err("a group without )".to_owned()) }
            }
            Some('[') => self.class().map(Tree::One),
            Some('\\') => match self.next() {
                Some('A') => Ok(Tree::Start),
                Some('z') => Ok(Tree::End),
                Some(c) => escape(c).map(Tree::One),
                None => Err("a \\ at the end".to_owned()),
            },
            Some('*' | '+' | '?') => Err("a repetition of nothing".to_owned()),
            Some(c) => Ok(Tree::One(Class { negated: false, ranges: vec![(c, c)] })),
            None => Ok(Tree::Empty),
        }
    }

    fn class(&mut self) -> Result<Class, String> {
        let mut class = Class { negated: self.eat('^'), ranges: Vec::new() };
        let mut first = true;
        loop {
            let c = match self.next() {
                None => return Err("a [ without ]".to_owned()),
                Some(']') if !first => return Ok(class),
                Some('[') if self.peek() == Some(':') => {
                    return Err("a [:class:]".to_owned());
                }
                Some('\\') => {
                    let escaped = self.next().ok_or("a \\ at the end")?;
                    let inner = escape(escaped)?;
                    match inner.ranges.as_slice() {
                        [(low, high)] if low == high && !inner.negated => *low,
                        _ if inner.negated => return Err("a negated class in a class".to_owned()),
                        _ => {
                            class.ranges.extend(inner.ranges);
                            first = false;
                            continue;
                        }
                    }
                }
                Some(c) => c,
            };
            first = false;
            let ranged = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|&c| c != ']');
            if !ranged {
                class.ranges.push((c, c));
                continue;
            }
            self.at += 1;
            let high = match self.next() {
                Some('\\') => self.next().ok_or("a \\ at the end")?,
                Some(high) => high,
                None => return Err("a [ without ]".to_owned()),
            };
            if high < c {
                return Err("a range that runs backwards".to_owned());
            }
            class.ranges.push((c, high));
        }
    }
}

fn escape(c: char) -> Result<Class, String> {
    let (negated, ranges) = match c {
        'd' | 'D' => (c == 'D', vec![('0', '9')]),
        'w' | 'W' => (c == 'W', vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        's' | 'S' => (c == 'S', vec![('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')]),
        'n' => (false, vec![('\n', '\n')]),
        't' => (false, vec![('\t', '\t')]),
        'r' => (false, vec![('\r', '\r')]),
        _ if c.is_ascii_punctuation() => (false, vec![(c, c)]),
        _ => return Err(format!("the escape \\{c}")),
    };
    Ok(Class { negated, ranges })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchored(pattern: &str, text: &str) -> bool {
        Pattern::anchored(pattern).is_ok_and(|pattern| pattern.is_match(text))
    }

    #[test]
    fn anchored_patterns_match_whole_names() {
        assert!(anchored("front|back", "back") && !anchored("front|back", "backend"));
        assert!(anchored("a.*z", "abcz") && anchored("x{2,3}", "xxx") && !anchored("x{2,3}", "x"));
        assert!(anchored("[a-c]+[^d]", "abce") && !anchored("[a-c]+[^d]", "abcd"));
        assert!(anchored("", "anything") && anchored(r"\d+\.\w*?", "12.ab"));
        assert!(anchored("(?:ab)+", "abab") && !anchored("(ab)+", "aba"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for pattern in ["[", "(a", "a)", "*a", "(?i)a", "[[:alpha:]]", r"\p", "a**"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
