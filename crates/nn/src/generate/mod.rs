//! Text from a causal language model: greedy, sampled or by beams, one token after the other. What is chosen is chosen
//! on the host, from scores that were read; a model is anything that gives scores.

mod beam;
mod options;
mod sample;

pub use options::GenerateOptions;

use crate::{Cache, Context, Module};
use std::collections::BTreeSet;
use wgrad_graph::{Device, Error, ErrorKind, Generator, Result, Tensor, eval_async};

/// A model that scores each next token.
pub trait LanguageModel: Module {
    /// Scores `[batch, time, vocabulary]` of the token after each of `tokens [batch, time]`, which stand after those in the
    /// cache.
    fn logits(&self, tokens: &Tensor, cache: Option<&mut Cache>, cx: &mut Context) -> Tensor;

    /// Layers that a cache has.
    fn num_layers(&self) -> usize;

    /// Tokens that are seen at once, at most.
    fn context_length(&self) -> usize;

    /// Tokens there are.
    fn vocab_size(&self) -> usize;

    /// Where its parameters are.
    fn device(&self) -> Device;
}

/// Goes on with each of the prompts: prompt and new tokens, up to the end token if there is one. Prompts of one length are
/// gone on with side by side, and one length after the other. Where a text is longer than the model sees at once, its last tokens are seen.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::models::{Gpt2, Gpt2Config};
/// use wgrad_nn::{GenerateOptions, generate};
/// let config = Gpt2Config { vocab_size: 11, n_positions: 8, n_embd: 8, n_layer: 1, n_head: 2, ..Gpt2Config::default() };
/// let rng = &mut Generator::new(0);
/// let model = Gpt2::new(&config, rng, &Device::cpu());
/// let text = generate(&model, &[vec![1, 2, 3]], &GenerateOptions::new(4), rng)?;
/// assert_eq!((text[0].len(), &text[0][..3]), (7, &[1, 2, 3][..]));
/// let sampled = GenerateOptions::new(4).sample(true).temperature(0.8).top_k(5).top_p(0.9);
/// assert_eq!(generate(&model, &[vec![1], vec![2]], &sampled, rng)?.len(), 2);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Prompts are absent, empty or beyond the vocabulary; options contradict each other; or the model
/// cannot run.
#[cfg(not(target_arch = "wasm32"))]
pub fn generate(
    model: &dyn LanguageModel,
    prompts: &[Vec<i32>],
    options: &GenerateOptions,
    rng: &mut Generator,
) -> Result<Vec<Vec<i32>>> {
    wgrad_graph::block_on(generate_async(model, prompts, options, rng))
}

/// As `generate`, without blocking.
///
/// # Errors
/// As `generate`.
pub async fn generate_async(
    model: &dyn LanguageModel,
    prompts: &[Vec<i32>],
    options: &GenerateOptions,
    rng: &mut Generator,
) -> Result<Vec<Vec<i32>>> {
    options.check()?;
    check(model, prompts)?;
    // Parameters that are fresh from an initialiser would be drawn again for each token.
    let parameters = model.state();
    eval_async(&parameters.iter().map(|(_, t)| t).collect::<Vec<_>>()).await?;
    let mut texts = vec![Vec::new(); prompts.len()];
    let lengths: BTreeSet<usize> = prompts.iter().map(Vec::len).collect();
    for length in lengths {
        let alike = |&i: &usize| prompts[i].len() == length;
        let places: Vec<usize> = (0..prompts.len()).filter(alike).collect();
        let rows: Vec<Vec<i32>> = places.iter().map(|&i| prompts[i].clone()).collect();
        let new = go_on(model, &rows, options, rng).await?;
        for (place, text) in places.into_iter().zip(new) {
            texts[place] = text;
        }
    }
    Ok(texts)
}

/// Goes on with prompts of one length.
async fn go_on(
    model: &dyn LanguageModel,
    prompts: &[Vec<i32>],
    options: &GenerateOptions,
    rng: &mut Generator,
) -> Result<Vec<Vec<i32>>> {
    if options.num_beams > 1 {
        return beam::search(model, prompts, options).await;
    }
    let mut text = Text::new(model, prompts.to_vec(), options);
    let mut done = vec![false; prompts.len()];
    for _ in 0..options.max_new_tokens {
        if done.iter().all(|&d| d) {
            break;
        }
        let scores = text.scores().await?;
        let draws = match options.do_sample {
            true => {
                let draws = rng.uniform(&[prompts.len()], &model.device());
                draws.to_vec_async::<f32>().await?
            }
            false => vec![0.0; prompts.len()],
        };
        let mut next = Vec::with_capacity(prompts.len());
        for ((scores, draw), done) in scores.iter().zip(draws).zip(&mut done) {
            let token = match (*done, options.eos_token_id) {
                (true, Some(end)) => end,
                _ => sample::choose(scores, draw, options)?,
            };
            *done |= options.eos_token_id == Some(token);
            next.push(token);
        }
        text.push(&next);
    }
    let prompt = prompts[0].len();
    let rows = text.rows.into_iter();
    Ok(rows.map(|row| ended(row, prompt, options)).collect())
}

/// A text up to its end token.
fn ended(mut row: Vec<i32>, prompt: usize, options: &GenerateOptions) -> Vec<i32> {
    let new = row[prompt..].iter();
    if let Some(at) = new.clone().position(|t| options.eos_token_id == Some(*t)) {
        row.truncate(prompt + at + 1);
    }
    row
}

fn check(model: &dyn LanguageModel, prompts: &[Vec<i32>]) -> Result<()> {
    let refused = |message: String| Err(Error::new(ErrorKind::Value, "generate", message));
    if prompts.is_empty() {
        return refused("no prompt".into());
    }
    let vocabulary = model.vocab_size();
    for (i, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return refused(format!("prompt {i} is empty"));
        }
        let beyond = |t: &&i32| usize::try_from(**t).is_ok_and(|t| t < vocabulary);
        if let Some(token) = prompt.iter().find(|t| !beyond(t)) {
            return refused(format!(
                "token {token} of prompt {i} is not within a vocabulary of {vocabulary}"
            ));
        }
    }
    Ok(())
}

/// Rows of tokens that grow alike, and what the model remembers of them.
struct Text<'a> {
    model: &'a dyn LanguageModel,
    rows: Vec<Vec<i32>>,
    cache: Option<Cache>,
}

impl<'a> Text<'a> {
    fn new(
        model: &'a dyn LanguageModel,
        rows: Vec<Vec<i32>>,
        options: &GenerateOptions,
    ) -> Text<'a> {
        let most = rows[0].len().saturating_add(options.max_new_tokens);
        let capacity = most.min(model.context_length());
        let cache = options
            .use_cache
            .then(|| Cache::new(model.num_layers(), capacity));
        Text { model, rows, cache }
    }

    /// The vocabulary's scores of the next token, for each row.
    async fn scores(&mut self) -> Result<Vec<Vec<f32>>> {
        let (n, most) = (self.rows[0].len(), self.model.context_length());
        if n > most {
            self.cache = None;
        }
        let from = match &self.cache {
            Some(cache) => cache.len(),
            None => n.saturating_sub(most),
        };
        let fed: Vec<i32> = self
            .rows
            .iter()
            .flat_map(|row| row[from..].iter().copied())
            .collect();
        let device = self.model.device();
        let tokens = Tensor::from_slice(&fed, &[self.rows.len(), n - from], &device);
        let logits = self
            .model
            .logits(&tokens, self.cache.as_mut(), &mut Context::eval());
        let last = logits.select(1, -1);
        let mut all = vec![&last];
        all.extend(self.cache.iter().flat_map(Cache::tensors));
        eval_async(&all).await?;
        if let Some(cache) = &mut self.cache {
            cache.settle()?;
        }
        let values = last.to_vec_async::<f32>().await?;
        let width = values.len() / self.rows.len();
        Ok(values.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
    }

    /// One more token for each row.
    fn push(&mut self, tokens: &[i32]) {
        for (row, token) in self.rows.iter_mut().zip(tokens) {
            row.push(*token);
        }
    }

    /// Goes on with these rows, in this order.
    fn reorder(&mut self, rows: &[usize]) {
        self.rows = rows.iter().map(|&i| self.rows[i].clone()).collect();
        if let Some(cache) = &mut self.cache {
            let rows: Vec<i32> = rows.iter().map(|&i| i as i32).collect();
            cache.reorder(&Tensor::from_slice(
                &rows,
                &[rows.len()],
                &self.model.device(),
            ));
        }
    }
}
