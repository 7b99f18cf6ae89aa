//! Scores of texts and other sequences: edit distance, error rates, BLEU. Takes tokens of any type on the host; splits no text.

use crate::check::value_error;
use std::collections::HashMap;
use std::hash::Hash;
use wgrad_graph::Result;

/// The fewest insertions, deletions and substitutions that make `b` of `a` (Levenshtein).
///
/// ```
/// let letters = |s: &str| s.chars().collect::<Vec<_>>();
/// assert_eq!(wgrad_metrics::edit_distance(&letters("kitten"), &letters("sitting")), 3);
/// ```
pub fn edit_distance<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let mut row: Vec<usize> = (0..=short.len()).collect();
    for (i, x) in long.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in short.iter().enumerate() {
            let substituted = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(corner + 1);
        }
    }
    row[short.len()]
}

/// Edits per token of the references, over many sequences: the word error rate of words, the phone error rate of phones, the
/// character error rate of characters. It may be above 1.
///
/// ```
/// use wgrad_metrics::ErrorRate;
/// let words = |s: &'static str| s.split(' ').collect::<Vec<_>>();
/// let mut rate = ErrorRate::default();
/// rate.update(&words("the cat sat"), &words("the cat sat down"));
/// rate.update(&words("a dog"), &words("a dog"));
/// assert_eq!(rate.value()?, 1.0 / 6.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorRate {
    edits: u64,
    tokens: u64,
    sequences: u64,
    right: u64,
}

impl ErrorRate {
    /// Adds one sequence.
    pub fn update<T: PartialEq>(&mut self, predicted: &[T], reference: &[T]) {
        let edits = edit_distance(predicted, reference) as u64;
        self.edits += edits;
        self.tokens += reference.len() as u64;
        self.sequences += 1;
        self.right += u64::from(edits == 0);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        self.edits += other.edits;
        self.tokens += other.tokens;
        self.sequences += other.sequences;
        self.right += other.right;
    }

    /// Edits counted.
    pub fn edits(&self) -> u64 {
        self.edits
    }

    /// Tokens of the references counted.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Edits per token of the references.
    ///
    /// # Errors
    /// No reference had a token.
    pub fn value(&self) -> Result<f64> {
        if self.tokens == 0 {
            return Err(value_error("error rate", "no reference has a token"));
        }
        Ok(self.edits as f64 / self.tokens as f64)
    }

    /// The fraction of sequences with an edit.
    ///
    /// # Errors
    /// No sequences.
    pub fn sequence_error_rate(&self) -> Result<f64> {
        if self.sequences == 0 {
            return Err(value_error("error rate", "there are no sequences"));
        }
        Ok((self.sequences - self.right) as f64 / self.sequences as f64)
    }

    /// Back to empty.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// What stands for an n-gram precision of 0, as sacreBLEU names them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum BleuSmoothing {
    /// 0, and so is the score.
    #[default]
    None,
    /// This many n-grams.
    Floor(f64),
    /// So many are added to hits and counts of all n-grams but single tokens.
    AddK(f64),
    /// ½, ¼, ⅛, … of an n-gram for the first, second, … order without hits.
    Exp,
}

/// BLEU over a corpus: the geometric mean of the precisions of 1- to n-grams, times a penalty for brevity. 0 to 1.
///
/// ```
/// use wgrad_metrics::Bleu;
/// let words = |s: &'static str| s.split(' ').collect::<Vec<_>>();
/// let mut bleu = Bleu::new(2)?;
/// bleu.update(&words("the cat sat on the mat"), &[&words("the cat sat on a mat")]);
/// assert!((bleu.value()? - (5.0f64 / 6.0 * 3.0 / 5.0).sqrt()).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bleu {
    smoothing: BleuSmoothing,
    hits: Vec<f64>,
    counts: Vec<f64>,
    candidate: u64,
    reference: u64,
}

impl Bleu {
    /// With n-grams of 1 to `max_n` tokens; 4 is usual.
    ///
    /// # Errors
    /// `max_n` is 0.
    pub fn new(max_n: usize) -> Result<Self> {
        if max_n == 0 {
            return Err(value_error(
                "bleu",
                "n-grams have at least one token, not 0",
            ));
        }
        Ok(Bleu {
            smoothing: BleuSmoothing::None,
            hits: vec![0.0; max_n],
            counts: vec![0.0; max_n],
            candidate: 0,
            reference: 0,
        })
    }

    /// Other smoothing.
    pub fn smoothing(mut self, smoothing: BleuSmoothing) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Adds one candidate and its references. Without a reference nothing is added.
    pub fn update<T: Eq + Hash, R: AsRef<[T]>>(&mut self, candidate: &[T], references: &[R]) {
        let distance = |r: &R| {
            let n = r.as_ref().len();
            (n.abs_diff(candidate.len()), n)
        };
        let Some((_, closest)) = references.iter().map(distance).min() else {
            return;
        };
        self.candidate += candidate.len() as u64;
        self.reference += closest as u64;
        for n in 1..=self.hits.len() {
            let found = ngrams(candidate, n);
            let mut most: HashMap<&[T], usize> = HashMap::new();
            for reference in references {
                for (gram, count) in ngrams(reference.as_ref(), n) {
                    let most = most.entry(gram).or_default();
                    *most = count.max(*most);
                }
            }
            for (gram, count) in found {
                self.counts[n - 1] += count as f64;
                self.hits[n - 1] += count.min(most.get(gram).copied().unwrap_or(0)) as f64;
            }
        }
    }

    /// Adds what another one has counted.
    ///
    /// # Errors
    /// It counts other n-grams.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.hits.len() != other.hits.len() {
            let (own, others) = (self.hits.len(), other.hits.len());
            let message = format!("n-grams up to {own} and up to {others} do not mix");
            return Err(value_error("bleu", message));
        }
        for n in 0..self.hits.len() {
            self.hits[n] += other.hits[n];
            self.counts[n] += other.counts[n];
        }
        self.candidate += other.candidate;
        self.reference += other.reference;
        Ok(())
    }

    /// The score.
    ///
    /// # Errors
    /// Nothing was added.
    pub fn value(&self) -> Result<f64> {
        if self.candidate == 0 && self.reference == 0 {
            return Err(value_error("bleu", "there are no sentences"));
        }
        if self.hits.iter().all(|&h| h == 0.0) {
            return Ok(0.0);
        }
        let mut logs = 0.0;
        let mut share = 1.0;
        for n in 0..self.hits.len() {
            let (mut hits, mut count) = (self.hits[n], self.counts[n]);
            if let (BleuSmoothing::AddK(k), true) = (self.smoothing, n > 0) {
                hits += k;
                count += k;
            }
            if hits == 0.0 && count > 0.0 {
                hits = match self.smoothing {
                    BleuSmoothing::Floor(floor) => floor,
                    BleuSmoothing::Exp => {
                        share /= 2.0;
                        share
                    }
                    BleuSmoothing::None | BleuSmoothing::AddK(_) => 0.0,
                };
            }
            if hits == 0.0 {
                return Ok(0.0);
            }
            logs += (hits / count).ln();
        }
        let brevity = if self.candidate >= self.reference {
            0.0
        } else {
            1.0 - self.reference as f64 / self.candidate as f64
        };
        Ok((brevity + logs / self.hits.len() as f64).exp())
    }

    /// Back to empty.
    pub fn reset(&mut self) {
        self.hits.fill(0.0);
        self.counts.fill(0.0);
        (self.candidate, self.reference) = (0, 0);
    }
}

fn ngrams<T: Eq + Hash>(tokens: &[T], n: usize) -> HashMap<&[T], usize> {
    let mut counts = HashMap::new();
    for gram in tokens.windows(n) {
        *counts.entry(gram).or_insert(0) += 1;
    }
    counts
}
