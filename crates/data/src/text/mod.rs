//! Texts as numbers: tokenisers, vocabularies, padding. Must not know a model; vectors that were trained elsewhere are
//! `Embedding`'s in the layers.
//!
//! ```
//! use wgrad_data::text::{Pad, Tokenizer, Vocabulary, VocabularyOptions, Words, pad};
//! let texts = ["The cat sat.", "The dog!"];
//! let words = Words::new().lowercase(true);
//! let tokens: Vec<_> = texts.iter().map(|text| words.tokens(text)).collect();
//! let options = VocabularyOptions::new().special("<pad>").unknown("<unk>");
//! let vocabulary = Vocabulary::build(tokens.iter().flatten(), &options)?;
//! assert_eq!(vocabulary.tokens()[..3], ["<pad>", "<unk>", "the"]);
//! let ids: Vec<Vec<i32>> = tokens.iter().map(|t| vocabulary.encode(t)).collect::<Result<_, _>>()?;
//! let padded = pad(&ids, &Pad::new(0));
//! assert_eq!((padded.lengths(), padded.width()), (&[4, 3][..], 4));
//! # Ok::<(), wgrad_data::Error>(())
//! ```

#[cfg(all(feature = "tokenizers", not(target_arch = "wasm32")))]
mod byte_pair;
mod padding;
mod vocabulary;

#[cfg(all(feature = "tokenizers", not(target_arch = "wasm32")))]
pub use byte_pair::BytePair;
pub use padding::{Pad, Padded, SequenceDataset, Side, multi_hot, one_hot, pad};
pub use vocabulary::{Vocabulary, VocabularyOptions};

/// Cuts a text into tokens.
pub trait Tokenizer {
    /// The tokens, in the order of the text.
    fn tokens(&self, text: &str) -> Vec<String>;

    /// What stands between tokens where they are joined.
    fn separator(&self) -> &'static str {
        " "
    }
}

/// Every character is a token (a Unicode scalar value).
///
/// ```
/// use wgrad_data::text::{Characters, Tokenizer};
/// assert_eq!(Characters.tokens("né\n"), ["n", "é", "\n"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Characters;

impl Tokenizer for Characters {
    fn tokens(&self, text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    fn separator(&self) -> &'static str {
        ""
    }
}

/// Words are runs of letters and digits, with apostrophes inside; every other character but white space is a token of its
/// own, unless punctuation is left out.
///
/// ```
/// use wgrad_data::text::{Tokenizer, Words};
/// assert_eq!(Words::new().tokens("Don't stop: 3 cats"), ["Don't", "stop", ":", "3", "cats"]);
/// assert_eq!(Words::new().punctuation(false).lowercase(true).tokens("'Ok', no?"), ["ok", "no"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    lowercase: bool,
    punctuation: bool,
}

impl Default for Words {
    fn default() -> Self {
        Self::new()
    }
}

impl Words {
    /// Words as they are written, with punctuation.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lowercase: false,
            punctuation: true,
        }
    }

    /// Whether to write all letters small.
    #[must_use]
    pub fn lowercase(mut self, lowercase: bool) -> Self {
        self.lowercase = lowercase;
        self
    }

    /// Whether punctuation is given.
    #[must_use]
    pub fn punctuation(mut self, punctuation: bool) -> Self {
        self.punctuation = punctuation;
        self
    }
}

impl Tokenizer for Words {
    fn tokens(&self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        let mut word = String::new();
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let inside = matches!(c, '\'' | '’')
                && !word.is_empty()
                && characters.peek().is_some_and(|next| next.is_alphanumeric());
            if c.is_alphanumeric() || inside {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                tokens.push(std::mem::take(&mut word));
            }
            if self.punctuation && !c.is_whitespace() {
                tokens.push(c.into());
            }
        }
        if !word.is_empty() {
            tokens.push(word);
        }
        if self.lowercase {
            tokens.iter_mut().for_each(|t| *t = t.to_lowercase());
        }
        tokens
    }
}

/// Runs of neighbouring tokens of another tokeniser: of `least` to `greatest` of them, the short ones first at each place.
///
/// ```
/// use wgrad_data::text::{Characters, NGrams, Tokenizer, Words};
/// assert_eq!(NGrams::new(Characters, 2, 3).tokens("abc"), ["ab", "abc", "bc"]);
/// assert_eq!(NGrams::new(Words::new(), 1, 2).tokens("a b c"), ["a", "a b", "b", "b c", "c"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NGrams<T> {
    inner: T,
    least: usize,
    greatest: usize,
}

impl<T: Tokenizer> NGrams<T> {
    /// Runs of `least` to `greatest` tokens; a length of 0 counts as 1.
    #[must_use]
    pub fn new(inner: T, least: usize, greatest: usize) -> Self {
        Self {
            inner,
            least: least.max(1),
            greatest,
        }
    }
}

impl<T: Tokenizer> Tokenizer for NGrams<T> {
    fn tokens(&self, text: &str) -> Vec<String> {
        let tokens = self.inner.tokens(text);
        let mut grams = Vec::new();
        for begin in 0..tokens.len() {
            let longest = self.greatest.min(tokens.len() - begin);
            for length in self.least..=longest {
                grams.push(tokens[begin..begin + length].join(self.inner.separator()));
            }
        }
        grams
    }

    fn separator(&self) -> &'static str {
        self.inner.separator()
    }
}
