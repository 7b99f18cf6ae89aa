//! Pickles, as far as a state dictionary needs them: a machine that builds numbers, texts, lists, dictionaries and
//! descriptions of tensors. It calls nothing: of all classes and functions it knows a short list, each by what it makes.
//! Values lie in one list, so that no nesting, however deep, is followed by recursion.

use std::rc::Rc;

/// The longest pickle that is read, in bytes.
pub(super) const MAX_PICKLE: usize = 64 << 20;

/// A value. Texts are shared, so that fetching one again takes no memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    /// A whole number of more than 64 bits, or bytes.
    Bytes(Rc<[u8]>),
    /// What `nodes` has there.
    Node(usize),
    /// Where a list of operands begins.
    Mark,
}

/// What has parts.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(Rc<str>, Rc<str>),
    Storage(Storage),
    Tensor(TensorRef),
    /// Something that a state dictionary may hold beside tensors, and that is not looked into.
    Opaque,
}

/// Where a tensor's elements lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    /// Its class's name: `FloatStorage`.
    pub class: Rc<str>,
    /// Its name in the archive.
    pub key: Rc<str>,
    pub numel: u64,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorRef {
    pub storage: Storage,
    pub offset: u64,
    pub size: Vec<u64>,
    pub stride: Vec<u64>,
}

/// The machine, and what it has made.
pub(super) struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: Vec<Option<Value>>,
    pub nodes: Vec<Node>,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    /// Runs one pickle; gives the machine, the value, and how many bytes were read.
    pub(super) fn run(input: &'a [u8]) -> Step<(Machine<'a>, Value, usize)> {
        let mut machine = Machine {
            input: &input[..input.len().min(MAX_PICKLE)],
            at: 0,
            stack: Vec::new(),
            memo: Vec::new(),
            nodes: Vec::new(),
        };
        let value = loop {
            let place = machine.at;
            let stop = machine
                .step()
                .map_err(|m| format!("at byte {place} of the pickle: {m}"))?;
            if let Some(value) = stop {
                break value;
            }
        };
        let read = machine.at;
        Ok((machine, value, read))
    }

    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.input.len());
        let end = end.ok_or("the pickle is cut short or too long")?;
        let part = &self.input[self.at..end];
        self.at = end;
        Ok(part)
    }

    /// A little-endian number of `n` bytes, at most 8.
    fn number(&mut self, n: usize) -> Step<u64> {
        let bytes = self.take(n)?;
        let mut word = [0; 8];
        word[..n].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(word))
    }

    fn text(&mut self, n: u64) -> Step<Value> {
        let n = usize::try_from(n).map_err(|_| "a text is too long")?;
        let bytes = self.take(n)?;
        let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
        Ok(Value::Text(text.into()))
    }

    fn bytes(&mut self, n: u64) -> Step<Value> {
        let n = usize::try_from(n).map_err(|_| "bytes are too long")?;
        Ok(Value::Bytes(self.take(n)?.into()))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.input[self.at..];
        let end = rest.iter().position(|&b| b == b'\n');
        let end = end.ok_or("a line has no end")?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|e| e.to_string())?;
        self.at += end + 1;
        Ok(line)
    }

    fn pop(&mut self) -> Step<Value> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err("the stack is empty".into()),
            Some(value) => Ok(value),
        }
    }

    /// Everything above the last mark, which goes.
    fn pop_mark(&mut self) -> Step<Vec<Value>> {
        let at = self.stack.iter().rposition(|v| *v == Value::Mark);
        let at = at.ok_or("no mark on the stack")?;
        let items = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(items)
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(Value::Node(self.nodes.len() - 1));
    }

    fn top(&mut self) -> Step<&mut Node> {
        match self.stack.last() {
            Some(&Value::Node(i)) => self.nodes.get_mut(i).ok_or_else(|| "no such value".into()),
            _ => Err("no container on the stack".into()),
        }
    }

    fn remember(&mut self, at: u64) -> Step<()> {
        let top = self.stack.last().cloned().ok_or("the stack is empty")?;
        // More values than bytes there cannot be.
        let at = usize::try_from(at).ok().filter(|&i| i <= self.input.len());
        let at = at.ok_or("a memo's place is too large")?;
        if at >= self.memo.len() {
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = Some(top);
        Ok(())
    }

    fn recall(&mut self, at: u64) -> Step<()> {
        let found = usize::try_from(at).ok().and_then(|i| self.memo.get(i));
        let value = found
            .cloned()
            .flatten()
            .ok_or("nothing is remembered there")?;
        self.stack.push(value);
        Ok(())
    }

    fn append(&mut self, items: Vec<Value>) -> Step<()> {
        match self.top()? {
            Node::List(list) => list.extend(items),
            Node::Opaque => {}
            _ => return Err("items for what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Step<()> {
        if items.len() % 2 == 1 {
            return Err("a key without a value".into());
        }
        match self.top()? {
            Node::Dict(dict) => {
                let pairs = items.chunks_exact(2);
                dict.extend(pairs.map(|p| (p[0].clone(), p[1].clone())));
            }
            Node::Opaque => {}
            _ => return Err("items for what is no dictionary".into()),
        }
        Ok(())
    }

    /// One instruction; the result, if it was the last.
    fn step(&mut self) -> Step<Option<Value>> {
        let code = self.take(1)?[0];
        match code {
            b'.' => return Ok(Some(self.pop()?)),
            0x80 => {
                let version = self.number(1)?;
                if version > 5 {
                    return Err(format!("protocol {version} is not known"));
                }
            }
            0x95 => {
                self.take(8)?;
            }
            b'(' => self.stack.push(Value::Mark),
            b'0' => {
                self.stack.pop().ok_or("the stack is empty")?;
            }
            b'1' => {
                self.pop_mark()?;
            }
            b'2' => {
                let top = self.stack.last().cloned().ok_or("the stack is empty")?;
                self.stack.push(top);
            }
            b'q' | b'r' => {
                let at = self.number(if code == b'q' { 1 } else { 4 })?;
                self.remember(at)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' | b'j' => {
                let at = self.number(if code == b'h' { 1 } else { 4 })?;
                self.recall(at)?;
            }
            b')' | b't' | 0x85..=0x87 | b']' | b'l' | b'}' | b'd' | 0x8f | 0x90 | 0x91 => {
                self.container(code)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(items)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module.into(), name.into())?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err("a name that is no text".into());
                };
                self.global(module, name)?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.storage(&id)?;
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(&callable, &arguments)?;
            }
            b'b' => {
                // Attributes of what was made; none is needed.
                self.pop()?;
                self.stack.last().ok_or("the stack is empty")?;
            }
            _ => self.literal(code)?,
        }
        Ok(None)
    }

    fn container(&mut self, code: u8) -> Step<()> {
        let node = match code {
            b')' => Node::Tuple(Vec::new()),
            b't' => Node::Tuple(self.pop_mark()?),
            0x85..=0x87 => {
                let n = usize::from(code - 0x84);
                let mut items = Vec::with_capacity(n);
                for _ in 0..n {
                    items.push(self.pop()?);
                }
                items.reverse();
                Node::Tuple(items)
            }
            b']' | 0x8f => Node::List(Vec::new()),
            b'l' | 0x91 => Node::List(self.pop_mark()?),
            0x90 => {
                let items = self.pop_mark()?;
                return self.append(items);
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Node::Dict(Vec::new()));
                return self.set_items(items);
            }
            _ => Node::Dict(Vec::new()),
        };
        self.push(node);
        Ok(())
    }

    fn literal(&mut self, code: u8) -> Step<()> {
        let value = match code {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)),
            0x8a => {
                let n = self.number(1)?;
                self.long(n)?
            }
            0x8b => {
                let n = self.number(4)?;
                self.long(n)?
            }
            b'G' => {
                let bytes = self.take(8)?;
                let mut word = [0; 8];
                word.copy_from_slice(bytes);
                Value::Float(f64::from_be_bytes(word))
            }
            b'X' => {
                let n = self.number(4)?;
                self.text(n)?
            }
            0x8c => {
                let n = self.number(1)?;
                self.text(n)?
            }
            0x8d => {
                let n = self.number(8)?;
                self.text(n)?
            }
            b'U' | b'T' => self.old_text(if code == b'U' { 1 } else { 4 })?,
            b'C' => {
                let n = self.number(1)?;
                self.bytes(n)?
            }
            b'B' => {
                let n = self.number(4)?;
                self.bytes(n)?
            }
            0x8e | 0x96 => {
                let n = self.number(8)?;
                self.bytes(n)?
            }
            b'I' => match self.line()? {
                "01" => Value::Bool(true),
                "00" => Value::Bool(false),
                n => Value::Int(n.parse().map_err(|_| format!("{n:?} is no number"))?),
            },
            b'L' => {
                let n = self.line()?;
                let digits = n.strip_suffix('L').unwrap_or(n);
                Value::Int(digits.parse().map_err(|_| format!("{n:?} is no number"))?)
            }
            b'F' => {
                let n = self.line()?;
                Value::Float(n.parse().map_err(|_| format!("{n:?} is no number"))?)
            }
            other => {
                return Err(format!(
                    "instruction {other:#04x} is none that weights need"
                ));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// Python 2's text, which is bytes, after its length in `n` bytes.
    fn old_text(&mut self, n: usize) -> Step<Value> {
        let n = self.number(n)?;
        let start = self.at;
        self.text(n).or_else(|_| {
            self.at = start;
            self.bytes(n)
        })
    }

    /// A whole number of `n` bytes, two's complement.
    fn long(&mut self, n: u64) -> Step<Value> {
        if n > 8 {
            return self.bytes(n);
        }
        let bytes = self.take(n as usize)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut word = [if negative { 0xff } else { 0 }; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(word)))
    }

    /// A class or function, if it is one of those that weights need.
    fn global(&mut self, module: Rc<str>, name: Rc<str>) -> Step<()> {
        if makes(&module, &name).is_none() {
            return Err(format!(
                "{module}.{name} is no part of a state dictionary (nothing in a file is executed)"
            ));
        }
        self.push(Node::Global(module, name));
        Ok(())
    }

    pub(super) fn node(&self, value: &Value) -> Option<&Node> {
        match value {
            Value::Node(i) => self.nodes.get(*i),
            _ => None,
        }
    }

    fn tuple(&self, value: &Value) -> Step<&[Value]> {
        match self.node(value) {
            Some(Node::Tuple(items) | Node::List(items)) => Ok(items),
            _ => Err("arguments that are no tuple".into()),
        }
    }

    /// `('storage', class, key, location, count, …)`.
    fn storage(&mut self, id: &Value) -> Step<()> {
        let items = self.tuple(id)?;
        let text = |i: usize| match items.get(i) {
            Some(Value::Text(t)) => Ok(t.clone()),
            _ => Err("a storage without a name".to_string()),
        };
        if &*text(0)? != "storage" {
            let m = "the file holds a whole module, which only its program can read; save its state_dict";
            return Err(m.into());
        }
        let class = match items.get(1).and_then(|v| self.node(v)) {
            Some(Node::Global(_, name)) => name.clone(),
            _ => return Err("a storage without a class".into()),
        };
        let Some(&Value::Int(numel)) = items.get(4) else {
            return Err("a storage without a size".into());
        };
        let key = match items.get(2) {
            Some(Value::Int(n)) => n.to_string().into(),
            _ => text(2)?,
        };
        if items.get(5).is_some_and(|view| *view != Value::None) {
            return Err("a view of a storage, which PyTorch no longer writes".into());
        }
        let numel = u64::try_from(numel).map_err(|_| "a negative size")?;
        self.push(Node::Storage(Storage { class, key, numel }));
        Ok(())
    }

    fn call(&mut self, callable: &Value, arguments: &Value) -> Step<()> {
        let made = match self.node(callable) {
            Some(Node::Global(module, name)) => makes(module, name),
            _ => None,
        };
        let made = made.ok_or("a call of what is no function")?;
        let items = self.tuple(arguments)?.to_vec();
        let node = match made {
            Makes::Dict => {
                self.push(Node::Dict(Vec::new()));
                if let Some(first) = items.first() {
                    let mut flat = Vec::new();
                    for pair in self.tuple(first)?.to_vec() {
                        let pair = self.tuple(&pair)?;
                        if pair.len() != 2 {
                            return Err("a pair that is none".into());
                        }
                        flat.extend_from_slice(pair);
                    }
                    self.set_items(flat)?;
                }
                return Ok(());
            }
            Makes::Tensor(typed) => self.tensor(&items, typed)?,
            Makes::First => {
                let first = items.first().cloned().ok_or("a parameter of nothing")?;
                self.stack.push(first);
                return Ok(());
            }
            Makes::Opaque => Node::Opaque,
            Makes::Class => return Err("a call of a class of storage".into()),
        };
        self.push(node);
        Ok(())
    }

    /// `(storage, offset, size, stride, …)`, with the element type at the 7th place if `typed`.
    fn tensor(&self, items: &[Value], typed: bool) -> Step<Node> {
        let mut storage = match items.first().and_then(|v| self.node(v)) {
            Some(Node::Storage(s)) => s.clone(),
            _ => return Err("a tensor without a storage".into()),
        };
        let whole = |v: &Value| match v {
            Value::Int(n) => u64::try_from(*n).map_err(|_| format!("{n} is negative")),
            _ => Err("a size that is no number".to_string()),
        };
        let list = |i: usize| -> Step<Vec<u64>> {
            let items = self.tuple(items.get(i).unwrap_or(&Value::None))?;
            items.iter().map(whole).collect()
        };
        if typed {
            match items.get(6).and_then(|v| self.node(v)) {
                Some(Node::Global(_, name)) => storage.class = name.clone(),
                _ => return Err("a tensor without an element type".into()),
            }
        }
        let offset = whole(items.get(1).unwrap_or(&Value::None))?;
        let (size, stride) = (list(2)?, list(3)?);
        if size.len() != stride.len() || size.len() > 64 {
            return Err(format!(
                "{} sizes with {} strides",
                size.len(),
                stride.len()
            ));
        }
        Ok(Node::Tensor(TensorRef {
            storage,
            offset,
            size,
            stride,
        }))
    }
}

/// What a known class or function makes.
#[derive(Clone, Copy)]
enum Makes {
    Dict,
    /// Whether the element type is an argument.
    Tensor(bool),
    /// Its first argument.
    First,
    /// Something that is not looked into.
    Opaque,
    /// A class that is only named: a storage's, or an element type.
    Class,
}

fn makes(module: &str, name: &str) -> Option<Makes> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Makes::Dict,
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Makes::Tensor(false),
        ("torch._utils", "_rebuild_tensor_v3") => Makes::Tensor(true),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
        | ("torch", "Size")
        | ("torch.nn.parameter", "Parameter")
        | ("__builtin__" | "builtins", "set" | "list" | "tuple") => Makes::First,
        ("torch", "device")
        | ("torch.serialization", "_get_layout")
        | ("_codecs", "encode")
        | ("numpy", "dtype" | "ndarray")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Makes::Opaque,
        ("torch" | "torch.storage", class) if class.ends_with("Storage") => Makes::Class,
        (
            "torch",
            "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "int16" | "int8"
            | "uint64" | "uint32" | "uint16" | "uint8" | "bool",
        ) => Makes::Class,
        _ => return None,
    })
}
