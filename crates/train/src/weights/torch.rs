//! PyTorch's files: a zip archive of a pickle and of raw storages, or (before PyTorch 1.6) a row of pickles with the
//! storages behind them. What a tensor is said to be is checked against the bytes that are there.

use super::convert::FileType;
use super::pickle::{MAX_PICKLE, Machine, Node, TensorRef, Value};
use super::{Content, WeightsError};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

/// How deep dictionaries may lie in each other.
const MAX_DEPTH: usize = 32;
/// How many values a file may name, counting each place that a shared one stands in.
const MAX_VALUES: usize = 1 << 20;
/// The first pickle of an old file holds this number.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Raw storages by name.
type Storages<'a> = HashMap<String, Cow<'a, [u8]>>;

pub(super) fn read(bytes: &[u8], origin: &str) -> Result<Content, WeightsError> {
    let wrong = |m: String| WeightsError::format(origin, m);
    if bytes.starts_with(b"PK") {
        zipped(bytes, origin)
    } else {
        legacy(bytes).map_err(wrong)?.content(bytes.len(), origin)
    }
}

/// Tensors by name, texts by name, and the storages they lie in.
struct Parsed<'a> {
    tensors: BTreeMap<String, TensorRef>,
    texts: BTreeMap<String, String>,
    storages: Storages<'a>,
}

fn zipped(bytes: &[u8], origin: &str) -> Result<Content, WeightsError> {
    let wrong = |m: String| WeightsError::format(origin, m);
    let damaged = |e: zip::result::ZipError| WeightsError::format(origin, e);
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let pickle = names
        .iter()
        .find(|n| *n == "data.pkl" || n.ends_with("/data.pkl"))
        .ok_or_else(|| wrong("the archive has no data.pkl".into()))?;
    let root = pickle.trim_end_matches("data.pkl").to_owned();
    let mut entry = |name: &str, limit: usize| -> Result<Vec<u8>, WeightsError> {
        let file = archive.by_name(name).map_err(damaged)?;
        let size = usize::try_from(file.size()).unwrap_or(usize::MAX);
        // Nothing is packed, so no entry is longer than the file.
        if size > limit {
            return Err(wrong(format!("{name} is said to have {size} bytes")));
        }
        let mut data = Vec::new();
        file.take(limit as u64)
            .read_to_end(&mut data)
            .map_err(|e| WeightsError::format(origin, format!("{name}: {e}")))?;
        Ok(data)
    };
    let data = entry(pickle, bytes.len().min(MAX_PICKLE))?;
    let order = format!("{root}byteorder");
    if names.contains(&order) && entry(&order, 64)?.trim_ascii() != b"little" {
        return Err(wrong("the numbers are big-endian".into()));
    }
    let (machine, value, _) = Machine::run(&data).map_err(wrong)?;
    let (tensors, texts) = flatten(&machine, &value).map_err(wrong)?;
    let mut storages = Storages::new();
    let mut read = 0usize;
    for tensor in tensors.values() {
        let key = &*tensor.storage.key;
        if storages.contains_key(key) {
            continue;
        }
        let data = entry(&format!("{root}data/{key}"), bytes.len())?;
        // Entries that share bytes of the archive would multiply them.
        read = read.saturating_add(data.len());
        if read > bytes.len() {
            return Err(wrong("the storages overlap".into()));
        }
        storages.insert(key.to_owned(), Cow::Owned(data));
    }
    let parsed = Parsed {
        tensors,
        texts,
        storages,
    };
    parsed.content(bytes.len(), origin)
}

/// Four pickles (a number, the version, the machine, the object), one of the storages' names, and the storages.
fn legacy(bytes: &[u8]) -> Result<Parsed<'_>, String> {
    let mut at = 0;
    let (_, magic, read) = Machine::run(bytes)?;
    at += read;
    if magic != Value::Bytes(MAGIC.as_slice().into()) {
        return Err("neither safetensors nor a file of torch.save".into());
    }
    let (_, version, read) = Machine::run(&bytes[at..])?;
    at += read;
    if version != Value::Int(1001) {
        return Err(format!("version {version:?} of torch.save is not known"));
    }
    let (system, value, read) = Machine::run(&bytes[at..])?;
    at += read;
    if let Some(Node::Dict(pairs)) = system.node(&value) {
        let little = (Value::Text("little_endian".into()), Value::Bool(false));
        if pairs.contains(&little) {
            return Err("the numbers are big-endian".into());
        }
    }
    let (machine, value, read) = Machine::run(&bytes[at..])?;
    at += read;
    let (tensors, texts) = flatten(&machine, &value)?;
    let (list, keys, read) = Machine::run(&bytes[at..])?;
    at += read;
    let Some(Node::List(keys)) = list.node(&keys) else {
        return Err("the list of storages is none".into());
    };
    // The size of an element is known from the class alone.
    let mut sizes = HashMap::new();
    for node in &machine.nodes {
        if let Node::Storage(s) = node {
            sizes.insert(s.key.to_string(), FileType::of_torch(&s.class)?.size());
        }
    }
    let mut storages = Storages::new();
    for key in keys {
        let key = match key {
            Value::Text(t) => t.to_string(),
            Value::Int(n) => n.to_string(),
            _ => return Err("a storage's name is no text".into()),
        };
        let head = bytes.get(at..at + 8).ok_or("the file is cut short")?;
        let mut word = [0; 8];
        word.copy_from_slice(head);
        let size = sizes.get(&key).ok_or("a storage that no tensor names")?;
        let n = usize::try_from(u64::from_le_bytes(word)).ok();
        let end = n
            .and_then(|n| n.checked_mul(*size)?.checked_add(at + 8))
            .filter(|&end| end <= bytes.len())
            .ok_or("the file is cut short")?;
        storages.insert(key, Cow::Borrowed(&bytes[at + 8..end]));
        at = end;
    }
    Ok(Parsed {
        tensors,
        texts,
        storages,
    })
}

/// Tensors, and numbers and texts, by their dotted names.
type Flat = (BTreeMap<String, TensorRef>, BTreeMap<String, String>);

fn flatten(machine: &Machine, root: &Value) -> Result<Flat, String> {
    let (mut tensors, mut texts) = (BTreeMap::new(), BTreeMap::new());
    let mut waiting = vec![(String::new(), root.clone(), 0)];
    let (mut seen, mut letters) = (0, 0usize);
    while let Some((name, value, depth)) = waiting.pop() {
        seen += 1;
        letters = letters.saturating_add(name.len());
        if seen > MAX_VALUES || depth > MAX_DEPTH || letters > MAX_PICKLE {
            return Err("the values lie too deep or are too many".into());
        }
        let inner = |key: &str| match name.as_str() {
            "" => key.to_owned(),
            _ => format!("{name}.{key}"),
        };
        match (&value, machine.node(&value)) {
            (_, Some(Node::Tensor(t))) => {
                tensors.entry(name).or_insert_with(|| t.clone());
            }
            // Later entries of a key win, and the last pushed is handled first.
            (_, Some(Node::Dict(pairs))) => {
                for (key, v) in pairs {
                    let key = match key {
                        Value::Text(t) => t.to_string(),
                        Value::Int(n) => n.to_string(),
                        _ => return Err(format!("a key in {name:?} is neither text nor number")),
                    };
                    waiting.push((inner(&key), v.clone(), depth + 1));
                }
            }
            (_, Some(Node::List(items) | Node::Tuple(items))) => {
                for (i, v) in items.iter().enumerate() {
                    waiting.push((inner(&i.to_string()), v.clone(), depth + 1));
                }
            }
            (Value::Bool(v), _) => {
                texts.entry(name).or_insert_with(|| v.to_string());
            }
            (Value::Int(v), _) => {
                texts.entry(name).or_insert_with(|| v.to_string());
            }
            (Value::Float(v), _) => {
                texts.entry(name).or_insert_with(|| v.to_string());
            }
            (Value::Text(v), _) => {
                texts.entry(name).or_insert_with(|| v.to_string());
            }
            _ => {}
        }
    }
    Ok((tensors, texts))
}

impl Parsed<'_> {
    fn content(self, file: usize, origin: &str) -> Result<Content, WeightsError> {
        // Views of one storage may show its elements several times, but not many times.
        let mut left = file.saturating_mul(8).saturating_add(1 << 20);
        let mut arrays = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            let data = self.storages.get(&*tensor.storage.key);
            let array = data
                .ok_or_else(|| format!("its storage {} is missing", tensor.storage.key))
                .and_then(|data| {
                    let kind = FileType::of_torch(&tensor.storage.class)?;
                    let (shape, bytes) = elements(tensor, kind.size(), data, &mut left)?;
                    kind.array(shape, &bytes)
                })
                .map_err(|m| WeightsError::array(origin, name, m))?;
            arrays.insert(name.clone(), array);
        }
        Ok((arrays, self.texts))
    }
}

/// The shape and the bytes of a view, row-major.
fn elements<'d>(
    tensor: &TensorRef,
    size: usize,
    data: &'d [u8],
    left: &mut usize,
) -> Result<(Vec<usize>, Cow<'d, [u8]>), String> {
    let count = tensor.size.iter().try_fold(1u64, |n, &s| n.checked_mul(s));
    let bytes = count
        .and_then(|n| usize::try_from(n).ok()?.checked_mul(size))
        .filter(|n| n <= left)
        .ok_or_else(|| format!("shape {:?} is too large for the file", tensor.size))?;
    *left -= bytes;
    let shape: Vec<usize> = tensor.size.iter().map(|&s| s as usize).collect();
    if bytes == 0 {
        return Ok((shape, Cow::Borrowed(&[])));
    }
    let mut reach = tensor.size.iter().zip(&tensor.stride);
    let last = reach.try_fold(tensor.offset, |at, (&n, &s)| {
        at.checked_add((n - 1).checked_mul(s)?)
    });
    let have = (data.len() / size) as u64;
    if last.is_none_or(|last| last >= have) {
        return Err(format!(
            "sizes {:?} with strides {:?} from {} reach beyond {have} elements",
            tensor.size, tensor.stride, tensor.offset
        ));
    }
    let mut expected = 1;
    let mut plain = true;
    for (&n, &s) in tensor.size.iter().zip(&tensor.stride).rev() {
        plain &= n == 1 || s == expected;
        expected *= n;
    }
    let first = tensor.offset as usize * size;
    if plain {
        return Ok((shape, Cow::Borrowed(&data[first..first + bytes])));
    }
    let mut out = Vec::with_capacity(bytes);
    let mut index = vec![0u64; shape.len()];
    loop {
        let at: u64 = index.iter().zip(&tensor.stride).map(|(i, s)| i * s).sum();
        let at = (tensor.offset + at) as usize * size;
        out.extend_from_slice(&data[at..at + size]);
        let Some(d) = (0..index.len())
            .rev()
            .find(|&d| index[d] + 1 < tensor.size[d])
        else {
            return Ok((shape, Cow::Owned(out)));
        };
        index[d] += 1;
        index[d + 1..].fill(0);
    }
}
