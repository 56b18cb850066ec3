//! The pickle of a table of tensors: a small stack machine's program, run as far as such tables need.
//!
//! Objects lie in one list and name each other by their places in it, so nothing is copied and no instruction makes more than one. Of the names that a
//! program may call there are those of an ordered dictionary, of a tensor, of a parameter, and of the classes of storages.

use super::torch::is_storage;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Tables in tables, at most.
const DEPTH: usize = 4;
/// The most tensors of a table, the most entries of tables (which may hold one another), and the longest of their names' parts.
const MOST_TENSORS: usize = 20_000;
const MOST_ENTRIES: usize = 200_000;
const LONGEST_NAME: usize = 256;
/// The place of the one object that stands for all that is passed over.
const OTHER: usize = 0;
/// The most dimensions of a tensor.
const DIMENSIONS: usize = 8;

/// Why a program is refused.
pub(super) type Refusal = String;

/// Where a tensor's numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    /// The class, `HalfStorage`.
    pub kind: Rc<str>,
    /// The name of the entry.
    pub key: Rc<str>,
}

/// A tensor whose numbers lie row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub storage: Storage,
    /// Numbers before its first.
    pub offset: u64,
    pub shape: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Object {
    /// What tables may have beside tensors, and is passed over.
    Other,
    Integer(i64),
    Text(Rc<str>),
    /// A tuple or a list.
    Sequence(Vec<usize>),
    Table(Vec<[usize; 2]>),
    Name(Callable),
    Storage(Storage),
    Tensor(Tensor),
}

#[derive(Clone, Debug)]
enum Callable {
    OrderedTable,
    Tensor,
    Parameter,
    StorageClass(Rc<str>),
}

struct Machine<'a> {
    program: &'a [u8],
    objects: Vec<Object>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memory: HashMap<u32, usize>,
}

/// The tensors that a program makes, by their names.
pub(super) fn tensors(program: &[u8]) -> Result<BTreeMap<String, Tensor>, Refusal> {
    let objects = vec![Object::Other];
    let mut machine = Machine { program, objects, stack: Vec::new(), marks: Vec::new(), memory: HashMap::new() };
    let root = machine.run()?;
    let mut found = BTreeMap::new();
    let mut left = MOST_ENTRIES;
    machine.collect(root, "", DEPTH, &mut left, &mut found)?;
    Ok(found)
}

impl Machine<'_> {
    fn run(&mut self) -> Result<usize, Refusal> {
        loop {
            let code = self.bytes(1)?[0];
            match code {
                // Protocol, frame.
                0x80 => drop(self.bytes(1)?),
                0x95 => drop(self.bytes(8)?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' | 0x88 | 0x89 => self.stack.push(OTHER),
                b'G' => {
                    self.bytes(8)?;
                    self.stack.push(OTHER);
                }
                b'J' => self.integer(4)?,
                b'K' => self.unsigned(1)?,
                b'M' => self.unsigned(2)?,
                0x8a => {
                    let length = self.bytes(1)?[0];
                    self.integer(usize::from(length))?;
                }
                b'X' => self.text(4)?,
                0x8c => self.text(1)?,
                b'}' => self.push(Object::Table(Vec::new())),
                b']' | b')' => self.push(Object::Sequence(Vec::new())),
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::Sequence(items));
                }
                0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
                b'a' => self.append(1)?,
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.extend(items)?;
                }
                b's' => {
                    let [key, value] = self.two()?;
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set(&items)?;
                }
                b'q' => self.remember(1)?,
                b'r' => self.remember(4)?,
                0x94 => {
                    let place = self.memory.len() as u32;
                    self.remember_as(place)?;
                }
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                b'c' => {
                    let [module, name] = [self.line()?, self.line()?];
                    self.name(&module, &name)?;
                }
                0x93 => {
                    let [module, name] = self.two()?;
                    let [module, name] = [self.text_of(module)?, self.text_of(name)?];
                    self.name(&module, &name)?;
                }
                b'Q' => self.persistent()?,
                b'R' => self.call()?,
                b'b' => self.build()?,
                other => return Err(format!("its instruction {other:#04x} has no place in one")),
            }
        }
    }

    /// The next bytes of the program.
    fn bytes(&mut self, count: usize) -> Result<&[u8], Refusal> {
        let (bytes, rest) = self.program.split_at_checked(count).ok_or("it ends too early")?;
        self.program = rest;
        Ok(bytes)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Refusal> {
        Ok(self.bytes(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn push(&mut self, object: Object) {
        self.objects.push(object);
        self.stack.push(self.objects.len() - 1);
    }

    /// What is uppermost, but not from below the last mark.
    fn pop(&mut self) -> Result<usize, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("it takes what is not there".to_owned());
        }
        self.stack.pop().ok_or_else(|| "it takes what is not there".to_owned())
    }

    fn two(&mut self) -> Result<[usize; 2], Refusal> {
        let second = self.pop()?;
        Ok([self.pop()?, second])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<usize>, Refusal> {
        let mark = self.marks.pop().ok_or("it goes back to a mark that is not there")?;
        Ok(self.stack.split_off(mark))
    }

    fn unsigned(&mut self, bytes: usize) -> Result<(), Refusal> {
        let number = self.number(bytes)? as i64;
        self.push(Object::Integer(number));
        Ok(())
    }

    fn integer(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > 8 {
            return Err("it has a number of more than 64 bits".to_owned());
        }
        let number = self.number(bytes)?;
        let unused = 64 - 8 * bytes as u32;
        let number = if bytes == 0 { 0 } else { ((number << unused) as i64) >> unused };
        self.push(Object::Integer(number));
        Ok(())
    }

    fn text(&mut self, bytes: usize) -> Result<(), Refusal> {
        let length = self.number(bytes)? as usize;
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| "it has a text that is no UTF-8")?;
        let text = Object::Text(Rc::from(text));
        self.push(text);
        Ok(())
    }

    fn line(&mut self) -> Result<String, Refusal> {
        let end = self.program.iter().position(|byte| *byte == b'\n').ok_or("it ends too early")?;
        let text = std::str::from_utf8(self.bytes(end)?).map_err(|_| "it has a text that is no UTF-8")?.to_owned();
        self.bytes(1)?;
        Ok(text)
    }

    fn tuple(&mut self, count: usize) -> Result<(), Refusal> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<usize>, _>>()?;
        items.reverse();
        self.push(Object::Sequence(items));
        Ok(())
    }

    fn append(&mut self, count: usize) -> Result<(), Refusal> {
        let items = (0..count).map(|_| self.pop()).collect::<Result<Vec<usize>, _>>()?;
        self.extend(items)
    }

    fn extend(&mut self, items: Vec<usize>) -> Result<(), Refusal> {
        match self.top_mut()? {
            Object::Sequence(all) => all.extend(items),
            _ => return Err("it adds to what is no list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[usize]) -> Result<(), Refusal> {
        let (pairs, rest) = items.as_chunks();
        match self.top_mut()? {
            Object::Table(all) if rest.is_empty() => all.extend(pairs),
            _ => return Err("it names a part of what is no table".to_owned()),
        }
        Ok(())
    }

    fn top(&self) -> Result<usize, Refusal> {
        self.stack.last().copied().ok_or_else(|| "it takes what is not there".to_owned())
    }

    fn top_mut(&mut self) -> Result<&mut Object, Refusal> {
        let top = self.top()?;
        Ok(&mut self.objects[top])
    }

    fn remember(&mut self, bytes: usize) -> Result<(), Refusal> {
        let place = self.number(bytes)? as u32;
        self.remember_as(place)
    }

    fn remember_as(&mut self, place: u32) -> Result<(), Refusal> {
        let top = self.top()?;
        self.memory.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Result<(), Refusal> {
        let place = self.number(bytes)? as u32;
        let object = *self.memory.get(&place).ok_or("it recalls what is not there")?;
        self.stack.push(object);
        Ok(())
    }

    fn text_of(&self, object: usize) -> Result<Rc<str>, Refusal> {
        match &self.objects[object] {
            Object::Text(text) => Ok(Rc::clone(text)),
            _ => Err("it has no text where one belongs".to_owned()),
        }
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), Refusal> {
        let callable = match (module, name) {
            ("collections", "OrderedDict") => Callable::OrderedTable,
            ("torch._utils", "_rebuild_tensor_v2") => Callable::Tensor,
            ("torch._utils", "_rebuild_parameter") => Callable::Parameter,
            ("torch", class) if is_storage(class) => Callable::StorageClass(Rc::from(class)),
            _ => return Err(format!("it wants to call {module}.{name}, which has no place in one")),
        };
        self.push(Object::Name(callable));
        Ok(())
    }

    /// `('storage', class, key, device, count)`.
    fn persistent(&mut self) -> Result<(), Refusal> {
        let id = self.pop()?;
        let wrong = || "it has a storage that is none".to_owned();
        let Object::Sequence(parts) = &self.objects[id] else { return Err(wrong()) };
        let (Some(&tag), Some(&class), Some(&key)) = (parts.first(), parts.get(1), parts.get(2)) else {
            return Err(wrong());
        };
        let Object::Name(Callable::StorageClass(kind)) = &self.objects[class] else { return Err(wrong()) };
        if &*self.text_of(tag)? != "storage" {
            return Err(wrong());
        }
        let storage = Storage { kind: kind.clone(), key: self.text_of(key)? };
        self.push(Object::Storage(storage));
        Ok(())
    }

    fn call(&mut self) -> Result<(), Refusal> {
        let [callable, arguments] = self.two()?;
        let Object::Name(callable) = self.objects[callable].clone() else {
            return Err("it calls what is no name".to_owned());
        };
        let Object::Sequence(arguments) = &self.objects[arguments] else {
            return Err("it calls something without arguments".to_owned());
        };
        match callable {
            Callable::OrderedTable if arguments.is_empty() => self.push(Object::Table(Vec::new())),
            Callable::Tensor => {
                let tensor = self.tensor(arguments)?;
                self.push(Object::Tensor(tensor));
            }
            Callable::Parameter => {
                let tensor = *arguments.first().ok_or("it has a parameter without a tensor")?;
                self.stack.push(tensor);
            }
            _ => return Err("it calls something with arguments that it does not take".to_owned()),
        }
        Ok(())
    }

    /// `(storage, offset, shape, strides, ...)`.
    fn tensor(&self, arguments: &[usize]) -> Result<Tensor, Refusal> {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return Err("it has a tensor without a shape".to_owned());
        };
        let Object::Storage(storage) = &self.objects[storage] else {
            return Err("it has a tensor without a storage".to_owned());
        };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let Object::Integer(offset) = self.objects[offset] else {
            return Err("it has a tensor that begins nowhere".to_owned());
        };
        let offset = u64::try_from(offset).map_err(|_| "it has a tensor that begins nowhere")?;
        let mut expected = 1usize;
        for (size, stride) in shape.iter().zip(&strides).rev() {
            if *size != 1 && *stride != expected {
                return Err("it has a tensor whose numbers do not lie row by row".to_owned());
            }
            expected = expected.checked_mul(*size).ok_or("it has a tensor that is too large")?;
        }
        if shape.len() != strides.len() {
            return Err("it has a tensor of a shape that is none".to_owned());
        }
        Ok(Tensor { storage: storage.clone(), offset, shape })
    }

    fn sizes(&self, object: usize) -> Result<Vec<usize>, Refusal> {
        let wrong = || "it has a tensor of a shape that is none".to_owned();
        let Object::Sequence(sizes) = &self.objects[object] else { return Err(wrong()) };
        if sizes.len() > DIMENSIONS {
            return Err(wrong());
        }
        let size = |object: &usize| match self.objects[*object] {
            Object::Integer(size) => usize::try_from(size).map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        sizes.iter().map(size).collect()
    }

    /// Attributes of a table, which say nothing of its tensors.
    fn build(&mut self) -> Result<(), Refusal> {
        self.pop()?;
        match self.top_mut()? {
            Object::Table(_) => Ok(()),
            _ => Err("it gives attributes to what is no table".to_owned()),
        }
    }

    /// The tensors of a table and of those in it, whose names begin with `before`.
    fn collect(
        &self,
        table: usize,
        before: &str,
        depth: usize,
        left: &mut usize,
        found: &mut BTreeMap<String, Tensor>,
    ) -> Result<(), Refusal> {
        let Object::Table(pairs) = &self.objects[table] else {
            return Err("it makes something else than a table".to_owned());
        };
        for [key, value] in pairs {
            *left = left.checked_sub(1).ok_or("it has too many entries")?;
            let named = || match self.text_of(*key)? {
                key if key.len() <= LONGEST_NAME => Ok(format!("{before}{key}")),
                _ => Err("it has a name that is too long".to_owned()),
            };
            match &self.objects[*value] {
                Object::Tensor(tensor) => {
                    let name = named()?;
                    if found.len() == MOST_TENSORS {
                        return Err("it has too many tensors".to_owned());
                    }
                    if found.insert(name.clone(), tensor.clone()).is_some() {
                        return Err(format!("it has the tensor {name} twice"));
                    }
                }
                Object::Table(_) if depth > 1 => {
                    let name = named()?;
                    self.collect(*value, &format!("{name}."), depth - 1, left, found)?;
                }
                Object::Table(_) => return Err("its tables are too deep".to_owned()),
                _ => {}
            }
        }
        Ok(())
    }
}
