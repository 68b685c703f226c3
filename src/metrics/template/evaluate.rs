//! Writes a template out. Every value is bounded on its way, since variables can double themselves.

use super::parser::{Command, Function, Head, Node, Operand, OperandKind, Pipeline, Template};
use super::printf::{number, printf};
use super::{LONGEST, Names, Position, TemplateError, short};

/// What an expression is worth.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// `variables`: there is only one map.
    Variables,
}

impl Value {
    /// Its kind, for sentences.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Variables => "a map",
        }
    }

    /// As Go's `%v` writes it; the map has no such form here.
    pub fn written(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Float(float) => Some(number(*float)),
            Self::Boolean(boolean) => Some(boolean.to_string()),
            Self::Variables => None,
        }
    }
}

/// The text of `template`.
///
/// # Errors
/// [`TemplateError`].
pub fn evaluate(template: &Template, names: &Names<'_>) -> Result<String, TemplateError> {
    let mut evaluation = Evaluation { names, slots: vec![Value::Boolean(false); template.slots], out: String::new() };
    evaluation.nodes(&template.nodes)?;
    Ok(evaluation.out)
}

struct Evaluation<'a> {
    names: &'a Names<'a>,
    /// The parser gives no name to a slot before it is written.
    slots: Vec<Value>,
    out: String,
}

impl Evaluation<'_> {
    fn nodes(&mut self, nodes: &[Node]) -> Result<(), TemplateError> {
        for node in nodes {
            match node {
                Node::Text(text) => self.print(text)?,
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline)?;
                    match (pipeline.slot, value.written()) {
                        (Some(_), _) => {}
                        (None, Some(text)) => self.print(&text)?,
                        (None, None) => {
                            let what = "`variables` is a map; name one of its keys, as in `variables.direction`".into();
                            return Err(TemplateError::Value { at: pipeline.at, what });
                        }
                    }
                }
                Node::If { condition, then, otherwise } => {
                    let condition = self.pipeline(condition)?;
                    self.nodes(if self.holds(&condition) { then } else { otherwise })?;
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), TemplateError> {
        self.out.push_str(text);
        bounded(self.out.len())
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Result<Value, TemplateError> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped)?);
        }
        // The parser makes no pipeline without a command.
        let value = piped.unwrap_or(Value::Boolean(false));
        if let Some(slot) = pipeline.slot.and_then(|slot| self.slots.get_mut(slot)) {
            *slot = value.clone();
        }
        Ok(value)
    }

    fn command(&mut self, command: &Command, piped: Option<Value>) -> Result<Value, TemplateError> {
        match &command.head {
            Head::Operand(operand) => self.operand(operand),
            Head::Function(function) => self.call(command.at, *function, &command.arguments, piped),
        }
    }

    fn operand(&mut self, operand: &Operand) -> Result<Value, TemplateError> {
        let mut value = match &operand.kind {
            OperandKind::Function(function) => self.call(operand.at, *function, &[], None)?,
            OperandKind::Slot(slot) => self.slots.get(*slot).cloned().unwrap_or(Value::Boolean(false)),
            OperandKind::Literal(value) => value.clone(),
            OperandKind::Group(pipeline) => self.pipeline(pipeline)?,
        };
        for key in &operand.fields {
            value = self.field(operand.at, &value, key)?;
        }
        Ok(value)
    }

    fn field(&self, at: Position, value: &Value, key: &str) -> Result<Value, TemplateError> {
        if *value != Value::Variables {
            let what = format!("`.{}` is asked of {}; only `variables` has fields", short(key), value.kind());
            return Err(TemplateError::Value { at, what });
        }
        match self.names.variables.get(key) {
            Some(text) => Ok(Value::Text(text.clone())),
            None => Err(TemplateError::Missing { at, key: short(key) }),
        }
    }

    fn call(&mut self, at: Position, function: Function, arguments: &[Operand], piped: Option<Value>) -> Result<Value, TemplateError> {
        let decides = match function {
            Function::And => Some(false),
            Function::Or => Some(true),
            _ => None,
        };
        // Arguments are copies of values; together they are no longer than a query may be.
        let mut weight = 0;
        let mut values = Vec::new();
        for argument in arguments {
            let value = self.operand(argument)?;
            // What comes after the value that decides is not evaluated, as in Go.
            if decides == Some(self.holds(&value)) {
                return Ok(value);
            }
            weight += if let Value::Text(text) = &value { text.len() } else { 0 };
            bounded(weight)?;
            values.push(value);
        }
        values.extend(piped);
        self.apply(function, &values).map_err(|refusal| match refusal {
            Refusal::Call(what) => TemplateError::Call { at, function: function.word().into(), what },
            Refusal::TooLong => TemplateError::TooLong,
        })
    }

    fn apply(&self, function: Function, values: &[Value]) -> Result<Value, Refusal> {
        let names = self.names;
        let name = match function {
            Function::Name => names.name,
            Function::Namespace => names.namespace,
            Function::Target => names.target,
            Function::Service => names.service,
            Function::Ingress => names.ingress,
            Function::Route => names.route,
            Function::Interval => names.interval,
            Function::Variables if values.is_empty() => return Ok(Value::Variables),
            Function::Variables => "",
            Function::Printf => return printf(values),
            Function::Index => return self.index(values),
            Function::Eq => return equal(values).map(Value::Boolean),
            Function::Ne if values.len() == 2 => return equal(values).map(|equal| Value::Boolean(!equal)),
            Function::Ne => return refuse("takes two values"),
            // All but the last are known not to decide.
            Function::And | Function::Or => return values.last().cloned().ok_or_else(|| Refusal::Call("takes at least one value".into())),
            Function::Not => match values {
                [value] => return Ok(Value::Boolean(!self.holds(value))),
                _ => return refuse("takes one value"),
            },
        };
        if values.is_empty() { Ok(Value::Text(name.to_owned())) } else { refuse("takes no arguments") }
    }

    /// A key that is not there is the empty text, as in Go: it is how a template asks whether it was given.
    fn index(&self, values: &[Value]) -> Result<Value, Refusal> {
        match values {
            [Value::Variables] => Ok(Value::Variables),
            [Value::Variables, Value::Text(key)] => Ok(Value::Text(self.names.variables.get(key).cloned().unwrap_or_default())),
            _ => refuse("takes `variables` and a key, as in `index variables \"direction\"`"),
        }
    }

    /// Whether a condition of `value` is met: it is not empty, zero or false.
    fn holds(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) => !text.is_empty(),
            Value::Integer(integer) => *integer != 0,
            Value::Float(float) => *float != 0.0,
            Value::Boolean(boolean) => *boolean,
            Value::Variables => !self.names.variables.is_empty(),
        }
    }
}

/// Why a function does not answer.
pub enum Refusal {
    Call(String),
    TooLong,
}

pub fn refuse<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Call(what.into()))
}

const fn bounded(length: usize) -> Result<(), TemplateError> {
    if length > LONGEST { Err(TemplateError::TooLong) } else { Ok(()) }
}

/// Whether the first value equals one of the others.
fn equal(values: &[Value]) -> Result<bool, Refusal> {
    let [first, others @ ..] = values else { return refuse("takes at least two values") };
    if others.is_empty() {
        return refuse("takes at least two values");
    }
    for other in others {
        match (first, other) {
            (Value::Variables, _) | (_, Value::Variables) => return refuse("cannot compare a map"),
            (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
                return refuse(format!("cannot compare {} with {}", a.kind(), b.kind()));
            }
            (a, b) if a == b => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}
