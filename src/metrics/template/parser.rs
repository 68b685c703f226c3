//! The tree of a template. Functions and variables are resolved here, so that a branch which is not taken today
//! cannot hide a mistake until it is.

use super::evaluate::Value;
use super::lexer::{Kind, Piece, Token};
use super::{DEEPEST, Position, TemplateError};

/// A template that can be evaluated.
#[derive(Debug)]
pub struct Template {
    pub nodes: Vec<Node>,
    /// How many variables it declares; each has a slot of its own.
    pub slots: usize,
}

#[derive(Debug)]
pub enum Node {
    Text(String),
    /// Prints, unless it declares or assigns.
    Action(Pipeline),
    If {
        condition: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
}

/// Commands, each of which gets what the one before it answers as its last argument.
#[derive(Debug)]
pub struct Pipeline {
    pub at: Position,
    /// Where the value goes.
    pub slot: Option<usize>,
    pub commands: Vec<Command>,
}

#[derive(Debug)]
pub struct Command {
    pub at: Position,
    pub head: Head,
    pub arguments: Vec<Operand>,
}

/// What a command begins with.
#[derive(Debug)]
pub enum Head {
    Function(Function),
    Operand(Operand),
}

#[derive(Debug)]
pub struct Operand {
    pub at: Position,
    pub kind: OperandKind,
    /// Keys that are looked up in it, from left to right.
    pub fields: Vec<String>,
}

#[derive(Debug)]
pub enum OperandKind {
    /// A function without arguments.
    Function(Function),
    Slot(usize),
    Literal(Value),
    Group(Pipeline),
}

/// Declares the functions once, with the words that templates call them by.
macro_rules! functions {
    ($($variant:ident => $word:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function { $($variant,)* }

        /// All functions, for sentences.
        pub const FUNCTIONS: &[&str] = &[$($word,)*];

        impl Function {
            fn named(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

functions! {
    Name => "name",
    Namespace => "namespace",
    Target => "target",
    Service => "service",
    Ingress => "ingress",
    Route => "route",
    Interval => "interval",
    Variables => "variables",
    Printf => "printf",
    Index => "index",
    Eq => "eq",
    Ne => "ne",
    And => "and",
    Or => "or",
    Not => "not",
}

/// Words of Go's templates that mean more than a function.
const UNSUPPORTED: [&str; 9] = ["range", "with", "define", "template", "block", "break", "continue", "nil", "call"];

/// The tree of `pieces`, which were cut from `text`.
///
/// # Errors
/// [`TemplateError`] with the position of what does not fit.
pub fn parse(text: &str, pieces: Vec<Piece>) -> Result<Template, TemplateError> {
    let mut parser = Parser { text, pieces: pieces.into_iter(), scope: Vec::new(), slots: 0, depth: 0 };
    let (nodes, end) = parser.nodes()?;
    match end {
        Stop::Text => Ok(Template { nodes, slots: parser.slots }),
        Stop::End(at) => parser.error(at, "`end` closes nothing; remove it"),
        Stop::Else(at, _) => parser.error(at, "`else` belongs to no `if`; remove it"),
    }
}

struct Parser<'a> {
    text: &'a str,
    pieces: std::vec::IntoIter<Piece>,
    /// Variables that can be seen, innermost last, with their slots.
    scope: Vec<(String, usize)>,
    slots: usize,
    depth: usize,
}

/// What stopped a list of nodes.
enum Stop {
    Text,
    /// Byte offset of `end`.
    End(usize),
    /// Byte offset of `else`, and the words behind it.
    Else(usize, Vec<Token>),
}

/// The tokens of one action that are still to be read.
struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    /// Byte offset of the last token taken.
    at: usize,
}

impl Tokens {
    fn new(at: usize, tokens: Vec<Token>) -> Self {
        Self { tokens: tokens.into_iter().peekable(), at }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.next()?;
        self.at = token.at;
        Some(token)
    }

    fn next_if(&mut self, kind: &Kind) -> bool {
        let found = self.tokens.next_if(|t| t.kind == *kind);
        self.at = found.as_ref().map_or(self.at, |t| t.at);
        found.is_some()
    }

    /// Errors stand at what is in front of the space.
    fn skip_space(&mut self) {
        while self.tokens.next_if(|t| t.kind == Kind::Space).is_some() {}
    }

    /// The next word, taken only where it is one of `words`.
    fn keyword(&mut self, words: &[&str]) -> Option<String> {
        match self.tokens.next_if(|t| matches!(&t.kind, Kind::Word(w) if words.contains(&w.as_str()))) {
            Some(Token { at, kind: Kind::Word(word) }) => {
                self.at = at;
                Some(word)
            }
            _ => None,
        }
    }

    fn is_empty(&mut self) -> bool {
        self.tokens.peek().is_none()
    }

    fn rest(self) -> Vec<Token> {
        self.tokens.collect()
    }
}

impl Parser<'_> {
    fn position(&self, at: usize) -> Position {
        Position::of(self.text, at)
    }

    fn error<T>(&self, at: usize, what: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::Syntax { at: self.position(at), what: what.into() })
    }

    fn deeper<T>(&mut self, at: usize, inner: impl FnOnce(&mut Self) -> Result<T, TemplateError>) -> Result<T, TemplateError> {
        if self.depth == DEEPEST {
            return Err(TemplateError::TooDeep { at: self.position(at) });
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { at, tokens } => (at, tokens),
            };
            let mut tokens = Tokens::new(at, tokens);
            tokens.skip_space();
            match tokens.keyword(&["if", "else", "end"]).as_deref() {
                Some("if") => nodes.push(self.deeper(tokens.at, |parser| parser.branch(tokens))?),
                Some("else") => return Ok((nodes, Stop::Else(tokens.at, tokens.rest()))),
                Some(_) => {
                    self.nothing_more(&mut tokens)?;
                    return Ok((nodes, Stop::End(tokens.at)));
                }
                None if tokens.is_empty() => return self.error(at, "this action is empty; remove it or write a function in it"),
                None => {
                    let pipeline = self.pipeline(&mut tokens)?;
                    self.nothing_more(&mut tokens)?;
                    nodes.push(Node::Action(pipeline));
                }
            }
        }
        Ok((nodes, Stop::Text))
    }

    /// The rest of an `if`, to its `end`. Variables declared in it end with it.
    fn branch(&mut self, mut tokens: Tokens) -> Result<Node, TemplateError> {
        let at = tokens.at;
        let seen = self.scope.len();
        let condition = self.pipeline(&mut tokens)?;
        self.nothing_more(&mut tokens)?;
        let in_branch = self.scope.len();
        let (then, end) = self.nodes()?;
        self.scope.truncate(in_branch);
        let otherwise = match end {
            Stop::End(_) => Vec::new(),
            Stop::Text => return self.error(at, "this `if` has no `{{ end }}`"),
            Stop::Else(else_at, rest) => self.otherwise(at, else_at, rest)?,
        };
        self.scope.truncate(seen);
        Ok(Node::If { condition, then, otherwise })
    }

    /// What follows `else`: another `if` that shares the `end`, or nodes.
    fn otherwise(&mut self, if_at: usize, at: usize, rest: Vec<Token>) -> Result<Vec<Node>, TemplateError> {
        let mut tokens = Tokens::new(at, rest);
        tokens.skip_space();
        if tokens.keyword(&["if"]).is_some() {
            return Ok(vec![self.deeper(at, |parser| parser.branch(tokens))?]);
        }
        self.nothing_more(&mut tokens)?;
        match self.nodes()? {
            (nodes, Stop::End(_)) => Ok(nodes),
            (_, Stop::Text) => self.error(if_at, "this `if` has no `{{ end }}`"),
            (_, Stop::Else(at, _)) => self.error(at, "`else` belongs to no `if`; remove it"),
        }
    }

    fn nothing_more(&self, tokens: &mut Tokens) -> Result<(), TemplateError> {
        tokens.skip_space();
        match tokens.next() {
            None => Ok(()),
            Some(Token { at, kind: Kind::Close }) => self.error(at, "this `)` closes nothing; remove it"),
            Some(Token { at, .. }) => self.error(at, "this does not belong here; an action is one pipeline"),
        }
    }

    /// A pipeline, to the end of the action or to the `)` that ends it, which stays.
    fn pipeline(&mut self, tokens: &mut Tokens) -> Result<Pipeline, TemplateError> {
        tokens.skip_space();
        let declared = self.target(tokens)?;
        tokens.skip_space();
        let at = tokens.tokens.peek().map_or(tokens.at, |t| t.at);
        let mut commands = Vec::new();
        loop {
            let command = self.command(tokens, !commands.is_empty())?;
            commands.push(command);
            if !tokens.next_if(&Kind::Pipe) {
                break;
            }
        }
        // Declared last: the value cannot use the variable that it goes to.
        let slot = match declared {
            Some(Slot::New(name)) => {
                self.scope.push((name, self.slots));
                self.slots += 1;
                Some(self.slots - 1)
            }
            Some(Slot::Old(slot)) => Some(slot),
            None => None,
        };
        Ok(Pipeline { at: self.position(at), slot, commands })
    }

    /// `$x :=` or `$x =` at the front of a pipeline.
    fn target(&self, tokens: &mut Tokens) -> Result<Option<Slot>, TemplateError> {
        let ahead: Vec<Token> = tokens.tokens.clone().filter(|t| t.kind != Kind::Space).take(2).collect();
        let [Token { at, kind: Kind::Variable(name) }, Token { kind: sign @ (Kind::Declare | Kind::Assign), .. }] = ahead.as_slice() else {
            return Ok(None);
        };
        let slot = if *sign == Kind::Declare { Slot::New(name.clone()) } else { Slot::Old(self.resolve(*at, name)?) };
        tokens.next();
        tokens.skip_space();
        tokens.next();
        Ok(Some(slot))
    }

    fn resolve(&self, at: usize, name: &str) -> Result<usize, TemplateError> {
        match self.scope.iter().rfind(|(known, _)| known == name) {
            Some((_, slot)) => Ok(*slot),
            None => self.error(at, format!("there is no variable `${}` here; declare it with `:=` first", super::short(name))),
        }
    }

    /// A command; one that is `piped` into must be a function.
    fn command(&mut self, tokens: &mut Tokens, piped: bool) -> Result<Command, TemplateError> {
        tokens.skip_space();
        let first = self.operand(tokens)?;
        let at = first.at;
        let head = match first {
            Operand { kind: OperandKind::Function(function), fields, .. } if fields.is_empty() => Head::Function(function),
            other if piped => {
                return Err(TemplateError::Syntax { at: other.at, what: "only a function takes the value of a pipe".into() });
            }
            other => Head::Operand(other),
        };
        let mut arguments = Vec::new();
        while tokens.next_if(&Kind::Space) {
            if tokens.tokens.peek().is_none_or(|t| matches!(t.kind, Kind::Pipe | Kind::Close)) {
                break;
            }
            arguments.push(self.operand(tokens)?);
        }
        match (&head, arguments.first()) {
            (Head::Operand(_), Some(argument)) => {
                Err(TemplateError::Syntax { at: argument.at, what: "only a function takes arguments".into() })
            }
            _ => Ok(Command { at, head, arguments }),
        }
    }

    fn operand(&mut self, tokens: &mut Tokens) -> Result<Operand, TemplateError> {
        let end = tokens.at;
        let Some(Token { at, kind }) = tokens.next() else {
            return self.error(end, "a value is missing behind this");
        };
        let kind = match kind {
            Kind::Word(word) => OperandKind::Function(self.function(at, word)?),
            Kind::Variable(name) => OperandKind::Slot(self.resolve(at, &name)?),
            Kind::Text(text) => OperandKind::Literal(Value::Text(text)),
            Kind::Integer(integer) => OperandKind::Literal(Value::Integer(integer)),
            Kind::Float(float) => OperandKind::Literal(Value::Float(float)),
            Kind::Boolean(boolean) => OperandKind::Literal(Value::Boolean(boolean)),
            Kind::Open => OperandKind::Group(self.deeper(at, |parser| parser.group(at, tokens))?),
            Kind::Field(_) => return self.error(at, "a field needs something in front of it, as in `variables.direction`"),
            Kind::Declare | Kind::Assign | Kind::Pipe | Kind::Close | Kind::Space => {
                return self.error(at, "a value is missing in front of this");
            }
        };
        let mut fields = Vec::new();
        while let Some(Token { at, kind: Kind::Field(name) }) = tokens.tokens.next_if(|t| matches!(t.kind, Kind::Field(_))) {
            tokens.at = at;
            fields.push(name);
        }
        Ok(Operand { at: self.position(at), kind, fields })
    }

    /// What stands between parentheses.
    fn group(&mut self, at: usize, tokens: &mut Tokens) -> Result<Pipeline, TemplateError> {
        let pipeline = self.pipeline(tokens)?;
        tokens.skip_space();
        match (pipeline.slot, tokens.next_if(&Kind::Close)) {
            (None, true) => Ok(pipeline),
            (_, false) => self.error(at, "this `(` is not closed; write `)` behind the value"),
            (Some(_), true) => self.error(at, "a variable is declared or assigned in an action of its own"),
        }
    }

    fn function(&self, at: usize, word: String) -> Result<Function, TemplateError> {
        let position = self.position(at);
        Function::named(&word).ok_or_else(|| {
            let short = super::short(&word);
            if UNSUPPORTED.contains(&word.as_str()) {
                TemplateError::Unsupported { at: position, word: short }
            } else {
                TemplateError::Function { at: position, word: short }
            }
        })
    }
}

/// A variable that a pipeline is for.
enum Slot {
    New(String),
    Old(usize),
}
