//! Python's pickle format, as far as Trax's checkpoints go: protocols 2 to 5, read into inert values.
//!
//! A pickle is a program. Nothing of it is run here: what calls a function or makes an object is only written down
//! ([`Value::Made`]), and only for the few names a checkpoint has.
use super::{
    bytes::{Bytes, PIECE},
    value::{Id, Pickle, Value},
};
use std::{
    collections::HashMap,
    io::{self, Read},
};

/// Most steps a pickle may take. The largest checkpoints take some hundred thousand.
const MAX_STEPS: usize = 1 << 22;
/// Most values it may make, and most that it may note down to come back to. What a file makes of memory beside its arrays is bounded
/// by this.
const MAX_VALUES: usize = 1 << 20;
/// Longest text accepted, and most of all texts together.
const MAX_TEXT: u64 = 1 << 20;
const MAX_TEXTS: u64 = 1 << 24;
/// Longest bytes that are kept where arrays are passed over.
const SKIMMED: u64 = 1 << 12;

/// Names a checkpoint may refer to, beside the types of numbers.
const GLOBALS: [&str; 12] = [
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy.ndarray",
    "numpy.dtype",
    "jax._src.array._reconstruct_array",
    "jax._src.device_array.reconstruct_device_array",
    "trax.shapes.ShapeDtype",
    "trax.supervised.history.History",
    "collections.defaultdict",
    "builtins.list",
    "builtins.dict",
];
/// Modules that types of numbers come from.
const NUMBERS: [&str; 3] = ["numpy.", "jax.numpy.", "ml_dtypes."];

impl Pickle {
    /// Reads a pickle, up to its end; with `skim`, long bytes are passed over and stand there as none.
    ///
    /// # Errors
    /// In words: a pickle that ends early or does not add up, an instruction or name that no checkpoint of Trax has.
    pub(super) fn read(from: &mut impl Read, skim: bool) -> Result<Self, String> {
        let (stack, marks) = (Vec::new(), Vec::new());
        let mut machine = Machine { from, skim, values: Vec::new(), stack, marks, memo: HashMap::new(), texts: 0 };
        for _ in 0..MAX_STEPS {
            if machine.step()? {
                let root = machine.pop()?;
                return Ok(Self { values: machine.values, root });
            }
            if machine.values.len() > MAX_VALUES {
                return Err(format!("it makes more than {MAX_VALUES} values"));
            }
        }
        Err(format!("it takes more than {MAX_STEPS} steps"))
    }
}

struct Machine<'a, R> {
    from: &'a mut R,
    skim: bool,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack where sequences begin.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Bytes of all texts so far.
    texts: u64,
}

fn damaged() -> String {
    "it is damaged: a pickle's instruction lacks what it works on".into()
}

impl<R: Read> Machine<'_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        self.from.read_exact(&mut out).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => "it ends early".to_string(),
            _ => e.to_string(),
        })?;
        Ok(out)
    }
    fn u8(&mut self) -> Result<u64, String> {
        Ok(u64::from(self.bytes::<1>()?[0]))
    }
    fn u32(&mut self) -> Result<u64, String> {
        Ok(u64::from(u32::from_le_bytes(self.bytes()?)))
    }
    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }
    /// The next `n` bytes. Memory grows with what really arrives.
    fn long(&mut self, n: u64) -> Result<Bytes, String> {
        if self.skim && n > SKIMMED {
            let passed = io::copy(&mut self.from.take(n), &mut io::sink()).map_err(|e| e.to_string())?;
            return if passed == n { Ok(Bytes::default()) } else { Err("it ends early".into()) };
        }
        let mut out = Bytes::default();
        while out.len() < n {
            out.push(self.short((n - out.len()).min(PIECE))?);
        }
        Ok(out)
    }
    /// The next `n` bytes, no more than a piece.
    fn short(&mut self, n: u64) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(n.min(PIECE) as usize);
        self.from.take(n).read_to_end(&mut out).map_err(|e| e.to_string())?;
        if out.len() as u64 != n {
            return Err("it ends early".into());
        }
        Ok(out)
    }
    fn utf8(&mut self, n: u64) -> Result<String, String> {
        if n > MAX_TEXT {
            return Err(format!("a text of {n} bytes is longer than {MAX_TEXT}"));
        }
        self.texts += n;
        if self.texts > MAX_TEXTS {
            return Err(format!("its texts are longer than {MAX_TEXTS} bytes together"));
        }
        String::from_utf8(self.short(n)?).map_err(|_| "a text in it is no UTF-8".into())
    }
    fn line(&mut self) -> Result<String, String> {
        let mut out = Vec::new();
        loop {
            match self.bytes::<1>()?[0] {
                b'\n' => return String::from_utf8(out).map_err(|_| "a name in it is no UTF-8".into()),
                b if out.len() < 256 => out.push(b),
                _ => return Err("a name in it is longer than 256 bytes".into()),
            }
        }
    }
    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }
    /// Takes a value off the stack, but not from before the last mark.
    fn pop(&mut self) -> Result<Id, String> {
        if self.marks.last().is_some_and(|&at| at == self.stack.len()) {
            return Err(damaged());
        }
        self.stack.pop().ok_or_else(damaged)
    }
    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(damaged)
    }
    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let at = self.marks.pop().ok_or_else(damaged)?;
        Ok(self.stack.split_off(at))
    }
    fn tuple(&mut self, n: usize) -> Result<(), String> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }
    fn append(&mut self, new: Vec<Id>) -> Result<(), String> {
        let id = self.top()?;
        match &mut self.values[id] {
            Value::List(items) => items.extend(new),
            _ => return Err(damaged()),
        }
        Ok(())
    }
    fn set(&mut self, new: &[Id]) -> Result<(), String> {
        let id = self.top()?;
        let pairs = new.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(damaged());
        }
        match &mut self.values[id] {
            Value::Dict(entries) => entries.extend(pairs.map(|p| (p[0], p[1]))),
            // A defaultdict, in the history; nobody asks for it.
            Value::Made { .. } => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }
    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let module = match module.strip_prefix("numpy._core") {
            Some(rest) => format!("numpy.core{rest}"),
            None => module.replace("__builtin__", "builtins"),
        };
        let full = format!("{module}.{name}");
        let of_numbers = NUMBERS.iter().any(|m| full.strip_prefix(m) == Some(name)) && super::dtypes::is_dtype(name);
        if !of_numbers && !GLOBALS.contains(&full.as_str()) {
            return Err(format!("it refers to {full}, which no checkpoint of Trax does; it is refused"));
        }
        self.push(Value::Global(full));
        Ok(())
    }
    fn make(&mut self) -> Result<(), String> {
        let (args, of) = (self.pop()?, self.pop()?);
        if !matches!((&self.values[of], &self.values[args]), (Value::Global(_), Value::Tuple(_))) {
            return Err(damaged());
        }
        self.push(Value::Made { of, args, state: None });
        Ok(())
    }
    fn build(&mut self) -> Result<(), String> {
        let new = self.pop()?;
        let id = self.top()?;
        match &mut self.values[id] {
            Value::Made { state, .. } => *state = Some(new),
            _ => return Err(damaged()),
        }
        Ok(())
    }
    fn memoize(&mut self, at: u64) -> Result<(), String> {
        let id = self.top()?;
        if self.memo.len() == MAX_VALUES {
            return Err(format!("it notes down more than {MAX_VALUES} values"));
        }
        self.memo.insert(at, id);
        Ok(())
    }
    fn recall(&mut self, at: u64) -> Result<(), String> {
        let id = self.memo.get(&at).ok_or_else(damaged)?;
        self.stack.push(*id);
        Ok(())
    }
    fn integer(&mut self, n: u64) -> Result<(), String> {
        if n > 8 {
            return Err(format!("a whole number of {n} bytes is larger than any checkpoint has"));
        }
        let bytes = self.short(n)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(&bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }
    /// Runs the next instruction; whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        let op = self.bytes::<1>()?[0];
        match op {
            // PROTO
            0x80 => match self.u8()? {
                2..=5 => {}
                v => return Err(format!("version {v} of the pickle format is not known")),
            },
            // FRAME
            0x95 => drop(self.u64()?),
            b'.' => return Ok(true),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let id = self.top()?;
                self.stack.push(id);
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' => {
                let value = i32::from_le_bytes(self.bytes()?);
                self.push(Value::Int(value.into()));
            }
            b'K' => {
                let value = self.bytes::<1>()?[0];
                self.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.bytes()?);
                self.push(Value::Int(value.into()));
            }
            // LONG1
            0x8a => {
                let n = self.u8()?;
                self.integer(n)?;
            }
            b'G' => {
                let value = f64::from_be_bytes(self.bytes()?);
                self.push(Value::Float(value));
            }
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
            0x8c | b'X' | 0x8d => {
                let n = self.length(op == 0x8c, op == 0x8d)?;
                let text = self.utf8(n)?;
                self.push(Value::Text(text));
            }
            // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
            b'C' | b'B' | 0x8e | 0x96 => {
                let n = self.length(op == b'C', op != b'B')?;
                let bytes = self.long(n)?;
                self.push(Value::Bytes(bytes));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            // STACK_GLOBAL
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module], &self.values[name]) {
                    (Value::Text(module), Value::Text(name)) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.global(&module, &name)?;
                    }
                    _ => return Err(damaged()),
                }
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => self.make()?,
            b'b' => self.build()?,
            b'q' => {
                let at = self.u8()?;
                self.memoize(at)?;
            }
            b'r' => {
                let at = self.u32()?;
                self.memoize(at)?;
            }
            // MEMOIZE
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => {
                let at = self.u8()?;
                self.recall(at)?;
            }
            b'j' => {
                let at = self.u32()?;
                self.recall(at)?;
            }
            op => return Err(format!("it has the instruction {op:#04x}, which no checkpoint of Trax has")),
        }
        Ok(false)
    }
    fn length(&mut self, short: bool, long: bool) -> Result<u64, String> {
        match (short, long) {
            (true, _) => self.u8(),
            (_, true) => self.u64(),
            _ => self.u32(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle, String> {
        Pickle::read(&mut &bytes[..], false)
    }

    #[test]
    fn plain_values_are_read() {
        // {'a': [1, -2, 300, 1.5, None, True], 'b': (b'xy',)}, with the list made before it is filled.
        let mut p =
            read(b"\x80\x04}(\x8c\x01a](K\x01J\xfe\xff\xff\xffM\x2c\x01G?\xf8\0\0\0\0\0\0N\x88e\x8c\x01bC\x02xy\x85u.")
                .unwrap();
        let list = p.items(p.entry(p.root(), "a").unwrap()).unwrap();
        assert!(matches!(p.get(list[1]), Value::Int(-2)) && matches!(p.get(list[2]), Value::Int(300)));
        assert!(matches!(p.get(list[3]), Value::Float(v) if *v == 1.5) && matches!(p.get(list[4]), Value::None));
        assert!(matches!(p.get(list[5]), Value::Bool(true)));
        let tuple = p.items(p.entry(p.root(), "b").unwrap()).unwrap();
        let (xy, mut text) = (tuple[0], String::new());
        p.take_bytes(xy).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "xy");
        let p = read(b"\x80\x02K\x05q\x07h\x07\x86.").unwrap();
        assert_eq!(p.items(p.root()).unwrap(), [0, 0], "the same value twice");
        let p = read(b"\x8a\x05\x00\x00\x00\x00\x80.").unwrap();
        assert!(matches!(p.get(p.root()), Value::Int(v) if *v == -(1 << 39)));
    }

    #[test]
    fn what_would_run_something_is_refused() {
        let refused = |bytes: &[u8], why: &str| {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(b"\x80\x03cos\nsystem\n(X\x02\0\0\0lstR.", "it refers to os.system");
        refused(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "it refers to builtins.eval");
        refused(b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.", "it refers to numpy.load");
        refused(b"cnumpy.lib\nfloat32\n.", "it refers to numpy.lib.float32");
        refused(b"\x80\x02(ios\nsystem\n.", "instruction 0x69");
        refused(b"\x80\x06.", "version 6");
        refused(b"\x82\x01.", "instruction 0x82");
        refused(b"Q.", "instruction 0x51");
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let nothing: [&[u8]; 16] = [
            b".", b"0.", b"1.", b"2.", b"a.", b"e.", b"u.", b"t.", b"\x85.", b"R.", b"b.", b"q\x00.", b"h\x00.",
            b"]]b.", b"}(Nu.", b"N(0.",
        ];
        for bytes in nothing {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(read(b"").unwrap_err(), "it ends early");
        assert_eq!(read(b"B\xff\xff\xff\xffabc").unwrap_err(), "it ends early");
        assert_eq!(read(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc").unwrap_err(), "it ends early");
        assert!(read(b"X\xff\xff\xff\xffabc").unwrap_err().contains("longer than"));
        assert!(read(b"X\x01\0\0\0\xff.").unwrap_err().contains("UTF-8"));
        assert!(read(b"\x8a\x09\0\0\0\0\0\0\0\0\0.").unwrap_err().contains("whole number of 9 bytes"));
    }

    #[test]
    fn no_pickle_runs_on_for_ever_or_goes_deep() {
        let mut long = b"N".to_vec();
        long.extend(std::iter::repeat_n(b'2', MAX_STEPS));
        assert!(read(&long).unwrap_err().contains("steps"));
        // A list in a list, a million deep, and one that holds itself.
        let mut deep = vec![b']'; 1 << 20];
        deep.extend(vec![b'a'; (1 << 20) - 1]);
        deep.push(b'.');
        assert!(read(&deep).is_ok());
        assert!(read(b"]q\x00h\x00a.").is_ok());
        let many = |op: &[u8], n: usize| [b"]", &op.repeat(n)[..], b"."].concat();
        assert!(read(&many(b"N", MAX_VALUES)).unwrap_err().contains("values"));
        assert!(read(&many(b"\x94", MAX_VALUES)).is_ok());
        assert!(read(&many(b"\x94", MAX_VALUES + 1)).unwrap_err().contains("notes down"));
        let text = [&b"X\0\0\x10\0"[..], &vec![b'a'; 1 << 20]].concat();
        assert!(read(&many(&text, 17)).unwrap_err().contains("texts"));
    }

    #[test]
    fn long_bytes_come_in_pieces_and_can_be_passed_over() {
        let n = 2 * PIECE as usize + 7;
        let bytes: Vec<u8> = (0..n).map(|i| (i * 31 % 251) as u8).collect();
        let file = [&b"\x8e"[..], &(n as u64).to_le_bytes(), &bytes, b"C\x02xy\x86."].concat();
        let mut p = read(&file).unwrap();
        let ids = p.items(p.root()).unwrap().to_vec();
        let mut taken = p.take_bytes(ids[0]).unwrap();
        assert_eq!(taken.len(), n as u64);
        let mut whole = Vec::new();
        taken.read_to_end(&mut whole).unwrap();
        assert_eq!(whole, bytes);
        let p = Pickle::read(&mut &file[..], true).unwrap();
        let lengths = p.items(p.root()).unwrap().iter().map(|id| match p.get(*id) {
            Value::Bytes(b) => b.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(lengths.collect::<Vec<_>>(), [0, 2]);
        assert_eq!(Pickle::read(&mut &file[..n], true).unwrap_err(), "it ends early");
    }
}
