//! Byte-pair encoding, through the `tokenizers` crate: trained here or read from a `tokenizer.json`. Not on wasm32.

use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::{AddedToken, Tokenizer as Inner};

use super::Tokenizer;
use crate::{Error, Result};

/// A byte-pair tokeniser over bytes, as GPT-2's: every text can be encoded, and decoding gives it back exactly.
///
/// ```
/// use wgrad_data::text::BytePair;
/// let texts = ["low lower lowest", "new newer newest"];
/// let tokenizer = BytePair::train(texts, 270, &["<end>"])?;
/// let ids = tokenizer.encode("the lowest, née")?;
/// assert_eq!(tokenizer.decode(&ids)?, "the lowest, née");
/// assert!(tokenizer.len() <= 270 && tokenizer.id("<end>") == Some(0));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BytePair {
    inner: Inner,
}

impl BytePair {
    /// Learns merges from texts until there are `vocabulary_size` tokens or no pair is left: the special tokens, which get
    /// the first numbers, 256 bytes, and what was merged.
    ///
    /// # Errors
    /// [`Error::Text`] if the size has no room for bytes and special tokens, or training fails.
    pub fn train<S: AsRef<str> + Send>(
        texts: impl IntoIterator<Item = S, IntoIter: Send>,
        vocabulary_size: usize,
        special: &[&str],
    ) -> Result<Self> {
        if vocabulary_size < 256 + special.len() {
            return Err(Error::Text {
                problem: format!(
                    "a vocabulary of {vocabulary_size} has no room for 256 bytes and {} special tokens",
                    special.len()
                ),
            });
        }
        let special = special.iter().map(|s| AddedToken::from(*s, true));
        let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
            .show_progress(false)
            .vocab_size(vocabulary_size)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(special.collect())
            .build()
            .into();
        let mut inner = Inner::new(BPE::default());
        let bytes = ByteLevel::default().add_prefix_space(false);
        inner.with_pre_tokenizer(Some(bytes));
        inner.with_decoder(Some(bytes));
        inner
            .train(&mut trainer, texts.into_iter())
            .map_err(fault)?;
        Ok(Self { inner })
    }

    /// A tokeniser of any kind from the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Text`] if it is none.
    pub fn from_json(json: &str) -> Result<Self> {
        let inner = json.parse::<Inner>().map_err(fault)?;
        Ok(Self { inner })
    }

    /// As [`BytePair::from_json`], from a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Text`] naming the file if it is no tokeniser.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::from_json(&text).map_err(|error| Error::Text {
            problem: format!("{}: {error}", path.display()),
        })
    }

    /// What [`BytePair::from_json`] reads.
    ///
    /// # Errors
    /// [`Error::Text`] if it cannot be written.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(fault)
    }

    /// The number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of a token.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<i32> {
        let id = self.inner.token_to_id(token)?;
        i32::try_from(id).ok()
    }

    /// A text as numbers.
    ///
    /// # Errors
    /// [`Error::Text`] if the tokeniser cannot.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let encoding = self.inner.encode(text, false).map_err(fault)?;
        let ids = encoding.get_ids().iter().map(|&id| i32::try_from(id));
        ids.collect::<Result<_, _>>()
            .map_err(|error| fault(error.into()))
    }

    /// Numbers as the text that they stand for, special tokens included.
    ///
    /// # Errors
    /// [`Error::Text`] for a number that no token has.
    pub fn decode(&self, ids: &[i32]) -> Result<String> {
        let id = |&id: &i32| {
            let known = u32::try_from(id).ok();
            let known = known.filter(|&id| self.inner.id_to_token(id).is_some());
            known.ok_or_else(|| Error::Text {
                problem: format!("number {id} is no token's"),
            })
        };
        let ids = ids.iter().map(id).collect::<Result<Vec<u32>>>()?;
        self.inner.decode(&ids, false).map_err(fault)
    }
}

/// The tokens as the vocabulary writes them, a blank as `Ġ`; none for a text that cannot be encoded.
impl Tokenizer for BytePair {
    fn tokens(&self, text: &str) -> Vec<String> {
        let encoding = self.inner.encode(text, false);
        encoding.map_or_else(|_| Vec::new(), |e| e.get_tokens().to_vec())
    }

    fn separator(&self) -> &'static str {
        ""
    }
}

fn fault(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Text {
        problem: error.to_string(),
    }
}
