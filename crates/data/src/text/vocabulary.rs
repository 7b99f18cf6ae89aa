//! Tokens and their numbers. Must not cut texts.

use std::collections::HashMap;

use crate::{Error, Result};

/// What a vocabulary keeps.
#[derive(Clone, Debug, Default)]
pub struct VocabularyOptions {
    min_count: usize,
    max_size: Option<usize>,
    special: Vec<String>,
    unknown: Option<String>,
}

impl VocabularyOptions {
    /// All tokens, none special; an unknown one is an error.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only tokens that stand there at least this often.
    #[must_use]
    pub fn min_count(mut self, min_count: usize) -> Self {
        self.min_count = min_count;
        self
    }

    /// At most this many tokens, the special ones included; the most frequent stay.
    #[must_use]
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.max_size = Some(max_size);
        self
    }

    /// A token that is there whatever the texts hold, for padding, begin, end. Special ones come first, as they were given.
    #[must_use]
    pub fn special(mut self, token: impl Into<String>) -> Self {
        self.special.push(token.into());
        self
    }

    /// A special token that stands for all that are not in the vocabulary.
    #[must_use]
    pub fn unknown(mut self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.special.push(token.clone());
        self.unknown = Some(token);
        self
    }
}

/// Tokens with numbers from 0.
///
/// ```
/// use wgrad_data::text::{Characters, Tokenizer, Vocabulary, VocabularyOptions};
/// let tokens = Characters.tokens("hello");
/// let vocabulary = Vocabulary::build(&tokens, &VocabularyOptions::new())?;
/// assert_eq!(vocabulary.tokens(), ["l", "e", "h", "o"]); // by frequency, then by alphabet
/// let ids = vocabulary.encode(&tokens)?;
/// assert_eq!((ids.clone(), vocabulary.decode(&ids)?.concat()), (vec![2, 1, 0, 0, 3], "hello".to_owned()));
/// assert!(vocabulary.encode(&["x"]).is_err());
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    tokens: Vec<String>,
    ids: HashMap<String, i32>,
    unknown: Option<i32>,
}

impl Vocabulary {
    /// The vocabulary of these tokens: special ones, then by falling frequency, equals by alphabet.
    ///
    /// # Errors
    /// [`Error::Argument`] if two special tokens are equal, or the special ones alone are more than the greatest size.
    pub fn build<'a, T: AsRef<str> + 'a + ?Sized>(
        tokens: impl IntoIterator<Item = &'a T>,
        options: &VocabularyOptions,
    ) -> Result<Self> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for token in tokens {
            *counts.entry(token.as_ref()).or_default() += 1;
        }
        for special in &options.special {
            counts.remove(special.as_str());
        }
        let mut order: Vec<(&str, usize)> = counts
            .into_iter()
            .filter(|&(_, count)| count >= options.min_count)
            .collect();
        order.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let special = options.special.len();
        let max = options.max_size.unwrap_or(usize::MAX);
        let room = max.checked_sub(special).ok_or_else(|| Error::Argument {
            function: "Vocabulary::build",
            problem: format!("{special} special tokens do not fit a vocabulary of {max}"),
        })?;
        order.truncate(room);
        let ordinary = order.into_iter().map(|(token, _)| token.to_owned());
        let all = options.special.iter().cloned().chain(ordinary).collect();
        Self::with_unknown(all, options.unknown.as_deref())
    }

    /// The vocabulary of a list, numbered in its order: one that was saved, or that of somebody else's model.
    ///
    /// # Errors
    /// [`Error::Argument`] if a token stands there twice, or there are more than 2^31.
    pub fn from_tokens(tokens: Vec<String>) -> Result<Self> {
        Self::with_unknown(tokens, None)
    }

    /// As [`Vocabulary::from_tokens`], with the token that stands for all others.
    ///
    /// # Errors
    /// As [`Vocabulary::from_tokens`], and if `unknown` is not among the tokens.
    pub fn with_unknown(tokens: Vec<String>, unknown: Option<&str>) -> Result<Self> {
        let problem = |problem: String| Error::Argument {
            function: "Vocabulary",
            problem,
        };
        let mut ids = HashMap::with_capacity(tokens.len());
        for (number, token) in tokens.iter().enumerate() {
            let id = i32::try_from(number).map_err(|_| problem("too many tokens".to_owned()))?;
            if ids.insert(token.clone(), id).is_some() {
                return Err(problem(format!("the token `{token}` stands there twice")));
            }
        }
        let unknown = match unknown {
            None => None,
            Some(token) => Some(*ids.get(token).ok_or_else(|| {
                problem(format!(
                    "the unknown token `{token}` is not among the tokens"
                ))
            })?),
        };
        Ok(Self {
            tokens,
            ids,
            unknown,
        })
    }

    /// The number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens, by their numbers.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The number of a token, if it has one.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<i32> {
        self.ids.get(token).copied()
    }

    /// The token of a number.
    #[must_use]
    pub fn token(&self, id: i32) -> Option<&str> {
        let at = usize::try_from(id).ok()?;
        self.tokens.get(at).map(String::as_str)
    }

    /// The numbers of tokens; the unknown token's for those that have none.
    ///
    /// # Errors
    /// [`Error::Token`] if one has none and the vocabulary no unknown token.
    pub fn encode<T: AsRef<str>>(&self, tokens: &[T]) -> Result<Vec<i32>> {
        let id = |(position, token): (usize, &T)| {
            let id = self.id(token.as_ref()).or(self.unknown);
            id.ok_or_else(|| Error::Token {
                position,
                token: token.as_ref().to_owned(),
            })
        };
        tokens.iter().enumerate().map(id).collect()
    }

    /// The tokens of numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] for a number that no token has.
    pub fn decode(&self, ids: &[i32]) -> Result<Vec<&str>> {
        let token = |(position, &id): (usize, &i32)| {
            self.token(id).ok_or_else(|| Error::Argument {
                function: "Vocabulary::decode",
                problem: format!(
                    "number {id} at position {position} is none of the {} tokens'",
                    self.len()
                ),
            })
        };
        ids.iter().enumerate().map(token).collect()
    }
}
