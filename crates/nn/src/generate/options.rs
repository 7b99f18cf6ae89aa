//! How a text is gone on with: plain numbers, and whether they make sense.

use wgrad_graph::{Error, ErrorKind, Result};

/// The most beams, so that a nonsensical number is refused rather than tried.
const MAX_BEAMS: usize = 4096;

/// Arguments of `generate`, under the names of Hugging Face's `generate`.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// New tokens, at most.
    pub max_new_tokens: usize,
    /// Draws tokens; otherwise the likeliest is taken. false.
    pub do_sample: bool,
    /// Scores are divided by it before drawing; 1.
    pub temperature: f64,
    /// Only so many of the likeliest tokens are drawn from; 0 is all.
    pub top_k: usize,
    /// Only the likeliest tokens are drawn from whose probabilities sum to this (Holtzman et al. 2019); 1.
    pub top_p: f64,
    /// Texts that are gone on with side by side; 1 is no beam search.
    pub num_beams: usize,
    /// Beams are compared by `log p / length ^ length_penalty`, the length of what is new; 1.
    pub length_penalty: f64,
    /// A beam search ends with as many ended texts as there are beams, whatever might come; false.
    pub early_stopping: bool,
    /// The token that ends a text.
    pub eos_token_id: Option<i32>,
    /// Keeps keys and values of what was seen; true.
    pub use_cache: bool,
}

/// Functions that replace one field.
macro_rules! with {
    ($($(#[$doc:meta])* $name:ident => $field:ident: $t:ty;)*) => {
        impl GenerateOptions {$(
            $(#[$doc])*
            pub fn $name(self, $field: $t) -> GenerateOptions {
                GenerateOptions { $field, ..self }
            }
        )*}
    };
}

with! {
    /// Drawing or not.
    sample => do_sample: bool;
    /// With another temperature.
    temperature => temperature: f64;
    /// Drawing from so many tokens.
    top_k => top_k: usize;
    /// Drawing from this part of the probability.
    top_p => top_p: f64;
    /// With a beam search.
    num_beams => num_beams: usize;
    /// With another exponent of the length.
    length_penalty => length_penalty: f64;
    /// Ending a beam search early or not.
    early_stopping => early_stopping: bool;
    /// With a token that ends a text.
    eos_token_id => eos_token_id: Option<i32>;
    /// With or without a cache.
    use_cache => use_cache: bool;
}

impl GenerateOptions {
    /// Greedy, with so many new tokens.
    ///
    /// ```
    /// let options = wgrad_nn::GenerateOptions::new(20).sample(true).top_k(40);
    /// assert_eq!((options.max_new_tokens, options.temperature, options.top_k), (20, 1.0, 40));
    /// ```
    pub fn new(max_new_tokens: usize) -> GenerateOptions {
        GenerateOptions {
            max_new_tokens,
            do_sample: false,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            num_beams: 1,
            length_penalty: 1.0,
            early_stopping: false,
            eos_token_id: None,
            use_cache: true,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let t = self.temperature;
        let message = if !(t.is_finite() && t > 0.0) {
            format!("temperature {t} is not positive")
        } else if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            format!("top_p {} is not within (0, 1]", self.top_p)
        } else if !(1..=MAX_BEAMS).contains(&self.num_beams) {
            format!(
                "num_beams is {}, not within 1..={MAX_BEAMS}",
                self.num_beams
            )
        } else if self.num_beams > 1 && self.do_sample {
            "num_beams and do_sample exclude each other".to_string()
        } else if !self.length_penalty.is_finite() {
            format!("length_penalty {} is not finite", self.length_penalty)
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Value, "generate", message))
    }
}
