//! From spelling to sound: letters of an English word to its phones, by an encoder, attention and a decoder, on the CMU
//! dictionary. Judged by the phone error rate: insertions, deletions and changes by the number of phones, on words that
//! it has not seen. Source: Yao and Zweig, Sequence-to-Sequence Models for Grapheme-to-Phoneme Conversion, 2015.

use crate::lesson::{Lesson, Result};
use std::io::Read;
use wgrad::metrics::edit_distance;
use wgrad::nn::{
    Adam, AttentionMasks, Context, Embedding, Linear, Transformer, TransformerOptions, compile,
    gradients, sinusoidal_positions,
};
use wgrad::{CrossEntropyOptions, DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

/// Letters and phones of a word at most; 0 is padding, 1 begins and ends.
const LONG: usize = 10;
/// Numbers of phones begin at 2.
const PHONES: &str = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH";

#[derive(Module)]
struct Net {
    letters: Embedding,
    phones: Embedding,
    body: Transformer,
    out: Linear,
    #[module(buffer)]
    positions: Tensor,
}

impl Net {
    /// Scores `[batch, time, phones]` of the phone after each of `said [batch, time]`.
    fn forward(&self, word: &Tensor, said: &Tensor) -> Tensor {
        let source = self.letters.forward(word) + self.positions.narrow(0, 0, word.size(1));
        let target = self.phones.forward(said) + self.positions.narrow(0, 0, said.size(1));
        let padding = AttentionMasks::none().key_padding_mask(&word.eq_scalar(0.0));
        let masks = [&padding, &AttentionMasks::causal(), &padding];
        let states = self
            .body
            .forward(&source, &target, masks, &mut Context::eval());
        self.out.forward(&states)
    }
}

/// A line's word, if it is of a to z and not too long, with its phones without stresses.
fn entry(line: &str) -> Option<(&str, Vec<i32>)> {
    let mut fields = line.split(' ').take_while(|f| *f != "#");
    let word = fields.next()?;
    let number = |p: &str| {
        let sound = p.trim_end_matches(|c: char| c.is_ascii_digit());
        PHONES
            .split(' ')
            .position(|k| k == sound)
            .map(|at| at as i32 + 2)
    };
    let phones = fields.map(number).collect::<Option<Vec<i32>>>()?;
    let short = word.len() < LONG && phones.len() < LONG;
    (short && word.bytes().all(|b| b.is_ascii_lowercase())).then_some((word, phones))
}

/// Letters `[words, 10]` and phones `[words, 11]`.
fn rows(words: &[&(&str, Vec<i32>)], device: &Device) -> (Tensor, Tensor) {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (word, phones) in words {
        let letters = word.bytes().map(|b| i32::from(b - b'a') + 2);
        x.extend(letters.chain(std::iter::repeat(0)).take(LONG));
        let phones = [1].into_iter().chain(phones.iter().copied()).chain([1]);
        y.extend(phones.chain(std::iter::repeat(0)).take(LONG + 1));
    }
    let letters = Tensor::from_slice(&x, &[words.len(), LONG], device);
    let phones = Tensor::from_slice(&y, &[words.len(), LONG + 1], device);
    (letters, phones)
}

fn train(net: Net, (x, y): (&Tensor, &Tensor), lesson: &Lesson) -> Result<Net> {
    let (mut state, mut rng) = ((net, Adam::new(0.001)), Generator::new(lesson.seed + 1));
    let mut step = compile(|(net, adam): &mut (Net, Adam), b: &[Tensor]| {
        let (x, y) = (b[0].index_select(0, &b[2]), b[1].index_select(0, &b[2]));
        let scores = net.forward(&x, &y.narrow(1, 0, LONG)).flatten(0, 1);
        let options = CrossEntropyOptions::from(Reduction::Mean).ignore_index(0);
        let loss = scores.cross_entropy(&y.narrow(1, 1, LONG).reshape(&[-1]), options);
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let (steps, batch) = lesson.pick((1500, 96), (300, 64));
    for t in 0..steps {
        let warm = (t as f64 / 100.0).min(1.0);
        let rate = 0.002 * warm * (1.05 - t as f64 / steps as f64);
        state.1.set_lr(rate);
        let some = rng.integers(0, x.size(0) as i32, &[batch], &lesson.device);
        step.call(&mut state, &[x, y, &some])?;
    }
    Ok(state.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let Some(file) = lesson.data("text/cmudict.dict.gz") else {
        lesson.say("This lesson needs the CMU pronouncing dictionary: cmusphinx/cmudict, cmudict.dict, gzipped.");
        return Ok(());
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file)?).read_to_string(&mut text)?;
    let words: Vec<(&str, Vec<i32>)> = text.lines().filter_map(entry).collect();
    let mut rng = Generator::new(lesson.seed);
    let order = rng.permutation(words.len(), device).to_vec::<i32>()?;
    let order: Vec<&(&str, Vec<i32>)> = order.iter().map(|&at| &words[at as usize]).collect();
    let (test, known) = order.split_at(300);
    let wide = lesson.pick(96, 64);
    let options = TransformerOptions::default()
        .dim_feedforward(2 * wide)
        .dropout(0.0);
    let options = options.batch_first(true).norm_first(true);
    let net = Net {
        letters: Embedding::new(28, wide, &mut rng, device),
        phones: Embedding::new(41, wide, &mut rng, device),
        body: Transformer::new(wide, 4, [2, 2], &options, &mut rng, device),
        out: Linear::new(wide, 41, &mut rng, device),
        positions: sinusoidal_positions(LONG, wide, device),
    };
    lesson.say(format!(
        "{} words, {} parameters",
        words.len(),
        net.num_parameters()
    ));
    let (x, y) = rows(known, device);
    let net = train(net, (&x, &y), lesson)?;
    // Greedy, all words at once: the likeliest phone each time.
    let unseen = rows(test, device).0;
    let mut said = Tensor::ones(&[300, 1], DType::I32, device);
    for _ in 0..LONG {
        let next = net.forward(&unseen, &said).select(1, -1).argmax(-1, true);
        said = Tensor::cat(&[&said, &next], 1).detach()?;
    }
    let (mut wrong, mut all, said) = (0, 0, said.to_vec::<i32>()?);
    for (at, (row, (word, truth))) in said.chunks_exact(LONG + 1).zip(test).enumerate() {
        let own: Vec<i32> = row[1..].iter().copied().take_while(|&p| p > 1).collect();
        (wrong, all) = (wrong + edit_distance(&own, truth), all + truth.len());
        if at < 6 {
            let name = |p: &i32| PHONES.split(' ').nth(*p as usize - 2).unwrap_or("?");
            let names = |list: &[i32]| list.iter().map(name).collect::<Vec<_>>().join(" ");
            lesson.say(format!("{word}: {} ({})", names(&own), names(truth)));
        }
    }
    let rate = wrong as f64 / all as f64;
    lesson.at_most(
        "phone error rate, words not seen",
        rate,
        lesson.pick(0.15, 0.5),
    )
}
