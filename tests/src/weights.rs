//! Files of weights as PyTorch and safetensors write them, made from numbers.

use half::{bf16, f16};
use serde_json::{Map, Value, json};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

/// A tensor: its name, its shape and its numbers.
pub type Tensor = (String, Vec<usize>, Vec<f32>);

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// 32 bits.
    Float32,
    /// 16 bits.
    Float16,
    /// 16 bits, eight of them the exponent.
    Bfloat16,
}

impl Stored {
    /// The numbers as they are after they were stored.
    pub fn rounded(self, values: &[f32]) -> Vec<f32> {
        let round = |x: &f32| match self {
            Self::Float32 => *x,
            Self::Float16 => f16::from_f32(*x).to_f32(),
            Self::Bfloat16 => bf16::from_f32(*x).to_f32(),
        };
        values.iter().map(round).collect()
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::Float32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Float16 => values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            Self::Bfloat16 => values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        }
    }
}

/// The bytes of safetensors.
pub fn safetensors(tensors: &[Tensor], stored: Stored) -> Vec<u8> {
    let dtype = match stored {
        Stored::Float32 => "F32",
        Stored::Float16 => "F16",
        Stored::Bfloat16 => "BF16",
    };
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(stored.bytes(values));
        header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()] }));
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// The bytes that `torch.save` writes: of one table of all tensors, or, where `tables` names some, of a table of those, each with the tensors whose
/// names begin with it.
///
/// # Panics
/// When the archive cannot be made.
pub fn torch(tensors: &[Tensor], tables: &[&str], stored: Stored) -> Vec<u8> {
    let mut pickle = Pickle { bytes: b"\x80\x02".to_vec(), next: 0 };
    let mut key = 0;
    if tables.is_empty() {
        pickle.table(tensors, "", &mut key, stored);
    } else {
        pickle.bytes.extend(b"}q\x00(");
        for table in tables {
            pickle.text(table);
            pickle.table(tensors, &format!("{table}."), &mut key, stored);
        }
        pickle.bytes.push(b'u');
    }
    pickle.bytes.push(b'.');
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut add = |name: String, bytes: &[u8]| {
        zip.start_file(name, options).expect("an entry");
        zip.write_all(bytes).expect("its bytes");
    };
    add("archive/data.pkl".to_owned(), &pickle.bytes);
    add("archive/byteorder".to_owned(), b"little");
    let in_order = in_tables(tensors, tables);
    for (key, (_, _, values)) in in_order.into_iter().enumerate() {
        add(format!("archive/data/{key}"), &stored.bytes(values));
    }
    add("archive/version".to_owned(), b"3\n");
    zip.finish().expect("an archive").into_inner()
}

/// Tensors table by table.
fn in_tables<'a>(tensors: &'a [Tensor], tables: &[&str]) -> Vec<&'a Tensor> {
    if tables.is_empty() {
        return tensors.iter().collect();
    }
    let of = |table: &&str| {
        let before = format!("{table}.");
        tensors.iter().filter(move |t| t.0.starts_with(&before))
    };
    tables.iter().flat_map(of).collect()
}

struct Pickle {
    bytes: Vec<u8>,
    /// Where the next object is remembered.
    next: u32,
}

impl Pickle {
    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
        // Every object is remembered, as Python does it.
        self.next += 1;
        self.bytes.push(b'r');
        self.bytes.extend(self.next.to_le_bytes());
    }

    fn integers(&mut self, values: impl Iterator<Item = usize>) {
        self.bytes.push(b'(');
        for value in values {
            self.bytes.push(b'J');
            self.bytes.extend((value as u32).to_le_bytes());
        }
        self.bytes.push(b't');
    }

    /// An ordered dictionary of the tensors whose names begin with `before`, which is left out, and its attributes.
    fn table(&mut self, tensors: &[Tensor], before: &str, key: &mut usize, stored: Stored) {
        self.bytes.extend(b"ccollections\nOrderedDict\n)R(");
        for (name, shape, values) in tensors.iter().filter(|t| t.0.starts_with(before)) {
            self.text(&name[before.len()..]);
            self.tensor(shape, values.len(), *key, stored);
            *key += 1;
        }
        self.bytes.extend(b"u}(");
        self.text("_metadata");
        self.bytes.extend(b"ccollections\nOrderedDict\n)Rub");
    }

    fn tensor(&mut self, shape: &[usize], count: usize, key: usize, stored: Stored) {
        self.bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.bytes.extend(match stored {
            Stored::Float32 => &b"ctorch\nFloatStorage\n"[..],
            Stored::Float16 => b"ctorch\nHalfStorage\n",
            Stored::Bfloat16 => b"ctorch\nBFloat16Storage\n",
        });
        self.text(&key.to_string());
        self.text("cpu");
        self.bytes.push(b'J');
        self.bytes.extend((count as u32).to_le_bytes());
        self.bytes.extend(b"tQK\x00");
        self.integers(shape.iter().copied());
        self.integers((0..shape.len()).map(|i| shape[i + 1..].iter().product()));
        self.bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
}
