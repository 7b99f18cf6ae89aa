//! Word vectors in the usual text format: a word and its numbers on each line, as GloVe, word2vec and fastText write
//! them. Parses text that is untrusted; opens no file.

use super::Embedding;
use crate::init;
use std::collections::HashMap;
use wgrad_graph::{Device, Error, ErrorKind, Generator, Result, Tensor};

/// Words and their vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct WordVectors {
    /// The words, in the order of the text.
    pub words: Vec<String>,
    /// Elements of a vector.
    pub dim: usize,
    /// The vectors, one after the other.
    values: Vec<f32>,
    place: HashMap<String, usize>,
}

impl WordVectors {
    /// Reads lines `word v1 v2 …`. A first line of two whole numbers is a header (how many words, how many numbers). A
    /// word may hold spaces. Of a word that comes twice the first vector counts.
    ///
    /// ```
    /// use wgrad_graph::Device;
    /// use wgrad_nn::WordVectors;
    /// let vectors = WordVectors::parse("the 0.5 -1\ncat 2 1e-1\n")?;
    /// assert_eq!(vectors.get("cat"), Some([2.0, 0.1].as_slice()));
    /// let words = vectors.embedding(&Device::cpu()).freeze();
    /// assert_eq!(words.weight.shape(), [2, 2]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Errors
    /// A line has another number of values than the first, or one that is no finite number; there are no vectors, or
    /// fewer lines than the header says.
    pub fn parse(text: &str) -> Result<WordVectors> {
        let mut lines = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty());
        let mut rest = lines.clone();
        let header = rest.next().and_then(|(_, line)| header(line));
        if header.is_some() {
            lines = rest;
        }
        let mut out = WordVectors {
            words: Vec::new(),
            dim: header.map_or(0, |(_, dim)| dim),
            values: Vec::new(),
            place: HashMap::new(),
        };
        let mut count = 0;
        for (number, line) in lines {
            out.line(line)
                .map_err(|m| error(format!("line {}: {m}", number + 1)))?;
            count += 1;
        }
        match header {
            Some((n, _)) if n != count => Err(error(format!(
                "the header says {n} words, there are {count}"
            ))),
            _ if out.words.is_empty() => Err(error("there are no vectors".to_string())),
            _ => Ok(out),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if self.dim == 0 {
            self.dim = fields.len() - 1;
        }
        let at = fields
            .len()
            .checked_sub(self.dim)
            .filter(|&at| at > 0 && self.dim > 0);
        let found = fields.len().saturating_sub(1);
        let at = at.ok_or_else(|| format!("{found} values, not {}", self.dim.max(1)))?;
        let start = self.values.len();
        for field in &fields[at..] {
            match field.parse::<f32>() {
                Ok(v) if v.is_finite() => self.values.push(v),
                _ => return Err(format!("{field:?} is no finite number")),
            }
        }
        let word = fields[..at].join(" ");
        if self.place.contains_key(&word) {
            self.values.truncate(start);
        } else {
            self.place.insert(word.clone(), self.words.len());
            self.words.push(word);
        }
        Ok(())
    }

    /// A word's vector.
    pub fn get(&self, word: &str) -> Option<&[f32]> {
        let at = self.place.get(word)? * self.dim;
        self.values.get(at..at + self.dim)
    }

    /// A table of all words, in their order.
    #[track_caller]
    pub fn embedding(&self, device: &Device) -> Embedding {
        let shape = [self.words.len(), self.dim];
        Embedding::from_pretrained(&Tensor::from_slice(&self.values, &shape, device))
    }

    /// A table of the words of a vocabulary, in its order, and the places of those that have no vector: theirs are drawn
    /// with the mean and standard deviation of all numbers.
    ///
    /// ```
    /// use wgrad_graph::{Device, Generator};
    /// use wgrad_nn::WordVectors;
    /// let vectors = WordVectors::parse("2 2\nthe 0.5 -1\ncat 2 1\n")?;
    /// let (words, missing) = vectors.embedding_of(&["<unk>", "cat"], &mut Generator::new(0), &Device::cpu());
    /// assert_eq!((words.weight.select(0, 1).to_vec::<f32>()?, missing), (vec![2.0, 1.0], vec![0]));
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn embedding_of(
        &self,
        vocabulary: &[impl AsRef<str>],
        rng: &mut Generator,
        device: &Device,
    ) -> (Embedding, Vec<usize>) {
        let n = self.values.len().max(1) as f64;
        let mean = self.values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let squares = self.values.iter().map(|&v| (f64::from(v) - mean).powi(2));
        let std = (squares.sum::<f64>() / n).sqrt();
        let mut known = Vec::with_capacity(vocabulary.len() * self.dim);
        let (mut kept, mut missing) = (Vec::new(), Vec::new());
        for (i, word) in vocabulary.iter().enumerate() {
            let vector = self.get(word.as_ref());
            kept.push(vector.is_some());
            match vector {
                Some(vector) => known.extend_from_slice(vector),
                None => {
                    known.resize(known.len() + self.dim, 0.0);
                    missing.push(i);
                }
            }
        }
        let shape = [vocabulary.len(), self.dim];
        let known = Tensor::from_slice(&known, &shape, device);
        if missing.is_empty() {
            return (Embedding::from_pretrained(&known), missing);
        }
        let drawn = init::normal(&shape, mean, std, rng, device);
        let kept = Tensor::from_slice(&kept, &[vocabulary.len(), 1], device);
        let table = Tensor::where_(&kept, &known, &drawn);
        (Embedding::from_pretrained(&table), missing)
    }
}

/// How many words and how many numbers each, if that is what a line says.
fn header(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let numbers = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (fields.next().is_none() && numbers.1 > 0).then_some(numbers)
}

fn error(message: String) -> Error {
    Error::new(ErrorKind::Value, "word_vectors", message)
}
