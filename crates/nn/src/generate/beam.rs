//! Beam search: several texts side by side, of which the likeliest is kept. As Hugging Face's: of twice as many
//! candidates as there are beams, those that end are put aside, and the first others go on.

use super::sample::log_softmax;
use super::{GenerateOptions, LanguageModel, Text};
use wgrad_graph::Result;

/// Ended texts of one prompt, with what they are compared by.
struct Ended {
    texts: Vec<(f64, Vec<i32>)>,
    most: usize,
}

impl Ended {
    /// Keeps a text if it is among the best.
    fn add(&mut self, score: f64, text: Vec<i32>) {
        let at = self.texts.iter().position(|(s, _)| score > *s);
        self.texts
            .insert(at.unwrap_or(self.texts.len()), (score, text));
        self.texts.truncate(self.most);
    }

    /// Whether no text of this score would be kept.
    fn is_done(&self, attainable: f64, early: bool) -> bool {
        let full = self.texts.len() == self.most;
        full && (early || self.texts.last().is_some_and(|(s, _)| *s >= attainable))
    }
}

/// A text that goes on: its sum of logarithms, the row it comes from, its next token.
type Candidate = (f64, usize, i32);

pub(super) async fn search(
    model: &dyn LanguageModel,
    prompts: &[Vec<i32>],
    options: &GenerateOptions,
) -> Result<Vec<Vec<i32>>> {
    let beams = options.num_beams;
    let rows = prompts
        .iter()
        .flat_map(|p| vec![p.clone(); beams])
        .collect();
    let mut text = Text::new(model, rows, options);
    // All beams begin alike: the others wait until the first has brought forth some.
    let first = |i: usize| {
        if i.is_multiple_of(beams) {
            0.0
        } else {
            f64::NEG_INFINITY
        }
    };
    let mut sums: Vec<f64> = (0..prompts.len() * beams).map(first).collect();
    let new_ended = || Ended {
        texts: Vec::new(),
        most: beams,
    };
    let mut ended: Vec<Ended> = prompts.iter().map(|_| new_ended()).collect();
    let mut done = vec![false; prompts.len()];
    for length in 1..=options.max_new_tokens {
        let by_length = (length as f64).powf(options.length_penalty);
        let scores = text.scores().await?;
        let mut next: Vec<Candidate> = Vec::with_capacity(sums.len());
        for (i, done) in done.iter_mut().enumerate() {
            let rows = i * beams..(i + 1) * beams;
            if *done {
                next.extend(rows.map(|row| (sums[row], row, 0)));
                continue;
            }
            let mut best = Vec::new();
            for row in rows.clone() {
                let p = log_softmax(&scores[row])?;
                best.extend(
                    p.iter()
                        .enumerate()
                        .map(|(t, p)| (sums[row] + p, row, t as i32)),
                );
            }
            best.sort_by(|a: &Candidate, b| b.0.total_cmp(&a.0));
            let mut going = split(best, &text.rows, &mut ended[i], options, length);
            // The last step ends all, and a vocabulary smaller than the beams gives less.
            going.resize(beams, (f64::NEG_INFINITY, rows.start, 0));
            let attainable = going[0].0 / by_length;
            *done = ended[i].is_done(attainable, options.early_stopping);
            next.extend(going);
        }
        text.reorder(&next.iter().map(|c| c.1).collect::<Vec<_>>());
        text.push(&next.iter().map(|c| c.2).collect::<Vec<_>>());
        sums = next.iter().map(|c| c.0).collect();
        if done.iter().all(|&d| d) {
            break;
        }
    }
    let texts = ended.into_iter().zip(prompts);
    let best = texts.map(|(e, p)| {
        e.texts
            .into_iter()
            .next()
            .map_or_else(|| p.clone(), |t| t.1)
    });
    Ok(best.collect())
}

/// Puts aside the texts that end with this step, and gives those that go on.
fn split(
    best: Vec<Candidate>,
    rows: &[Vec<i32>],
    ended: &mut Ended,
    options: &GenerateOptions,
    length: usize,
) -> Vec<Candidate> {
    let beams = options.num_beams;
    let by_length = (length as f64).powf(options.length_penalty);
    let last = length == options.max_new_tokens;
    let mut going = Vec::with_capacity(beams);
    for (rank, candidate) in best.into_iter().enumerate() {
        let (sum, row, token) = candidate;
        if last || options.eos_token_id == Some(token) {
            if rank < beams && sum.is_finite() {
                let mut whole = rows[row].clone();
                whole.push(token);
                ended.add(sum / by_length, whole);
            }
        } else if going.len() < beams {
            going.push(candidate);
        }
        if rank + 1 >= 2 * beams && (last || going.len() == beams) {
            break;
        }
    }
    going
}
